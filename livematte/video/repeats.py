"""Pictures that a file repeats with an empty packet: the same picture again, at a new time."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream


class RepeatedPictures:
    """Puts the repeats of a picture between the decoded ones.

    Theora and VP3 store an unchanged picture as a packet of zero bytes. A decoder must not get
    it: for FFmpeg an empty packet is the end of the stream.
    """

    def __init__(self) -> None:
        self._waiting: deque[tuple[int, int]] = deque()
        self._shown: VideoFrame | None = None

    def add(self, packet: Packet[VideoStream]) -> None:
        """Take an empty packet. Without a pts it is a demuxer's mark of the end, and ignored."""
        if packet.pts is not None:
            self._waiting.append((packet.pts, packet.duration or 0))

    def then(self, frame: VideoFrame) -> Iterator[VideoFrame]:
        """Yield the repeats that are due before ``frame``, then ``frame``.

        A repeat is the earlier frame object with another pts; use it before the next one is requested.
        """
        while self._waiting and frame.pts is not None and self._waiting[0][0] < frame.pts:
            yield from self._repeat()
        self._shown = frame
        yield frame

    def rest(self) -> Iterator[VideoFrame]:
        """Yield the repeats after the last decoded frame."""
        while self._waiting:
            yield from self._repeat()

    def _repeat(self) -> Iterator[VideoFrame]:
        pts, duration = self._waiting.popleft()
        if self._shown is not None:
            self._shown.pts, self._shown.duration = pts, duration
            yield self._shown
