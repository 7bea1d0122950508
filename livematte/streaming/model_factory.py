"""Model and compositor of a live session for each quality level of the governor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from livematte.device.execution import CudaContext
from livematte.inference.adapters import PIXEL_BUDGET
from livematte.matting.contracts import input_size
from livematte.matting.frame_matting import execution_context
from livematte.protocols import LiveFormat
from livematte.resolve import RefineOptions, Resolved, frame_device
from livematte.streaming.governor import Level, ladder
from livematte.streaming.live_matting import ModelBundle
from livematte.streaming.model_loader import PreparedModels

FIRST_PIXELS = 1.2 * PIXEL_BUDGET
"""Largest network input with which a session without ``size`` begins."""

REFINER_SHARE = 0.4
"""Share of the frame interval that a refiner may use if no budget is given."""


def with_budget(resolved: Resolved, format: LiveFormat) -> Resolved:
    """Return the options with a default refiner budget, which leaves time for the rest of the frame."""
    refine = resolved.refine
    if refine.network and refine.budget is None:
        return replace(resolved, refine=replace(refine, budget=REFINER_SHARE * 1000 / float(format.rate)))
    return resolved


def level_like(present: Level, levels: Sequence[Level]) -> int:
    """Return the number of the best level without a larger picture or more refinement than ``present``."""
    for number, each in enumerate(levels):
        fits = present.size is None or each.size is None or each.size <= present.size
        if fits and (present.refine != "none" or each.refine == "none"):
            return number
    return len(levels) - 1


class ModelFactory:
    """Creates and caches the model and compositor for each quality level.

    After an error the cache is cleared and, with device ``auto``, the CPU is used from then on.
    """

    def __init__(self, resolved: Resolved) -> None:
        self._resolved = resolved
        self._bundles: dict[Level, ModelBundle] = {}
        self._notes: tuple[str, ...] = ()

    def prepare(self, format: LiveFormat, lowered: Level | None = None) -> PreparedModels:
        """Return the levels, and one of them warmed up: the best that is not larger than ``lowered``.

        Without ``lowered`` it is the size asked for, or the best that 2 cores process at video rate.

        Raises:
            LivematteError: as :func:`livematte.load_model`.
        """
        resolved, refine = self._resolved, self._resolved.refine
        bundle = self._create(resolved)
        height, width = input_size(bundle.model, format.height, format.width)
        side = max(height, width)
        how = refine.how if isinstance(refine.how, str) else "network"
        levels = ladder(side, how, network=refine.network)
        if not resolved.by_name:  # a model object has one fixed size
            levels = [level for level in levels if level.size == side and level.refine != "none"] or levels[
                :1
            ]
        self._bundles[levels[0]] = bundle
        first = 0
        if not resolved.sized and not refine.network:
            share = FIRST_PIXELS / (height * width)
            first = next((n for n, each in enumerate(levels) if each.cost <= share), len(levels) - 1)
        level = first if lowered is None else level_like(lowered, levels)
        bundle = self(levels[level], None)
        bundle.warm(format)
        return PreparedModels(self, levels, bundle, level, first)

    def __call__(self, level: Level, error: BaseException | None) -> ModelBundle:
        """See :data:`livematte.streaming.model_loader.BundleMaker`."""
        if error is not None:
            if self._resolved.compute.device == "auto":
                self._resolved = self._resolved.on("cpu")
                if any(isinstance(bundle.place, CudaContext) for bundle in self._bundles.values()):
                    self._notes = (
                        "the GPU failed and the CPU is used from now on: restart the session to use the GPU",
                    )
            self._bundles.clear()
        if level not in self._bundles:
            refine = self._resolved.refine
            network = refine.network and level.refine not in ("guided", "none")
            how = refine if network else RefineOptions(level.refine)
            self._bundles[level] = self._create(self._resolved.at(level.size, how))
        return self._bundles[level]

    def _create(self, resolved: Resolved) -> ModelBundle:
        model, compositor = resolved.model(), resolved.compositor(framing=False)
        device, notes = frame_device(resolved.compute)
        return ModelBundle(model, compositor, execution_context(device), (*self._notes, *notes))
