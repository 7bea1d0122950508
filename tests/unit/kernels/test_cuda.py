"""The Python side of the GPU's kernels: what it launches, moves and refuses; and NVIDIA's compiler."""

from __future__ import annotations

import ctypes
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from livematte import device
from livematte.errors import DeviceError, MissingExtraError
from livematte.frame import Matte
from livematte.kernels import cuda, cuda_launch, cuda_temporal, cuda_windows, reference, twins
from livematte.temporal import TemporalFilter, TemporalState
from tests.cuda_shim import build, fakecupy
from tests.unit.kernels.backends import ON_GPU, SOURCE, Backend, down, running
from tests.unit.kernels.pictures import disc, random_frame

ROOT = Path(__file__).parents[3]

needs_compiler = pytest.mark.skipif(build.compiler() is None, reason="no C++ compiler with fibres")


def test_without_cupy_everything_imports_and_says_in_one_line_what_to_install() -> None:
    code = (
        "import sys\n"
        "sys.modules['cupy'] = None\n"
        "from livematte.kernels import cuda, cuda_frame, cuda_launch, cuda_temporal, cuda_windows, twins\n"
        "import numpy as np\n"
        "assert not cuda_launch.on_gpu(np.zeros(3))\n"
        "try:\n"
        "    cuda.soft_cells(np.zeros((3, 3), np.float32), 0.1, 1)\n"
        "except Exception as error:\n"
        "    print(type(error).__name__, error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == (
        "MissingExtraError keeping pictures on an NVIDIA GPU needs an extra package: "
        "pip install 'livematte[cuda]'"
    )


def test_the_missing_extra_is_an_error_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cupy", None)
    cuda_launch.cupy.cache_clear()
    with pytest.raises(MissingExtraError, match="livematte\\[cuda\\]"):
        cuda_launch.empty((1,), np.uint8)


def test_a_driver_that_is_missing_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = fakecupy.module()

    def fails() -> int:
        raise RuntimeError("cudaErrorInsufficientDriver: CUDA driver version is insufficient")

    monkeypatch.setattr(fake.cuda.runtime, "getDeviceCount", fails)
    monkeypatch.setitem(sys.modules, "cupy", fake)
    cuda_launch.cupy.cache_clear()
    with pytest.raises(DeviceError, match="CuPy can use no GPU here: cudaErrorInsufficientDriver"):
        cuda_launch.empty((1,), np.uint8)
    cuda_launch.cupy.cache_clear()


@needs_compiler
def test_a_compiler_that_fails_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(self: Any) -> None:
        raise RuntimeError("\nkernels.cu(3): error: expected a ';'\n1 error detected\n")

    monkeypatch.setattr(fakecupy.RawModule, "compile", fails)
    with running(SOURCE) as backend, pytest.raises(DeviceError) as told:
        cuda.soft_cells(backend.up(disc(4, 4)), 0.1, 1)
    assert "expected a ';'" in str(told.value) and "\n" not in str(told.value)


@needs_compiler
def test_an_array_of_the_computer_is_refused_in_one_line() -> None:
    frame = random_frame("nv12", 20, 30)
    with running(SOURCE):
        there = SOURCE.up(frame)
        alpha, kinds = cuda.upsample_alpha(there.planes[0], *SOURCE.up((disc(4, 6), disc(4, 6))), 255)
        with pytest.raises(DeviceError, match="blend_plane works on the GPU and was given a ndarray") as told:
            cuda.mix_plane(there.planes[0], frame.planes[0], alpha, kinds, (0, 0), 255)
        assert "\n" not in str(told.value)
        with pytest.raises(DeviceError, match="upload it once"):
            cuda_launch.from_dlpack(frame.planes[0])
        with pytest.raises(DeviceError, match="cannot take object over"):
            cuda_launch.from_dlpack(object())


@needs_compiler
def test_tensors_of_another_library_come_in_and_go_out_without_a_copy() -> None:
    import torch

    with running(SOURCE):
        tensor = torch.arange(12, dtype=torch.float32).reshape(3, 4)
        array = cuda_launch.from_dlpack(tensor)
        assert array.__array_interface__["data"][0] == tensor.data_ptr()
        assert cuda_launch.from_dlpack(array) is array
        made = cuda.resize(array, 3, 2)
        assert torch.from_dlpack(made).tolist() == [[0.5, 2.5], [4.5, 6.5], [8.5, 10.5]]


