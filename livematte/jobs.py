"""What a job was asked for, made or refused before anything is written: networks, targets, backgrounds."""

from __future__ import annotations

import inspect
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np

from livematte import debugview, registry
from livematte.backgrounds import parse_background
from livematte.composite import Compositor
from livematte.contracts import answer, check_matte, check_part, input_size, told
from livematte.defaults import DEFAULT_MODEL
from livematte.device import Device, choose_device
from livematte.errors import LivematteError, ModelError, UsageError
from livematte.kernels.cuda_launch import check_kernels
from livematte.protocols import Background, Model, SourceInfo, TrimapModel
from livematte.refine import METHODS
from livematte.refiners import TileRefiner
from livematte.temporal import check_mode
from livematte.video.images import STILLS
from livematte.video.opening import PATTERN

PathLike = str | os.PathLike[str]


def load_model(
    name: str = DEFAULT_MODEL,
    *,
    weights: PathLike | None = None,
    size: int | None = None,
    device: str = "auto",
    runtime: str = "auto",
    precision: str = "auto",
    threads: int | None = None,
    streams: int = 1,
    extras: bool = False,
) -> Model:
    """A model ready to run.

    Args:
        name: one of ``livematte models``.
        weights: a safetensors file of one's own training instead of the shipped one.
        size: long side of the picture the network sees, in pixels; more is finer and slower.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:N``, ``directml``, ``directml:N`` or ``coreml``.
        runtime: ``auto``, ``torch``, ``onnxruntime``, ``tensorrt`` or ``openvino``.
        precision: ``auto``, ``int8``, ``fp32``, ``fp16`` or ``bf16``.
        threads: processor threads of the network; all by default.
        streams: pictures worked on side by side, each on its share of the threads, where it can: more
            frames a second, but each comes later. For files.
        extras: whether mattes carry what else the network gives, e.g. heat maps, a trimap.

    Raises:
        UsageError: unknown name or impossible option.
        ModelError: weights missing, damaged or of another architecture; or what is made is no model.
        DeviceError: the device or runtime asked for is not there.
    """
    check_model(name)
    model: Model = registry.load("models", name)(
        weights=None if weights is None else Path(weights),
        size=size,
        device=device,
        runtime=runtime,
        precision=precision,
        threads=threads,
        streams=streams,
        **({"extras": True} if extras else {}),
    )
    check_part(model, Model, "model", ModelError)
    return model


def load_refiner(
    name: str,
    *,
    weights: PathLike | None = None,
    device: str = "auto",
    runtime: str = "auto",
    precision: str = "auto",
    threads: int | None = None,
    augment: bool = False,
) -> TrimapModel:
    """A network that takes a trimap, ready to run. Options and errors as for :func:`load_model`.

    Args:
        name: one of the refiners of ``livematte models``.
        augment: its test-time augmentation: slower, and finer.

    Raises:
        UsageError: also where ``augment`` is asked of a refiner that has none.
    """
    if augment:
        check_augment(name)
    refiner: TrimapModel = registry.load("refiners", name)(
        weights=None if weights is None else Path(weights),
        device=device,
        runtime=runtime,
        precision=precision,
        threads=threads,
        **({"augment": True} if augment else {}),
    )
    check_part(refiner, TrimapModel, "refiner", ModelError)
    return refiner


def check_augment(name: str) -> None:
    """Raise UsageError unless the refiner ``name`` has test-time augmentation."""
    if _augments(name):
        return
    able = ", ".join(other for other in registry.names("refiners") if _augments(other)) or "none"
    raise UsageError(f"{name} has no test-time augmentation (those that have: {able}): drop --refine-tta")


def _augments(name: str) -> bool:
    try:
        return "augment" in inspect.signature(registry.load("refiners", name)).parameters
    except ModelError:  # another one that is broken
        return False


def check_model(name: str) -> None:
    """Raise UsageError unless a model has that name."""
    if name not in registry.names("models") and name in registry.names("refiners"):
        raise UsageError(
            f"{name} takes a trimap: use --refine {name}, or for a drawn one livematte image IN OUT "
            f"--trimap FILE --model {name}"
        )
    registry.entry("models", name)


