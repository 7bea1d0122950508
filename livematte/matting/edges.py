"""The edge sliders of a keyer: one moves the edge of alpha, the other makes it softer."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from livematte.device.cuda import on_gpu
from livematte.device.transfer import to_gpu, to_host
from livematte.frame import Array
from livematte.kernels.kinds import tile_kinds
from livematte.matting.upsampling import FullAlpha

REFERENCE_HEIGHT = 720
"""Both are pixels of a frame of this height, so that a value means the same at every size."""


@dataclass(frozen=True)
class Edge:
    """Changes of the edge of alpha, first the inset.

    Attributes:
        inset: pixels for a height of 720 by which people shrink; they grow where it is negative.
        softness: standard deviation in pixels for a height of 720 of the Gaussian blur of alpha.
    """

    inset: float = 0.0
    softness: float = 0.0

    @property
    def active(self) -> bool:
        """False where alpha stays exactly as it is."""
        return self.inset != 0 or self.softness > 0

    def __call__(self, alpha: FullAlpha, maximum: int) -> FullAlpha:
        """Return the changed alpha; ``alpha`` itself if not :attr:`active`.

        A GPU is waited for: the work is done by the CPU.

        Args:
            maximum: value of full opacity.
        """
        if not self.active:
            return alpha
        plane, scale = to_host(alpha.plane), alpha.plane.shape[0] / REFERENCE_HEIGHT
        plane = shrink(plane, self.inset * scale)
        if self.softness > 0:
            plane = cv2.GaussianBlur(plane, (0, 0), self.softness * scale, borderType=cv2.BORDER_REPLICATE)
        changed = to_gpu(plane) if on_gpu(alpha.plane) else plane
        return FullAlpha(changed, tile_kinds(changed, maximum))


UNCHANGED = Edge()


def shrink(plane: Array, radius: float) -> Array:
    """Erode alpha by a disc, or dilate it where ``radius`` is negative (grey-scale morphology).

    Between whole radii the two results are mixed, so that the edge moves smoothly with a slider. Pixels past
    the border of the picture count as those at the border: a person cut off by it is not eaten from there.

    Args:
        plane: (H, W) uint8 or uint16.
        radius: in pixels.

    Returns:
        (H, W), the dtype of ``plane``; ``plane`` itself for 0.
    """
    whole, part = divmod(abs(radius), 1.0)
    near = _moved(plane, int(whole), radius > 0)
    if part == 0:
        return near
    far = _moved(plane, int(whole) + 1, radius > 0)
    return cv2.addWeighted(near, 1 - part, far, part, 0)


def _moved(plane: Array, radius: int, inwards: bool) -> Array:
    if radius == 0:
        return plane
    y, x = np.ogrid[-radius : radius + 1, -radius : radius + 1]
    disc = (x * x + y * y <= (radius + 0.5) ** 2).astype(np.uint8)
    operation = cv2.erode if inwards else cv2.dilate
    return operation(plane, disc, borderType=cv2.BORDER_REPLICATE)
