"""Limit for the pixels of a picture, which is checked before memory is taken for it.

A header can declare any size, and several copies of each frame are held. What opens a file reads the limit
then; the file keeps it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from livematte.errors import InputError
from livematte.frame import DEFAULT_MAX_PIXELS, MOST_PIXELS

MAX_SIDE = 16384
"""Pixels per side."""

_limit: ContextVar[int] = ContextVar("max_pixels", default=DEFAULT_MAX_PIXELS)


def pixel_limit() -> int:
    """Return the limit of this thread."""
    return _limit.get()


def limit_pixels(options: Mapping[str, Any]) -> AbstractContextManager[None]:
    """Let the option ``max_pixels`` of a call be the limit for files that this thread opens meanwhile."""
    return limited_to(options.get("max_pixels", DEFAULT_MAX_PIXELS))


@contextmanager
def limited_to(most: int) -> Iterator[None]:
    """Set the limit for files that this thread opens meanwhile."""
    before = _limit.set(most)
    try:
        yield
    finally:
        _limit.reset(before)


def check_size(width: int, height: int, path: object, most: int | None = None) -> None:
    """Raise InputError if a picture is too large.

    Args:
        path: the file, for the message.
        most: largest number of pixels; by default the limit of this thread.
    """
    most, count = most or pixel_limit(), width * height
    if width > MAX_SIDE or height > MAX_SIDE:
        raise InputError(
            f"{path} is {width}x{height}: the limit is {MAX_SIDE} pixels per side; scale it down first"
        )
    if count > most:
        way = "" if count > MOST_PIXELS else f", or use --max-pixels {count}"
        raise InputError(
            f"{path} is {width}x{height}, {count:,} pixels: the limit is {most:,} (--max-pixels); scale it"
            f" down first{way}"
        )


def stated_size(path: str | Path) -> tuple[int, int] | None:
    """Return (width, height) from the header of a picture, which is not decoded; None if not found."""
    from PIL import Image  # only for pictures that FFmpeg refuses

    Image.init()
    with suppress(Exception), open(path, "rb") as file:  # a damaged header raises anything
        prefix = file.read(16)
        for name in ("PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF"):
            make, accept = Image.OPEN[name]  # Image.open refuses what is large for Pillow
            if accept is not None and accept(prefix) is True:
                file.seek(0)
                return make(file, str(path)).size
    return None


def too_large(most: int) -> str:
    """Return why FFmpeg may have refused a picture."""
    return f"too large for FFmpeg: the limit is {most:,} pixels (--max-pixels)"