@needs_compiler
def test_work_is_queued_on_the_stream_that_is_asked_for() -> None:
    class TorchStream:
        cuda_stream = 7

    with running(SOURCE) as backend:
        alpha = backend.up(disc(9, 9))
        fakecupy.launches.clear()
        cuda.soft_cells(alpha, 0.1, 1)
        with cuda_launch.on(own := fakecupy.Stream(), device=0):
            cuda.soft_cells(alpha, 0.1, 1)
        with cuda_launch.on(TorchStream()):
            cuda.soft_cells(alpha, 0.1, 1)
        with cuda_launch.on():
            cuda.soft_cells(alpha, 0.1, 1)
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
    monkeypatch.setattr(cuda_launch, "cupy", lambda: module)
    monkeypatch.setattr(device, "_driver", lambda: Driver)
    with cuda_launch.on(device=1), cuda_launch.on(device=1):
        assert was_set == [1]
    assert was_set == set_to
    monkeypatch.setattr(device, "_driver", lambda: None)
    assert device.in_use(0)


@needs_compiler
def test_a_frame_on_the_gpu_is_composited_without_moving_a_byte_and_in_few_launches() -> None:
    """What is said in the docstring of kernels.cuda: nothing waits, nothing goes there or comes back."""
    frame, behind = random_frame("nv12", 64, 96), random_frame("nv12", 64, 96, seed=1)
    with running(SOURCE) as backend:
        there, background, small = backend.up(frame), backend.up(behind), backend.up(disc(16, 24))
        fakecupy.moved.update({"to": 0, "from": 0})
        fakecupy.launches.clear()
        codes, rgb = cuda.small_both(there, 16, 24)
        alpha, _, _ = cuda_temporal.calmed(small, rgb, None, 0.3)
        coefficients = twins.guided_coefficients(alpha, codes[0], 1e-3, 0.08)
        colors = twins.estimate_colors(codes, alpha, (4, 1))
        plane, kinds = twins.upsample_alpha(there.planes[0], *coefficients, 255)
        made = twins.composite(there, background, plane, kinds, colors)
        assert fakecupy.moved == {"to": 0, "from": 0}
        assert len(fakecupy.launches) == 8
        assert [x.shape for x in made] == [x.shape for x in frame.planes]
        assert all(cuda_launch.on_gpu(x) for x in made)


def test_arrays_of_the_computer_take_the_path_they_always_took() -> None:
    frame, behind = random_frame("nv12", 40, 50), random_frame("nv12", 40, 50, seed=1)
    alpha, kinds = twins.upsample_alpha(frame.planes[0], disc(10, 12), disc(10, 12), 255)
    made = twins.composite(frame, behind, alpha, kinds, None)
    expected = twins.composite_with(reference, frame, behind, alpha, kinds, None)
    for a, b in zip(made, expected, strict=True):
        assert a.shape == b.shape and np.abs(a.astype(int) - b).max() <= 1


