"""Matting of live frames: begins anew at cuts and camera changes, passes its memory on to another model."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import cv2
import numpy as np

from livematte.backgrounds import Blur, Color, Transparent
from livematte.composite import Compositor
from livematte.contracts import input_size
from livematte.engine import Matting, Small
from livematte.frame import Frame, Matte
from livematte.kernels.copies import OnCpu, Place, along, to_host
from livematte.kernels.cuda_launch import on_gpu
from livematte.protocols import Background, LiveFormat, Model
from livematte.streaming.conform import black
from livematte.streaming.gate import UNSURE, judge
from livematte.temporal import TemporalFilter, TemporalState, is_cut


class LiveMatting(Matting):
    """:class:`livematte.engine.Matting` for frames that are dropped, cut and come from changing cameras."""

    def __init__(self, model: Model, temporal: TemporalFilter, *, keep_islands: bool = False) -> None:
        super().__init__(model, temporal, keep_islands=keep_islands)
        self._epoch: int | None = None
        self._before: Any = None

    def matte(self, frame: Frame, epoch: int) -> tuple[Small, Matte, str]:
        """Matte one frame, where it is. What comes after one that failed begins anew: a number that is none
        would stay in what is remembered.

        The matte is judged as it comes from the model and again as it was calmed: one frame in which all of
        the room is a person would be averaged below what is doubted, and shown where it moves. After a
        doubt the temporal filter begins anew, too.

        Args:
            epoch: another number than for the last frame starts a new shot: another camera, another size.

        Returns:
            The picture the model saw, the matte, and whether it can be trusted; see
            :func:`livematte.streaming.gate.judge`, on a GPU this is what waits for it.

        Raises:
            ModelError: the model gives what is no matte, or values that are no alpha or no colours.
        """
        try:
            return self._matte(frame, epoch)
        except BaseException:
            self._state = self._smooth = None
            raise

    def _matte(self, frame: Frame, epoch: int) -> tuple[Small, Matte, str]:
        small = self.shrink(frame)
        if self._smooth is not None:  # it may be of a model that worked elsewhere
            self._smooth = TemporalState(*(along(x, small.rgb) for x in vars(self._smooth).values()))
        fresh, before = epoch != self._epoch, self._before
        if self._state is not None and before is not None:  # the temporal filter sees cuts itself
            seen, now = (picture[::2, ::2].astype(np.float32) for picture in (before, small.rgb))
            fresh |= seen.shape != now.shape or is_cut(seen, now)
        self._before = small.rgb
        self._epoch = epoch
        frame = replace(frame, keyframe_hint=fresh or frame.keyframe_hint)
        raw, limits = self._raw(frame, small)
        self._wait(frame, limits)
        matte, verdict = raw, judge(raw.alpha)
        if verdict != UNSURE:
            matte = self._calmed(raw, small)
            if matte.alpha is not raw.alpha:
                verdict = judge(matte.alpha)
        if verdict == UNSURE:
            self._smooth = None
        return small, matte, verdict

    def take_over(self, old: LiveMatting) -> None:
        """Go on where ``old`` was: what its temporal filter remembers, at this model's size.

        So a still edge fades from the old model's alpha to the new one's. Recurrent features do not fit.
        Called where ``old`` worked.
        """
        self._epoch, self._size = old._epoch, old._size
        if old._smooth is None or self._size is None:
            return
        height, width = input_size(self._model, *self._size)
        self._smooth = resized(old._smooth, height, width)


def resized(state: TemporalState, height: int, width: int) -> TemporalState:
    """The memory of the temporal filter for pictures of another size, in the computer's memory."""

    def at(values: Any, h: int, w: int) -> Any:
        values = to_host(values)
        return values if values.shape[:2] == (h, w) else cv2.resize(values, (w, h))

    half = -(-height // 2), -(-width // 2)
    return TemporalState(
        at(state.alpha, height, width), at(state.raw, height, width), at(state.picture, *half)
    )


@dataclass(frozen=True)
class Parts:
    """What works on frames at one level.

    Attributes:
        model, compositor: the one mattes, the other composites with its mattes.
        place: where; the model's work is queued with :meth:`Place.coming`, beside the compositor's with
            :meth:`Place.working`, so that no picture waits for the next one's matte.
        notes: what a user should know of it.
    """

    model: Model
    compositor: Compositor
    place: Place = field(default_factory=OnCpu)
    notes: tuple[str, ...] = ()

    def warm(self, format: LiveFormat) -> None:
        """Run everything once on an empty picture, so that the first real one is not the slow one.

        Raises:
            LivematteError: it cannot run.
        """
        matting = Matting(self.model, TemporalFilter())
        behind: list[Background] = [Transparent() if format.alpha else Color((0, 177, 64))]
        with self.place.coming():
            frame = self.place.up(black(format))
            if on_gpu(frame.planes[0]):  # all kernels are compiled now
                behind = [Transparent(), Color((0, 177, 64)), Blur()]
            small = matting.shrink(frame)
            for _ in range(2):
                matte = matting(frame, small)
            judge(matte.alpha)
            alpha = np.zeros(matte.alpha.shape, np.float32)
            alpha[len(alpha) // 2 :] = 0.5
            matte = replace(matte, alpha=along(alpha, small.rgb))
            ready = self.place.mark()
        with self.place.working():
            self.place.after(ready)
            for each in behind:
                made = self.compositor(frame, matte, each, small=small.planes).picture
                assert made is not None
                self.place.down(made.planes).result()
