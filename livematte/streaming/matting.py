"""Matting of live frames: begins anew at cuts and camera changes, passes its memory on to another model."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np

from livematte.backgrounds import Color, Transparent
from livematte.composite import Compositor
from livematte.engine import Matting, Small
from livematte.frame import Frame, Matte
from livematte.protocols import LiveFormat, Model
from livematte.streaming.conform import black
from livematte.temporal import TemporalFilter, TemporalState, is_cut


class LiveMatting(Matting):
    """:class:`livematte.engine.Matting` for frames that are dropped, cut and come from changing cameras."""

    def __init__(self, model: Model, temporal: TemporalFilter, *, keep_islands: bool = False) -> None:
        super().__init__(model, temporal, keep_islands=keep_islands)
        self._epoch: int | None = None
        self._before: Any = None

    def matte(self, frame: Frame, epoch: int) -> tuple[Small, Matte]:
        """Matte one frame.

        Args:
            epoch: another number than for the last frame starts a new shot: another camera, another size.
        """
        small = self.shrink(frame)
        fresh, before = epoch != self._epoch, self._before
        if self._state is not None and before is not None:  # the temporal filter sees cuts itself
            seen, now = (picture[::2, ::2].astype(np.float32) for picture in (before, small.rgb))
            fresh |= seen.shape != now.shape or is_cut(seen, now)
        self._before = small.rgb
        self._epoch = epoch
        return small, self(replace(frame, keyframe_hint=fresh or frame.keyframe_hint), small)

    def take_over(self, old: LiveMatting) -> None:
        """Go on where ``old`` was: what its temporal filter remembers, at this model's size.

        So a still edge fades from the old model's alpha to the new one's. Recurrent features do not fit.
        """
        self._epoch, self._size = old._epoch, old._size
        if old._smooth is None or self._size is None:
            return
        height, width = self._model.input_size(*self._size)
        self._smooth = resized(old._smooth, height, width)


def resized(state: TemporalState, height: int, width: int) -> TemporalState:
    """The memory of the temporal filter for pictures of another size."""

    def at(values: Any, h: int, w: int) -> Any:
        return values if values.shape[:2] == (h, w) else cv2.resize(values, (w, h))

    half = -(-height // 2), -(-width // 2)
    return TemporalState(
        at(state.alpha, height, width), at(state.raw, height, width), at(state.picture, *half)
    )


@dataclass(frozen=True)
class Parts:
    """What works on frames at one level: a model and what composites with its mattes."""

    model: Model
    compositor: Compositor

    def warm(self, format: LiveFormat) -> None:
        """Run everything once on an empty picture, so that the first real one is not the slow one.

        Raises:
            LivematteError: it cannot run.
        """
        frame = black(format)
        matting = Matting(self.model, TemporalFilter("off"))
        small = matting.shrink(frame)
        matte, state = self.model(small.rgb, None)
        self.model(small.rgb, state)
        alpha = np.zeros(matte.alpha.shape, np.float32)
        alpha[len(alpha) // 2 :] = 0.5
        behind = Transparent() if format.alpha else Color((0, 177, 64))
        self.compositor(frame, replace(matte, alpha=alpha), behind, small=small.planes)
