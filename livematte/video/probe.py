"""Description of a file for ``livematte probe``, as JSON-compatible values."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

from av.audio.stream import AudioStream
from av.container.input import InputContainer
from av.stream import Disposition, Stream
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from livematte.frame import ColorInfo
from livematte.protocols import SourceInfo
from livematte.video import color as colors
from livematte.video.clock_repair import true_seconds
from livematte.video.container import is_cover
from livematte.video.hdr_metadata import read_hdr_metadata
from livematte.video.orientation import Orientation
from livematte.video.picture_sequence import PictureSequence, is_sequence
from livematte.video.timestamps import as_fraction, frame_rate, has_arbitrary_start, starts_late


def is_still(container: InputContainer, stream: VideoStream, path: str | Path) -> bool:
    """Return True if ``container`` is a single picture."""
    if is_sequence(path):
        return False
    if container.format.name.endswith("_pipe"):
        return True
    single = container.format.name == "image2" and stream.duration == 1
    heif = container.format.name.startswith("mov") and stream.frames == 1 and stream.duration is None
    return single or heif


def describe(
    container: InputContainer, stream: VideoStream, frame: VideoFrame, color: ColorInfo,
    orientation: Orientation, *, path: str | Path, origin: Fraction,
) -> dict[str, Any]:  # fmt: skip
    """Return codec, container, streams, rotation, interlacing, bit rate and HDR as JSON-compatible values."""
    context = stream.codec_context
    seconds = true_seconds(container, path)
    if seconds is None and container.duration:
        seconds = Fraction(container.duration, 1_000_000)
    return {
        "path": str(path),
        "container": container.format.name,
        "container_name": container.format.long_name,
        "bytes": container.size if container.size and container.size > 0 else None,
        "seconds": None if seconds is None else float(seconds),
        "origin": float(origin),
        "arbitrary_clock": has_arbitrary_start(container) or starts_late(container),
        "bit_rate": context.bit_rate or container.bit_rate or None,
        "codec": context.codec.canonical_name,
        "codec_name": context.codec.long_name,
        "profile": stream.profile,
        "pixel_format": frame.format.name,
        "stored_size": [frame.height, frame.width],
        "rotation": orientation.degrees,
        "mirrored": orientation.mirrored,
        "interlaced": bool(frame.interlaced_frame),
        "image": is_still(container, stream, path),
        "hdr": colors.HDR_TRANSFERS.get(color.transfer),
        "color": colors.names(color),
        "metadata": dict(container.metadata),
        "chapters": len(container.chapters()),
        "stream": stream.index,
        "streams": [
            _stream(each)
            for each in container.streams
            if each.index == stream.index or not each.disposition & Disposition.dependent  # no further tiles
        ],
    } | read_hdr_metadata(frame)


def describe_source(
    container: InputContainer, stream: VideoStream, path: str | Path, format: str, size: tuple[int, int],
    color: ColorInfo, *, start: float | Fraction | None, end: float | Fraction | None,
    sample_aspect: Fraction, details: dict[str, Any], pictures: PictureSequence | None = None,
) -> SourceInfo:  # fmt: skip
    """Return the properties of the frames that are read from a file.

    Args:
        format, color: pixel format and colours of the frames.
        size: (height, width) of the upright frames.
        start, end: section that is read, in seconds.
        sample_aspect: width of a pixel of the upright frames, relative to its height.
        details: result of :func:`describe`.
        pictures: the files, if it is a sequence of pictures.
    """
    still = is_still(container, stream, path)
    rate, time_base = frame_rate(path, stream), as_fraction(stream.time_base)
    assert time_base is not None  # checked by the reader
    seconds = true_seconds(container, path)
    if seconds is None and stream.duration:
        seconds = stream.duration * time_base
    if seconds is None and container.duration:
        seconds = Fraction(container.duration, 1_000_000)
    frames = stream.frames or (round(seconds * rate) if seconds and rate else None)
    if pictures is not None:
        rate = 1 / time_base
        frames, seconds = len(pictures.files), (pictures.ticks[-1] + 1) * time_base
    if seconds is not None and (start or end):
        kept = max(Fraction(0), min(seconds, Fraction(end or seconds)) - Fraction(start or 0))
        frames = None if frames is None else round(frames * kept / seconds)
        seconds = kept.limit_denominator(10**6)
    return SourceInfo(
        name=Path(path).name,
        height=size[0],
        width=size[1],
        format=format,
        time_base=time_base,
        average_rate=None if still else rate,
        frames=1 if still else frames,
        seconds=None if still else seconds,
        color=color,
        sample_aspect=sample_aspect,
        details=details,
    )


def _stream(stream: Stream) -> dict[str, Any]:
    context = stream.codec_context
    description: dict[str, Any] = {
        "index": stream.index,
        "type": stream.type,
        "codec": context.codec.canonical_name if context is not None else None,
        "language": stream.metadata.get("language"),
        "title": stream.metadata.get("title"),
        "default": bool(stream.disposition & Disposition.default),
    }
    if isinstance(stream, VideoStream) and context is not None:
        description |= {
            "size": [stream.height, stream.width],
            "cover": is_cover(stream),
        }
    if isinstance(stream, AudioStream) and context is not None:
        description |= {"sample_rate": stream.rate, "channels": stream.channels, "layout": stream.layout.name}
    return {key: value for key, value in description.items() if value is not None}
