"""Creation of networks, refiner, compositor, matting and background from options, for calls and workers."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from livematte import registry
from livematte.device import Device, choose_device
from livematte.errors import LivematteError, ModelError, UsageError
from livematte.kernels.check import check_kernels
from livematte.matting.background_choice import is_transparent, resolve_background
from livematte.matting.compositor import Compositor
from livematte.matting.contracts import check_part
from livematte.matting.edges import UNCHANGED, Edge
from livematte.matting.frame_matting import FrameMatting
from livematte.matting.framing import OFF, Framer, check_framing
from livematte.matting.people import parse_people
from livematte.matting.refiner import TileRefiner
from livematte.matting.regions import RegionTracker
from livematte.matting.temporal import TemporalFilter, check_mode
from livematte.matting.upsampling import is_method
from livematte.networks import check_augment, check_model, check_refine, load_model, load_refiner
from livematte.options import (
    PathLike,
    RenderOptions,
)
from livematte.options.declaration import defaults
from livematte.protocols import Background, Model, TrimapModel
from livematte.video.hardware import check_hwaccel


@dataclass(frozen=True)
class ComputeOptions:
    """Device, runtime, precision and threads of all networks of a call, as for :func:`load_model`."""

    device: str = "auto"
    runtime: str = "auto"
    precision: str = "auto"
    threads: int | None = None

    @property
    def devices(self) -> list[str]:
        """Return the devices of a comma-separated list such as ``cuda:0,cuda:1``.

        Raises:
            UsageError: a list of several devices contains an empty name or ``auto``.
        """
        devices = [each.strip() for each in self.device.split(",")]
        if len(devices) > 1 and not all(each and each != "auto" for each in devices):
            raise UsageError(
                f"device {self.device!r} is invalid: in a list, name every device, such as cuda:0,cuda:1"
            )
        return devices


@dataclass(frozen=True)
class RefineOptions:
    """Upsampling of alpha to the frame size, by a method or a refiner.

    Attributes:
        how: ``none``, ``guided``, the name of a refiner, or a loaded refiner.
        weights: file with the user's weights of the refiner.
        size: long side of the refiner input in pixels; None: the frame size, at most 1280.
        budget: maximum time of the refiner in milliseconds per frame; None: no limit.
        augment: use the test-time augmentation of the refiner.
        temporal: temporal filter of the refined alpha, one of :data:`livematte.matting.temporal.MODES`.
        alone: the refiner replaces alpha in the unknown region instead of being blended, for a given trimap.
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
            raise UsageError(f"{idle[0]} needs a refiner: name one with --refine ({known})")
        if self.augment and not isinstance(self.how, str):
            raise UsageError("refine_tta needs a refiner by name: load the refiner with augment=True instead")
        if self.augment and isinstance(self.how, str):
            check_augment(self.how)
        check_mode(self.temporal)

    @property
    def network(self) -> bool:
        """True if a refiner network is used."""
        return not is_method(self.how)

    def loaded(self, compute: ComputeOptions) -> RefineOptions:
        """Return a copy with a loaded refiner, shared by its compositors. Raises as :func:`load_model`."""
        if not (self.network and isinstance(self.how, str)):
            return self
        return replace(self, how=self._load(self.how, compute), weights=None, augment=False)

    def compositor(
        self,
        compute: ComputeOptions,
        *,
        foreground: bool,
        edge: Edge = UNCHANGED,
        framer: Framer | None = None,
    ) -> Compositor:
        """Return a compositor with this upsampling. Raises as :func:`load_model`."""
        if not self.network:
            assert isinstance(self.how, str)
            return Compositor(refine=self.how, foreground=foreground, edge=edge, framer=framer)
        network = self._load(self.how, compute) if isinstance(self.how, str) else self.how
        budget = None if self.budget is None else self.budget / 1000
        refiner = TileRefiner(
            network, long_side=self.size, budget=budget, temporal=self.temporal, replace=self.alone
        )
        return Compositor(foreground=foreground, refiner=refiner, edge=edge, framer=framer)

    def _load(self, name: str, compute: ComputeOptions) -> TrimapModel:
        try:
            return load_refiner(name, weights=self.weights, augment=self.augment, **vars(compute))
        except ModelError as error:  # the message names the options of --model
            line = re.sub(r"--(?=weights\b)", "--refine-", str(error)).replace("--model", "--refine")
            raise type(error)(line) from error


