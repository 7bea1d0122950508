"""Renders whose frames stay on a GPU: one upload and one download of each, and the pictures of the CPU."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from livematte import resolve
from livematte.device import Device
from livematte.device.cuda import cupy, on_gpu
from livematte.device.execution import CudaContext
from livematte.device.transfer import TransferStats
from livematte.errors import DeviceError, MissingExtraError, ModelError
from livematte.frame import Array, Frame, Matte
from livematte.inference.adapters import NetworkModel
from livematte.inference.model_spec import ModelSpec
from livematte.inference.weights import ModelCard
from livematte.matting.backgrounds import Blur, Color, Image, Transparent
from livematte.matting.compositor import Compositor
from livematte.offline.engine import Output, RenderStats, mattes, render
from livematte.protocols import Background, SourceInfo
from tests.cuda_shim import build, fakecupy
from tests.cuda_shim.hazards import nothing_is_given_back_in_use  # noqa: F401 - for every test here
from tests.unit.kernels.backends import ON_GPU, SOURCE, Backend, running
from tests.unit.kernels.pictures import disc, random_frame

HEIGHT, WIDTH, COUNT = 90, 124, 5
CUDA = Device("cuda", 0, "as asked")
WITHIN = 2
"""Codes: one of alpha's rounding, one of the picture's."""


def frame_of(format: str, number: int) -> Frame:
    """A bright disc that wanders through a dark, noisy room; a small bright patch stays in a corner."""
    frame = random_frame(format, HEIGHT, WIDTH, seed=number % 2, padding=5)
    person = np.roll(disc(HEIGHT, WIDTH), 3 * number, axis=1)
    person[2:9, 2:9] = 0.4
    luma = frame.planes[0]
    code = luma * 0.25 * (1 - person) + frame.pixel_format.maximum * 0.85 * person
    luma[...] = np.rint(code).astype(luma.dtype)
    return replace(frame, pts=number * number, time_base=Fraction(1, 1000))


class Clip:
    """``COUNT`` frames, changed by ``each``, which may put them on a GPU as a hardware decoder would."""

    def __init__(self, format: str, each: Callable[[Frame], Frame] = lambda frame: frame) -> None:
        self.info = SourceInfo("clip", HEIGHT, WIDTH, format, Fraction(1, 1000), frames=COUNT)
        self._each = each
        self.bytes = COUNT * sum(plane.nbytes for plane in frame_of(format, 0).planes)

    def __iter__(self) -> Iterator[Frame]:
        return (self._each(frame_of(self.info.format, number)) for number in range(COUNT))

    def close(self) -> None:
        pass


@dataclass(frozen=True)
class Result:
    arrays: tuple[Array, ...]

    def result(self) -> tuple[Array, ...]:
        return self.arrays


class GreenIsPerson:
    """A network that takes the arrays of every library and keeps several under way."""

    runtime, precision, why, in_flight = "by hand", "fp32", "for this test", 3

    def __init__(self, odd_at: int | None = None) -> None:
        self.calls, self._odd_at = 0, odd_at
        self.seen: set[bool] = set()

    def submit(self, *arrays: Array) -> Result:
        (rgb,) = arrays
        self.seen.add(on_gpu(rgb))
        alpha = ((rgb[..., 1].astype(np.float32) - np.float32(90)) * np.float32(1 / 70)).clip(0, 1)
        if self.calls == self._odd_at:
            alpha = alpha * np.float32(3)
        self.calls += 1
        return Result((alpha,))

    def __call__(self, *arrays: Array) -> tuple[Array, ...]:
        return self.submit(*arrays).result()


def model(network: GreenIsPerson | None = None) -> NetworkModel:
    spec = ModelSpec("green", Path("card.toml"), network="", deployed="")
    card = ModelCard("green", spec.card, {}, ())
    return NetworkModel(spec, card, network or GreenIsPerson(), size=64)


class Keeping:
    """Keeps copies of what it gets, which must be in the computer's memory."""

    def __init__(self) -> None:
        self.frames: list[Frame] = []
        self.ends: list[str] = []

    def write(self, frame: Frame) -> None:
        assert all(type(plane) is np.ndarray for plane in frame.planes)
        self.frames.append(frame.with_planes(tuple(plane.copy() for plane in frame.planes)))

    def close(self) -> None:
        self.ends.append("close")

    def abort(self) -> None:
        self.ends.append("abort")


def rendered(
    clip: Clip, behind: Background, kinds: tuple[str, ...], device: Device | None, **options: Any
) -> tuple[dict[str, list[Frame]], RenderStats]:
    sinks = {kind: Keeping() for kind in kinds}
    outputs = [Output(sink, kind) for kind, sink in sinks.items()]
    stats = render(clip, options.pop("model", None) or model(), behind, outputs, device=device, **options)
    return {kind: sink.frames for kind, sink in sinks.items()}, stats


