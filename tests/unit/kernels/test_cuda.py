"""A frame's way through the kernels on the GPU, and NVIDIA's compiler on their sources."""

from __future__ import annotations

import ctypes
import pkgutil
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from livematte import kernels
from livematte.device import cuda
from livematte.device.launch import OPTIONS, CudaSource
from livematte.kernels.composite import composite
from livematte.kernels.convert import small_both
from livematte.kernels.foreground import estimate_colors
from livematte.kernels.temporal.cuda import smooth_alpha
from livematte.kernels.upsample import guided_coefficients, upsample_alpha
from tests.cuda_shim import build, fakecupy
from tests.unit.kernels.backends import SOURCE, definition, running
from tests.unit.kernels.pictures import disc, random_frame

needs_compiler = pytest.mark.skipif(build.compiler() is None, reason="no C++ compiler with fibres")


@needs_compiler
def test_a_frame_on_the_gpu_is_composited_without_moving_a_byte_and_in_few_launches() -> None:
    """As the docstring of livematte.kernels says: nothing waits, nothing goes there or comes back."""
    frame, behind = random_frame("nv12", 64, 96), random_frame("nv12", 64, 96, seed=1)
    with running(SOURCE) as backend:
        there, background, small = backend.up(frame), backend.up(behind), backend.up(disc(16, 24))
        fakecupy.moved.update({"to": 0, "from": 0})
        fakecupy.launches.clear()
        codes, rgb = small_both(there, 16, 24)
        alpha, _, _ = smooth_alpha(small, rgb, None, 0.3)
        coefficients = guided_coefficients(alpha, codes[0], 1e-3, 0.08)
        colors = estimate_colors(codes, alpha, (4, 1))
        plane, kinds = upsample_alpha(there.planes[0], *coefficients, 255)
        made = composite(there, background, plane, kinds, colors)
        assert fakecupy.moved == {"to": 0, "from": 0}
        assert len(fakecupy.launches) == 8
        assert [x.shape for x in made] == [x.shape for x in frame.planes]
        assert all(cuda.on_gpu(x) for x in made)


def test_arrays_of_the_computer_take_the_path_they_always_took() -> None:
    frame, behind = random_frame("nv12", 40, 50), random_frame("nv12", 40, 50, seed=1)
    alpha, kinds = upsample_alpha(frame.planes[0], disc(10, 12), disc(10, 12), 255)
    made = composite(frame, behind, alpha, kinds, None)
    expected = definition(composite)(frame, behind, alpha, kinds, None)
    for a, b in zip(made, expected, strict=True):
        assert a.shape == b.shape and np.abs(a.astype(int) - b).max() <= 1


SOURCES = {
    Path(source.files[-1]).stem: source
    for module in pkgutil.walk_packages(kernels.__path__, "livematte.kernels.")
    if module.name.endswith(".cuda")
    for source in vars(import_module(module.name)).values()
    if isinstance(source, CudaSource)
}

VARIANTS = [
    (name, sample, rgb)
    for name in SOURCES
    for sample in ("uint8", "uint16")
    for rgb in (("uint8", "float32") if name == "from_rgb" else ("uint8",))
]


def test_every_cuda_file_is_part_of_a_source() -> None:
    folder = Path(kernels.__file__).parent
    there = {path.relative_to(folder).as_posix() for path in folder.rglob("*.cu")}
    assert there == {file for source in SOURCES.values() for file in source.files}


@pytest.mark.parametrize("architecture", ["sm_80", "sm_90"])
@pytest.mark.parametrize(("name", "sample", "rgb"), VARIANTS)
def test_nvidias_compiler_takes_the_source(name: str, sample: str, rgb: str, architecture: str) -> None:
    path = nvrtc_path()
    if path is None:
        pytest.skip("NVRTC is not installed (pip install nvidia-cuda-nvrtc)")
    nvrtc = ctypes.CDLL(str(path))
    program = ctypes.c_void_p()
    code = SOURCES[name].text(sample, rgb).encode()
    assert nvrtc.nvrtcCreateProgram(ctypes.byref(program), code, b"kernels.cu", 0, None, None) == 0
    options = [f"--gpu-architecture={architecture}".encode(), b"-ftz=true"]  # CuPy adds the second
    options += [option.encode() for option in OPTIONS]
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
