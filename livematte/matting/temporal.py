"""Temporal filter of alpha: removes flicker at still edges, keeps moving edges sharp, restarts at a cut."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from livematte.device.cuda import on_gpu
from livematte.errors import UsageError
from livematte.frame import Array, Matte
from livematte.kernels.resize import resize
from livematte.kernels.temporal import blend_weight, cuda
from livematte.matting.cuts import Cut, half_size

MODES = ("on", "off", "strong")

STILL_WEIGHT = {"on": 0.3, "strong": 0.12}
"""Blend weight of the new alpha if nothing moves: sqrt(k / (2 - k)) of the noise is left, 0.42 and 0.25."""


@dataclass(frozen=True)
class TemporalState:
    """The filter's memory of the frame before.

    Attributes:
        alpha: (h, w) float32, after the filter.
        raw: (h, w) float32, before the filter.
        picture: (h / 2, w / 2, 3) float32 RGB, 0..255, blended as alpha was: the picture that ``alpha``
            belongs to. Compared with it, slow motion is detected after some frames, and grain is weaker.
    """

    alpha: Array
    raw: Array
    picture: Array


class TemporalFilter:
    """Blends each alpha with the one before. The blend weight depends on their difference and on motion.

    Where the picture is still, a small difference is noise and is averaged, and a large one is ignored until
    the next frame confirms it. Where the picture moves, the new alpha is taken unchanged. There is no
    look-ahead and no delay.
    """

    def __init__(self, mode: str = "on") -> None:
        """Choose the strength.

        Args:
            mode: ``on``, ``strong`` (for a camera that does not move) or ``off``.

        Raises:
            UsageError: another mode.
        """
        check_mode(mode)
        self._mode = mode

    def __call__(
        self, matte: Matte, rgb: Array, state: TemporalState | None, cut: Cut = False
    ) -> tuple[Matte, TemporalState | None]:
        """Filter one matte.

        Args:
            matte: alpha (h, w) float32 in [0, 1].
            rgb: (h, w, 3) uint8, the small picture it belongs to, on a GPU if alpha is on one: then
                nothing is waited for.
            state: the state that the last call returned; None starts a shot, as does another size.
            cut: true where a shot starts with this picture; see :data:`livematte.matting.cuts.Cut`.

        Returns:
            The matte and the next state (None with mode ``off``).
        """
        if self._mode == "off":
            return matte, None
        if on_gpu(matte.alpha):
            before = None if state is None or cut is True else (state.alpha, state.raw, state.picture)
            flag, still = cut if on_gpu(cut) else None, STILL_WEIGHT[self._mode]
            after = TemporalState(*cuda.smooth_alpha(matte.alpha, rgb, before, still, flag))
            return replace(matte, alpha=after.alpha), after
        raw = np.asarray(matte.alpha, np.float32)
        picture = half_size(rgb)
        if cut or state is None or state.picture.shape != picture.shape or state.raw.shape != raw.shape:
            return matte, TemporalState(raw, raw, picture)
        weight = self._blend_weight(raw, picture, state)
        alpha = state.alpha + weight * (raw - state.alpha)
        coarse = cv2.resize(weight, picture.shape[1::-1], interpolation=cv2.INTER_LINEAR)
        picture = state.picture + coarse[..., None] * (picture - state.picture)
        return replace(matte, alpha=alpha), TemporalState(alpha, raw, picture)

    def _blend_weight(self, raw: Array, picture: Array, state: TemporalState) -> Array:
        """(h, w) float32: blend weight of the new alpha."""
        moves = enlarge(motion(state.picture, picture), raw.shape)
        return blend_weight(raw, state.alpha, state.raw, moves, STILL_WEIGHT[self._mode])


def check_mode(mode: str) -> None:
    """Raise UsageError unless ``mode`` is one of :data:`MODES`."""
    if mode not in MODES:
        raise UsageError(f"unknown temporal mode {mode!r}: allowed are {', '.join(MODES)}")


def enlarge(values: Array, size: tuple[int, ...]) -> Array:
    """(h, w) float32 ``values`` at a larger size, interpolated."""
    if on_gpu(values):
        return resize(values, *size)
    return cv2.resize(values, size[::-1], interpolation=cv2.INTER_LINEAR)


def motion(before: Array, now: Array) -> Array:
    """Motion: (h, w) float32, 0 still, 1 changed by more than the noise.

    The noise is estimated from the median change, so that grain is not taken for motion; the estimate has an
    upper limit, so that a pan is motion.

    Args:
        before, now: (h, w, 3) float32 RGB of one size, 0..255.
    """
    if on_gpu(now):
        return cuda.motion(before, now)
    red, green, blue = cv2.split(cv2.absdiff(before, now))
    largest = cv2.max(cv2.max(red, green), blue)
    noise = float(np.clip(4 * np.median(largest[::2, ::2]), 2, 8))
    # A moving edge changes both sides of its old place and all pixels that it passed.
    widest = cv2.dilate(largest, np.ones((5, 5), np.uint8), borderType=cv2.BORDER_REPLICATE)
    return np.asarray(np.clip((widest - np.float32(noise)) * np.float32(1 / 8), 0, 1))
