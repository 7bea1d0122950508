"""Options become networks, refiner, compositor, matting and background, for every call and worker."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from livematte import registry
from livematte.device import Device, choose_device
from livematte.errors import LivematteError, ModelError, UsageError
from livematte.kernels.check import check_kernels
from livematte.matting.backgrounds import parse_background
from livematte.matting.compositor import Compositor
from livematte.matting.contracts import check_part, describe
from livematte.matting.frame_matting import FrameMatting
from livematte.matting.refiner import TileRefiner
from livematte.matting.temporal import TemporalFilter, check_mode
from livematte.matting.upsampling import METHODS
from livematte.networks import check_augment, check_model, check_refine, load_model, load_refiner
from livematte.options import (
    PathLike,
    RenderOptions,
)
from livematte.options.declaration import defaults
from livematte.protocols import Background, Model, TrimapModel


@dataclass(frozen=True)
class ComputeOptions:
    """Device, runtime, precision and threads of all networks of a call; as for :func:`load_model`."""

    device: str = "auto"
    runtime: str = "auto"
    precision: str = "auto"
    threads: int | None = None

    @property
    def devices(self) -> list[str]:
        """``cuda:0,cuda:1`` as its parts; one part where there is no comma.

        Raises:
            UsageError: one of several is empty or ``auto``.
        """
        devices = [each.strip() for each in self.device.split(",")]
        if len(devices) > 1 and not all(each and each != "auto" for each in devices):
            raise UsageError(f"device {self.device!r}: name each of several, such as cuda:0,cuda:1")
        return devices


@dataclass(frozen=True)
class RefineOptions:
    """Upsampling of alpha to the frame's size, by a method or a refiner.

    Attributes:
        how: ``none``, ``guided``, the name of a refiner or one that is loaded.
        weights: the refiner's, of one's own training.
        size: long side at which a refiner works; None: the frame's own, up to 1280.
        budget: milliseconds a frame for a refiner; None: as long as it takes.
        augment: a refiner's test-time augmentation.
        temporal: temporal filter of the refined alpha, one of :data:`livematte.matting.temporal.MODES`.
        alone: a refiner alone decides the unknown band, as for a trimap that somebody drew.
    """

    how: str | TrimapModel = "guided"
    weights: PathLike | None = None
    size: int | None = None
    budget: float | None = None
    augment: bool = False
    temporal: str = "on"
    alone: bool = False

    def __post_init__(self) -> None:
        if isinstance(self.how, str):
            check_refine(self.how)
        idle = [
            f"--refine-{word}"
            for word, value in (
                ("weights", self.weights),
                ("size", self.size),
                ("budget", self.budget),
                ("tta", self.augment or None),
            )
            if value is not None
        ]
        if idle and not self.network:
            known = ", ".join(registry.names("refiners")) or "none is installed"
            raise UsageError(f"{idle[0]} is for a network that refines: name one with --refine ({known})")
        if self.augment and not isinstance(self.how, str):
            raise UsageError("refine_tta is for a refiner by name: load this one with augment=True")
        if self.augment and isinstance(self.how, str):
            check_augment(self.how)
        check_mode(self.temporal)

    @property
    def network(self) -> bool:
        """True where a refiner network does it."""
        return self.how not in METHODS

    def loaded(self, compute: ComputeOptions) -> RefineOptions:
        """The same with the refiner loaded, for more than one compositor. Raises as :func:`load_model`."""
        if not (self.network and isinstance(self.how, str)):
            return self
        return replace(self, how=self._named(self.how, compute), weights=None, augment=False)

    def compositor(self, compute: ComputeOptions, *, foreground: bool) -> Compositor:
        """A compositor that upsamples so. Raises as :func:`load_model`."""
        if not self.network:
            assert isinstance(self.how, str)
            return Compositor(refine=self.how, foreground=foreground)
        network = self._named(self.how, compute) if isinstance(self.how, str) else self.how
        budget = None if self.budget is None else self.budget / 1000
        refiner = TileRefiner(
            network, long_side=self.size, budget=budget, temporal=self.temporal, replace=self.alone
        )
        return Compositor(foreground=foreground, refiner=refiner)

    def _named(self, name: str, compute: ComputeOptions) -> TrimapModel:
        try:
            return load_refiner(name, weights=self.weights, augment=self.augment, **vars(compute))
        except ModelError as error:  # written for --model
            line = re.sub(r"--(?=weights\b)", "--refine-", str(error)).replace("--model", "--refine")
            raise type(error)(line) from error


def frame_device(compute: ComputeOptions) -> tuple[Device | None, list[str]]:
    """The NVIDIA GPU that processes frames, None for the CPU; and notes for the user.

    Raises:
        UsageError, DeviceError: as :func:`livematte.device.choose_device`.
    """
    device = choose_device(compute.device, compute.runtime)
    if device.kind != "cuda":
        return None, []
    try:
        check_kernels(device.index)
    except LivematteError as error:
        return None, [f"only the network runs on {device}: {error}"]
    return device, []


def cuda_index(compute: ComputeOptions) -> int | None:
    """Index of the NVIDIA GPU of a call, also for its decoder and encoder; None where it has none.

    Raises as :func:`frame_device`.
    """
    device = choose_device(compute.device, compute.runtime)
    return device.index if device.kind == "cuda" else None


def collect_notes(*networks: object) -> list[str]:
    """Notes of networks after their work, such as that memory was short."""
    return [note for network in networks for note in getattr(network, "notes", ())]


def trimap_network(model: str | Model, refine: str | TrimapModel) -> str | TrimapModel:
    """The network that is given a drawn trimap: ``--model`` or ``--refine`` names it."""
    refiners = registry.names("refiners")
    by_model = isinstance(model, str) and model in refiners
    if by_model and refine not in METHODS:
        raise UsageError(f"both {model} and {refine} would take the trimap: name one of them")
    if isinstance(model, str) and by_model:
        return model
    if refine in METHODS:
        known = ", ".join(refiners) or "none is installed"
        raise UsageError(f"a trimap is for a network that takes one: name it with --refine ({known})")
    return refine


def resolve_model(model: str | Model, *, streams: int = 1, extras: bool = False, **options: Any) -> Model:
    """A model, loaded if it is given by name. Arguments and errors as for :func:`load_model`.

    Raises:
        ModelError: also for an object that is no model.
    """
    if not isinstance(model, str):
        check_part(model, Model, "model", ModelError)
        return model
    return load_model(model, streams=streams, extras=extras, **options)


def resolve_background(spec: PathLike | Background, fit: str) -> Background:
    """A background, opened if it is given as text or a path."""
    if isinstance(spec, (str, os.PathLike)):
        return parse_background(spec if isinstance(spec, str) else Path(spec), fit=fit)
    if isinstance(spec, type) or not isinstance(spec, Background):
        raise UsageError(
            f"background {describe(spec)} is of no use: give a colour as text (#00b140), a file, blur, "
            "transparent or an object with the methods of livematte.protocols.Background"
        )
    return spec


@dataclass(frozen=True)
class Resolved:
    """The options of a call, checked: makes its networks, compositor, matting and background.

    Attributes:
        options: all of the call's; those that it has not are :func:`livematte.render`'s defaults.
        drawn: a trimap is given, so that no model looks for people.
        extras: the model's further maps are wanted whatever refines.
    """

    options: Mapping[str, Any]
    compute: ComputeOptions
    refine: RefineOptions
    drawn: bool = False
    extras: bool = False

    def model(self, *, streams: int = 1) -> Model:
        """The model; with its further maps where a refiner network follows, which may take its trimap.

        Args:
            streams: at most; no more than there are threads.

        Raises as :func:`load_model`.
        """
        streams = min(streams, self.compute.threads or os.cpu_count() or 1)
        own = {name: self.options[name] for name in ("weights", "size")}
        extras = self.extras or self.refine.network
        given = {**own, **vars(self.compute)}
        return resolve_model(self.options["model"], streams=streams, extras=extras, **given)

    @property
    def name(self) -> str:
        """The model's name; of one that is an object, its class."""
        model = self.options["model"]
        return model if isinstance(model, str) else type(model).__name__

    def facts(self) -> dict[str, object]:
        """The networks, for a report."""
        files = {name: self.options[name] for name in ("weights", "refine_weights")}
        return {
            "model": self.name,
            "size": self.options["size"],
            **{name: None if path is None else str(path) for name, path in files.items()},
            "refine_tta": self.refine.augment,
        }

    def check_names(self) -> None:
        """Raise UsageError unless another process can make the same: of names and paths, not of objects."""
        if not (self.by_name and isinstance(self.refine.how, str)):
            raise UsageError("several devices load their own networks: give models and refiners by name")
        if not isinstance(self.options["background"], (str, os.PathLike)):
            raise UsageError("several devices open the background each: give it as text or a file")

    @property
    def by_name(self) -> bool:
        """True where the model is a name, and can be loaded again."""
        return isinstance(self.options["model"], str)

    def with_refiner(self) -> Resolved:
        """The same with the refiner loaded, for more than one compositor."""
        return replace(self, refine=self.refine.loaded(self.compute))

    def with_model(self, model: str | Model) -> Resolved:
        """The same for another model; weights of one's own belong to the one that was asked for."""
        own = model is self.options["model"] or (isinstance(model, str) and model == self.options["model"])
        weights = self.options["weights"] if own else None
        return replace(self, options={**self.options, "model": model, "weights": weights})

    def at(self, size: int | None, refine: RefineOptions) -> Resolved:
        """The same at another size of the network's picture, refined in another way."""
        return replace(self, options={**self.options, "size": size}, refine=refine)

    def on(self, device: str) -> Resolved:
        """The same on another device."""
        return replace(self, compute=replace(self.compute, device=device))

    def compositor(self) -> Compositor:
        """A compositor with the refiner. One a video. Raises as :func:`load_model`."""
        return self.refine.compositor(self.compute, foreground=self.options["foreground"])

    def matting(self, model: Model) -> FrameMatting:
        """A matting of the model with the filters that the options ask for. One a video."""
        return FrameMatting(model, **self.filters())

    def filters(self) -> dict[str, Any]:
        """Keyword arguments of :class:`livematte.matting.frame_matting.FrameMatting`."""
        keep = self.drawn or self.options["keep_islands"]
        return {"temporal": TemporalFilter(self.options["temporal"]), "keep_small_components": keep}

    def background(self, default: PathLike | None = None) -> Background:
        """The background, opened; ``default`` where the call has none. Raises UsageError."""
        spec = self.options["background"]
        return resolve_background(default if spec is None and default else spec, self.options["fit"])


def resolve(options: Mapping[str, Any], *, extras: bool = False) -> Resolved:
    """Check the options of a call that make networks and filters. Loads and opens nothing.

    Args:
        options: complete, as :func:`livematte.options.declaration.complete` gives them.
        extras: see :class:`Resolved`.

    Raises:
        UsageError: a name that there is not, or options that do not go together.
    """
    drawn = options.get("trimap") is not None
    full = {**defaults(RenderOptions), **options}
    if drawn:
        network = trimap_network(full["model"], full["refine"])
        if network is full["model"] and full["weights"] is not None:
            full["refine_weights"] = full["weights"]
        full["refine"] = network
    elif isinstance(full["model"], str):
        check_model(full["model"])
    refine = RefineOptions(
        full["refine"],
        full["refine_weights"],
        full["refine_size"],
        full["refine_budget"],
        full["refine_tta"],
        full["temporal"],
        drawn,
    )
    compute = ComputeOptions(full["device"], full["runtime"], full["precision"], full["threads"])
    return Resolved(full, compute, refine, drawn, extras)
