"""Channel layouts of sound: those that encoders and players have, and the nearest one to any other."""

from __future__ import annotations

import ctypes
import re
from collections.abc import Sequence

from av.audio.layout import AudioLayout
from av.audio.stream import AudioStream

LAYOUTS: dict[str, tuple[str, ...]] = {
    "aac": ("mono", "stereo", "3.0", "4.0", "5.0", "5.1", "7.1"),
    "opus": ("mono", "stereo", "3.0", "quad", "5.1", "7.1"),
    "flac": ("mono", "stereo", "3.0", "quad", "5.0", "5.1", "6.1", "7.1"),
    "alac": ("mono", "stereo", "3.0", "4.0", "5.0", "5.1", "6.1(back)", "7.1(wide)"),
}
"""Layouts to encode to. FFmpeg's AAC encoder takes more, but in MP4 the channels then have no names; its Opus
encoder (libopus, FFmpeg 5 to 8) puts the channels of 5.0 and 6.1 in wrong places."""

_BY_COUNT = ("mono", "stereo", "3.0", "quad", "5.0", "5.1", "6.1", "7.1")
"""Layouts for 1 to 8 channels that are not named in the file, as the encoders order them."""

_ALIKE = {"BL": "SL", "BR": "SR", "DL": "FL", "DR": "FR"}
"""Channels that take each other's place: surround behind and beside."""

_MIXED = {
    "BC": ("BL", "SL"), "FC": ("FL",), "FLC": ("FL",), "FRC": ("FR",), "BL": ("BC",), "BR": ("BC",),
    "SL": ("BC",), "SR": ("BC",), "TFL": ("FL",), "TFR": ("FR",),
}  # fmt: skip
"""Channels into which another is mixed where it has no place of its own."""

_CUSTOM = re.compile(r"(\d+) channels \((.*)\)")
"""FFmpeg's name of a layout that is not in its list."""

_NAMED = (
    *_BY_COUNT, "2.1", "3.0(back)", "4.0", "quad(side)", "3.1", "5.0(side)", "4.1", "5.1(side)", "6.0",
    "6.0(front)", "hexagonal", "6.1(back)", "6.1(front)", "7.0", "7.0(front)", "7.1(wide)", "7.1(wide-side)",
    "5.1.2", "octagonal",
)  # fmt: skip

_LOST, _MIXED_IN, _SILENT = 1.0, 0.5, 0.01


def named_layout(source: AudioStream) -> str:
    """Return the channel layout of a track, or the usual one for its number of channels if it has none."""
    name, count = source.layout.name, source.channels
    if is_unnamed(name):
        return _BY_COUNT[count - 1] if 1 <= count <= len(_BY_COUNT) else name
    return str(name)


def use_named_layout(stream: AudioStream) -> tuple[str, ...] | None:
    """Give a track a layout of FFmpeg's list, before anything else reads its layout.

    MOV stores 7.1 with other channels first. For FFmpeg this is a custom layout, which PyAV (18) frees with
    each object that shows it: the second one ends the process.

    Returns:
        the channels in the order in which they are stored, if it is another one than that of the layout.
    """
    if getattr(stream, "codec_context", None) is None:  # FFmpeg has no decoder for it
        return None
    layout = stream.codec_context.layout
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(layout))  # never freed
    match = _CUSTOM.fullmatch(layout.name)
    if match is None:
        return None
    channels = tuple(channel.split("@")[0] for channel in match[2].split("+"))
    same = [name for name in _NAMED if _channels(name) == frozenset(channels)]
    count = int(match[1])
    usual = _BY_COUNT[count - 1] if count <= len(_BY_COUNT) else f"{count}C"
    stream.codec_context.layout = same[0] if same else usual
    return channels if same and len(set(channels)) == count else None


def is_unnamed(name: str) -> bool:
    """Return True for FFmpeg's name of a layout that is not specified."""
    return name.endswith(("channels", "channel"))


def nearest_layouts(name: str, candidates: Sequence[str]) -> list[str]:
    """Return ``candidates``, that in which most channels of the layout ``name`` have a place first.

    Where several are as good, the one with the fewest silent channels is first.
    """
    if is_unnamed(name):
        return list(candidates)
    wanted = _channels(name)
    return sorted(candidates, key=lambda other: _cost(wanted, _channels(other)))


def same_channels(name: str, other: str) -> bool:
    """Return True if two layouts have the same channels, apart from surround behind or beside."""
    return name == other or (
        not is_unnamed(name) and not is_unnamed(other) and _cost(_channels(name), _channels(other)) == 0
    )


def _channels(name: str) -> frozenset[str]:
    return frozenset(channel.name for channel in AudioLayout(name).channels)


def _cost(wanted: frozenset[str], there: frozenset[str]) -> float:
    cost, used = 0.0, wanted & there
    for channel in wanted - there:
        pairs = [b if a == channel else a for a, b in _ALIKE.items() if channel in (a, b)]
        if place := next((pair for pair in pairs if pair in there - used), None):
            used |= {place}
        elif there.intersection(_MIXED.get(channel, ())):
            cost += _MIXED_IN
        else:
            cost += _LOST
    return cost + _SILENT * len(there - used)
