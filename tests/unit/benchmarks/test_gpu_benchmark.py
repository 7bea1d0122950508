"""The parts of the GPU benchmark that need no GPU: the error without one, cases, byte counts and pipeline."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks import gpukernels, gputime
from benchmarks.gpuchain import Chain, pinned, through
from livematte.frame import Matte
from livematte.inference.adapters import choose_size
from livematte.kernels.composite import composite
from livematte.kernels.convert import rgb_from_codes, small_planes, small_rgb
from livematte.kernels.foreground import estimate_colors
from livematte.kernels.upsample import guided_coefficients, upsample_alpha
from livematte.matting.temporal import TemporalFilter
from livematte.matting.upsampling import EPSILON, RADII, SNAP
from tests.conftest import no_cuda
from tests.cuda_shim import build, fakecupy
from tests.unit.kernels.backends import SOURCE, running

ROOT = Path(__file__).parents[3]

needs_compiler = pytest.mark.skipif(build.compiler() is None, reason="no C++ compiler with fibres")


@pytest.mark.skipif(no_cuda() is None, reason="there is a GPU")
def test_without_a_gpu_it_refuses_in_one_line() -> None:
    command = [sys.executable, "-m", "benchmarks.gpu"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.strip().startswith("benchmarks.gpu needs an NVIDIA GPU: ")
    assert "\n" not in done.stderr.strip()


@needs_compiler
@pytest.mark.parametrize("format", ["nv12", "yuv420p10le"])
def test_every_case_runs_and_counts_no_byte_twice(format: str) -> None:
    height, width, depth = 96, 160, 1 if format == "nv12" else 2
    frame = depth * height * width * 3 // 2
    with running(SOURCE):
        soft, person = (gpukernels.cases(height, width, format, soft) for soft in (True, False))
        for case in (*soft.values(), *person.values()):
            case.run()
        small = 4 * 3 * np.prod(choose_size(height, width))  # F and B of one plane each
        tiles = 6 * 10
        alpha = depth * height * width
        assert soft["composite, alpha stored"].bytes == 3 * frame + alpha + 2 * small + tiles
        assert person["composite, alpha stored"].bytes < 0.9 * soft["composite, alpha stored"].bytes
        assert soft["to_rgb"].bytes == frame + 3 * height * width
        assert sum(case.bound for case in soft.values()) == 4
        if format != "nv12":
            assert soft["planes_from_surface (P010)"].bytes == 2 * frame


@needs_compiler
def test_times_are_taken_while_the_gpu_has_work_before_them(monkeypatch: pytest.MonkeyPatch) -> None:
    queued: list[str] = []
    monkeypatch.setattr(gputime, "FILL", 64)
    with running(SOURCE) as backend:
        module = backend.module()
        monkeypatch.setattr(module, "copyto", lambda *_: queued.append("copy"))
        # As slow a machine as this has done with 8 copies before it has launched 2 kernels.
        monkeypatch.setattr(fakecupy.Event, "done", property(lambda _: queued.count("copy") < 28))
        seconds = gputime.device_seconds([lambda: queued.append("a"), lambda: queued.append("b")], repeat=1)
    assert seconds == pytest.approx(0.002)  # 4 ms for two
    rounds = "".join("." if x == "copy" else x for x in queued)
    assert rounds == "ab" + "." * 4 + "ab" + "." * 8 + "ab" + "." * 16 + "ab"


def test_what_moved_is_read_out_of_a_trace() -> None:
    def event(name: str, size: int, kind: str = "gpu_memcpy") -> dict[str, object]:
        return {"ph": "X", "cat": kind, "name": name, "args": {"bytes": size}}

    trace = {
        "traceEvents": [
            event("Memcpy HtoD (Pinned -> Device)", 10),
            event("Memcpy HtoD (Pageable -> Device)", 5),
            event("Memcpy DtoH (Device -> Pinned)", 7),
            event("Memcpy DtoD (Device -> Device)", 100),
            event("cudaMemcpyAsync HtoD", 1000, "cuda_runtime"),
            {"ph": "M", "name": "process_name"},
        ]
    }
    assert gputime.transfers_in_trace(trace) == (15, 2, 7, 1)


@pytest.mark.slow
@needs_compiler
def test_frames_go_up_once_and_come_down_once_as_the_cpu_would_make_them() -> None:
    """On the fake card with the real network: the chain is the one that the CPU's kernels make."""
    hosts = [gpukernels.picture(128, 160, "nv12", False, seed)[0] for seed in range(2)]
    behind = gpukernels.picture(128, 160, "nv12", False, 5)[0]
    count = 4
    with running(SOURCE) as backend:
        chain = Chain(backend.up(behind), device="cpu", half=False)
        turns = [pinned(frame) for frame in hosts]
        fakecupy.moved.update({"to": 0, "from": 0})
        made = [tuple(plane.copy() for plane in planes) for planes in through(chain, turns, count)]
        frame_bytes = sum(plane.nbytes for plane in hosts[0].planes)
        assert fakecupy.moved == {"to": count * frame_bytes, "from": count * frame_bytes}
        alphas = {}
        for n, frame in enumerate(hosts):
            rgb = small_rgb(frame, *choose_size(128, 160))
            alphas[n] = chain.alpha(backend.up(rgb)).get()
    smooth, state = TemporalFilter(), None
    assert len(made) == count
    for number, planes in enumerate(made):
        frame = hosts[number % 2]
        small = small_planes(frame, *choose_size(128, 160))
        matte, state = smooth(Matte(alphas[number % 2]), rgb_from_codes(small, frame), state)
        maps = guided_coefficients(matte.alpha, small[0] / np.float32(255), EPSILON, SNAP)
        alpha, kinds = upsample_alpha(frame.planes[0], *maps, 255)
        colors = estimate_colors(small, matte.alpha, RADII)
        expected = composite(frame, behind, alpha, kinds, colors)
        for a, b in zip(planes, expected, strict=True):
            differences = np.abs(a.astype(int) - b.astype(int))
            assert np.percentile(differences, 99) <= 2 and differences.mean() < 0.2
