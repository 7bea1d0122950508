"""Refined alpha of earlier frames, kept while it holds: with a time budget, a refiner cannot compute every
tile in every frame.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from livematte.device.cuda import on_gpu
from livematte.frame import Array
from livematte.kernels.boxes import Box
from livematte.kernels.resize import resize
from livematte.kernels.temporal import blend_refined
from livematte.matting.temporal import STILL_WEIGHT, check_mode, enlarge, motion

SAME_ALPHA = 0.1
"""The first network's alpha differs by less than this between two frames that show the same."""


@dataclass(frozen=True)
class _BegunFrame:
    """The values of :meth:`RefinedMemory.begin_frame` that :meth:`RefinedMemory.end_frame` needs."""

    window: tuple[slice, slice]
    picture: Array
    guide: Array
    moves: Array
    holds: Array


class RefinedMemory:
    """Refined alpha of one shot.

    A pixel that was refined earlier but not in this frame keeps its refined alpha if neither the picture nor
    the unrefined alpha has changed there. A pixel that is refined again is filtered over time like in
    :class:`livematte.matting.temporal.TemporalFilter`. Call for each frame, in order: :meth:`begin_frame`,
    then :meth:`end_frame`. A new shot needs a new object.

    Args:
        size: (height, width) of the working picture.
        mode: one of :data:`livematte.matting.temporal.MODES`; ``off`` does not filter refined alpha.
        xp: the module of all arrays: numpy or cupy.
    """

    def __init__(self, size: tuple[int, int], mode: str = "on", xp: Any = np) -> None:
        check_mode(mode)
        self._size, self._xp = size, xp
        self._still = 1.0 if mode == "off" else STILL_WEIGHT[mode]
        self._alpha, self._raw, self._guide, self._known = (xp.zeros(size, np.float32) for _ in range(4))
        self._picture: Array | None = None
        self._frame: _BegunFrame | None = None

    def begin_frame(self, picture: Array, guide: Array, reach: Array, box: Box) -> tuple[Array, Array]:
        """Begin a frame.

        Args:
            picture: (h / 2, w / 2, 3) uint8 RGB, rounded up.
            guide: (b, r) float32 in [0, 1], the part in ``box`` of the first network's alpha.
            reach: (b, r) float32, 0 where nothing is refined in this frame and nothing kept.
            box: top, bottom, left and right of the region that this frame needs; the rest is forgotten.

        Returns:
            (b, r) float32 in [0, 1] each: how well the refined alpha before still holds, and motion.
        """
        now = picture.astype(np.float32)
        if self._picture is None:
            self._picture = now.copy()
        top, bottom, left, right = box
        window = slice(top, bottom), slice(left, right)
        moves = enlarge(motion(self._picture, now), self._size)[window]
        differs = (abs(guide - self._guide[window]) - np.float32(SAME_ALPHA)) * np.float32(5)
        changed = np.minimum(np.maximum(moves, differs), 1)
        holds = np.minimum(np.minimum(self._known[window], 1 - changed), reach)
        self._frame = _BegunFrame(window, now, guide, moves, holds)
        return holds, moves

    def end_frame(self, raw: Array, coverage: Array, left_out: float = 0.0) -> tuple[Array, Array]:
        """End the frame with the alpha that was refined in it.

        Args:
            raw: (b, r) float32 alpha, of any value where ``coverage`` is 0.
            coverage: (b, r) float32: 1 where the refiner gave an alpha, 0 where it gave none.
            left_out: share of the tiles that there was no time for. The weight of moving places is reduced by
                it: they would be refined in one frame and not in the next.

        Returns:
            alpha (b, r) float32 in [0, 1], and its weight against the unrefined alpha.
        """
        assert self._frame is not None and self._picture is not None, "begin_frame comes first"
        frame, w = self._frame, self._frame.window
        coverage = coverage * (1 - np.float32(left_out) * frame.moves)
        alpha, raw_before = self._alpha[w], self._raw[w]
        weight, new = blend_refined(raw, coverage, frame.moves, frame.holds, self._still, alpha, raw_before)
        # Where nothing is kept, store the picture of this frame, so that noise is not taken for motion.
        unknown = 1 - weight
        guide = self._guide[w]
        guide += np.maximum(coverage, unknown) * (frame.guide - guide)
        self._known.fill(0)
        self._known[w] = weight
        renewed = self._xp.ones(self._size, np.float32)
        renewed[w] = np.maximum(new, unknown)
        half = _reduce(renewed, frame.picture.shape[:2])
        self._picture += half[..., None] * (frame.picture - self._picture)
        self._frame = None
        return alpha.copy(), weight


def _reduce(values: Array, size: tuple[int, ...]) -> Array:
    if on_gpu(values):
        return resize(values, *size)
    return cv2.resize(values, size[::-1], interpolation=cv2.INTER_AREA)
