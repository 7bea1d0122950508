"""Alpha over time: a still edge calms, a moving edge stays crisp, a cut starts anew."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np

from livematte.errors import UsageError
from livematte.frame import Array, Matte
from livematte.kernels.copies import to_host
from livematte.kernels.cuda_launch import on_gpu
from livematte.kernels.reference import share_of_new
from livematte.kernels.twins import refined_over_time, resize
from livematte.kernels.windows import Box

MODES = ("on", "off", "strong")

_STILL = {"on": 0.3, "strong": 0.12}
"""Share of the new alpha where nothing moves: noise falls to sqrt(k / (2 - k)), 0.42 and 0.25 of itself."""


_SAME = 0.1
"""The first network's alpha differs by less than this between two frames that show the same."""


@dataclass(frozen=True)
class TemporalState:
    """What the filter remembers of the frame before.

    Attributes:
        alpha: (h, w) float32, as it was given out.
        raw: (h, w) float32, as it came from the model.
        picture: (h / 2, w / 2, 3) float32 RGB, 0..255, blended as alpha was: the picture that ``alpha``
            belongs to. Compared with it, an edge that creeps shows after some frames, and grain shows less.
    """

    alpha: Array
    raw: Array
    picture: Array


def is_cut(before: Array, now: Array) -> bool:
    """Whether another shot begins: the pictures differ nearly everywhere, and in what they are made of.

    A moving camera changes many pixels but keeps the colours; an arm changes few pixels.

    Args:
        before, now: (h, w, 3) float32 RGB of one size, 0..255. On a GPU the answer is waited for.
    """
    if on_gpu(now):
        from livematte.kernels import cuda_temporal

        return bool(to_host(cuda_temporal.is_cut(before, now))[0])
    difference = float(cv2.norm(before, now, cv2.NORM_L1)) / before.size
    if difference < 12:
        return False
    if difference > 60:
        return True
    histograms = []
    for picture in (before, now):
        counts = [cv2.calcHist([picture], [c], None, [16], [0, 256]).ravel() for c in range(3)]
        histograms.append(np.concatenate(counts) / picture.size)
    moved = float(np.abs(histograms[0] - histograms[1]).sum()) / 2
    return moved > 0.3


class TemporalFilter:
    """Blends each alpha with the one before, weighted by how much the two disagree and whether anything
    moved.

    Where the picture stands still, a small disagreement is noise and is averaged away, and a large one is
    mistrusted until the next frame says the same. Where the picture moves, the new alpha is taken as it is.
    Without look-ahead and without delay.
    """

    def __init__(self, mode: str = "on") -> None:
        """Choose how much.

        Args:
            mode: ``on``, ``strong`` (calmer, for a camera that stands still) or ``off``.

        Raises:
            UsageError: another mode.
        """
        check_mode(mode)
        self._mode = mode

    def __call__(
        self, matte: Matte, rgb: Array, state: TemporalState | None
    ) -> tuple[Matte, TemporalState | None]:
        """Calm one matte.

        Args:
            matte: alpha (h, w) float32 in [0, 1].
            rgb: (h, w, 3) uint8, the small picture it belongs to, on a GPU where alpha is on one: then
                nothing is waited for.
            state: what the last call gave; None starts a shot, as do a cut and another size.

        Returns:
            The matte and the next state (None with mode ``off``).
        """
        if self._mode == "off":
            return matte, None
        if on_gpu(matte.alpha):
            from livematte.kernels import cuda_temporal

            before = None if state is None else (state.alpha, state.raw, state.picture)
            calm = TemporalState(*cuda_temporal.calmed(matte.alpha, rgb, before, _STILL[self._mode]))
            return replace(matte, alpha=calm.alpha), calm
        raw = np.asarray(matte.alpha, np.float32)
        picture = _half(rgb)
        if state is None or state.picture.shape != picture.shape or state.raw.shape != raw.shape:
            return matte, TemporalState(raw, raw, picture)
        if is_cut(state.picture, picture):
            return matte, TemporalState(raw, raw, picture)
        share = self._share(raw, picture, state)
        alpha = state.alpha + share * (raw - state.alpha)
        coarse = cv2.resize(share, picture.shape[1::-1], interpolation=cv2.INTER_LINEAR)
        picture = state.picture + coarse[..., None] * (picture - state.picture)
        return replace(matte, alpha=alpha), TemporalState(alpha, raw, picture)

    def _share(self, raw: Array, picture: Array, state: TemporalState) -> Array:
        """(h, w) float32: how much of the new alpha to take."""
        moves = _enlarged(motion(state.picture, picture), raw.shape)
        return share_of_new(raw, state.alpha, state.raw, moves, _STILL[self._mode])


