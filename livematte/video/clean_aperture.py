"""The clean aperture of a picture: the part that is shown (box ``clap``, ISO/IEC 14496-12, 12.1.4)."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from fractions import Fraction

from av.filter.graph import Graph
from av.video.frame import VideoFrame


def find_aperture(properties: Sequence[tuple[bytes, bytes]]) -> bytes | None:
    """Return the content of the box; None if the whole picture is shown."""
    return next((data for kind, data in properties if kind == b"clap"), None)


def crop_to_aperture(frame: VideoFrame, aperture: bytes) -> VideoFrame:
    """Return the shown part of a picture, at least one pixel.

    Raises:
        ValueError: the box is damaged.
    """
    try:
        numbers = struct.unpack(">IIIIiIiI", aperture[:32])
        width, height, x, y = (Fraction(numbers[at], numbers[at + 1]) for at in (0, 2, 4, 6))
    except (struct.error, ZeroDivisionError) as error:
        raise ValueError("its clean aperture is damaged") from error
    left, right = _edges(width, x, frame.width)
    top, bottom = _edges(height, y, frame.height)
    if (left, top, right, bottom) == (0, 0, frame.width, frame.height):
        return frame
    name, whole = frame.format.name, frame
    if left % 2 or top % 2:  # colours of half size cannot be cut between two pixels
        name = name.replace("420", "444").replace("422", "444")
        whole = frame if name == frame.format.name else frame.reformat(format=name)
    graph = Graph()
    source = graph.add_buffer(
        width=whole.width, height=whole.height, format=whole.format, time_base=Fraction(1, 25)
    )
    crop = graph.add("crop", f"w={right - left}:h={bottom - top}:x={left}:y={top}:exact=1")
    source.link_to(crop)
    crop.link_to(graph.add("buffersink"))
    graph.configure()
    whole.pts = 0
    source.push(whole)
    source.push(None)
    cropped = graph.vpull()
    cropped.colorspace, cropped.color_range = frame.colorspace, frame.color_range
    cropped.color_primaries, cropped.color_trc = frame.color_primaries, frame.color_trc
    return cropped


def _edges(length: Fraction, offset: Fraction, whole: int) -> tuple[int, int]:
    """Return where the shown part of a side begins and ends. ``offset`` is between the two centres."""
    begin = round((whole - length) / 2 + offset)
    begin = min(max(0, begin), whole - 1)
    return begin, min(whole, max(begin + 1, begin + round(length)))
