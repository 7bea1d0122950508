"""Run a short session and import all modules of the guest, so that everything is compiled."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import cv2  # noqa: F401
import pyvirtualcam  # noqa: F401

import livematte
import livematte.cli
import livematte.cli.live
import livematte.tools.doctor
from livematte import registry
from livematte.frame import Frame
from livematte.protocols import LiveFormat

CLIP = Path(livematte.__file__).parent / "assets" / "astronaut.mp4"


class NullSink:
    """A sink that discards frames."""

    name, watched = "nowhere", True

    def __init__(self, format: LiveFormat) -> None:
        self.notes: list[str] = []

    def send(self, frame: Frame) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""


registry.load("sinks", "virtualcam")
registry.load("checks", "virtualcam")
end = time.monotonic() + 120
options = {"model": "everything", "background": "#ff8000", "width": 640, "height": 480, "rate": 15}
with livematte.live(input=CLIP, to=NullSink, **options) as session:
    while session.stats().showing != "picture" and time.monotonic() < end:
        session.wait(0.5)
    session.wait(2)
    sys.exit(0 if session.stats().showing == "picture" else 1)