def assert_alike(made: dict[str, list[Frame]], expected: dict[str, list[Frame]]) -> None:
    for kind, frames in expected.items():
        assert [f.pts for f in made[kind]] == [n * n for n in range(COUNT)] == [f.pts for f in frames]
        for there, here in zip(made[kind], frames, strict=True):
            assert replace(there, planes=()) == replace(here, planes=())
            for a, b in zip(there.planes, here.planes, strict=True):
                assert a.dtype == b.dtype and a.shape == b.shape
                off = np.abs(a.astype(int) - b)
                assert off.max() <= WITHIN * (1 << here.pixel_format.depth - 8), kind
                assert off.mean() < 0.05 * (1 << here.pixel_format.depth - 8), kind


PICTURE = np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8)
BACKGROUNDS: dict[str, Callable[[], Background]] = {
    "colour": lambda: Color((0, 177, 64)),
    "image": lambda: Image(PICTURE),
    "blur": lambda: Blur(20),
    "transparent": Transparent,
}
CASES = [
    ("nv12", "colour"),
    ("nv12", "transparent"),
    ("yuv420p", "blur"),
    ("yuv422p10le", "image"),
    ("yuva420p", "colour"),
    ("yuva420p", "transparent"),
    ("gbrp", "blur"),
]


@ON_GPU
@pytest.mark.parametrize(("format", "behind"), CASES)
def test_frames_go_up_once_and_come_down_once_as_the_cpu_would_make_them(
    backend: Backend, format: str, behind: str
) -> None:
    clip = Clip(format)
    expected, still = rendered(clip, BACKGROUNDS[behind](), ("picture",), None)
    assert still.transfers == TransferStats()
    with running(backend):
        fakecupy.moved.update({"to": 0, "from": 0})
        made, stats = rendered(clip, BACKGROUNDS[behind](), ("picture",), CUDA)
        assert_alike(made, expected)
        picture = sum(plane.nbytes for plane in made["picture"][0].planes)
        once = {"colour": picture, "image": picture, "blur": 4 * 21, "transparent": 0}[behind]
        if format == "yuva420p" and behind in ("colour", "image"):
            once += HEIGHT * WIDTH  # a background of that format is opaque
        limits = 2 * 4
        assert stats.transfers == TransferStats(clip.bytes + once, COUNT * (picture + limits))
        if backend is SOURCE:
            counted = {"to": stats.transfers.uploaded, "from": stats.transfers.downloaded}
            assert fakecupy.moved == counted, "all is counted"


@ON_GPU
@pytest.mark.parametrize(
    "options", [{}, {"keep_small_components": True}, {"compositor": Compositor(refine="none")}]
)
def test_every_output_at_once(backend: Backend, options: dict[str, Any]) -> None:
    kinds = ("picture", "alpha", "foreground", "trimap", "debug")
    expected, _ = rendered(Clip("yuv420p"), Color((9, 9, 90)), kinds, None, **options)
    with running(backend):
        made, _ = rendered(Clip("yuv420p"), Color((9, 9, 90)), kinds, CUDA, **options)
    debug, drawn = made.pop("debug"), expected.pop("debug")
    trimaps, wanted = made.pop("trimap"), expected.pop("trimap")
    assert_alike(made, expected)
    for there, here in zip((*debug, *trimaps), (*drawn, *wanted), strict=True):
        assert (there.planes[0] != here.planes[0]).mean() < 0.02


@ON_GPU
def test_what_a_decoder_left_on_the_gpu_is_not_uploaded(backend: Backend) -> None:
    expected, _ = rendered(Clip("nv12"), Transparent(), ("picture",), None)
    with running(backend):
        network = GreenIsPerson()

        def decoded(frame: Frame) -> Frame:
            planes = tuple(backend.module().asarray(np.ascontiguousarray(p)) for p in frame.planes)
            return frame.with_planes(planes)

        clip = Clip("nv12", decoded)
        made, stats = rendered(clip, Transparent(), ("picture",), CUDA, model=model(network))
        assert_alike(made, expected)
        assert stats.transfers.uploaded == 0 and network.seen == {True}
        made, stats = rendered(clip, Transparent(), ("picture",), None)
        assert_alike(made, expected)
        assert stats.transfers == TransferStats(0, clip.bytes), "without a device they come down at once"


class Thresholding:
    """A model of somebody who knows NumPy only."""

    def input_size(self, height: int, width: int) -> tuple[int, int]:
        return 24, 32

    def __call__(self, rgb: Array, state: Any) -> tuple[Matte, Any]:
        assert type(rgb) is np.ndarray
        person = (rgb > 128).astype(np.float32)
        return Matte(person[..., 1], person), None


