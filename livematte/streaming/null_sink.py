"""An output that discards every frame: for a preview without an output, and for measuring."""

from __future__ import annotations

from livematte.frame import Frame
from livematte.protocols import LiveFormat

NULL_SINK = "none"
"""Its name for ``--to``."""


class NullSink:
    """A :class:`~livematte.protocols.LiveSink` that discards every frame."""

    name = NULL_SINK
    watched: bool | None = None

    def __init__(self, format: LiveFormat) -> None:
        """Take any format."""
        self.notes: list[str] = []

    def send(self, frame: Frame) -> None:
        """Discard the frame."""

    def close(self) -> None:
        """Do nothing."""
