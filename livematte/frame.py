"""Data types that all parts exchange: :class:`Frame`, :class:`Matte`, :class:`ColorInfo`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

if TYPE_CHECKING:
    import os

    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image
    from torch import Tensor

    Picture: TypeAlias = (
        NDArray[np.uint8]
        | NDArray[np.floating[Any]]
        | Image
        | Tensor
        | bytes
        | str
        | os.PathLike[str]
        | "Frame"
    )
    """One picture that a caller gives. An array or tensor is (height, width, 3), or (height, width, 4) with
    straight alpha, uint8 with 0..255 or a float type with 0..1; bytes and paths are a picture file."""

DEFAULT_MAX_PIXELS, MOST_PIXELS = 1 << 27, 1 << 28
"""Limits for the pixels of a picture: by default, and the largest, which is FFmpeg's own."""

Channels = Literal["rgb", "bgr"]
"""Order of the channels of a caller's arrays."""

Array = Any
"""A NumPy array or, on a GPU, a CuPy array. Each function documents shape, dtype and range."""


def _layout(array: Array) -> str:
    return f"{tuple(getattr(array, 'shape', ()))} {getattr(array, 'dtype', type(array).__name__)}"


@dataclass(frozen=True)
class PixelFormat:
    """Memory layout of the planes of a picture. Names are FFmpeg's."""

    name: str
    chroma: tuple[int, int]
    """log2 of the vertical and horizontal chroma subsampling: 4:2:0 is (1, 1), 4:2:2 is (0, 1)."""
    depth: int
    """Bits per sample. Above 8 bits, planes are uint16 with the value in the low bits."""
    rgb: bool = False
    """True if the planes are G, B, R (FFmpeg's gbrp order) instead of Y, U, V."""
    alpha: bool = False
    """True if a fourth, full-size plane holds straight alpha; alpha is always full range."""
    interleaved: bool = False
    """True for NV12: two planes, Y and interleaved UV (h, w, 2)."""
    gray: bool = False
    """True if there is one plane only. No source produces such frames; livematte uses it to show alpha."""

    @property
    def maximum(self) -> int:
        """Largest sample value: 255 at 8 bits."""
        return (1 << self.depth) - 1

    def chroma_size(self, height: int, width: int) -> tuple[int, int]:
        """Return the (height, width) of a chroma plane. Odd sizes round up."""
        v, h = self.chroma
        return -(-height >> v), -(-width >> h)


def _formats() -> Mapping[str, PixelFormat]:
    table = {}
    for depth in (8, 10, 12):
        suffix = "" if depth == 8 else f"{depth}le"
        for sub, chroma in (("420", (1, 1)), ("422", (0, 1)), ("444", (0, 0))):
            for letter in ("", "a"):
                name = f"yuv{letter}{sub}p{suffix}"
                table[name] = PixelFormat(name, chroma, depth, alpha=bool(letter))
        for letter in ("", "a"):
            name = f"gbr{letter}p{suffix}"
            table[name] = PixelFormat(name, (0, 0), depth, rgb=True, alpha=bool(letter))
        table["gray" + suffix] = PixelFormat("gray" + suffix, (0, 0), depth, gray=True)
    del table["yuva420p12le"]  # FFmpeg has no such format
    table["nv12"] = PixelFormat("nv12", (1, 1), 8, interleaved=True)
    return table


PIXEL_FORMATS: Mapping[str, PixelFormat] = _formats()
"""All formats that a :class:`Frame` can have. The reader converts other formats to one of these."""


@dataclass(frozen=True)
class ColorInfo:
    """Colour interpretation of the sample values, as tagged by the stream.

    livematte computes with ``matrix`` and ``full_range``; these are always known. ``primaries``, ``transfer``
    and ``matrix_tag`` are FFmpeg enum values that are copied to the output (2 = unspecified).
    """

    matrix: str = "bt709"
    """'bt601', 'bt709', 'bt2020' or 'rgb'."""
    full_range: bool = False
    primaries: int = 2
    transfer: int = 2
    matrix_tag: int = 2
    range_tag: int = 0
    """AVColorRange: 0 unspecified, 1 limited, 2 full."""
    icc: bytes = field(default=b"", repr=False)
    """ICC profile of the RGB colours, if the caller of the reader asked to keep it; empty is none."""


