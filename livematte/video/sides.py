"""What a decoder says beside a frame's pixels: how it is to be turned, how bright its display was."""

from __future__ import annotations

from typing import Any

from av import VideoFrame
from av.sidedata.sidedata import Type


def side_data_of(frame: VideoFrame) -> dict[Type, bytes]:
    """The frame's side data as FFmpeg's structs, by their type.

    PyAV's container of it and the frame hold each other (18.1), so that the picture, and with it the
    decoder's, would stay until Python's garbage collector gets to them: in a process with many objects after
    minutes, and hundreds of MB. The container is therefore begun anew on an empty frame.

    Raises:
        ValueError: something in it has a type that PyAV has no name for, which hides the rest.
    """
    container: Any = frame.side_data
    own = isinstance(frame, VideoFrame)
    if own:  # it may be the empty one's, of an earlier call
        type(container).__init__(container, frame)
    told = {side.type: bytes(side) for side in (container[index] for index in range(len(container)))}
    if own:
        type(container).__init__(container, VideoFrame(16, 16, "gray"))
    return told
