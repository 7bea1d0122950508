"""What a decoder says beside a frame's pixels: how it is to be turned, how bright its display was."""

from __future__ import annotations

from av import VideoFrame
from av.sidedata.sidedata import SideDataContainer, Type


def side_data_of(frame: VideoFrame) -> dict[Type, bytes]:
    """The frame's side data as FFmpeg's structs, by their type.

    Not by ``frame.side_data``: what that gives and the frame hold each other (PyAV 18.1), so that the
    picture, and with it the decoder's, would stay until Python's garbage collector gets to them: in a process
    with many objects after minutes, and hundreds of MB.

    Raises:
        ValueError: something in it has a type that PyAV has no name for, which hides the rest.
    """
    container = SideDataContainer(frame)  # type: ignore[call-arg] # left out of PyAV's stubs
    return {side.type: bytes(side) for side in (container[index] for index in range(len(container)))}
