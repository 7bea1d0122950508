"""Deinterlacing with FFmpeg's bwdif: one output frame per input frame, with unchanged timestamps."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from fractions import Fraction

import av.error
from av.filter.graph import Graph
from av.video.frame import VideoFrame


class Deinterlacer:
    """Deinterlaces a stream from its first interlaced frame on. Progressive frames pass unchanged."""

    def __init__(self, frame: VideoFrame, time_base: Fraction) -> None:
        self._graph = Graph()
        source = self._graph.add_buffer(
            width=frame.width, height=frame.height, format=frame.format, time_base=time_base
        )
        bwdif = self._graph.add("bwdif", "mode=send_frame:parity=auto:deint=interlaced")
        sink = self._graph.add("buffersink")
        self._graph.link_nodes(source, bwdif, sink).configure()
        self._layout = (frame.width, frame.height, frame.format.name)
        self._count = 0
        self._times: deque[tuple[int | None, int | None, int]] = deque()

    def accepts(self, frame: VideoFrame) -> bool:
        """Return True if ``frame`` has the size and format of the first frame."""
        return self._layout == (frame.width, frame.height, frame.format.name)

    def push(self, frame: VideoFrame | None) -> Iterator[VideoFrame]:
        """Yield the frames that are ready after ``frame``. None ends the stream and yields the last frame."""
        if frame is not None:
            self._times.append((frame.pts, frame.dts, frame.duration))
            # The filter halves the ticks and needs rising times, so it gets frame numbers.
            frame.pts = self._count
            self._count += 1
        self._graph.vpush(frame)
        while True:
            try:
                ready = self._graph.vpull()
            except (av.error.BlockingIOError, av.error.EOFError):
                return
            ready.pts, ready.dts, ready.duration = self._times.popleft()
            yield ready


def progressive(
    first: VideoFrame | None,
    rest: Iterator[VideoFrame],
    time_base: Fraction,
    note: Callable[[str], None],
) -> Iterator[VideoFrame]:
    """Yield decoded frames, deinterlaced from the first interlaced one on.

    Args:
        first: a frame that was read before ``rest``; None without any frame.
        note: called with a line for the user at the first interlaced frame.
    """
    deinterlacer: Deinterlacer | None = None
    frame = first
    while frame is not None:
        if deinterlacer is not None and not deinterlacer.accepts(frame):
            yield from deinterlacer.push(None)
            deinterlacer = None
        if deinterlacer is None and frame.interlaced_frame:
            note("interlaced: deinterlaced with bwdif, one frame for each frame")
            deinterlacer = Deinterlacer(frame, time_base)
        if deinterlacer is None:
            yield frame
        else:
            yield from deinterlacer.push(frame)
        frame = next(rest, None)
    if deinterlacer is not None:
        yield from deinterlacer.push(None)
