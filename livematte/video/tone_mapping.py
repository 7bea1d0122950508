"""HDR frames (PQ, HLG) to SDR: BT.709, 8 bits, 4:2:0, limited range.

The ``scale`` filter of FFmpeg 8 maps tones and colours itself (``intent=perceptual``; libswscale/cms.c). The
usual filters for it, zscale and libplacebo, are not in PyAV's wheels, and ``tonemap`` needs zscale.
"""

from __future__ import annotations

from fractions import Fraction

from av.filter.graph import Graph
from av.video.frame import VideoFrame

from livematte.video.color import HDR_TRANSFERS

_TO_SDR = (
    "in_color_matrix=bt2020:out_color_matrix=bt709:in_primaries=bt2020:out_primaries=bt709:"
    "out_transfer=bt709:out_range=limited:intent=perceptual:threads=0"
)
_UNTAGGED = (0, 2)
_BT2020 = 9


def is_hdr_frame(frame: VideoFrame) -> bool:
    """Return True if the codes of a decoded frame are PQ or HLG."""
    return int(frame.color_trc) in HDR_TRANSFERS


class ToneMapper:
    """Converts decoded HDR frames, in the computer's memory, to SDR. Other frames are returned unchanged."""

    def __init__(self) -> None:
        self._graph: Graph | None = None
        self._form: tuple[object, ...] = ()

    def __call__(self, frame: VideoFrame) -> VideoFrame:
        """Return the frame in SDR, with the same time and without HDR metadata."""
        if not is_hdr_frame(frame):
            return frame
        form = (
            frame.width, frame.height, frame.format.name, int(frame.color_trc), int(frame.color_range),
            int(frame.colorspace), int(frame.color_primaries),
        )  # fmt: skip
        if self._graph is None or form != self._form:
            self._graph, self._form = _graph(frame), form
        pts, time_base, duration = frame.pts, frame.time_base, frame.duration
        frame.pts = 0
        self._graph.vpush(frame)
        mapped = self._graph.vpull()
        frame.pts = pts
        mapped.pts, mapped.duration = pts, duration
        if time_base is not None:
            mapped.time_base = time_base
        return mapped


def _graph(frame: VideoFrame) -> Graph:
    options = _TO_SDR
    if int(frame.colorspace) not in _UNTAGGED:
        options = options.replace("in_color_matrix=bt2020:", "")
    if int(frame.color_primaries) not in (*_UNTAGGED, _BT2020):
        options = options.replace("in_primaries=bt2020:", "")
    graph = Graph()
    source = graph.add_buffer(
        width=frame.width, height=frame.height, format=frame.format,
        time_base=frame.time_base or Fraction(1, 25),
    )  # fmt: skip
    graph.link_nodes(
        source, graph.add("scale", options), graph.add("format", "yuv420p"), graph.add("buffersink")
    ).configure()
    return graph
