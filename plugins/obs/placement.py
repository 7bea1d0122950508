"""Position and size of livematte's source in a scene of OBS."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from livematte.errors import UsageError


@dataclass(frozen=True)
class ScenePlacement:
    """Position and size of the source in a scene. None: unchanged, or the whole canvas for a new source."""

    position: tuple[float, float] | None = None
    """(x, y) of the upper left corner, in pixels of the canvas."""
    size: tuple[float, float] | None = None
    """(width, height) of the bounding box in pixels. The picture is scaled into it; the aspect ratio is
    kept."""


UNCHANGED = ScenePlacement()
"""A placed source stays where it is."""


def _parse_pair(text: str, separator: str, valid: Callable[[float], bool], error: str) -> tuple[float, float]:
    found = re.fullmatch(rf"\s*(-?\d+(?:\.\d+)?)\s*{separator}\s*(-?\d+(?:\.\d+)?)\s*", text, re.IGNORECASE)
    if found is None or not all(valid(float(part)) for part in found.groups()):
        raise UsageError(error)
    return float(found[1]), float(found[2])


def parse_placement(position: str | None, size: str | None) -> ScenePlacement:
    """Parse a position ``x,y`` and a size ``WIDTHxHEIGHT``, both in pixels of the canvas of OBS.

    Raises:
        UsageError: a text of another form.
    """
    corner = box = None
    if position is not None:
        corner = _parse_pair(
            position,
            ",",
            lambda _: True,
            f"position {position!r} is invalid: use x,y in pixels, such as 960,540",
        )
    if size is not None:
        box = _parse_pair(
            size,
            "x",
            lambda n: n >= 1,
            f"size {size!r} is invalid: use WIDTHxHEIGHT in pixels, such as 640x360",
        )
    return ScenePlacement(corner, box)
