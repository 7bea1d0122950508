"""Measure the CPU time of each kernel between network and encoder, on one core.

    python -m benchmarks.kernels [--height 720 --width 1280] [--format yuv420p]

The figure is the CPU time of the calling thread (median of 40 calls), so that other programs have less
influence.
The picture is synthetic: head and shoulders with an uneven edge and about 6 % soft tiles, as in a video call.
Alternatives to a compiled kernel are listed below it.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from fractions import Fraction
from functools import partial
from typing import Any

import cv2
import numpy as np

from livematte.frame import PIXEL_FORMATS, Array, ColorInfo, Frame, Matte
from livematte.kernels.composite import fuse_plane, mix_plane
from livematte.kernels.convert import planes_from_rgb, small_planes, small_rgb, split_planes
from livematte.kernels.foreground import estimate_colors
from livematte.kernels.fusion import fuse_layers
from livematte.kernels.fusion.reference import fuse_layers as fuse_layers_reference
from livematte.kernels.kinds import SOFT
from livematte.kernels.resize import resize
from livematte.kernels.upsample import guided_coefficients, reference, upsample_alpha
from livematte.matting.backgrounds import parse_background
from livematte.matting.compositor import Compositor
from livematte.matting.temporal import TemporalFilter
from livematte.matting.upsampling import EPSILON, RADII, SNAP

NETWORK = (160, 288)


def figure(height: int, width: int) -> Array:
    """Return a (height, width) float32 alpha of head and shoulders with strands of hair."""
    y = (np.arange(height)[:, None] + 0.5) / height
    x = ((np.arange(width)[None, :] + 0.5) / width - 0.5) * width / height
    strands = np.sin(40 * np.arctan2(y - 0.35, x))
    head = 0.19 + 0.008 * strands - np.hypot(x, (y - 0.35) * 0.8)
    body = 0.42 - np.hypot(x, (y - 1.05) * 0.75)
    return np.clip(np.maximum(head, body) * 60 + 0.5, 0, 1).astype(np.float32)


def example(height: int, width: int, format: str) -> tuple[Frame, Matte]:
    """Return a frame and a matte of it at the size of the network."""
    rng = np.random.default_rng(0)
    alpha = figure(height, width)
    room = cv2.resize(rng.integers(30, 220, (9, 16, 3)).astype(np.float32), (width, height))
    rgb = alpha[..., None] * np.array([190.0, 140, 120]) + (1 - alpha[..., None]) * room
    rgb = np.clip(rgb + rng.normal(0, 3, rgb.shape), 0, 255).astype(np.uint8)
    color = ColorInfo("rgb", full_range=True) if PIXEL_FORMATS[format].rgb else ColorInfo()
    frame = Frame(planes_from_rgb(rgb, format, color), format, 0, Fraction(1, 30), color=color)
    return frame, Matte(resize(alpha, *NETWORK))


def measure(function: Callable[[], Any], repeats: int = 40) -> float:
    """Return the median CPU milliseconds of this thread for one call."""
    function()
    times = []
    for _ in range(repeats):
        began = time.thread_time()
        function()
        times.append(time.thread_time() - began)
    return statistics.median(times) * 1e3


def kernels(frame: Frame, matte: Matte) -> dict[str, Callable[[], Any]]:
    """Return each step and its alternatives by name."""
    h, w = NETWORK
    layout = frame.pixel_format
    maximum = layout.maximum
    luma = frame.planes[0]
    small = small_planes(frame, h, w)
    guide = small[0] / np.float32(maximum)
    slope, offset = guided_coefficients(matte.alpha, guide, EPSILON, SNAP)
    alpha, kinds = upsample_alpha(luma, slope, offset, maximum)
    F, B = estimate_colors(small, matte.alpha, RADII)
    planes = split_planes(frame)
    background = split_planes(parse_background("green")(frame, matte.alpha))
    soft = float((kinds == SOFT).mean())
    print(f"{frame.width}x{frame.height} {frame.format}, network {w}x{h}, {soft:.1%} of tiles soft")

    def all_planes(kernel: Callable[..., Array], *colors: Array) -> None:
        for c in range(3):
            chroma = layout.chroma if c else (0, 0)
            kernel(planes[c], background[c], alpha, kinds, *(x[c] for x in colors), chroma, maximum)

    def opencv_shrink() -> None:
        for plane in planes:
            cv2.resize(plane, (w, h), interpolation=cv2.INTER_AREA)

    def opencv_upsampling() -> Array:
        size = (frame.width, frame.height)
        full_slope, full_offset = cv2.resize(slope, size), cv2.resize(offset, size)
        values = full_slope * luma.astype(np.float32) * np.float32(1 / maximum) + full_offset
        return np.clip(values * maximum + 0.5, 0, maximum).astype(luma.dtype)

    rng = np.random.default_rng(0)
    tile = rng.integers(0, 256, (256, 256, 3), np.uint8)
    layers = (
        tile,
        *(rng.random((256, 256, n), np.float32) for n in (3, 3)),
        rng.random((256, 256), np.float32),
    )

    def opencv_mix() -> None:
        for c in range(3):
            a = cv2.resize(alpha, planes[c].shape[::-1], interpolation=cv2.INTER_AREA).astype(np.float32)
            a *= np.float32(1 / maximum)
            cv2.blendLinear(planes[c], background[c], a, 1 - a)

    return {
        "small_rgb": lambda: small_rgb(frame, h, w),
        "small_planes": lambda: small_planes(frame, h, w),
        "  cv2.resize INTER_AREA": opencv_shrink,
        "guided_coefficients": lambda: guided_coefficients(matte.alpha, guide, EPSILON, SNAP),
        "  NumPy definition": lambda: reference.guided_coefficients(matte.alpha, guide, EPSILON, SNAP),
        "upsample_alpha": lambda: upsample_alpha(luma, slope, offset, maximum),
        "  cv2.resize + NumPy": opencv_upsampling,
        "estimate_colors": lambda: estimate_colors(small, matte.alpha, RADII),
        "fuse_plane, all planes": lambda: all_planes(fuse_plane, F, B),
        "fuse_layers, 256x256": lambda: fuse_layers(*layers),
        "  NumPy definition of it": lambda: fuse_layers_reference(*layers),
        "mix_plane, all planes": lambda: all_planes(mix_plane),
        "  cv2.blendLinear": opencv_mix if maximum == 255 else lambda: None,
    }


def main() -> None:
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("--height", type=int, default=720)
    parser.add_argument("--width", type=int, default=1280)
    formats = sorted(name for name, layout in PIXEL_FORMATS.items() if not layout.gray)
    parser.add_argument("--format", default="yuv420p", choices=formats)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    frame, matte = example(options.height, options.width, options.format)
    for name, function in kernels(frame, matte).items():
        print(f"{name:28s}{measure(function, 5 if 'NumPy def' in name else 40):8.2f} ms")

    rgb = small_rgb(frame, *NETWORK)
    smooth = TemporalFilter()
    _, state = smooth(matte, rgb, None)
    whole: dict[str, Callable[[], Any]] = {"temporal": lambda: smooth(matte, rgb, state)}
    for spec in ("green", "blur", "transparent"):
        background = parse_background(spec)
        whole[f"Compositor, {spec}"] = partial(Compositor(), frame, matte, background)
    print()
    for name, function in whole.items():
        print(f"{name:28s}{measure(function):8.2f} ms")


if __name__ == "__main__":
    main()