def moving_clip() -> list[tuple[np.ndarray, np.ndarray]]:
    """(alpha, picture): a grainy room with a disc that stands, then moves; then the camera pans; then there
    is a room that is 70 brighter, and at last a chequered one and its negative, which has the same colours. A
    strip at the left is the same in all of them, but what alpha says of it changes: only who sees a cut
    believes it at once.
    """
    rng = np.random.default_rng(0)
    room = rng.integers(0, 96, (23, 31, 3)).repeat(2, 0).repeat(2, 1)
    chequered = (np.indices((46, 62)).sum(0) // 6 % 2 * 255)[..., None].repeat(3, -1)
    rooms = [*[room] * 6, np.roll(room, 8, axis=0), room + 70, room + 70, chequered, 255 - chequered]
    strip = [*[0.2] * 6, 0.6, 0.9, 0.9, 0.3, 0.8]
    clip = []
    for n, behind in enumerate(rooms):
        alpha = np.roll(disc(46, 62, radius=0.2), 3 * max(0, n - 3), axis=1)
        picture = alpha[..., None] * 40 + (1 - alpha[..., None]) * behind
        picture[:, :12], alpha[:, :12] = 30, strip[n]
        picture += rng.normal(0, 1, room.shape)
        alpha = np.clip(alpha + rng.normal(0, 0.05, alpha.shape), 0, 1).astype(np.float32)
        clip.append((alpha, np.clip(picture, 0, 255).astype(np.uint8)))
    return clip


@ON_GPU
@pytest.mark.parametrize(("mode", "still"), [("on", 0.3), ("strong", 0.12)])
def test_alpha_over_time_is_what_the_filter_makes_of_it(backend: Backend, mode: str, still: float) -> None:
    smooth, state = TemporalFilter(mode), None
    before = None
    taken = []
    with running(backend):
        for alpha, picture in moving_clip():
            calm, state = smooth(Matte(alpha), picture, state)
            assert isinstance(state, TemporalState)
            before = cuda_temporal.calmed(*backend.up((alpha, picture)), before, still)
            np.testing.assert_allclose(down(before[0]), calm.alpha, atol=0.01)
            np.testing.assert_allclose(down(before[2]), state.picture, atol=1)
            taken.append(bool((calm.alpha == alpha).all()))
    assert taken == [True, *[False] * 6, True, False, True, True]  # a pan is no cut


@ON_GPU
def test_another_size_begins_a_shot(backend: Backend) -> None:
    alpha, picture = moving_clip()[0]
    with running(backend):
        first = cuda_temporal.calmed(*backend.up((alpha, picture)), None, 0.3)
        smaller = backend.up((alpha[:20].copy(), picture[:20].copy()))
        assert (down(cuda_temporal.calmed(*smaller, first, 0.3)[0]) == alpha[:20]).all()


@ON_GPU
def test_the_share_of_what_is_new(backend: Backend) -> None:
    rng = np.random.default_rng(0)
    given = tuple(rng.uniform(0, 1, (4, 9, 13)).astype(np.float32))
    expected = reference.share_of_new(*given, 0.3)
    with running(backend):
        made = down(cuda_temporal.share_of_new(*backend.up(given), 0.3))
    np.testing.assert_allclose(made, expected, atol=1e-6)


@ON_GPU
@pytest.mark.parametrize("still", [0.12, 1.0])
def test_what_was_refined_before(backend: Backend, still: float) -> None:
    rng = np.random.default_rng(1)
    raw, share, moves, holds = rng.uniform(0, 1, (4, 7, 9)).astype(np.float32)
    maps = rng.uniform(0, 1, (2, 20, 30)).astype(np.float32)
    part = np.s_[4:11, 5:14]
    with running(backend):
        there = backend.up(maps)
        windows = (there[0][part], there[1][part])
        made = cuda_windows.refined_over_time(*backend.up((raw, share, moves, holds)), still, *windows)
        made, changed = down(made), down(there)
    alpha, before = maps[0][part], maps[1][part]
    expected = reference.refined_over_time(raw, share, moves, holds, still, alpha, before)
    for a, b in zip((*made, *changed), (*expected, *maps), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


VARIANTS = [
    (name, sample, rgb)
    for name in cuda_launch.PARTS
    for sample in ("uint8", "uint16")
    for rgb in (("uint8", "float32") if name == "from_rgb" else ("uint8",))
]


@pytest.mark.parametrize("architecture", ["sm_80", "sm_90"])
@pytest.mark.parametrize(("name", "sample", "rgb"), VARIANTS)
def test_nvidias_compiler_takes_the_source(name: str, sample: str, rgb: str, architecture: str) -> None:
    path = nvrtc_path()
    if path is None:
        pytest.skip("NVRTC is not installed (pip install nvidia-cuda-nvrtc)")
    nvrtc = ctypes.CDLL(str(path))
    program = ctypes.c_void_p()
    code = cuda_launch.source(name, sample, rgb).encode()
    assert nvrtc.nvrtcCreateProgram(ctypes.byref(program), code, b"kernels.cu", 0, None, None) == 0
    options = [f"--gpu-architecture={architecture}".encode(), b"-ftz=true"]  # CuPy adds the second
    options += [option.encode() for option in cuda_launch.OPTIONS]
    given = (ctypes.c_char_p * len(options))(*options)
    failed = nvrtc.nvrtcCompileProgram(program, len(options), given)
    assert failed == 0, said(nvrtc, "ProgramLog", program)
    assert ".entry" in said(nvrtc, "PTX", program)


def nvrtc_path() -> Path | None:
    """NVIDIA's run-time compiler from one of its wheels, the newest; None where there is none."""
    spec = find_spec("nvidia")
    folders = [Path(place) for place in (spec and spec.submodule_search_locations) or ()]
    patterns = ("*/lib/libnvrtc.so.*", "*/bin/**/nvrtc64_*.dll")
    found = [p for folder in folders for pattern in patterns for p in folder.glob(pattern)]
    usable = (p for p in found if "alt" not in p.name and "builtins" not in p.name)
    return max(usable, key=lambda path: path.name, default=None)


def said(nvrtc: Any, what: str, program: ctypes.c_void_p) -> str:
    size = ctypes.c_size_t()
    getattr(nvrtc, f"nvrtcGet{what}Size")(program, ctypes.byref(size))
    text = ctypes.create_string_buffer(size.value)
    getattr(nvrtc, f"nvrtcGet{what}")(program, text)
    return text.value.decode()
