"""The model and the compositor of a live session, at each level of the governor's ladder."""

from __future__ import annotations

from dataclasses import replace

from livematte.device.execution import CudaContext
from livematte.matting.contracts import input_size
from livematte.matting.frame_matting import execution_context
from livematte.protocols import LiveFormat
from livematte.resolve import RefineOptions, Resolved, frame_device
from livematte.streaming.governor import Level, ladder
from livematte.streaming.live_matting import ModelBundle
from livematte.streaming.model_loader import PreparedModels

REFINER_SHARE = 0.4
"""Of a frame's time, for a network that refines, unless a budget is given."""


def with_budget(resolved: Resolved, format: LiveFormat) -> Resolved:
    """The same options with a refiner budget that leaves time for the rest of a frame."""
    refine = resolved.refine
    if refine.network and refine.budget is None:
        return replace(resolved, refine=replace(refine, budget=REFINER_SHARE * 1000 / float(format.rate)))
    return resolved


class ModelFactory:
    """Makes a model and what composites with it for each level, and keeps what was made.

    Once something broke, what was kept is forgotten, and with device ``auto`` the processor does the work.
    """

    def __init__(self, resolved: Resolved) -> None:
        self._resolved = resolved
        self._kept: dict[Level, ModelBundle] = {}
        self._notes: tuple[str, ...] = ()

    def best(self, format: LiveFormat) -> PreparedModels:
        """The ladder, and the warmed parts of its first level. Raises as :func:`livematte.load_model`."""
        resolved, refine = self._resolved, self._resolved.refine
        parts = self._make(resolved)
        side = max(input_size(parts.model, format.height, format.width))
        how = refine.how if isinstance(refine.how, str) else "network"
        levels = ladder(side, how, network=refine.network)
        if not resolved.by_name:  # one that was loaded cannot be made in other sizes
            levels = [level for level in levels if level.size == side and level.refine != "none"] or levels[
                :1
            ]
        parts.warm(format)
        self._kept[levels[0]] = parts
        return PreparedModels(self, levels, parts)

    def __call__(self, level: Level, broke: BaseException | None) -> ModelBundle:
        """See :data:`livematte.streaming.model_loader.BundleMaker`."""
        if broke is not None:
            if self._resolved.compute.device == "auto":
                self._resolved = self._resolved.on("cpu")
                if any(isinstance(bundle.place, CudaContext) for bundle in self._kept.values()):
                    self._notes = ("the CPU works from now on; start again to use the GPU",)
            self._kept.clear()
        if level not in self._kept:
            refine = self._resolved.refine
            network = refine.network and level.refine not in ("guided", "none")
            how = refine if network else RefineOptions(level.refine)
            self._kept[level] = self._make(self._resolved.at(level.size, how))
        return self._kept[level]

    def _make(self, resolved: Resolved) -> ModelBundle:
        model, compositor = resolved.model(), resolved.compositor()
        device, notes = frame_device(resolved.compute)
        return ModelBundle(model, compositor, execution_context(device), (*self._notes, *notes))
