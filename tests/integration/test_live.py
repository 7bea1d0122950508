"""A real clip, the real model and a sink that keeps every frame: no room is ever sent."""

from __future__ import annotations

import time
from collections.abc import Callable
from importlib.resources import as_file, files
from pathlib import Path

import numpy as np
import pytest

import livematte
from livematte.frame import Frame
from livematte.protocols import LiveFormat, LiveSink
from livematte.streaming.session import Session
from tests.livepeers import CollectingSink

pytestmark = pytest.mark.slow

WIDTH, HEIGHT, BLUE = 640, 360, (0, 0, 255)
SHARED = Path(__file__).parents[3] / "shared" / "data" / "clips" / "room_woman_720p.mp4"


def shows_blue(frame: Frame) -> np.ndarray:
    """(H, W) bool: where the background is seen, by its chroma, at half size."""
    u, v = frame.planes[1].astype(int), frame.planes[2].astype(int)
    return (u > 200) & (np.abs(v - 118) < 20)


def is_placeholder(frame: Frame) -> bool:
    return bool(shows_blue(frame).all())


def until(session: Session, true: Callable[[], bool], seconds: float = 60.0) -> bool:
    end = time.monotonic() + seconds
    while not true() and time.monotonic() < end:
        session.wait(0.05)
    return true()


def begin(clip: Path, kept: list[CollectingSink]) -> Session:
    def collecting(format: LiveFormat) -> LiveSink:
        kept.append(CollectingSink())
        return kept[-1]

    return livematte.live(
        input=clip, to=collecting, background="#0000ff", width=WIDTH, height=HEIGHT, rate=10, threads=1
    )


WALL = {"astronaut": slice(200, 250), "room": slice(300, 320)}
"""Columns of the top rows, at half size, where never anybody is and no model errs."""


@pytest.mark.parametrize("name", ["astronaut", "room"])
def test_no_frame_shows_the_room(name: str) -> None:
    kept: list[CollectingSink] = []
    if name == "room" and not SHARED.exists():
        pytest.skip(f"{SHARED} is not there")
    asset = as_file(files("livematte.assets") / "astronaut.mp4")
    with asset as astronaut, begin(SHARED if name == "room" else Path(astronaut), kept) as session:
        sink = kept[0]
        assert until(session, lambda: session.stats().first_good is not None), session.stats()
        before = len(sink.frames)
        assert until(session, lambda: len(sink.frames) > before + 30)
        stats = session.stats()
    shown = [not is_placeholder(frame) for frame in sink.frames]
    assert any(shown), stats
    first = shown.index(True)
    assert all(is_placeholder(frame) for frame in sink.frames[:first])
    for frame, picture in zip(sink.frames, shown, strict=True):
        seen = shows_blue(frame)
        assert seen[:20, WALL[name]].mean() > 0.9, "that is the room's wall"
        if picture:
            assert 0.1 < 1 - seen.mean() < 0.8, "somebody stands there"
    assert stats.matted > 0 and sink.closed == 1
    assert [frame.pts for frame in sink.frames] == sorted({frame.pts for frame in sink.frames})


def test_the_model_may_be_lost_and_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    from livematte.errors import DeviceError

    kept: list[CollectingSink] = []
    with as_file(files("livematte.assets") / "astronaut.mp4") as clip, begin(Path(clip), kept) as session:
        sink = kept[0]
        assert until(session, lambda: session.stats().showing == "picture")
        model = session._engine.stages._bundle.model
        lost = len(sink.frames)

        def gone(*_: object) -> None:
            raise DeviceError("the GPU has fallen off the bus")

        monkeypatch.setattr(type(model), "__call__", gone)
        assert until(session, lambda: session.stats().showing == "the model failed")
        assert until(session, lambda: len(sink.frames) > lost + 10)
        assert is_placeholder(sink.frames[-1])
        monkeypatch.undo()
        assert until(session, lambda: session.stats().showing == "picture"), session.stats()
    for frame in sink.frames:
        assert shows_blue(frame)[:20, WALL["astronaut"]].mean() > 0.9
