"""Frames in order in, mattes out: the model, removal of small components and the temporal filter, with their
state. Offline renders, live sessions and evaluation use the same class.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from livematte.device import Device
from livematte.device.cuda import on_gpu
from livematte.device.execution import CpuContext, CudaContext, ExecutionContext
from livematte.device.transfer import matte_to_same_device, to_host, to_same_device
from livematte.errors import ModelError
from livematte.frame import Array, Frame, Matte
from livematte.kernels.convert import small_both
from livematte.matting import contracts
from livematte.matting.components import remove_small_components
from livematte.matting.contracts import Limits
from livematte.matting.cuts import Cut, CutDetector, half_size, resized_map, wait_for_cut
from livematte.matting.people import People, PeopleFilter
from livematte.matting.regions import PendingWindow, RegionTracker, Window, combined, window_picture
from livematte.matting.temporal import TemporalFilter, TemporalState
from livematte.parts import named_errors
from livematte.protocols import AsyncModel, GpuModel, Model, PendingMatte


@dataclass(frozen=True)
class ModelInput:
    """A frame at the size that the model sees.

    Attributes:
        planes: (3, h, w) float32, the frame's own codes.
        rgb: (h, w, 3) uint8.
        cut: true where the frame begins a new shot; see :data:`livematte.matting.cuts.Cut`.
        window: the part of ``rgb`` that the model sees; None if it sees all of it.
        look: (h', w', 3) uint8, the whole frame for a second run of the model; None without one.
    """

    planes: Array
    rgb: Array
    cut: Cut = False
    window: Window | None = None
    look: Array | None = None


class FrameMatting:
    """Model, removal of small components and temporal filter, with their state.

    Attributes:
        people: the filter that keeps only some people; whom may be changed at any time.

    Mattes are on a GPU where frames are. Cuts are found here, once for each frame, and handed on with
    :attr:`ModelInput.cut`: the model's state and the temporal filter restart at a cut.

    With regions, the model sees a window round the people; see :mod:`livematte.matting.regions`.
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
        self._model, self._temporal, self._keep_small_components = (
            model,
            temporal or TemporalFilter(),
            keep_small_components,
        )
        self.people = PeopleFilter(people)
        self._regions = regions or RegionTracker("off")
        self._cuts = CutDetector()
        self._frame_sizes: tuple[tuple[int, int], tuple[int, int]] | None = None  # stored and as shown
        self._model_state: Any = None
        self._temporal_state: TemporalState | None = None

    @classmethod
    def unfiltered(cls, model: Model) -> FrameMatting:
        """A matting that returns the model's own mattes: nothing is removed or smoothed."""
        return cls(model, TemporalFilter("off"), keep_small_components=True)

    def shrink(self, frame: Frame) -> ModelInput:
        """The small picture that the model sees. Frames come in order: each is compared with the one before.

        Raises:
            ModelError: the model gives no valid input size.
        """
        # In square pixels: people have the shape that the model was trained on.
        planes, rgb = small_both(frame, *contracts.input_size(self._model, *frame.display_size))
        cut = self._cuts(rgb)
        if frame.keyframe_hint or (frame.size, frame.display_size) != self._frame_sizes:
            cut = True
        self._frame_sizes = frame.size, frame.display_size
        return ModelInput(planes, rgb, cut)

    def focus(self, frame: Frame, small: ModelInput) -> ModelInput:
        """The picture of which the model sees a window round people; ``small`` itself if it sees all of it.

        Called for each frame after :meth:`shrink` and before :meth:`begin` or the call.
        """
        if small.cut is True:
            self._regions.restart()
        window = self._regions.window()
        size = small.rgb.shape[:2]
        if window is None or on_gpu(small.rgb) or (window.height, window.width) != size:
            return small
        look = self._regions.needs_look(half_size(small.rgb), float(frame.seconds))
        planes, rgb = small_both(frame, *window.grid)
        return ModelInput(planes, rgb, small.cut, window, small.rgb if look else None)

    @property
    def in_flight(self) -> int:
        """Number of frames to :meth:`begin` before the first is finished."""
        return self._model.in_flight if isinstance(self._model, AsyncModel) else 1

    def begin(self, small: ModelInput) -> PendingMatte | None:
        """Let the model start on a picture, if it can work ahead; otherwise None."""
        if not isinstance(self._model, AsyncModel):
            return None
        if small.window is None:
            return self._submit(self._model, self._model_rgb(small.rgb))
        inside = self._submit(self._model, window_picture(small.window, small.rgb))
        look = None if small.look is None else self._submit(self._model, small.look)
        return PendingWindow(inside, look, self._check_size, small.window, small.rgb)

    def _submit(self, model: AsyncModel, rgb: Array) -> PendingMatte:
        with named_errors("model", model, ModelError):
            return model.submit(rgb)

    def _check_size(self, matte: Matte, size: tuple[int, int]) -> None:
        contracts.check_matte(self._model, "model", matte, *size)

    def _model_rgb(self, rgb: Array) -> Array:
        on_device = isinstance(self._model, GpuModel) and self._model.takes_gpu_arrays
        return rgb if on_device else to_host(rgb)

    def _run(self, small: ModelInput) -> Matte:
        """The model's matte of the whole picture, computed now."""
        if small.window is None:
            rgb = self._model_rgb(small.rgb)
            matte, self._model_state = contracts.run_model(self._model, rgb, self._model_state)
            return matte
        pictures = [window_picture(small.window, small.rgb), *([] if small.look is None else [small.look])]
        mattes = []
        for rgb in pictures:  # only for models without state
            matte, _ = contracts.run_model(self._model, rgb, None)
            contracts.check_matte(self._model, "model", matte, *rgb.shape[:2])
            mattes.append(matte)
        return combined(mattes[0], mattes[1] if small.look is not None else None, small.window, small.rgb)

    def __call__(self, frame: Frame, small: ModelInput, begun: PendingMatte | None = None) -> Matte:
        """The temporally filtered matte of ``frame``, at the size of ``small``. Frames come in order.

        Raises:
            ModelError: the model gives no valid matte: wrong type, shape or values.
        """
        matte, limits = self.unchecked(frame, small, begun)
        contracts.check_all_limits(limits, frame)
        return matte

    def still(self, frame: Frame) -> tuple[ModelInput, Matte]:
        """The picture that the model sees and the matte of a single frame.

        Small people are seen twice: in the whole frame, then enlarged.

        Raises:
            ModelError: as a call.
        """
        self.restart()
        small = self.shrink(frame)
        matte = self(frame, small)
        focused = self.focus(frame, replace(small, cut=False))
        if focused.window is None:
            return small, matte
        self.restart_temporal()
        enlarged = self(frame, focused)
        return (small, matte) if self._regions.window() is None else (focused, enlarged)

    def unchecked(
        self, frame: Frame, small: ModelInput, begun: PendingMatte | None = None
    ) -> tuple[Matte, Limits]:
        """As a call, without waiting for a GPU: check the limits before the matte is used outside."""
        matte, limits = self.raw(frame, small, begun)
        return self.smooth(matte, small), limits

    def raw(self, frame: Frame, small: ModelInput, begun: PendingMatte | None = None) -> tuple[Matte, Limits]:
        """The matte before the temporal filter, small components removed; limits as of :meth:`unchecked`."""
        if (self._model_state is not None or not on_gpu(small.cut)) and wait_for_cut(small.cut):
            self.restart()
        matte = self._run(small) if begun is None else self._result(begun)
        contracts.check_matte(self._model, "model", matte, *small.rgb.shape[:2])
        matte, limits = contracts.clip_matte(matte_to_same_device(matte, small.rgb), frame)
        if not self._keep_small_components:
            matte = replace(matte, alpha=remove_small_components(matte.alpha))
        matte = replace(matte, alpha=self.people(matte.alpha))
        if self._regions.on and self._model_state is None:
            shown = frame.display_size
            size = contracts.input_size(self._model, *shown)
            self._regions.update(matte.alpha, size, shown, float(frame.seconds))
        return matte, limits

    def _result(self, begun: PendingMatte) -> Matte:
        with named_errors("model", self._model, ModelError):
            return begun.result()

    def smooth(self, matte: Matte, small: ModelInput) -> Matte:
        """The matte after the temporal filter; ``matte`` itself where nothing came before."""
        before = self._temporal_state
        if before is not None:  # the model before may have worked on another device
            before = TemporalState(*(to_same_device(x, small.rgb) for x in vars(before).values()))
            if not on_gpu(small.rgb) and before.alpha.shape != matte.alpha.shape:  # another window's grid
                before = resized(before, *matte.alpha.shape)
        filtered, self._temporal_state = self._temporal(matte, small.rgb, before, small.cut)
        return filtered

    @property
    def remembers_alpha(self) -> bool:
        """True while the temporal filter has a frame to compare the next one with."""
        return self._temporal_state is not None

    def restart(self) -> None:
        """Forget all state: the next frame is processed as the first of a shot."""
        self._regions.restart()
        self._model_state = self._temporal_state = None
        self.people.restart()

    def restart_temporal(self) -> None:
        """Forget the state of the temporal filter only."""
        self._temporal_state = None

    def take_over(self, old: FrameMatting) -> None:
        """Continue with the temporal filter's memory of ``old``, resized to this model's input.

        A still edge then fades from the old model's alpha to the new one's. The state of another model does
        not fit. Called in the context in which ``old`` worked.
        """
        self._frame_sizes = old._frame_sizes
        if self._frame_sizes is None:
            return
        height, width = contracts.input_size(self._model, *self._frame_sizes[1])
        self._cuts.take_over(old._cuts, height, width)
        if old._temporal_state is not None:
            self._temporal_state = resized(old._temporal_state, height, width)


def resized(state: TemporalState, height: int, width: int) -> TemporalState:
    """The memory of the temporal filter for pictures of another size, in the computer's memory."""
    half = -(-height // 2), -(-width // 2)
    return TemporalState(
        resized_map(state.alpha, height, width),
        resized_map(state.raw, height, width),
        resized_map(state.picture, *half),
    )


def execution_context(device: Device | None) -> ExecutionContext:
    """The place where frames are worked on: the CPU for None, or a GPU. Raises as :class:`OnGpu`."""
    if device is None or device.kind != "cuda":
        return CpuContext()
    return CudaContext(device.index)
