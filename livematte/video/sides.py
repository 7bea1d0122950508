"""What a decoder says beside a frame's pixels: how it is to be turned, how bright its display was."""

from __future__ import annotations

from fractions import Fraction

from av import VideoFrame
from av.filter.graph import Graph
from av.sidedata.sidedata import SideDataContainer, Type

_TYPES = 64
"""FFmpeg's types of side data have lower numbers than this."""


def side_data_of(frame: VideoFrame, *wanted: Type) -> dict[Type, bytes]:
    """The ``wanted`` side data of the frame, as FFmpeg's structs, by their type; without what it has not.

    Not by ``frame.side_data``: what that gives and the frame hold each other (PyAV 18.1), so that the
    picture, and with it the decoder's, would stay until Python's garbage collector gets to them: in a process
    with many objects after minutes, and hundreds of MB.

    PyAV wraps whatever side data a frame has, and frees the dictionary of each entry as if it were its own:
    the colour profile of a PNG has one, its name, which is freed a second time with the frame and ends the
    process. It is given another reference to the frame, which has nothing but what is wanted.

    Raises:
        ValueError: a frame on a GPU has side data of a type that PyAV has no name for, which hides the rest.
    """
    on_gpu = not frame.format.components  # where no PNG is decoded, and which a filter does not take
    alone = frame if on_gpu else _with_only(frame, wanted)
    container = SideDataContainer(alone)  # type: ignore[call-arg] # left out of PyAV's stubs
    sides = (container[index] for index in range(len(container)))
    return {side.type: bytes(side) for side in sides if side.type in wanted}


def _with_only(frame: VideoFrame, wanted: tuple[Type, ...]) -> VideoFrame:
    """The same pixels, not copied, with the ``wanted`` side data; in a millisecond."""
    kept: set[object] = {kind.value for kind in wanted}
    graph = Graph()
    source = graph.add_buffer(
        width=frame.width, height=frame.height, format=frame.format, time_base=Fraction(1, 25)
    )
    dropping = [
        graph.add("sidedata", f"mode=delete:type={number}") for number in range(_TYPES) if number not in kept
    ]
    graph.link_nodes(source, *dropping, graph.add("buffersink")).configure()
    graph.vpush(frame)
    return graph.vpull()