class RefinedMemory:
    """What a refiner said before, for as long as it holds: under a budget it does not say it of every place
    in every frame.

    A place that was refined before and is not now keeps that where neither the picture nor the first
    network's alpha changed. One that is refined again is calmed as :class:`TemporalFilter` calms. For the
    frames of one video, in order: :meth:`look`, then :meth:`take`.

    Args:
        size: (height, width) of the working picture.
        mode: one of :data:`MODES`; with ``off`` what is refined is taken as it is.
        own: the module of all arrays: numpy or cupy.
    """

    def __init__(self, size: tuple[int, int], mode: str = "on", own: Any = np) -> None:
        check_mode(mode)
        self._size, self._mode, self._own = size, mode, own
        self._begin()

    def _begin(self) -> None:
        self._alpha, self._raw, self._guide, self._known = (
            self._own.zeros(self._size, np.float32) for _ in range(4)
        )
        self._before: Array | None = None

    def look(
        self, picture: Array, guide: Array, reach: Array, box: Box, *, fresh: bool = False
    ) -> tuple[Array, Array]:
        """Begin a frame.

        Args:
            picture: (h / 2, w / 2, 3) uint8 RGB, rounded up.
            guide: (b, r) float32 in [0, 1], the part in ``box`` of the first network's alpha.
            reach: (b, r) float32, 0 where nothing is refined in this frame and nothing kept.
            box: top, bottom, left and right of what matters in this frame; the rest is forgotten.
            fresh: another shot begins, as where a cut is seen, for which a GPU is waited for.

        Returns:
            (b, r) float32 each: how far what was refined before still holds, and how far the picture moves.
        """
        now = picture.astype(np.float32)
        if fresh or self._before is None or is_cut(self._before, now):
            self._begin()
            self._picture = now.copy()
        self._before, self._now = now, now
        top, bottom, left, right = box
        self._window = slice(top, bottom), slice(left, right)
        self._new_guide = guide
        self._moves = _enlarged(motion(self._picture, now), self._size)[self._window]
        differs = (abs(guide - self._guide[self._window]) - np.float32(_SAME)) * np.float32(5)
        changed = np.minimum(np.maximum(self._moves, differs), 1)
        self._holds = np.minimum(np.minimum(self._known[self._window], 1 - changed), reach)
        return self._holds, self._moves

    def take(self, raw: Array, share: Array, left_out: float = 0.0) -> tuple[Array, Array]:
        """End the frame with what was refined in it.

        Args:
            raw: (b, r) float32 alpha, of any value where ``share`` is 0.
            share: (b, r) float32: how far the refiner's new word counts, 1 where it was asked.
            left_out: share of the places that it had no time for. As far as that, it is not heard where the
                picture moves: it would be so in one frame and not in the next.

        Returns:
            alpha (b, r) float32 in [0, 1], and how far it counts against one that is not refined.
        """
        w = self._window
        share = share * (1 - np.float32(left_out) * self._moves)
        still = 1.0 if self._mode == "off" else _STILL[self._mode]
        alpha = self._alpha[w]
        counts, new = refined_over_time(raw, share, self._moves, self._holds, still, alpha, self._raw[w])
        # Where nothing is kept the picture is today's, so that noise is told from what moves.
        unknown = 1 - counts
        guide = self._guide[w]
        guide += np.maximum(share, unknown) * (self._new_guide - guide)
        self._known.fill(0)
        self._known[w] = counts
        renewed = self._own.ones(self._size, np.float32)
        renewed[w] = np.maximum(new, unknown)
        half = _shrunk(renewed, self._now.shape[:2])
        self._picture += half[..., None] * (self._now - self._picture)
        return alpha.copy(), counts


def check_mode(mode: str) -> None:
    """Raise UsageError unless ``mode`` is one of :data:`MODES`."""
    if mode not in MODES:
        raise UsageError(f"unknown temporal mode {mode!r}: allowed are {', '.join(MODES)}")


def _enlarged(values: Array, size: tuple[int, ...]) -> Array:
    if on_gpu(values):
        return resize(values, *size)
    return cv2.resize(values, size[::-1], interpolation=cv2.INTER_LINEAR)


def _shrunk(values: Array, size: tuple[int, ...]) -> Array:
    if on_gpu(values):
        return resize(values, *size)
    return cv2.resize(values, size[::-1], interpolation=cv2.INTER_AREA)


def motion(before: Array, now: Array) -> Array:
    """Where the picture changed by more than its noise: (h, w) float32, 0 still, 1 moving.

    The noise is told from the median change, so that a grainy camera is not taken for motion everywhere, up
    to a bound, so that a panning one is.

    Args:
        before, now: (h, w, 3) float32 RGB of one size, 0..255.
    """
    if on_gpu(now):
        from livematte.kernels import cuda_temporal

        return cuda_temporal.motion(before, now)
    red, green, blue = cv2.split(cv2.absdiff(before, now))
    largest = cv2.max(cv2.max(red, green), blue)
    noise = float(np.clip(4 * np.median(largest[::2, ::2]), 2, 8))
    # An edge that moved shows on both sides of where it was, and in what it swept over.
    widest = cv2.dilate(largest, np.ones((5, 5), np.uint8), borderType=cv2.BORDER_REPLICATE)
    return np.asarray(np.clip((widest - np.float32(noise)) * np.float32(1 / 8), 0, 1))


def _half(rgb: Array) -> Array:
    """Half the size, rounded up, float32: motion is seen as well there, at a quarter of the cost."""
    size = (-(-rgb.shape[1] // 2), -(-rgb.shape[0] // 2))
    return cv2.resize(rgb, size, interpolation=cv2.INTER_AREA).astype(np.float32)