def check_refine(name: str) -> None:
    """Raise UsageError unless ``name`` is a method of refining or a refiner."""
    known = [*METHODS, *registry.names("refiners")]
    if name in known:
        return
    if name in registry.names("models"):
        raise UsageError(f"{name} is a model without a trimap: --refine takes {', '.join(known)}")
    close = get_close_matches(name, known, 1)
    hint = f"did you mean {close[0]!r}? " if close else ""
    raise UsageError(f"unknown refine method {name!r}: {hint}allowed are {', '.join(known)}")


@dataclass(frozen=True)
class Machine:
    """Where and how networks run; each as for :func:`load_model`."""

    device: str = "auto"
    runtime: str = "auto"
    precision: str = "auto"
    threads: int | None = None


@dataclass(frozen=True)
class Refining:
    """How alpha comes to the frame's size.

    Attributes:
        how: ``none``, ``guided``, the name of a refiner or one that is loaded.
        weights: the refiner's, of one's own training.
        size: long side at which a refiner works; None: the frame's own, up to 1280.
        budget: milliseconds a frame for a refiner; None: as long as it takes.
        augment: a refiner's test-time augmentation.
        temporal: how what a refiner gives is calmed over time: one of :data:`livematte.temporal.MODES`.
        alone: whether a refiner alone says what is in the unknown band, as by a trimap that somebody drew.
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
        if self.size is not None and not 64 <= self.size <= 8192:
            raise UsageError(
                f"refine size {self.size} is not possible: give the long side in pixels, 64 to 8192"
            )
        if self.budget is not None and not 0 < self.budget < float("inf"):
            raise UsageError(f"refine budget {self.budget} is not possible: give milliseconds, more than 0")
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
        """Whether a network does it."""
        return self.how not in METHODS

    def loaded(self, machine: Machine) -> Refining:
        """The same with the refiner loaded, for more than one compositor. Raises as :func:`load_model`."""
        if not (self.network and isinstance(self.how, str)):
            return self
        return replace(self, how=self._named(self.how, machine), weights=None, augment=False)

    def compositor(self, machine: Machine, *, foreground: bool) -> Compositor:
        """What makes the outputs. Raises as :func:`load_model`."""
        if not self.network:
            assert isinstance(self.how, str)
            return Compositor(refine=self.how, foreground=foreground)
        network = self._named(self.how, machine) if isinstance(self.how, str) else self.how
        budget = None if self.budget is None else self.budget / 1000
        refiner = TileRefiner(
            network, long_side=self.size, budget=budget, temporal=self.temporal, alone=self.alone
        )
        return Compositor(foreground=foreground, refiner=refiner)

    def _named(self, name: str, machine: Machine) -> TrimapModel:
        try:
            return load_refiner(name, weights=self.weights, augment=self.augment, **vars(machine))
        except ModelError as error:  # written for --model
            line = re.sub(r"--(?=weights\b)", "--refine-", str(error)).replace("--model", "--refine")
            raise type(error)(line) from error


def frames_on(machine: Machine) -> tuple[Device | None, list[str]]:
    """The NVIDIA GPU that frames are worked on by, None for the CPU; and what a user should know of it.

    Raises:
        UsageError, DeviceError: as :func:`livematte.device.choose_device`.
    """
    device = choose_device(machine.device, machine.runtime)
    if device.kind != "cuda":
        return None, []
    try:
        check_kernels(device.index)
    except LivematteError as error:
        return None, [f"only the network runs on {device}: {error}"]
    return device, []


def card_of(machine: Machine) -> int | None:
    """The NVIDIA GPU of a job, whatever of it runs there: its decoder and encoder are meant, too. None where
    it has none. Raises as :func:`frames_on`.
    """
    device = choose_device(machine.device, machine.runtime)
    return device.index if device.kind == "cuda" else None


def format_of(
    kind: str, *, transparent: bool, codec: str | None, crf: int | None, preset: str | None
) -> dict[str, Any]:
    """What :func:`livematte.video.writer.open_sink` is told of an output of this kind: transparency and the
    encoder that was asked for are the picture's alone.
    """
    written = {"alpha": "alpha", "trimap": "alpha", "foreground": "foreground"}.get(kind, "picture")
    if kind != "picture":
        return {"kind": written, "alpha": False}
    return {"kind": written, "alpha": transparent, "codec": codec, "crf": crf, "preset": preset}


def notes_of(*networks: object) -> list[str]:
    """What networks have to say after their work: that memory was short, or that a graph was not possible."""
    return [note for network in networks for note in getattr(network, "notes", ())]


def taker_of_trimap(model: str | Model, refine: str | TrimapModel) -> str | TrimapModel:
    """Which network is given a drawn trimap: ``--model`` or ``--refine`` names it."""
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


def network_of(
    model: str | Model,
    machine: Machine,
    weights: PathLike | None,
    size: int | None,
    *,
    streams: int = 1,
    extras: bool = False,
) -> Model:
    """The model of a job, loaded if need be. Raises as :func:`load_model`, also for what is none."""
    if not isinstance(model, str):
        check_part(model, Model, "model", ModelError)
        return model
    if size is not None and not 32 <= size <= 4096:
        raise UsageError(f"size {size} is not possible: give the long side in pixels, 32 to 4096")
    return load_model(model, weights=weights, size=size, streams=streams, extras=extras, **vars(machine))


def background_of(spec: PathLike | Background, fit: str) -> Background:
    """The background of a job, opened if need be."""
    if isinstance(spec, (str, os.PathLike)):
        return parse_background(spec if isinstance(spec, str) else Path(spec), fit=fit)
    if isinstance(spec, type) or not isinstance(spec, Background):
        raise UsageError(
            f"background {told(spec)} is of no use: give a colour as text (#00b140), a file, blur, "
            "transparent or an object with the methods of livematte.protocols.Background"
        )
    return spec


def targets_of(**kinds: PathLike | None) -> dict[str, str]:
    """What is wanted, and where; text, since a closing slash says that a folder is meant."""
    return {kind: os.fspath(path) for kind, path in kinds.items() if path is not None}


def is_picture(target: PathLike) -> bool:
    """Whether the target is one picture, not a video or numbered ones."""
    name = os.fspath(target)
    path = Path(name)
    return (
        path.suffix.lower() in STILLS and not PATTERN.search(path.name) and not name.endswith(("/", os.sep))
    )


def check_targets(inputs: Mapping[str, Any], targets: Iterable[str | Path], *, overwrite: bool) -> None:
    """Raise UsageError where a target is an input, is asked for twice, or is there and may not be replaced.

    Args:
        inputs: what each is called, and its path; whatever is no path is no file.
    """
    paths = [Path(target) for target in targets]
    for number, target in enumerate(paths):
        for name, given in inputs.items():
            if isinstance(given, (str, os.PathLike)) and _same_file(Path(given), target):
                raise UsageError(f"{target} is the {name} itself: give the output another name")
        if any(_same_file(target, other) for other in paths[:number]):
            raise UsageError(f"{target} is asked for twice: give every output its own name")
        if not overwrite and _is_there(target):
            raise UsageError(f"{target} exists already and overwriting was not allowed")


def _same_file(a: Path, b: Path) -> bool:
    try:
        return a.resolve() == b.resolve() or os.path.samefile(a, b)
    except OSError:
        return False


def _is_there(target: Path) -> bool:
    """Also of numbered pictures, if one of them is."""
    if not PATTERN.search(target.name):
        return target.exists()
    numbered = re.compile(r"\d+".join(map(re.escape, PATTERN.split(target.name))))
    return target.parent.is_dir() and any(numbered.fullmatch(file.name) for file in target.parent.iterdir())


def debug_info(info: SourceInfo, model: Model, refining: Refining) -> SourceInfo:
    """What the frames of a debug view will be like. Runs the model once, to see what it gives."""
    size = input_size(model, info.height, info.width)
    black = np.zeros((*size, 3), np.uint8)
    matte, _ = answer(model, model(black, None))
    check_matte(model, "model", matte, *size)
    return debugview.info_of(info, len(debugview.cells(black, matte)) + 2 * refining.network)
