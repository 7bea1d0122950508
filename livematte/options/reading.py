"""Options for files that are read. Do not add ``from __future__ import annotations``: see groups.py."""

from typing import Annotated, TypedDict

from livematte.frame import DEFAULT_MAX_PIXELS, MOST_PIXELS
from livematte.options.declaration import Option
from livematte.options.groups import FILES


class PixelLimitOption(TypedDict, total=False):
    """Limit for the size of pictures and videos that are read."""

    max_pixels: Annotated[
        int,
        Option(
            DEFAULT_MAX_PIXELS,
            "Refuse larger pictures and videos, before memory is taken for them.",
            "PIXELS",
            FILES,
            between=(1, MOST_PIXELS),
            unit="pixels",
        ),
    ]
