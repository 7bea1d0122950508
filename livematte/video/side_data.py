"""Side data of decoded frames: display matrix and HDR metadata."""

from __future__ import annotations

from fractions import Fraction

from av import VideoFrame
from av.filter.graph import Graph
from av.sidedata.sidedata import SideDataContainer, Type

_TYPES = 64
"""Upper bound of FFmpeg's side data type numbers."""


def read_side_data(frame: VideoFrame, *wanted: Type) -> dict[Type, bytes]:
    """Return the ``wanted`` side data of a frame as FFmpeg structs, by type; missing types are left out.

    Does not use ``frame.side_data``, which forms a reference cycle with the frame (PyAV 18.1). The decoder's
    picture would then live until the garbage collector runs: minutes, and hundreds of MB, in a process with
    many objects.

    PyAV 18.1 frees the metadata dictionary of each entry that it wraps, and FFmpeg frees it again with the
    frame. The colour profile of a PNG has such a dictionary, and the second free ends the process
    (docs/upstream/pyav-side-data.md). Therefore PyAV gets a second reference to the
    frame that has only the wanted entries.

    Raises:
        ValueError: a frame on a GPU has an entry of a type that PyAV does not know, which hides all entries.
    """
    on_gpu = not frame.format.components  # a filter does not accept such a frame, and no PNG is decoded there
    filtered = frame if on_gpu else _with_side_data(frame, wanted)
    container = SideDataContainer(filtered)  # type: ignore[call-arg] # missing in PyAV's stubs
    entries = (container[index] for index in range(len(container)))
    return {entry.type: bytes(entry) for entry in entries if entry.type in wanted}


def _with_side_data(frame: VideoFrame, wanted: tuple[Type, ...]) -> VideoFrame:
    """Return the same pixels (not copied) with the ``wanted`` side data only. Takes about 1 ms."""
    kept: set[object] = {kind.value for kind in wanted}
    graph = Graph()
    source = graph.add_buffer(
        width=frame.width, height=frame.height, format=frame.format, time_base=Fraction(1, 25)
    )
    filters = [
        graph.add("sidedata", f"mode=delete:type={number}") for number in range(_TYPES) if number not in kept
    ]
    graph.link_nodes(source, *filters, graph.add("buffersink")).configure()
    graph.vpush(frame)
    return graph.vpull()
