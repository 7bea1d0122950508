"""Live frames on a GPU: one upload and one download of each, the pictures of the CPU, and fail closed."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from livematte.device import Device
from livematte.device.execution import CpuContext, CudaContext, ExecutionContext
from livematte.device.transfer import TransferStats, transfer_stats
from livematte.errors import DeviceError
from livematte.frame import Frame
from livematte.matting.backgrounds import Color, Image, Video
from livematte.matting.compositor import Compositor
from livematte.matting.temporal import TemporalFilter
from livematte.protocols import Background, SourceInfo
from livematte.resolve import ComputeOptions, resolve
from livematte.streaming.behaviour import Behaviour, Scene
from livematte.streaming.capture import Camera
from livematte.streaming.engine import LiveEngine
from livematte.streaming.gate import judge
from livematte.streaming.governor import Level
from livematte.streaming.live_matting import LiveMatting, ModelBundle
from livematte.streaming.model_factory import ModelFactory
from livematte.streaming.model_loader import PreparedModels
from livematte.streaming.session import live_format
from tests.clocks import FakeClock
from tests.cuda_shim import build, fakecupy
from tests.cuda_shim.hazards import nothing_is_given_back_in_use  # noqa: F401 - for every test here
from tests.livepeers import FORMAT, LEVELS, BundleMaker, CollectingSink, FindsThePerson, shows_person
from tests.unit.kernels.backends import ON_GPU, SOURCE, Backend, down, running
from tests.unit.kernels.test_components import blobs
from tests.unit.offline.test_engine_gpu import (
    BACKGROUNDS,
    HEIGHT,
    PICTURE,
    WIDTH,
    GreenIsPerson,
    frame_of,
    model,
)
from tests.unit.streaming import test_engine
from tests.unit.streaming.test_engine import TICK, Bench, model_and_composite

OUTPUT = replace(FORMAT, height=HEIGHT, width=WIDTH)
COUNT = 5
WITHIN = 2
"""Codes: one of alpha's rounding, one of the picture's."""
needs_compiler = pytest.mark.skipif(build.compiler() is None, reason="no C++ compiler with fibres")


class Live:
    """A session whose stages are called one by one; green is a person."""

    def __init__(
        self, place: ExecutionContext, background: Background, *, alpha: bool = False, **options: Any
    ) -> None:
        self.clock, self.sink, self.network = FakeClock(), CollectingSink(), GreenIsPerson()
        self.maker = BundleMaker()
        self.engine = LiveEngine(
            Camera(lambda: pytest.fail("no camera here")),
            PreparedModels(self.maker, LEVELS, ModelBundle(model(self.network), Compositor(), place)),
            Scene(background),
            [self.sink],
            replace(OUTPUT, alpha=alpha),
            Behaviour(**options),
            clock=self.clock,
            spawn=lambda body: body(),
        )

    def tick(self, frame: Frame) -> Frame:
        self.clock.advance(TICK)
        self.engine.stages.capture_step(frame, 1)
        model_and_composite(self.engine)
        self.engine.stages.send_step()
        return self.sink.frames[-1]

    def show(self, format: str, count: int = COUNT) -> list[Frame]:
        return [self.tick(frame_of(format, number)) for number in range(count)]


def assert_alike(made: list[Frame], expected: list[Frame]) -> None:
    for there, here in zip(made, expected, strict=True):
        assert replace(there, planes=()) == replace(here, planes=())
        for a, b in zip(there.planes, here.planes, strict=True):
            assert type(a) is np.ndarray and a.dtype == b.dtype and a.shape == b.shape
            off = np.abs(a.astype(int) - b)
            assert off.max() <= WITHIN and off.mean() < 0.05


BYTES = HEIGHT * WIDTH * 3 // 2


@ON_GPU
@pytest.mark.parametrize(
    ("format", "behind"), [("nv12", "colour"), ("yuv420p", "blur"), ("yuv420p", "transparent")]
)
def test_a_camera_frame_goes_up_once_and_comes_down_once(backend: Backend, format: str, behind: str) -> None:
    clear = behind == "transparent"
    expected = Live(CpuContext(), BACKGROUNDS[behind](), alpha=clear).show(format)
    with running(backend):
        live = Live(CudaContext(), BACKGROUNDS[behind](), alpha=clear)
        before = transfer_stats()
        fakecupy.moved.update({"to": 0, "from": 0})
        made = live.show(format)
        moved = transfer_stats() - before
        assert_alike(made, expected)
        assert live.engine.stages.stats().showing == "picture" and live.network.seen == {True}
        once = {"colour": BYTES, "blur": 4 * 21, "transparent": 0}[behind]
        picture = BYTES + clear * HEIGHT * WIDTH
        limits, sure = 2 * 4, 2 * 4  # of the matte; how sure it is as it comes and, but the first, calmed
        cut = 4  # a flag; for the first frame it is known
        down = COUNT * (picture + limits + 2 * sure + cut) - sure - cut
        assert moved == TransferStats(COUNT * BYTES + once, down)
        if backend is SOURCE:
            assert fakecupy.moved == {"to": moved.uploaded, "from": moved.downloaded}, "all is counted"
        live.engine.close()


@ON_GPU
def test_mirrored_cropped_and_scaled_frames_and_other_backgrounds_on_the_way(backend: Backend) -> None:
    """A session's life: the same on the CPU and on a GPU."""

    def run(place: ExecutionContext) -> list[Frame]:
        live = Live(place, Color((9, 9, 90)), mirror=True, alpha=True)
        made = live.show("nv12", 2)
        for behind in ("image", "blur", "transparent", "colour"):
            live.engine.stages.set_background(BACKGROUNDS[behind]())
            made += live.show("yuv420p", 2)
        larger = frame_of("yuv444p", 1)
        made.append(live.tick(larger))
        made.append(live.tick(replace(larger, planes=tuple(p.repeat(2, 0) for p in larger.planes))))
        live.engine.stages.pause(True)
        made += live.show("yuv420p", 1)
        assert live.engine.stages.stats().errors == 0, live.engine.stages.stats().notes
        return made

    expected = run(CpuContext())
    with running(backend):
        assert_alike(run(CudaContext()), expected)


