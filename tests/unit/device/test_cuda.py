"""Launches, streams and errors of the GPU: CuPy that is missing, fails, or is a stand-in on the CPU."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from livematte.device import cuda, driver
from livematte.errors import DeviceError, MissingExtraError
from livematte.kernels.composite import mix_plane
from livematte.kernels.kinds import soft_cells
from livematte.kernels.resize import resize
from livematte.kernels.upsample import upsample_alpha
from tests.cuda_shim import build, fakecupy
from tests.unit.kernels.backends import SOURCE, running
from tests.unit.kernels.pictures import disc, random_frame

ROOT = Path(__file__).parents[3]

needs_compiler = pytest.mark.skipif(build.compiler() is None, reason="no C++ compiler with fibres")


def test_without_cupy_everything_imports_and_says_in_one_line_what_to_install() -> None:
    code = (
        "import sys\n"
        "sys.modules['cupy'] = None\n"
        "from livematte.device import cuda, execution, launch, transfer\n"
        "from livematte.kernels import composite, upsample\n"
        "from livematte.kernels.kinds.cuda import soft_cells\n"
        "import numpy as np\n"
        "assert not cuda.on_gpu(np.zeros(3))\n"
        "try:\n"
        "    soft_cells(np.zeros((3, 3), np.float32), 0.1, 1)\n"
        "except Exception as error:\n"
        "    print(type(error).__name__, error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == (
        "MissingExtraError keeping pictures on an NVIDIA GPU needs an extra package: "
        "run pip install '.[cuda]' (with pipx: pipx install --force '.[cuda]') in the livematte folder"
    )


def test_the_missing_extra_is_an_error_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cupy", None)
    cuda.cupy.cache_clear()
    with pytest.raises(MissingExtraError, match=r"\.\[cuda\]"):
        cuda.empty((1,), np.uint8)


def test_a_driver_that_is_missing_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = fakecupy.module()

    def fails() -> int:
        raise RuntimeError("cudaErrorInsufficientDriver: CUDA driver version is insufficient")

    monkeypatch.setattr(fake.cuda.runtime, "getDeviceCount", fails)
    monkeypatch.setitem(sys.modules, "cupy", fake)
    cuda.cupy.cache_clear()
    with pytest.raises(DeviceError, match="CuPy can use no GPU here: cudaErrorInsufficientDriver"):
        cuda.empty((1,), np.uint8)
    cuda.cupy.cache_clear()


@needs_compiler
def test_a_compiler_that_fails_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(self: Any) -> None:
        raise RuntimeError("\nkernels.cu(3): error: expected a ';'\n1 error detected\n")

    monkeypatch.setattr(fakecupy.RawModule, "compile", fails)
    with running(SOURCE) as backend, pytest.raises(DeviceError) as told:
        soft_cells(backend.up(disc(4, 4)), 0.1, 1)
    assert "expected a ';'" in str(told.value) and "\n" not in str(told.value)


@needs_compiler
def test_an_array_of_the_computer_is_refused_in_one_line() -> None:
    frame = random_frame("nv12", 20, 30)
    with running(SOURCE):
        there = SOURCE.up(frame)
        alpha, kinds = upsample_alpha(there.planes[0], *SOURCE.up((disc(4, 6), disc(4, 6))), 255)
        with pytest.raises(DeviceError, match="blend_plane works on the GPU and was given a ndarray") as told:
            mix_plane(there.planes[0], frame.planes[0], alpha, kinds, (0, 0), 255)
        assert "\n" not in str(told.value)
        with pytest.raises(DeviceError, match="upload it once"):
            cuda.from_dlpack(frame.planes[0])
        with pytest.raises(DeviceError, match="cannot take object over"):
            cuda.from_dlpack(object())


@needs_compiler
def test_tensors_of_another_library_come_in_and_go_out_without_a_copy() -> None:
    import torch

    with running(SOURCE):
        tensor = torch.arange(12, dtype=torch.float32).reshape(3, 4)
        array = cuda.from_dlpack(tensor)
        assert array.__array_interface__["data"][0] == tensor.data_ptr()
        assert cuda.from_dlpack(array) is array
        made = resize(array, 3, 2)
        assert torch.from_dlpack(made).tolist() == [[0.5, 2.5], [4.5, 6.5], [8.5, 10.5]]


@needs_compiler
def test_work_is_queued_on_the_stream_that_is_asked_for() -> None:
    class TorchStream:
        cuda_stream = 7

    with running(SOURCE) as backend:
        alpha = backend.up(disc(9, 9))
        fakecupy.launches.clear()
        soft_cells(alpha, 0.1, 1)
        with cuda.gpu_scope(own := fakecupy.Stream(), device=0):
            soft_cells(alpha, 0.1, 1)
        with cuda.gpu_scope(TorchStream()):
            soft_cells(alpha, 0.1, 1)
        with cuda.gpu_scope():
            soft_cells(alpha, 0.1, 1)
        streams = [stream for _, stream in fakecupy.launches]
        assert [stream.ptr for stream in streams] == [0, own.ptr, 7, 0]


@pytest.mark.parametrize(("used", "set_to"), [(False, [1]), (True, [1, 0])])
def test_a_gpu_that_nobody_uses_is_not_gone_back_to(
    used: bool, set_to: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """CUDA would make a context on it: with ``--device cuda:1``, on a GPU 0 that may be full."""
    was_set: list[int] = []

    class Runtime:
        setDevice = was_set.append  # noqa: N815 - CuPy's name

        @staticmethod
        def getDevice() -> int:
            return was_set[-1] if was_set else 0

    class Driver:
        @staticmethod
        def cuDeviceGet(card: Any, index: int) -> int:
            card._obj.value = 100 + index
            return 0

        @staticmethod
        def cuDevicePrimaryCtxGetState(card: Any, flags: Any, active: Any) -> int:
            active._obj.value = int(used and card.value == 100)
            return 0

    module = SimpleNamespace(cuda=SimpleNamespace(runtime=Runtime, Device=None))
    monkeypatch.setattr(cuda, "cupy", lambda: module)
    monkeypatch.setattr(driver, "_driver", lambda: Driver)
    with cuda.gpu_scope(device=1), cuda.gpu_scope(device=1):
        assert was_set == [1]
    assert was_set == set_to
    monkeypatch.setattr(driver, "_driver", lambda: None)
    assert driver.in_use(0)
