"""The values everything exchanges: :class:`Frame`, :class:`Matte`, :class:`ColorInfo`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any

Array = Any
"""A NumPy array, or on the GPU a CuPy one; every function says shape, dtype and range."""


@dataclass(frozen=True)
class PixelFormat:
    """How planes hold a picture. Named as FFmpeg names it."""

    name: str
    chroma: tuple[int, int]
    """log2 of the vertical and horizontal chroma subsampling: 4:2:0 is (1, 1), 4:2:2 is (0, 1)."""
    depth: int
    """Bits a sample; above 8 the planes are uint16 with the value in the low bits."""
    rgb: bool = False
    """The planes are G, B, R (FFmpeg's gbrp order), not Y, U, V."""
    alpha: bool = False
    """A fourth, full-size plane holds straight alpha, always full range."""
    interleaved: bool = False
    """NV12: two planes, Y and interleaved UV (h, w, 2)."""
    gray: bool = False
    """One plane only. No source gives such frames; livematte shows a full-size alpha as one."""

    @property
    def maximum(self) -> int:
        """The largest sample value, 255 at 8 bits."""
        return (1 << self.depth) - 1

    def chroma_size(self, height: int, width: int) -> tuple[int, int]:
        """Size of a chroma plane; odd sizes round up."""
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
"""Every format a :class:`Frame` may have; the reader converts whatever else a decoder gives."""


@dataclass(frozen=True)
class ColorInfo:
    """What the numbers in the planes mean, as the stream tags them.

    ``matrix`` and ``full_range`` are what livematte computes with and are never unknown; ``primaries``,
    ``transfer`` and ``matrix_tag`` are FFmpeg's enum values, carried to the output (2 = unspecified).
    """

    matrix: str = "bt709"
    """'bt601', 'bt709', 'bt2020' or 'rgb'."""
    full_range: bool = False
    primaries: int = 2
    transfer: int = 2
    matrix_tag: int = 2
    range_tag: int = 0
    """AVColorRange: 0 unspecified, 1 limited, 2 full."""


@dataclass(frozen=True)
class Frame:
    """One picture with its time. Arrays are borrowed: copy what outlives the call it came in.

    Attributes:
        planes: Y, U, V (or G, B, R; or Y, UV for NV12), and alpha where the format has it. Each (h, w),
            C-contiguous rows (the row stride may be larger), uint8 or uint16 as ``pixel_format.depth`` says.
        format: a key of :data:`PIXEL_FORMATS`.
        pts: presentation time in ``time_base`` ticks, exactly as the source had it.
        time_base: seconds a tick.
        duration: ticks, 0 where unknown.
        color: what the numbers mean.
        keyframe_hint: a shot may begin here (seek, discontinuity); temporal state should restart.
    """

    planes: tuple[Array, ...]
    format: str
    pts: int
    time_base: Fraction
    duration: int = 0
    color: ColorInfo = field(default_factory=ColorInfo)
    keyframe_hint: bool = False

    @property
    def pixel_format(self) -> PixelFormat:
        """The layout of ``planes``."""
        return PIXEL_FORMATS[self.format]

    @property
    def height(self) -> int:
        """Rows of the full-size plane."""
        return int(self.planes[0].shape[0])

    @property
    def width(self) -> int:
        """Columns of the full-size plane."""
        return int(self.planes[0].shape[1])

    @property
    def size(self) -> tuple[int, int]:
        """``(height, width)``."""
        return self.height, self.width

    @property
    def seconds(self) -> Fraction:
        """Presentation time in seconds."""
        return self.pts * self.time_base

    def with_planes(self, planes: tuple[Array, ...], format: str | None = None) -> Frame:
        """The same moment with another picture."""
        return replace(self, planes=planes, format=format or self.format)


@dataclass(frozen=True)
class Matte:
    """Who is in front.

    Attributes:
        alpha: (h, w) float32 in [0, 1]; from a model at the network's size, after ``refine`` at the frame's.
        foreground: straight colour, (h, w, 3) float32 RGB in [0, 1], or None where the model gives none.
        extras: named maps that a model can show besides (h, w) float32, e.g. heat maps, a trimap.
    """

    alpha: Array
    foreground: Array | None = None
    extras: Mapping[str, Array] = field(default_factory=dict)