@ON_GPU
def test_who_leaves_is_gone(backend: Backend) -> None:
    empty = frame_of("nv12", 0)
    empty = empty.with_planes((empty.planes[0] // 4, np.full_like(empty.planes[1], 128)))

    def run(place: ExecutionContext) -> list[Frame]:
        live = Live(place, Image(PICTURE), matting=lambda model: LiveMatting(model, TemporalFilter("off")))
        made = live.show("nv12", 2) + [live.tick(empty) for _ in range(2)]
        assert live.engine.stages.stats().showing == "picture" and live.engine.stages.stats().errors == 0
        return made

    expected = run(CpuContext())
    with running(backend):
        assert_alike(run(CudaContext()), expected)


@ON_GPU
@pytest.mark.parametrize(
    "way", [(CudaContext, CpuContext), (CpuContext, CudaContext), (CudaContext, CudaContext)]
)
def test_parts_elsewhere_take_over_while_a_frame_is_under_way(
    backend: Backend, way: tuple[Callable[[], ExecutionContext], ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    with running(backend):
        monkeypatch.setattr(Bench, "place", way[0])
        bench = Bench()
        engine = bench.engine
        bench.tick()
        shown, under_way = bench.sink.frames[-1].planes[0], []
        for number in range(2):
            if number:
                bench.maker.place = way[1]
                engine.stages.loader._loaded = bench.maker(LEVELS[0], None), 0
            bench.clock.advance(TICK)
            bench.capture()
            engine.stages.model_step(engine.stages.to_model.take())  # type: ignore[arg-type]
            under_way.append(engine.stages.to_composite.take())
        for matted in under_way:
            engine.stages.composite_step(matted)  # type: ignore[arg-type]
            np.testing.assert_allclose(bench.send().planes[0].astype(int), shown, atol=WITHIN)
        stats = engine.stages.stats()
        assert stats.errors == 0 and stats.repeats == 0, stats.notes


@ON_GPU
def test_a_background_video_goes_on(backend: Backend) -> None:
    class Two:
        info = SourceInfo("two", HEIGHT, WIDTH, "yuv420p", Fraction(1, 1000))

        def __iter__(self) -> Iterator[Frame]:
            return (replace(frame_of("yuv420p", n), pts=8 * n, duration=8) for n in range(2))

        def close(self) -> None:
            pass

    def video() -> Video:
        return Video("two", "cover", lambda _: Two())

    expected = Live(CpuContext(), video()).show("yuv420p")
    with running(backend):
        live = Live(CudaContext(), video())
        assert_alike(live.show("yuv420p"), expected)
        assert live.engine.stages.stats().errors == 0


@ON_GPU
def test_with_lag_ok_the_newest_matte_is_used(backend: Backend) -> None:
    def run(place: ExecutionContext) -> list[Frame]:
        live = Live(place, Color((0, 0, 0)), lag_ok=True)
        made = live.show("yuv420p")
        assert live.engine.stages.stats().errors == 0
        return made[1:]

    expected = run(CpuContext())
    with running(backend):
        assert_alike(run(CudaContext()), expected)


@ON_GPU
@pytest.mark.parametrize("seed", range(4))
def test_a_matte_is_trusted_on_a_gpu_as_on_the_cpu(backend: Backend, seed: int) -> None:
    from livematte.kernels.statistics import count_opacity
    from livematte.streaming import gate

    alphas = [blobs(37, 61, seed), np.full((9, 200), seed / 3, np.float32), (blobs(80, 50, seed) > 0.4) * 1.0]
    odd = blobs(20, 30, seed)
    odd[:15] = np.nan
    with running(backend):
        for alpha in (x.astype(np.float32) for x in alphas):
            there = backend.up(alpha)
            assert judge(there) == judge(alpha) and gate._certainty(there) == gate._certainty(alpha)
        assert judge(backend.up(odd)) == "unsure"
        counts = down(count_opacity(backend.up(alphas[0]), 0.5, 0.1, 0.9))
        assert counts.tolist() == list(gate._certainty(alphas[0]))


# Fail closed


POLICIES = [
    test_engine.test_the_person_stands_before_the_background,
    test_engine.test_a_preview_gets_what_the_sinks_get_and_no_matte_with_the_placeholder,
    test_engine.test_a_model_that_raises_shows_the_placeholder_and_recovers,
    test_engine.test_a_model_that_keeps_raising_is_made_anew,
    test_engine.test_a_lost_gpu_shows_the_placeholder_and_asks_for_another_model_at_once,
    test_engine.test_a_late_matte_is_thrown_away,
    test_engine.test_the_background_that_fails_shows_the_placeholder,
    test_engine.test_paused_is_the_placeholder_and_the_model_rests,
    test_engine.test_a_new_size_a_new_camera_and_a_pause_start_a_new_shot,
    test_engine.test_a_cut_starts_a_new_shot,
    test_engine.test_with_lag_ok_a_matte_from_before_a_failure_is_not_used,
    test_engine.test_the_change_of_level_fades_instead_of_jumping,
    test_engine.test_frames_go_through_the_threads_and_everything_is_closed,
    test_engine.test_a_model_that_hangs_for_ever_neither_stops_the_sender_nor_the_end,
    test_engine.test_closing_does_not_wait_for_what_hangs,
]


@ON_GPU
@pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: policy.__name__)
def test_policies_hold_on_a_gpu(
    backend: Backend, policy: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Bench, "place", CudaContext)
    with running(backend):
        policy()


@ON_GPU
@pytest.mark.parametrize("value", [np.nan, 3.0, 1.0, 0.6, 0.0])
def test_a_matte_that_cannot_be_trusted_never_shows_the_room(
    backend: Backend, value: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Bench, "place", CudaContext)
    with running(backend):
        bench = Bench()
        bench.tick()
        assert shows_person(bench.sink.frames[-1])
        bench.model.wrong = lambda: np.full((128, 192), value, np.float32)
        for _ in range(8):
            bench.tick()
        assert bench.safe()
        if not 0 <= value < 0.5:
            assert not shows_person(bench.sink.frames[-1]), "at once, and not faded"


@ON_GPU
def test_what_failed_is_not_remembered(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    """A matte of NaN or 3 was blended over time before the GPU told of it."""
    monkeypatch.setattr(Bench, "place", CudaContext)
    with running(backend):
        bench = Bench()
        bench.tick()
        good = bench.sink.frames[-1].planes[0]
        bench.model.wrong = lambda: np.full((128, 192), 3.0, np.float32)
        bench.tick()
        bench.model.wrong = lambda: None
        for _ in range(5):
            bench.tick()
        np.testing.assert_array_equal(bench.sink.frames[-1].planes[0], good)


class CUDARuntimeError(RuntimeError):
    """As CuPy's."""


CUDARuntimeError.__module__ = "cupy_backends.cuda.api.runtime"

FAULTS = {
    "upload": (fakecupy.ndarray, "set"),
    "kernel": (fakecupy._Function, "__call__"),
    "wait": (fakecupy.Event, "synchronize"),
    "small numbers": (fakecupy.ndarray, "get"),
}


@needs_compiler
@pytest.mark.parametrize("fault", FAULTS)
def test_a_gpu_that_is_lost_shows_the_placeholder_and_another_model_is_made(
    fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At once: that CUDA says so is enough. On the CPU the session goes on."""

    def lost(*_: Any, **__: Any) -> None:
        raise CUDARuntimeError("cudaErrorIllegalAddress: an illegal memory access\nwas encountered")

    with running(SOURCE):
        monkeypatch.setattr(Bench, "place", CudaContext)
        bench = Bench()
        assert shows_person(bench.tick())
        bench.maker.place = CpuContext
        with monkeypatch.context() as broken:
            broken.setattr(*FAULTS[fault], lost)
            assert not shows_person(bench.tick())
            assert isinstance(bench.engine.stages.broken, DeviceError)
            notes = "; ".join(bench.engine.stages.stats().notes)
            assert "cuda:0 has failed (cudaErrorIllegalAddress: an illegal memory access)" in notes
            for _ in range(10):
                assert not shows_person(bench.tick())
            assert len(bench.spawned) == 1
            bench.aside()
            for _ in range(3):
                bench.tick()
            assert shows_person(bench.tick()), "nothing of it needs the GPU"
        assert bench.safe()
    del bench
    gc.collect()
    fakecupy.hazards.clear()  # what nobody will see is let go of while the GPU may read it


@needs_compiler
def test_a_preview_shows_no_matte_where_the_gpu_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    with running(SOURCE):
        monkeypatch.setattr(Bench, "place", CudaContext)
        bench = Bench()
        bench.tick()
        shown = bench.engine.stages.shown
        assert shown is not None and type(shown.alpha) is np.ndarray
        monkeypatch.setattr(fakecupy.ndarray, "get", lambda *_, **__: (_ for _ in ()).throw(RuntimeError()))
        assert shown.alpha is None


@ON_GPU
def test_parts_are_made_where_the_network_runs_and_on_the_cpu_after_a_failure(
    backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def resolve_model(model: Any, *, size: int | None, **_: Any) -> FindsThePerson:
        return FindsThePerson((64, size or 96))

    def frame_device(compute: ComputeOptions) -> tuple[Device | None, list[str]]:
        asked.append(compute.device)
        return (Device("cuda", 0, ""), []) if compute.device != "cpu" else (None, [])

    monkeypatch.setattr("livematte.resolve.resolve_model", resolve_model)
    monkeypatch.setattr("livematte.streaming.model_factory.frame_device", frame_device)
    with running(backend):
        maker = ModelFactory(resolve({}))
        before = transfer_stats()
        parts = maker.prepare(live_format(160, 96, 30)).bundle
        moved = transfer_stats() - before
        assert isinstance(parts.place, CudaContext), "warmed there"
        assert moved.uploaded > 160 * 96 * 3 // 2 < moved.downloaded
        again = maker(Level(96, "guided", 1), DeviceError("lost"))
        assert isinstance(again.place, CpuContext) and asked == ["auto", "cpu"]
        assert parts.notes == () and "the CPU is used from now on" in again.notes[0]
        again.warm(live_format(160, 96, 30))
        parts.place.close()
