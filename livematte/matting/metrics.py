"""Error measures of mattes.

Still pictures: Rhemann et al. 2009, "A Perceptually Motivated Online Benchmark for Image Matting", sec. 4.
Video: Erofeev et al. 2015, "Perceptually Motivated Benchmark for Video Matting", sec. 4.

Alphas are (H, W) float32 in [0, 1]; ``mask`` is (H, W) bool, true for the pixels that count, None for all:
:func:`unknown_band` makes the mask that papers on trimaps use.
Nothing is scaled: papers print SAD, Grad and Conn divided by 1000, and the means times 1000.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Alpha = NDArray[np.float32]
Mask = NDArray[np.bool_]
Picture = NDArray[np.float32]

SOLID = 5 / 255
"""Alpha this close to 0 or 1 is solid: mattes of 8 bits rarely reach both exactly."""
BAND = 10
"""Width in pixels of the unknown band, from the edge of the solid regions."""


def unknown_band(truth: Alpha, radius: int = BAND) -> Mask:
    """The unknown region of a trimap: all within ``radius`` pixels of soft alpha or of a hard edge.

    Solid background and solid foreground, each eroded by a disk, are known; the rest is not. At the picture's
    border nothing is eroded.

    Args:
        truth: (H, W) float32 in [0, 1].
    """
    disk = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    background, foreground = (
        cv2.erode(solid.astype(np.uint8), disk) for solid in (truth <= SOLID, truth >= 1 - SOLID)
    )
    return np.asarray(cv2.max(background, foreground) == 0, np.bool_)


def _chosen(values: NDArray[np.floating], mask: Mask | None) -> NDArray[np.float64]:
    return (values if mask is None else values[mask]).astype(np.float64).ravel()


def _mean(values: NDArray[np.float64]) -> float:
    """The mean; of nothing it is 0."""
    return float(values.mean()) if values.size else 0.0


def sad(alpha: Alpha, truth: Alpha, mask: Mask | None = None) -> float:
    """Sum of absolute differences."""
    return float(_chosen(np.abs(alpha - truth), mask).sum())


def mad(alpha: Alpha, truth: Alpha, mask: Mask | None = None) -> float:
    """Mean absolute difference, in [0, 1]."""
    return _mean(_chosen(np.abs(alpha - truth), mask))


def mse(alpha: Alpha, truth: Alpha, mask: Mask | None = None) -> float:
    """Mean squared difference, in [0, 1]."""
    return _mean(_chosen(np.square(alpha - truth), mask))


def grad(alpha: Alpha, truth: Alpha, mask: Mask | None = None, sigma: float = 1.4) -> float:
    """Gradient error: squared differences of the gradients' lengths, summed.

    Gradients are convolutions with first-order Gaussian derivatives of deviation ``sigma`` pixels.
    """
    return float(_chosen(np.square(_gradient(alpha, sigma) - _gradient(truth, sigma)), mask).sum())


def _gradient(alpha: Alpha, sigma: float) -> Alpha:
    """Length of the gradient; kernels of unit energy, as in the benchmark's own code."""
    epsilon = 1e-2
    half = int(np.ceil(sigma * np.sqrt(-2 * np.log(np.sqrt(2 * np.pi) * sigma * epsilon))))
    x = np.arange(-half, half + 1, dtype=np.float64)
    gauss = np.exp(-(x**2) / (2 * sigma**2)) / (sigma * np.sqrt(2 * np.pi))
    slope = -x * gauss / sigma**2
    norm = np.sqrt(np.square(np.outer(gauss, slope)).sum())
    kernels = ((slope / norm, gauss), (gauss, slope / norm))
    a = alpha.astype(np.float32)
    dx, dy = (cv2.sepFilter2D(a, cv2.CV_32F, kx, ky, borderType=cv2.BORDER_REPLICATE) for kx, ky in kernels)
    return np.asarray(np.sqrt(np.square(dx) + np.square(dy)), np.float32)


def conn(alpha: Alpha, truth: Alpha, mask: Mask | None = None, step: float = 0.1) -> float:
    """Connectivity error: differences of how connected pixels are to the common solid region, summed.

    A pixel's connectedness is 1 less the drop from its alpha to the highest threshold (in steps of ``step``)
    at which it belongs to the largest region (4-neighbours) that both mattes have; drops under 0.15 count
    as none.
    """
    alpha, truth = alpha.astype(np.float32), truth.astype(np.float32)
    common = np.minimum(alpha, truth)
    within = np.ones(alpha.shape, np.bool_)  # the largest region at every threshold so far
    steps = np.zeros(alpha.shape, np.uint8)
    for number in range(1, round(1 / step) + 1):
        both = (common >= number * step).astype(np.uint8)
        _, labels, stats, _ = cv2.connectedComponentsWithStats(both, connectivity=4, ltype=cv2.CV_32S)
        if len(stats) == 1:
            break
        within &= labels == 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))
        steps += within
    level = steps * np.float32(step)

    def connected(a: Alpha) -> Alpha:
        drop = a - level
        return np.asarray(1 - drop * (drop >= 0.15), np.float32)

    return float(_chosen(np.abs(connected(alpha) - connected(truth)), mask).sum())


def dtssd(
    alpha: Alpha, previous: Alpha, truth: Alpha, previous_truth: Alpha, mask: Mask | None = None
) -> float:
    """Flicker between two frames: root of the mean squared difference of the changes over time."""
    change = (alpha - previous) - (truth - previous_truth)
    return float(np.sqrt(_mean(_chosen(np.square(change), mask))))


def motion(previous: NDArray[np.uint8], now: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Optical flow: (H, W, 2) float32, pixels (x, y) from the previous picture to this.

    Dense inverse search (Kroeger et al. 2016). The benchmark takes the motion from the true sequence, not
    from the mattes under test; so should the caller.

    Args:
        previous, now: (H, W) uint8.
    """
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    return np.asarray(search.calc(previous, now, None), np.float32)  # type: ignore[call-overload]


def messddt(
    alpha: Alpha,
    previous: Alpha,
    truth: Alpha,
    previous_truth: Alpha,
    flow: NDArray[np.float32],
    mask: Mask | None = None,
) -> float:
    """Flicker along the motion: mean change, from a pixel to where it went, of the squared error.

    Args:
        flow: (H, W, 2) float32, pixels (x, y) from the previous frame to this, of the true sequence
            (:func:`motion`); what leaves the picture does not count.
        mask: pixels of the previous frame.
    """
    height, width = alpha.shape
    ys, xs = np.mgrid[0:height, 0:width].astype(np.float32)
    x, y = xs + flow[..., 0], ys + flow[..., 1]
    error = np.square(alpha - truth).astype(np.float32)
    now = cv2.remap(error, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    inside = (x >= 0) & (y >= 0) & (x <= width - 1) & (y <= height - 1)
    change = np.abs(now - np.square(previous - previous_truth))
    return _mean(_chosen(change, inside if mask is None else inside & mask))


def foreground_sad(foreground: Picture, truth: Picture, alpha: Alpha) -> float:
    """Sum of absolute colour differences where the true ``alpha`` is above 0; colours (H, W, 3) in [0, 1]."""
    return float(_chosen(np.abs(foreground - truth), alpha > 0).sum())


def foreground_mse(foreground: Picture, truth: Picture, alpha: Alpha) -> float:
    """Mean squared colour difference where the true ``alpha`` is above 0; colours (H, W, 3) in [0, 1]."""
    return _mean(_chosen(np.square(foreground - truth), alpha > 0))
