"""Container of an output, and its codec where none is named: what players read, not what it can hold.

For sound, see :mod:`livematte.video.audio_codecs`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from livematte.errors import UsageError
from livematte.frame import PIXEL_FORMATS
from livematte.protocols import SourceInfo
from livematte.video.color import HDR_TRANSFERS
from livematte.video.encoders import ALPHA_ADVICE, CONTAINERS, FORMATS
from livematte.video.images import STILLS
from livematte.video.output_stream import STREAM

_PICTURE = {"mp4": "x264", "mov": "x264", "matroska": "x264", "webm": "vp9"}
_MATTE = {**_PICTURE, "mov": "prores", "matroska": "ffv1"}
"""For alpha or the foreground in a file of its own, which is composited later."""
_ALPHA = {"mp4": "x264", "mov": "prores", "webm": "vp9", "matroska": "ffv1"}
"""For a picture with alpha; none in MP4 can carry it."""
_MORE_THAN_8_BITS = {"mov": "prores"}
"""For a picture of more than 8 bits, or not in 4:2:0."""
_HEVC = ("mp4", "mov")
"""Muxers for which HDR, and more than 8 bits that were HEVC before, become HEVC Main 10."""

COMMON_DEPTH: Mapping[tuple[str, str], int] = {
    ("mp4", "x264"): 8, ("mov", "x264"): 8, ("mp4", "x265"): 10, ("mov", "x265"): 10
}  # fmt: skip
"""Bits that most players decode, in 4:2:0 only, by muxer and encoder. All others keep what they can hold."""


def choose_container(path: Path, format: str | None) -> str:
    """Return the muxer for an output file; ``format`` is a key of encoders.FORMATS, or None.

    Raises:
        UsageError: the extension or the format is unknown, or ``path`` is standard output without a format.
    """
    if format is not None:
        if format not in FORMATS:
            raise UsageError(f"format {format!r} is invalid: use {', '.join(FORMATS)}")
        return FORMATS[format]
    if str(path) == STREAM:
        raise UsageError(
            "- (standard output) needs --format matroska, mp4, mov or webm, and only OUT can be -"
        )
    suffix = path.suffix.lower()
    if suffix in CONTAINERS:
        return CONTAINERS[suffix]
    if path.is_dir():
        return "mp4"  # opening it raises
    known = ", ".join(CONTAINERS)
    if suffix in STILLS:
        raise UsageError(
            f"{path} is a single picture: use a video ({known}) or numbered pictures (name%06d.png)"
        )
    extra = f"; for transparency {ALPHA_ADVICE}" if suffix == ".gif" else ""
    raise UsageError(f"{path}: unsupported extension {suffix!r}: use {known}{extra}")


def default_codec(muxer: str, info: SourceInfo, kind: str, *, alpha: bool) -> str:
    """Return the key in encoders.ENCODERS for frames of ``info``.

    Args:
        muxer: a value of encoders.CONTAINERS.
        kind: as for :func:`livematte.video.writer.open_sink`.
        alpha: True for a picture with an alpha channel.
    """
    if alpha:
        return _ALPHA[muxer]
    if kind != "picture":
        return _MATTE[muxer]
    deep, hdr = is_deep(info), info.color.transfer in HDR_TRANSFERS
    if muxer in _HEVC and (hdr or (deep and info.details.get("codec") == "hevc")):
        return "x265"
    return (_MORE_THAN_8_BITS if deep else {}).get(muxer, _PICTURE[muxer])


def is_deep(info: SourceInfo) -> bool:
    """Return True for more than 8 bits or more chroma than 4:2:0 has. RGB is not: it becomes 4:2:0 anyway."""
    layout = PIXEL_FORMATS[info.format]
    return layout.depth > 8 or (layout.chroma != (1, 1) and not layout.rgb)
