"""Conversion between the planes of a frame and RGB, at full and at small size.

Planes are (H, W) uint8, or uint16 with the value in the low bits, of any row stride. Their values are called
codes; the largest is the ``maximum`` of the pixel format, 255 at 8 bits.
"""

from __future__ import annotations

from livematte.kernels._shared.dispatch import dispatch
from livematte.kernels.convert import cpu

__all__ = [
    "codes_from_rgb",
    "crop_planes",
    "join_planes",
    "planes_from_rgb",
    "rgb_from_codes",
    "small_both",
    "small_planes",
    "small_rgb",
    "split_planes",
    "to_rgb",
]

split_planes = dispatch(cpu.split_planes)
join_planes = dispatch(cpu.join_planes)
small_planes = dispatch(cpu.small_planes)
crop_planes = dispatch(cpu.crop_planes)
small_rgb = dispatch(cpu.small_rgb)
small_both = dispatch(cpu.small_both)
to_rgb = dispatch(cpu.to_rgb)
rgb_from_codes = dispatch(cpu.rgb_from_codes)
codes_from_rgb = dispatch(cpu.codes_from_rgb)
planes_from_rgb = dispatch(cpu.planes_from_rgb)