@dataclass(frozen=True, repr=False)
class Frame:
    """One picture with its presentation time. The arrays are borrowed: copy them to use them after the call.

    Attributes:
        planes: Y, U, V (or G, B, R; or Y, UV for NV12), then alpha if the format has it. Each is (h, w) with
            contiguous rows (the row stride may be larger), uint8 or uint16 according to
            ``pixel_format.depth``.
        format: a key of :data:`PIXEL_FORMATS`.
        pts: presentation time in ``time_base`` ticks, unchanged from the source.
        time_base: seconds per tick.
        duration: ticks; 0 if unknown.
        color: colour interpretation of the planes.
        keyframe_hint: True if a new shot may start here (seek, discontinuity), so temporal state should be
            reset.
        sample_aspect: width divided by height of one pixel as shown; 1 for square pixels.
    """

    planes: tuple[Array, ...]
    format: str
    pts: int
    time_base: Fraction
    duration: int = 0
    color: ColorInfo = field(default_factory=ColorInfo)
    keyframe_hint: bool = False
    sample_aspect: Fraction = Fraction(1)

    @property
    def pixel_format(self) -> PixelFormat:
        """Memory layout of ``planes``."""
        return PIXEL_FORMATS[self.format]

    @property
    def height(self) -> int:
        """Number of rows of the full-size plane."""
        return int(self.planes[0].shape[0])

    @property
    def width(self) -> int:
        """Number of columns of the full-size plane."""
        return int(self.planes[0].shape[1])

    @property
    def size(self) -> tuple[int, int]:
        """``(height, width)``."""
        return self.height, self.width

    @property
    def display_size(self) -> tuple[int, int]:
        """``(height, width)`` of the picture in square pixels; see :func:`display_size`."""
        return display_size(self.size, self.sample_aspect)

    @property
    def seconds(self) -> Fraction:
        """Presentation time in seconds."""
        return self.pts * self.time_base

    def __repr__(self) -> str:
        return f"<Frame {self.width}x{self.height} {self.format} at {float(self.seconds):.3f} s>"

    def with_planes(self, planes: tuple[Array, ...], format: str | None = None) -> Frame:
        """Return a frame with the same time and other planes."""
        return replace(self, planes=planes, format=format or self.format)


def display_size(size: tuple[int, int], sample_aspect: Fraction) -> tuple[int, int]:
    """Return the ``(height, width)`` of a picture in square pixels. Neither side is smaller than in ``size``.

    Args:
        sample_aspect: width divided by height of one stored pixel.
    """
    height, width = size
    if sample_aspect >= 1:
        return height, round(width * sample_aspect)
    return round(height / sample_aspect), width


@dataclass(frozen=True, repr=False)
class Matte:
    """Alpha and, if known, the foreground colour of one picture.

    Attributes:
        alpha: (h, w) float32 in [0, 1]. A model returns it at network size; ``refine`` brings it to frame
            size.
        foreground: straight colour, (h, w, 3) float32 RGB in [0, 1]; None if the model does not estimate it.
        extras: further named maps of the model, (h, w) float32, e.g. heat maps or a trimap.
    """

    alpha: Array
    foreground: Array | None = None
    extras: Mapping[str, Array] = field(default_factory=dict)

    def __repr__(self) -> str:
        maps = {"alpha": self.alpha, "foreground": self.foreground, **self.extras}
        shown = (f"{name} {_layout(array)}" for name, array in maps.items() if array is not None)
        return f"<{type(self).__name__} {', '.join(shown)}>"