def frame_device(compute: ComputeOptions) -> tuple[Device | None, list[str]]:
    """Return the NVIDIA GPU that processes frames (None for the CPU), and notes for the user.

    Raises:
        UsageError, DeviceError: as :func:`livematte.device.choose_device`.
    """
    device = choose_device(compute.device, compute.runtime)
    if device.kind != "cuda":
        return None, []
    try:
        check_kernels(device.index)
    except LivematteError as error:
        return None, [f"only the network runs on {device}, frames are processed on the CPU: {error}"]
    return device, []


def cuda_index(compute: ComputeOptions) -> int | None:
    """Return the index of the NVIDIA GPU of a call, also for decoder and encoder; None without a GPU.

    Raises as :func:`frame_device`.
    """
    device = choose_device(compute.device, compute.runtime)
    return device.index if device.kind == "cuda" else None


def collect_notes(*networks: object) -> list[str]:
    """Return the notes that networks collected while running, e.g. about a lack of memory."""
    return [note for network in networks for note in getattr(network, "notes", ())]


def trimap_network(model: str | Model, refine: str | TrimapModel) -> str | TrimapModel:
    """Return the network for a given trimap, which ``--model`` or ``--refine`` names. Raises UsageError."""
    refiners = registry.names("refiners")
    by_model = isinstance(model, str) and model in refiners
    if by_model and not is_method(refine):
        raise UsageError(f"both {model} and {refine} take a trimap: name one of them")
    if isinstance(model, str) and by_model:
        return model
    if is_method(refine):
        known = ", ".join(refiners) or "none is installed"
        raise UsageError(f"a trimap needs a refiner: name it with --refine ({known})")
    return refine


def resolve_model(model: str | Model, *, streams: int = 1, extras: bool = False, **options: Any) -> Model:
    """Return a model; load it if it is given by name. Arguments and errors as for :func:`load_model`.

    Raises:
        ModelError: also for an object that is not a model.
    """
    if not isinstance(model, str):
        check_part(model, Model, "model", ModelError)
        return model
    return load_model(model, streams=streams, extras=extras, **options)


