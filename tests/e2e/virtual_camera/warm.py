"""Runs a session for a moment and imports what the guest will: all of it is compiled, then."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import cv2  # noqa: F401
import pyvirtualcam  # noqa: F401

import livematte
import livematte.cli
import livematte.cli.live
import livematte.doctor
from livematte import registry
from livematte.frame import Frame
from livematte.protocols import LiveFormat

CLIP = Path(livematte.__file__).parent / "assets" / "astronaut.mp4"


class Nowhere:
    """A sink that drops what it gets."""

    name, watched = "nowhere", True

    def __init__(self, format: LiveFormat) -> None:
        self.notes: list[str] = []

    def send(self, frame: Frame) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing."""


registry.load("sinks", "virtualcam")
registry.load("checks", "virtualcam")
ends = time.monotonic() + 120
options = {"model": "everything", "background": "#ff8000", "width": 640, "height": 480, "rate": 15}
with livematte.live(input=CLIP, to=Nowhere, **options) as session:
    while session.stats().showing != "picture" and time.monotonic() < ends:
        session.wait(0.5)
    session.wait(2)
    sys.exit(0 if session.stats().showing == "picture" else 1)
