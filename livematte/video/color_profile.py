"""ICC colour profiles of pictures: read from a file, and colours converted to and from sRGB by LittleCMS.

Pillow reads the profile from the headers of a file; its pixels are decoded by FFmpeg. PyAV must not be asked
for it, see :mod:`livematte.video.side_data`.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np
from PIL import Image, ImageCms

from livematte.errors import InputError
from livematte.frame import Array
from livematte.printable import printable
from livematte.video.mp4_boxes import read_boxes

SRGB_TOLERANCE = 1
"""A profile whose colours differ from sRGB by at most this, of 255, is treated as sRGB."""

MAX_PROFILE = 1 << 24
"""Bytes of the longest profile. Those of printers have up to 3 MB."""

_MODES = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK"}
"""Pillow mode of a picture by the colour space of its profile."""

_STRIP = 256
"""Rows that are converted at a time: Pillow copies them."""

_INTENT = ImageCms.Intent.RELATIVE_COLORIMETRIC
_FLAGS = ImageCms.Flags.BLACKPOINTCOMPENSATION

Space = Literal["RGB", "GRAY", "CMYK"]


class ColorProfile:
    """An ICC profile of RGB, grey or CMYK colours. Created by :func:`parse_profile`.

    Attributes:
        icc: its bytes.
        name: its description, printable.
        space: 'RGB', 'GRAY' or 'CMYK'.
    """

    def __init__(self, icc: bytes) -> None:
        self.icc = icc
        try:
            self._profile = ImageCms.ImageCmsProfile(io.BytesIO(icc))
            space = self._profile.profile.xcolor_space.strip()
            if space not in _MODES:
                raise InputError(f"the colour profile describes {printable(space)!r} colours")
            self.space: Space = space  # type: ignore[assignment] # a key of _MODES
            self._to_srgb = _transform(self._profile, _MODES[space], _srgb(), "RGB")
        except (OSError, ImageCms.PyCMSError, ValueError, TypeError) as error:
            raise InputError("the colour profile is damaged") from error
        self.name = printable((self._profile.profile.profile_description or space).strip())[:80]

    @cached_property
    def is_srgb(self) -> bool:
        """True if its colours are those of sRGB."""
        if self.space == "CMYK":
            return False
        steps = np.linspace(0, 255, 9).round().astype(np.uint8)
        colors = np.stack(np.meshgrid(steps, steps, steps), -1).reshape(1, -1, 3)
        if self.space == "GRAY":
            colors = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, 2)
        given = colors if self.space == "RGB" else colors[..., :1]
        difference = np.abs(self.to_srgb(given).astype(int) - colors)
        return bool(difference.max() <= SRGB_TOLERANCE)

    def to_srgb(self, picture: Array) -> Array:
        """Convert a picture to sRGB; colours that sRGB lacks become the nearest ones.

        Args:
            picture: (h, w, 3) uint8 RGB, (h, w, 1) grey or (h, w, 4) CMYK, according to ``space``.

        Returns:
            (h, w, 3) uint8.
        """
        return _apply(self._to_srgb, picture, _MODES[self.space], "RGB")

    def from_srgb(self, rgb: Array) -> Array:
        """Convert (h, w, 3) uint8 sRGB to colours of an RGB profile, (h, w, 3) uint8.

        Raises:
            InputError: the profile cannot be used in this direction.
        """
        try:
            transform = _transform(_srgb(), "RGB", self._profile, "RGB")
        except ImageCms.PyCMSError as error:
            raise InputError(f"colours cannot be converted to the colour profile {self.name}") from error
        return _apply(transform, rgb, "RGB", "RGB")

    @cached_property
    def can_be_kept(self) -> bool:
        """True if pictures can be written with this profile: it is one of RGB, for both directions."""
        if self.space != "RGB":
            return False
        try:
            self.from_srgb(np.zeros((1, 1, 3), np.uint8))
        except InputError:
            return False
        return True


def _transform(source: Any, source_mode: str, target: Any, target_mode: str) -> Any:
    return ImageCms.buildTransform(source, target, source_mode, target_mode, _INTENT, _FLAGS)


def _apply(transform: Any, picture: Array, source_mode: str, target_mode: str) -> Array:
    height, width = picture.shape[:2]
    out = np.empty((height, width, 3), np.uint8)
    for top in range(0, height, _STRIP):
        strip = np.ascontiguousarray(picture[top : top + _STRIP])
        given = Image.frombytes(source_mode, (width, len(strip)), strip.tobytes())
        out[top : top + _STRIP] = np.asarray(ImageCms.applyTransform(given, transform))
    return out


@lru_cache(maxsize=1)
def _srgb() -> Any:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))


@lru_cache(maxsize=16)
def parse_profile(icc: bytes) -> ColorProfile:
    """Return the profile; the last ones are kept, so that a sequence of pictures parses it once.

    Raises:
        InputError: it is damaged, or describes other colours than RGB, grey or CMYK.
    """
    if len(icc) > MAX_PROFILE:
        raise InputError(f"the colour profile has {len(icc) // 1_000_000} MB")
    return ColorProfile(icc)


def embedded_profile(picture: bytes | Path) -> bytes | None:
    """Return the ICC profile of a picture (a file, or its content); None if it has none or is no picture.

    Reads headers only, of every format that Pillow supports, and of HEIC.
    """
    try:
        with _open(picture) as image:
            icc = image.info.get("icc_profile")
    except Exception:  # Pillow's readers raise many kinds of errors for damaged files; FFmpeg reports these
        if isinstance(picture, Path) and picture.is_file():
            with picture.open("rb") as file:
                return _heif_profile(file)
        return None
    return icc if isinstance(icc, bytes) and icc else None


def convert_embedded(path: Path, rgb: Array) -> Array:
    """Convert the decoded colours of a picture file to sRGB by its profile, if that is one of RGB.

    Args:
        rgb: (h, w, 3) uint8.
    """
    icc = embedded_profile(path)
    try:
        profile = None if icc is None else parse_profile(icc)
    except InputError:  # a damaged profile: as if there were none
        return rgb
    return rgb if profile is None or profile.space != "RGB" or profile.is_srgb else profile.to_srgb(rgb)


def is_cmyk(picture: bytes | Path, width: int, height: int) -> bool:
    """Return True if a picture (a file, or its content) has CMYK colours and this size."""
    try:
        with _open(picture) as image:
            return image.mode == "CMYK" and image.size == (width, height)
    except Exception:  # as in embedded_profile
        return False


def read_cmyk(picture: bytes | Path) -> Array:
    """Decode a CMYK picture, which FFmpeg converts to RGB without its profile.

    Call :func:`is_cmyk` before, with the size of the picture that FFmpeg decoded: that is its limit.

    Returns:
        (height, width, 4) uint8, 0 is no ink.

    Raises:
        InputError: it is damaged.
    """
    try:
        with _open(picture) as image:
            return np.asarray(image)
    except Exception as error:  # as in embedded_profile
        raise InputError(f"its CMYK colours cannot be decoded: {printable(str(error))}") from error


@contextmanager
def _open(picture: bytes | Path) -> Iterator[Image.Image]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # FFmpeg has decoded it
        with Image.open(io.BytesIO(picture) if isinstance(picture, bytes) else picture) as image:
            yield image


_HEIF_PATH = (b"meta", b"iprp", b"ipco", b"colr")
_FULL_BOXES = {b"meta"}
"""Boxes whose content begins with 4 bytes of version and flags (ISO/IEC 14496-12)."""


def _heif_profile(file: BinaryIO) -> bytes | None:
    """Return the first ICC profile among the item properties of a HEIC file (ISO/IEC 23008-12)."""
    file.seek(0, 2)
    ranges = [(0, file.tell())]
    for wanted in _HEIF_PATH:
        ranges = [
            (begin + 4 * (kind in _FULL_BOXES), end)
            for outer in ranges for kind, begin, end in read_boxes(file, *outer) if kind == wanted
        ]  # fmt: skip
    for begin, end in ranges:
        file.seek(begin)
        if file.read(4) in (b"prof", b"rICC") and end - begin - 4 <= MAX_PROFILE:
            return file.read(end - begin - 4) or None
    return None
