"""A fake session and a test frame for the tests of the preview."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np

from livematte.frame import Array, ColorInfo, Frame
from livematte.kernels.convert import planes_from_rgb
from livematte.preview.panel import Line, Panel
from livematte.streaming.frames import PreviewFrame
from livematte.streaming.stats import LiveMeter, LiveStats
from tests.clocks import FakeClock


def shown(rgb: Array, alpha: Array | None = None) -> PreviewFrame:
    """Return a preview frame with this RGB picture."""
    color = ColorInfo("bt709")
    return PreviewFrame(
        Frame(planes_from_rgb(rgb, "yuv420p", color), "yuv420p", 0, Fraction(1, 30), 1, color), alpha
    )


RED_LEFT = np.zeros((8, 16, 3), np.uint8)
RED_LEFT[:, :8] = 200, 30, 30
RED_LEFT[:, 8:] = 30, 30, 200
LEFT = np.zeros((8, 16), np.float32)
LEFT[:, :8] = 1


class FakeSession:
    """A fake session for the hot keys; the next change raises ``refuses``."""

    def __init__(self, background: Any = "beach.jpg", model: Any = "one") -> None:
        self.log: list[tuple[str, Any]] = []
        self._background, self._model = background, model
        self.paused = False
        self.refuses: BaseException | None = None
        self.shown: PreviewFrame | None = shown(RED_LEFT, LEFT)
        self.clock = FakeClock()
        self.facts: dict[str, Any] = {"showing": "starting"}
        self.waits: list[float | None] = []
        self.ends_after = 1000

    def _try(self) -> None:
        refusal, self.refuses = self.refuses, None
        if refusal is not None:
            raise refusal

    @property
    def background(self) -> Any:
        return self._background

    @background.setter
    def background(self, spec: Any) -> None:
        self.log.append(("background", spec))
        self._try()
        self._background = spec

    @property
    def model(self) -> Any:
        return self._model

    @model.setter
    def model(self, name: Any) -> None:
        self.log.append(("model", name))
        self._try()
        self._model = name

    @property
    def blur(self) -> float | None:
        word, _, number = str(self._background).partition(":")
        return float(number or 20) if word == "blur" else None

    def stats(self) -> LiveStats:
        fresh = LiveMeter(self.clock).stats(
            late=0, skipped=0, level=0, steps=0, size=(160, 288), watched=None, sink_notes=[]
        )
        return replace(fresh, **self.facts)

    def wait(self, seconds: float | None = None) -> bool:
        self.waits.append(seconds)
        self.clock.advance(seconds or 0)
        return len(self.waits) > self.ends_after


def at_once(body: Callable[[], None]) -> None:
    body()


def make_panel(session: FakeSession, **options: Any) -> Panel:
    return Panel(session, **{"backgrounds": ["beach.jpg", "blur", "green"], "spawn": at_once, **options})


def message(panel: Panel, session: FakeSession) -> Line:
    return panel.lines(session.stats())[3]
