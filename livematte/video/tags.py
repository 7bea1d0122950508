"""Metadata tags of a file: those that remain valid in a new one, and those that say where it was recorded."""

from __future__ import annotations

import re

from livematte.video import timecode

_FILE_TAGS = ("encoder", "major_brand", "minor_version", "compatible_brands", "rotate", "vendor_id",
              "duration", "bps", "number_of_frames", "number_of_bytes", "alpha_mode",
              timecode.TAG)  # fmt: skip
"""Tags that describe the encoding of the source file, not its content; the writer sets the timecode."""

_LOCATION = re.compile(
    r"(com\.apple\.quicktime\.|recording_|geo_?)?location\b.*|loci|\W?xyz|gps.*|geotag.*", re.IGNORECASE
)
"""Tags that say where a video was recorded (QuickTime, 3GPP, Android, Matroska)."""


_COORDINATES = re.compile(rb"(?i)\b(gps|home|lat|lon)[a-z]*\W{0,4}\d{1,3}\.\d{3}|\$G[A-Z](RMC|GGA|GLL),")
"""Coordinates in the text of a subtitle, as drones and dash cameras write them; also NMEA 0183."""


def has_coordinates(text: bytes) -> bool:
    """Return True if a subtitle says where a video was recorded."""
    return _COORDINATES.search(text) is not None


def is_location(key: str) -> bool:
    """Return True if a tag with this key says where a video was recorded."""
    return _LOCATION.fullmatch(key) is not None


def content_tags(metadata: dict[str, str]) -> dict[str, str]:
    """Return the tags that remain valid in the new file."""
    return {
        key: value for key, value in metadata.items()
        if key.lower().split("-")[0] not in _FILE_TAGS and not key.startswith("_")
    }  # fmt: skip
