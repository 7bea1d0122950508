"""The model and the compositor of a live session, at each level of the governor's ladder."""

from __future__ import annotations

from dataclasses import replace

from livematte.composite import Compositor
from livematte.contracts import input_size
from livematte.engine import place_of
from livematte.jobs import Machine, PathLike, Refining, frames_on, network_of
from livematte.kernels.copies import OnGpu
from livematte.protocols import LiveFormat, Model, TrimapModel
from livematte.streaming.governor import Level, ladder
from livematte.streaming.matting import Parts

REFINER_SHARE = 0.4
"""Of a frame's time, for a network that refines, unless a budget is given."""


def refining_of(
    format: LiveFormat,
    how: str | TrimapModel,
    weights: PathLike | None,
    size: int | None,
    budget: float | None,
    temporal: str = "on",
) -> Refining:
    """What :class:`livematte.jobs.Refining` says, with a budget that leaves time for the rest of a frame."""
    refining = Refining(how, weights, size, budget, temporal=temporal)
    if refining.network and budget is None:
        return replace(refining, budget=REFINER_SHARE * 1000 / float(format.rate))
    return refining


class PartsMaker:
    """Makes a model and what composites with it for each level, and keeps what was made.

    Once something broke, what was kept is forgotten, and with device ``auto`` the processor does the work.
    """

    def __init__(
        self,
        model: str | Model,
        machine: Machine,
        weights: PathLike | None,
        size: int | None,
        refining: Refining,
        foreground: bool,
    ) -> None:
        self.model = model
        self._machine, self._weights, self._size = machine, weights, size
        self._refining, self._foreground = refining, foreground
        self._kept: dict[Level, Parts] = {}
        self._notes: tuple[str, ...] = ()

    def best(self, format: LiveFormat) -> tuple[list[Level], Parts]:
        """The ladder, and the warmed parts of its first level. Raises as :func:`livematte.load_model`."""
        refining = self._refining
        parts = self._make(self._size, refining)
        side = max(input_size(parts.model, format.height, format.width))
        how = refining.how if isinstance(refining.how, str) else "network"
        levels = ladder(side, how, network=refining.network)
        if not isinstance(self.model, str):  # one that was loaded cannot be made in other sizes
            levels = [level for level in levels if level.size == side and level.refine != "none"] or levels[
                :1
            ]
        parts.warm(format)
        self._kept[levels[0]] = parts
        return levels, parts

    def __call__(self, level: Level, broke: BaseException | None) -> Parts:
        """See :data:`livematte.streaming.making.Maker`."""
        if broke is not None:
            if self._machine.device == "auto":
                self._machine = replace(self._machine, device="cpu")
                if any(isinstance(parts.place, OnGpu) for parts in self._kept.values()):
                    self._notes = ("the CPU works from now on; start again to use the GPU",)
            self._kept.clear()
        if level not in self._kept:
            network = self._refining.network and level.refine not in ("guided", "none")
            refining = self._refining if network else Refining(level.refine)
            self._kept[level] = self._make(level.size, refining)
        return self._kept[level]

    def _make(self, size: int | None, refining: Refining) -> Parts:
        model = network_of(self.model, self._machine, self._weights, size, extras=refining.network)
        compositor: Compositor = refining.compositor(self._machine, foreground=self._foreground)
        device, notes = frames_on(self._machine)
        return Parts(model, compositor, place_of(device), (*self._notes, *notes))
