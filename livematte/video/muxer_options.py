"""Options of FFmpeg's muxers."""

from __future__ import annotations

import math

from av.audio.stream import AudioStream
from av.container.output import OutputContainer

FRAGMENTED = {"movflags": "hybrid_fragmented+delay_moov+frag_keyframe"}
"""Write MP4 and MOV in fragments, playable even if the file is cut short; a finished file is a regular one.

Fragments start at key frames. Fragments cut by time (frag_duration) gave wrong times to some audio packets of
a stream that starts late, and min_frag_duration crashed (FFmpeg 8.1.2).
"""

STREAMED = {"movflags": "frag_keyframe+delay_moov+default_base_moof"}
"""The same for an output that cannot seek, such as standard output: it stays in fragments."""

INTERLEAVING = {"max_interleave_delta": "2000000"}
"""Microseconds for which a sparse stream (subtitles) may delay the others; FFmpeg's default is 10 s."""

COMMON_TAGS = {"title", "artist", "album_artist", "composer", "album", "date", "comment", "genre",
                "copyright", "grouping", "lyrics", "description", "synopsis", "show", "episode_id",
                "network", "keywords", "creation_time", "make", "model", "location", "track", "encoder",
                "timecode"}  # fmt: skip
"""Tags that MP4 stores without ``use_metadata_tags``."""


def movie_timescale(container: OutputContainer) -> int:
    """Return a movie timescale (ticks per second) for MP4 that represents the start of every stream exactly.

    FFmpeg's default of 1000 would move audio that starts at 2.67 ms to 2 ms.
    """
    ticks = 1000
    for stream in container.streams:
        rate = stream.rate if isinstance(stream, AudioStream) else None
        both = math.lcm(ticks, rate or (stream.time_base.denominator if stream.time_base else 1))
        ticks = both if both <= 10_000_000 else ticks
    return ticks


def muxer_options(muxer: str, *, streamed: bool) -> dict[str, str]:
    """Return the options of a muxer; ``streamed`` is True for an output that cannot seek."""
    if muxer not in ("mp4", "mov"):
        return dict(INTERLEAVING)
    return INTERLEAVING | (STREAMED if streamed else FRAGMENTED)


def set_options_for_streams(container: OutputContainer) -> None:
    """Set the options of MP4 and MOV that depend on streams and tags, before the header is written."""
    container.container_options["movie_timescale"] = str(movie_timescale(container))
    if not COMMON_TAGS.issuperset(key.lower() for key in container.metadata):
        container.container_options["movflags"] += "+use_metadata_tags"