@ON_GPU
def test_a_model_that_knows_no_gpu_gets_and_gives_small_arrays(backend: Backend) -> None:
    clip = Clip("yuv420p")
    behind, kinds = Color((0, 0, 0)), ("picture", "alpha")
    expected, _ = rendered(clip, behind, kinds, None, model=Thresholding())
    with running(backend):
        made, stats = rendered(clip, behind, kinds, CUDA, model=Thresholding())
        assert_alike(made, expected)
        rgb, matte, limits = 24 * 32 * 3, 24 * 32 * 4 * 4, 2 * 2 * 4
        frame, alpha = clip.bytes // COUNT, HEIGHT * WIDTH
        assert stats.transfers.uploaded == clip.bytes + frame + COUNT * matte
        assert stats.transfers.downloaded == COUNT * (frame + alpha + rgb + limits)


@ON_GPU
def test_a_matte_out_of_its_range_ends_the_job_before_it_is_seen(backend: Backend) -> None:
    sink = Keeping()
    with running(backend):
        with pytest.raises(ModelError, match=r"alpha at 0.01 s has a value of 3, allowed is 0 to 1") as error:
            broken = model(GreenIsPerson(odd_at=3))
            render(Clip("nv12"), broken, Color((0, 0, 0)), [Output(sink)], device=CUDA)
        with pytest.raises(ModelError, match="value of 3"):
            list(mattes(Clip("nv12"), model(GreenIsPerson(odd_at=3)), device=CUDA))
    assert "\n" not in str(error.value)
    assert (len(sink.frames), sink.ends) == (3, ["abort"])
    fakecupy.hazards.clear()  # frames that nobody will see are let go of while the GPU may read them


@ON_GPU
def test_mattes_come_down_at_full_size(backend: Backend) -> None:
    expected = list(mattes(Clip("yuv420p10le"), model()))
    with running(backend):
        made = list(mattes(Clip("yuv420p10le"), model(), device=CUDA))
    for (frame, matte), (_, wanted) in zip(made, expected, strict=True):
        assert type(frame.planes[0]) is type(matte.alpha) is type(matte.foreground) is np.ndarray
        np.testing.assert_allclose(matte.alpha, wanted.alpha, atol=WITHIN / 255)
        np.testing.assert_allclose(matte.foreground, wanted.foreground, atol=WITHIN / 255)


@pytest.mark.skipif(build.compiler() is None, reason="no C++ compiler with fibres in its library")
@pytest.mark.parametrize("what", ["source", "own"])
def test_frames_stay_on_the_cpu_where_kernels_cannot_be_compiled_and_it_is_said(
    what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CuPy's wheels have neither the compiler nor CUDA's headers."""

    def fails(*_: Any, **__: Any) -> None:
        raise RuntimeError("CuPy failed to load libnvrtc.so.13:\nno such file")

    target = (fakecupy.RawModule, "compile") if what == "source" else (fakecupy.ndarray, "__array_ufunc__")
    monkeypatch.setattr(resolve, "choose_device", lambda *_: CUDA)
    with running(SOURCE):
        assert resolve.frame_device(resolve.ComputeOptions()) == (CUDA, [])
    monkeypatch.setattr(*target, fails)
    with running(SOURCE):
        place, (note,) = resolve.frame_device(resolve.ComputeOptions())
    assert place is None and note.startswith(
        "only the network runs on cuda:0, frames are processed on the CPU: cannot compile"
    )
    assert "failed to load libnvrtc.so.13" in note and "\n" not in note


def test_memory_that_is_used_up_is_said_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def empty(*_: Any) -> None:
        raise MemoryError("Out of memory allocating 22,320 bytes (allocated so far: 1,024 bytes).")

    with running(SOURCE):
        monkeypatch.setattr(cupy(), "empty", empty)
        with pytest.raises(DeviceError, match=r"cuda:0 has no room for the frames \(Out of .* --device cpu"):
            render(Clip("nv12"), model(), Color((0, 0, 0)), [Output(Keeping())], device=CUDA)


def test_renders_share_their_streams_and_threads_the_one_they_work_on() -> None:
    with running(SOURCE):
        used = set()
        for own in (fakecupy.Stream(), fakecupy.Stream()):  # CuPy can give each thread a default of its own
            place = CudaContext(0)
            with own, place.compute_stream():
                used.add(fakecupy.get_current_stream())
            with own, place.upload_stream():
                used.add(fakecupy.get_current_stream())
        assert len(used) == 2


def test_without_cupy_a_render_on_a_gpu_is_refused_and_everything_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "cupy", None)
    cupy.cache_clear()
    sink = Keeping()
    with pytest.raises(MissingExtraError, match=r"'\.\[cuda\]'"):
        render(Clip("nv12"), model(), Color((0, 0, 0)), [Output(sink)], device=CUDA)
    assert sink.ends == ["abort"]
