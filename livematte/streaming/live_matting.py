"""Matting of live frames: restarts at cuts and camera changes, passes its memory on to another model."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import count

import numpy as np

from livematte.device.cuda import on_gpu
from livematte.device.execution import CpuContext, ExecutionContext
from livematte.device.transfer import to_same_device
from livematte.frame import Frame, Matte
from livematte.matting.backgrounds import Blur, Color, Transparent
from livematte.matting.compositor import Compositor
from livematte.matting.contracts import check_all_limits
from livematte.matting.cuts import wait_for_cut
from livematte.matting.frame_matting import FrameMatting, ModelInput
from livematte.matting.people import People
from livematte.matting.regions import RegionTracker
from livematte.matting.temporal import TemporalFilter
from livematte.protocols import Background, LiveFormat, Model
from livematte.streaming.frame_normalizer import empty_frame
from livematte.streaming.gate import UNSURE, judge

_shots = count()


class LiveMatting:
    """Matting of frames that may be dropped and may come from changing cameras, with a judgement of each
    matte.

    It has a :class:`~livematte.matting.frame_matting.FrameMatting`.

    Attributes:
        shot: a number that changes at each cut and after each failure, and is different in every object. A
            consumer that misses frames still sees that a shot has begun.
    """

    def __init__(
        self,
        model: Model,
        temporal: TemporalFilter | None = None,
        *,
        keep_small_components: bool = False,
        people: People = None,
        regions: RegionTracker | None = None,
    ) -> None:
        self.frame_matting = FrameMatting(
            model,
            temporal,
            keep_small_components=keep_small_components,
            people=people,
            regions=regions,
        )
        self.shot = next(_shots)
        self._epoch: int | None = None

    def matte(self, frame: Frame, epoch: int) -> tuple[ModelInput, Matte, str]:
        """Matte one frame, on the device where it is.

        After a failure the next frame begins a new shot: one NaN would stay in the memory for ever.

        The matte is judged before and after the temporal filter: one frame whose matte covers the whole room
        would be averaged below the limit of doubt, and shown where it moves. After a doubtful matte the
        temporal filter restarts too.

        Args:
            epoch: another number than for the last frame starts a new shot: another camera, another size.

        Returns:
            The model's input, the matte, and the verdict of :func:`livematte.streaming.gate.judge`, which
            waits for a GPU.

        Raises:
            ModelError: the model gives no valid matte: wrong type, shape or values.
        """
        try:
            return self._matte(frame, epoch)
        except BaseException:
            self.frame_matting.restart()
            self.shot = next(_shots)
            raise

    def _matte(self, frame: Frame, epoch: int) -> tuple[ModelInput, Matte, str]:
        frames = self.frame_matting
        small = frames.shrink(replace(frame, keyframe_hint=frame.keyframe_hint or epoch != self._epoch))
        self._epoch = epoch
        small = frames.focus(frame, small)
        raw, limits = frames.raw(frame, small)
        check_all_limits(limits, frame)
        matte, verdict = raw, judge(raw.alpha)
        if wait_for_cut(small.cut):  # after the judgement, which has waited for the GPU already
            self.shot = next(_shots)
        if verdict != UNSURE:
            matte = frames.smooth(raw, small)
            if matte.alpha is not raw.alpha:
                verdict = judge(matte.alpha)
        if verdict == UNSURE:
            frames.restart_temporal()
        return small, matte, verdict

    def take_over(self, old: LiveMatting) -> None:
        """Continue in the shot of ``old``, with the memory of its temporal filter.

        Called in the context in which ``old`` worked.
        """
        self._epoch, self.shot = old._epoch, old.shot
        self.frame_matting.take_over(old.frame_matting)


@dataclass(frozen=True)
class ModelBundle:
    """The model and compositor of one level.

    Attributes:
        place: the device of both. The model's work is queued in its ``upload_stream``, the compositor's in
            its ``compute_stream``, so that no frame waits for the next one's matte.
        notes: lines for the user.
    """

    model: Model
    compositor: Compositor
    place: ExecutionContext = field(default_factory=CpuContext)
    notes: tuple[str, ...] = ()

    def warm(self, format: LiveFormat) -> None:
        """Run everything once on an empty frame, so that the first real frame is not slow.

        Raises:
            LivematteError: the model or the compositor cannot run.
        """
        matting = FrameMatting(self.model, TemporalFilter())
        behind: list[Background] = [Transparent() if format.alpha else Color((0, 177, 64))]
        with self.place.upload_stream():
            frame = self.place.upload(empty_frame(format))
            if on_gpu(frame.planes[0]):  # all kernels are compiled now
                behind = [Transparent(), Color((0, 177, 64)), Blur()]
            small = matting.shrink(frame)
            for _ in range(2):
                matte = matting(frame, small)
            judge(matte.alpha)
            alpha = np.zeros(matte.alpha.shape, np.float32)
            alpha[len(alpha) // 2 :] = 0.5
            matte = replace(matte, alpha=to_same_device(alpha, small.rgb))
            ready = self.place.record_event()
        with self.place.compute_stream():
            self.place.wait_event(ready)
            for each in behind:
                made = self.compositor(frame, matte, each, small=small.planes).picture
                assert made is not None
                self.place.download(made.planes).result()