@dataclass(frozen=True)
class Resolved:
    """Checked options of a call, with methods that create its networks, compositor, matting and background.

    Attributes:
        options: all options of the call; options that it does not have are the defaults of
            :func:`livematte.render`.
        drawn: True if a trimap is given, so that no matting network runs.
        extras: True if the additional outputs of the model are needed even without a refiner.
    """

    options: Mapping[str, Any]
    compute: ComputeOptions
    refine: RefineOptions
    drawn: bool = False
    extras: bool = False

    def model(self, *, streams: int = 1) -> Model:
        """Return the model, with its additional outputs (e.g. a trimap) if a refiner follows.

        Args:
            streams: maximum number of frames processed in parallel; limited by the number of threads.

        Raises as :func:`load_model`.
        """
        streams = min(streams, self.compute.threads or os.cpu_count() or 1)
        own = {name: self.options[name] for name in ("weights", "size")}
        extras = self.extras or self.refine.network
        given = {**own, **vars(self.compute)}
        return resolve_model(self.options["model"], streams=streams, extras=extras, **given)

    @property
    def name(self) -> str:
        """Name of the model, or class name of a model object."""
        model = self.options["model"]
        return model if isinstance(model, str) else type(model).__name__

    @property
    def sized(self) -> bool:
        """True if the size of the network input is given."""
        return self.options["size"] is not None

    def facts(self) -> dict[str, object]:
        """Return the networks and their weights, for a report."""
        files = {name: self.options[name] for name in ("weights", "refine_weights")}
        return {
            "model": self.name,
            "size": self.options["size"],
            **{name: None if path is None else str(path) for name, path in files.items()},
            "refine_tta": self.refine.augment,
        }

    def check_names(self) -> None:
        """Raise UsageError unless networks and background are names or paths, which a worker can load."""
        if not (self.by_name and isinstance(self.refine.how, str)):
            raise UsageError(
                "several devices or files need models and refiners by name: each process loads them"
            )
        if not isinstance(self.options["background"], (str, os.PathLike)):
            raise UsageError(
                "several devices or files need the background as text or a file: each process opens it"
            )

    def check_split(self) -> None:
        """Raise UsageError unless parts of one file can be rendered apart; also as :meth:`check_names`."""
        if self.options["frame"] != OFF:
            raise UsageError(
                "several devices cannot follow people with one camera: use one device with --frame"
            )
        if isinstance(parse_people(self.options["keep"]), tuple):
            raise UsageError(
                "several devices cannot follow one person: use one device with --keep and a point"
            )
        self.check_names()

    @property
    def by_name(self) -> bool:
        """True if the model is given by name, so that it can be loaded again."""
        return isinstance(self.options["model"], str)

    def with_refiner(self) -> Resolved:
        """Return a copy with the refiner loaded, so that several compositors share it."""
        return replace(self, refine=self.refine.loaded(self.compute))

    def with_model(self, model: str | Model) -> Resolved:
        """Return a copy for another model. The user's weights are kept only for the original model."""
        own = model is self.options["model"] or (isinstance(model, str) and model == self.options["model"])
        weights = self.options["weights"] if own else None
        return replace(self, options={**self.options, "model": model, "weights": weights})

    def changed(self, model: str | Model, size: int | None, refine: str | TrimapModel) -> Resolved:
        """Return a copy for another model, size and refinement, which are checked.

        Options of a refiner are dropped if there is none. Raises UsageError.
        """
        if isinstance(model, str):
            check_model(model)
        if is_method(refine):
            how = RefineOptions(refine, temporal=self.refine.temporal)
        else:
            how = replace(self.refine, how=refine)
        return replace(self.with_model(model).at(size, how), extras=self.extras)

    def at(self, size: int | None, refine: RefineOptions) -> Resolved:
        """Return a copy with another network size and other refine options."""
        return replace(self, options={**self.options, "size": size}, refine=refine)

    def on(self, device: str) -> Resolved:
        """Return a copy for another device."""
        return replace(self, compute=replace(self.compute, device=device))

    def compositor(self, *, framing: bool = True) -> Compositor:
        """Return a compositor with the refiner; use one per video. Raises as :func:`load_model`.

        Args:
            framing: False leaves the auto-framing to the caller.
        """
        framer = self.framer() if framing else None
        return self.refine.compositor(
            self.compute, foreground=self.options["foreground"], edge=self.edge, framer=framer
        )

    def framer(self) -> Framer:
        """Return the auto-framing; use one per video."""
        return Framer(self.options["frame"])

    @property
    def edge(self) -> Edge:
        """The changes of the edge of alpha."""
        return Edge(self.options["choke"], self.options["feather"])

    def matting(self, model: Model) -> FrameMatting:
        """Return the matting of the model with the filters of the options; use one per video."""
        return FrameMatting(model, **self.filters())

    def filters(self) -> dict[str, Any]:
        """Return the keyword arguments of :class:`livematte.matting.frame_matting.FrameMatting`."""
        keep = self.drawn or self.options["keep_islands"]
        return {
            "temporal": TemporalFilter(self.options["temporal"]),
            "keep_small_components": keep,
            "people": None if self.drawn else parse_people(self.options["keep"]),
            "regions": RegionTracker("off" if self.drawn else self.options["regions"]),
        }

    def background(self, default: PathLike | None = None) -> Background:
        """Return the opened background; ``default`` if the call has none. Raises UsageError."""
        spec = self.options["background"]
        return resolve_background(default if spec is None and default else spec, self.options["fit"])


def video_suffix(options: Mapping[str, Any]) -> str:
    """Return the extension of a video in a folder: ``.mov`` with a transparent background."""
    background = options.get("background")
    transparent = background == "transparent" if isinstance(background, str) else is_transparent(background)
    return ".mov" if transparent else ".mp4"


def resolve(options: Mapping[str, Any], *, extras: bool = False) -> Resolved:
    """Check the options for networks and filters of a call. Does not load or open anything.

    Args:
        options: all options, as returned by :func:`livematte.options.declaration.complete`.
        extras: see :class:`Resolved`.

    Raises:
        UsageError: an unknown name, or options that exclude each other.
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
    parse_people(full["keep"])
    check_framing(full["frame"])
    compute = ComputeOptions(full["device"], full["runtime"], full["precision"], full["threads"])
    return Resolved(full, compute, refine, drawn, extras)


def resolve_render(options: Mapping[str, Any], *, extras: bool = False) -> Resolved:
    """Check the options of a render of files. Arguments and errors as :func:`resolve`."""
    resolved = resolve(options, extras=extras)
    check_hwaccel(options["hwaccel"])
    return resolved
