"""The loop: order, completeness, back-pressure, and how it ends when a part fails."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from livematte.errors import InputError, ModelError, OutputError
from livematte.frame import Array, Frame, Matte
from livematte.matting.backgrounds import parse_background
from livematte.matting.temporal import TemporalFilter
from livematte.offline.engine import Output, mattes, render
from livematte.offline.stage_runner import BoundedQueue
from livematte.protocols import Background, SourceInfo

HEIGHT, WIDTH = 48, 64


def black() -> Background:
    return parse_background("black")


class GreySource:
    """``count`` grey frames; pts are the squares, so that nobody can make them up."""

    def __init__(self, count: int, breaks_after: int | None = None) -> None:
        self.info = SourceInfo("grey", HEIGHT, WIDTH, "yuv420p", Fraction(1, 1000), frames=count)
        self.given = 0
        self.closed = 0
        self._count, self._breaks_after = count, breaks_after

    def __iter__(self) -> Iterator[Frame]:
        for number in range(self._count):
            if number == self._breaks_after:
                raise InputError("the file ends in the middle of a frame")
            self.given += 1
            chroma = np.full((HEIGHT // 2, WIDTH // 2), 128, np.uint8)
            luma = np.full((HEIGHT, WIDTH), 60 + number % 100, np.uint8)
            yield Frame((luma, chroma, chroma), "yuv420p", number * number, Fraction(1, 1000))

    def close(self) -> None:
        self.closed += 1


class EverythingIsForeground:
    """Alpha 1 everywhere; remembers how often a new shot began."""

    def __init__(self, fails_at: int | None = None) -> None:
        self.calls = self.shots = 0
        self._fails_at = fails_at

    def input_size(self, height: int, width: int) -> tuple[int, int]:
        return 32, 32

    def __call__(self, rgb: Array, state: Any) -> tuple[Matte, Any]:
        if self.calls == self._fails_at:
            raise ModelError("the network gave NaN")
        self.calls += 1
        self.shots += state is None
        return Matte(np.ones(rgb.shape[:2], np.float32)), (state or 0) + 1


class ListSink:
    """Keeps what it gets."""

    def __init__(self, fails_at: int | None = None, pause: float = 0) -> None:
        self.frames: list[tuple[int, int]] = []
        self.ends: list[str] = []
        self._fails_at, self._pause = fails_at, pause

    def write(self, frame: Frame) -> None:
        if len(self.frames) == self._fails_at:
            raise OutputError("the disk is full")
        time.sleep(self._pause)
        self.frames.append((frame.pts, int(frame.planes[0][0, 0])))

    def close(self) -> None:
        self.ends.append("close")

    def abort(self) -> None:
        self.ends.append("abort")


def test_every_frame_arrives_once_in_order_with_its_own_pts() -> None:
    source, sink = GreySource(50), ListSink()
    stats = render(source, EverythingIsForeground(), black(), [Output(sink)])
    assert [pts for pts, _ in sink.frames] == [n * n for n in range(50)]
    assert [luma for _, luma in sink.frames] == [60 + n for n in range(50)]
    assert (stats.frames, sink.ends, source.closed) == (50, ["close"], 1)


def test_a_slow_sink_holds_the_source_back() -> None:
    """Back-pressure: the source never runs further ahead than the queues and hands between them."""
    source = GreySource(60)
    ahead = []

    class Watching(ListSink):
        def write(self, frame: Frame) -> None:
            super().write(frame)
            ahead.append(source.given - len(self.frames))

    render(source, EverythingIsForeground(), black(), [Output(Watching(pause=0.002))])
    assert max(ahead) <= 3 * 3 + 4


def test_a_full_disk_stops_everything_and_keeps_what_was_written() -> None:
    source, sink, other = GreySource(10_000), ListSink(fails_at=5), ListSink()
    with pytest.raises(OutputError, match="disk is full"):
        render(source, EverythingIsForeground(), black(), [Output(sink), Output(other)])
    assert sink.ends == other.ends == ["abort"]
    assert len(sink.frames) == len(other.frames) == 5
    assert source.given < 60 and source.closed == 1


def test_a_source_that_breaks_still_gets_its_good_frames_written() -> None:
    sink = ListSink()
    with pytest.raises(InputError, match="middle of a frame"):
        render(GreySource(50, 20), EverythingIsForeground(), black(), [Output(sink)])
    assert len(sink.frames) == 20 and sink.ends == ["abort"]


def test_a_model_that_fails_ends_the_job_with_its_own_error() -> None:
    source, sink = GreySource(10_000), ListSink()
    with pytest.raises(ModelError, match="NaN"):
        render(source, EverythingIsForeground(7), black(), [Output(sink)])
    assert len(sink.frames) == 7 and sink.ends == ["abort"] and source.given < 60


class Odd(EverythingIsForeground):
    """From the fourth picture on, one number of the matte is what it is told."""

    def __init__(self, value: float, what: str = "alpha") -> None:
        super().__init__()
        self._value, self._what = value, what

    def __call__(self, rgb: Array, state: Any) -> tuple[Matte, Any]:
        matte, state = super().__call__(rgb, state)
        full = Matte(matte.alpha, np.ones((*matte.alpha.shape, 3), np.float32))
        if self.calls > 3:
            getattr(full, self._what)[5, 7] = self._value
        return full, state


@pytest.mark.parametrize("what", ["alpha", "foreground"])
@pytest.mark.parametrize(("value", "told"), [(np.nan, "nan"), (np.inf, "inf"), (-3.0, "-3"), (1.5, "1.5")])
def test_a_matte_out_of_its_range_ends_the_job_before_it_is_seen(what: str, value: float, told: str) -> None:
    sink = ListSink()
    with pytest.raises(
        ModelError, match=f"{what} at 0.01 s has a value of {told}, allowed is 0 to 1"
    ) as error:
        render(GreySource(20), Odd(value, what), black(), [Output(sink)], keep_small_components=True)
    assert "\n" not in str(error.value)
    assert (len(sink.frames), sink.ends) == (3, ["abort"])
    with pytest.raises(ModelError, match=what):
        list(mattes(GreySource(20), Odd(value, what)))


@pytest.mark.parametrize("value", [-0.004, 1.004])
def test_rounding_of_a_matte_is_clipped(value: float) -> None:
    seen: list[Array] = []

    class Keeping(TemporalFilter):
        def __call__(self, matte: Matte, rgb: Array, state: Any, cut: Any = False) -> tuple[Matte, Any]:
            seen.extend([matte.alpha, matte.foreground])
            return super().__call__(matte, rgb, state, cut)

    for what in ("alpha", "foreground"):
        render(GreySource(6), Odd(value, what), black(), [Output(ListSink())], temporal=Keeping())
    assert len(seen) == 24
    assert min(float(values.min()) for values in seen) >= 0
    assert max(float(values.max()) for values in seen) <= 1


def test_stopping_writes_what_is_under_way_and_says_interrupted() -> None:
    stop, sink, source = threading.Event(), ListSink(), GreySource(10_000)

    def progress(done: int) -> None:
        if done == 10:
            stop.set()

    stats = render(
        source,
        EverythingIsForeground(),
        black(),
        [Output(sink)],
        progress=progress,
        stop=stop,
    )
    assert stats.interrupted and sink.ends == ["abort"]
    assert len(sink.frames) == source.given < 60


def test_an_error_in_the_progress_callback_closes_every_sink() -> None:
    sink = ListSink()

    def progress(done: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        render(
            GreySource(100),
            EverythingIsForeground(),
            black(),
            [Output(sink)],
            progress=progress,
        )
    assert sink.ends == ["abort"]


def test_a_sink_that_cannot_finish_is_reported_and_the_next_is_aborted() -> None:
    class CannotClose(ListSink):
        def close(self) -> None:
            super().close()
            raise OutputError("no room for the index")

    first, second = CannotClose(), ListSink()
    with pytest.raises(OutputError, match="index"):
        render(
            GreySource(3),
            EverythingIsForeground(),
            black(),
            [Output(first), Output(second)],
        )
    assert first.ends == ["close"] and second.ends == ["abort"]


def test_a_stage_that_cannot_start_hangs_nothing_and_closes_the_sink(monkeypatch: pytest.MonkeyPatch) -> None:
    """The decoder already runs then, and nobody reads what it gives. So it is with Ctrl-C at that moment."""
    start = threading.Thread.start

    def refuse(thread: threading.Thread) -> None:
        if thread.name == "livematte-model":
            raise RuntimeError("can't start new thread")
        start(thread)

    source, sink, errors = GreySource(10_000), ListSink(), []

    def job() -> None:
        try:
            render(source, EverythingIsForeground(), black(), [Output(sink)])
        except RuntimeError as error:
            errors.append(str(error))

    worker = threading.Thread(target=job, daemon=True)
    monkeypatch.setattr(threading.Thread, "start", refuse)
    worker.start()
    worker.join(10)
    assert not worker.is_alive() and errors == ["can't start new thread"]
    assert sink.ends == ["abort"] and source.closed == 1


def test_a_background_that_cannot_close_keeps_no_sink_from_closing() -> None:
    background, sink, source = black(), ListSink(), GreySource(3)

    def broken() -> None:
        raise InputError("the share is gone")

    background.close = broken  # type: ignore[method-assign]
    with pytest.raises(InputError, match="share is gone"):
        render(source, EverythingIsForeground(), background, [Output(sink)])
    assert sink.ends == ["close"] and source.closed == 1


def test_threads_are_gone_after_a_render() -> None:
    before = set(threading.enumerate())
    render(GreySource(3), EverythingIsForeground(), black(), [Output(ListSink())])
    assert not set(threading.enumerate()) - before


def test_a_model_keeps_its_state_within_a_shot() -> None:
    model = EverythingIsForeground()
    render(GreySource(9), model, black(), [Output(ListSink())])
    assert (model.calls, model.shots) == (9, 1)


@pytest.mark.parametrize(("room", "most"), [(1 << 30, 3), (3 * HEIGHT * WIDTH, 2), (1, 1)])
def test_a_model_that_works_ahead_keeps_order_and_loses_nothing(
    monkeypatch: pytest.MonkeyPatch, room: int, most: int
) -> None:
    monkeypatch.setattr("livematte.offline.engine.AHEAD_BYTES", room)

    class Later:
        def __init__(self, model: WorksAhead, rgb: Array) -> None:
            self._model, self._rgb = model, rgb

        def result(self) -> Matte:
            self._model.under_way -= 1
            return Matte(np.full(self._rgb.shape[:2], self._rgb[0, 0, 0] / 255, np.float32))

    class WorksAhead(EverythingIsForeground):
        in_flight = 3
        under_way = most = 0

        def submit(self, rgb: Array) -> Later:
            self.under_way += 1
            self.most = max(self.most, self.under_way)
            return Later(self, rgb)

    model, alphas = WorksAhead(), ListSink()
    outputs, still = [Output(alphas, "alpha")], TemporalFilter("off")
    render(GreySource(20), model, black(), outputs, temporal=still, keep_small_components=True)
    assert [pts for pts, _ in alphas.frames] == [n * n for n in range(20)]
    values = [alpha for _, alpha in alphas.frames]
    assert values == sorted(values) and len(set(values)) == 20, "each frame has the matte of its own picture"
    assert model.most == most and model.under_way == 0


def test_mattes_gives_full_size_alpha_with_each_frame() -> None:
    source = GreySource(4)
    pairs = list(mattes(source, EverythingIsForeground(), temporal=TemporalFilter("off")))
    assert [frame.pts for frame, _ in pairs] == [0, 1, 4, 9]
    assert all(m.alpha.shape == (HEIGHT, WIDTH) and m.alpha.min() == 1.0 for _, m in pairs)
    assert source.closed == 1


def test_a_finished_channel_still_gives_what_it_holds() -> None:
    channel: BoundedQueue[int] = BoundedQueue(3)
    assert channel.put(1) and channel.put(2)
    channel.finish()
    assert list(channel) == [1, 2]


def test_a_cancelled_channel_takes_nothing_and_frees_a_waiting_writer() -> None:
    channel: BoundedQueue[int] = BoundedQueue(1)
    channel.put(1)
    answers: list[bool] = []
    writer = threading.Thread(target=lambda: answers.append(channel.put(2)))
    writer.start()
    channel.cancel()
    writer.join(5)
    assert answers == [False] and list(channel) == []
