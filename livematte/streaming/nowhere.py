"""An output that nobody sees: for a preview, and for measuring."""

from __future__ import annotations

from livematte.frame import Frame
from livematte.protocols import LiveFormat

NOWHERE = "none"
"""Its name for ``--to``."""


class Nowhere:
    """A :class:`~livematte.protocols.LiveSink` that lets every frame go."""

    name = NOWHERE
    watched: bool | None = None

    def __init__(self, format: LiveFormat) -> None:
        """Take any format."""
        self.notes: list[str] = []

    def send(self, frame: Frame) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing to let go of."""
