"""Checking and loading of models and refiners by name."""

from __future__ import annotations

import inspect
from difflib import get_close_matches
from pathlib import Path

from typing_extensions import Unpack

from livematte import registry
from livematte.errors import ModelError, OptionError, UsageError
from livematte.matting.contracts import check_part
from livematte.matting.upsampling import METHODS
from livematte.options import DEFAULT_MODEL, LoadOptions, PathLike, RefinerLoadOptions
from livematte.options.declaration import complete, documented
from livematte.options.values import short
from livematte.protocols import Model, TrimapModel


@documented(LoadOptions)
def load_model(
    name: str = DEFAULT_MODEL, *, streams: int = 1, extras: bool = False, **options: Unpack[LoadOptions]
) -> Model:
    """Load a model.

    Args:
        name: a model name that ``livematte models`` lists.
        streams: number of frames processed in parallel, each with its share of the threads, if the runtime
            supports it: higher throughput, higher latency. For files.
        extras: add the other outputs of the network to mattes, e.g. heat maps or a trimap.

    Raises:
        UsageError: unknown name or invalid option.
        ModelError: the weights are missing, damaged or of another architecture, or the entry point does not
            return a model.
        DeviceError: the device or runtime is not available.
    """
    chosen = complete(LoadOptions, options)
    check_model(name)
    if not (isinstance(streams, int) and streams >= 1):
        raise OptionError(f"streams {short(streams)} is invalid: use 1 or more")
    given = {**chosen, "weights": _file(chosen["weights"]), "streams": streams}
    model: Model = registry.load("models", name)(**given, **({"extras": True} if extras else {}))
    check_part(model, Model, "model", ModelError)
    return model


@documented(RefinerLoadOptions)
def load_refiner(name: str, *, augment: bool = False, **options: Unpack[RefinerLoadOptions]) -> TrimapModel:
    """Load a refiner, a network that takes a trimap. Errors as for :func:`load_model`.

    Args:
        name: a refiner name that ``livematte models`` lists.
        augment: use its test-time augmentation: finer and slower.

    Raises:
        UsageError: also if the refiner does not support ``augment``.
    """
    if not isinstance(name, str):
        raise OptionError(f"refiner {short(name)} is invalid: use the name of a refiner")
    if augment:
        check_augment(name)
    chosen = complete(RefinerLoadOptions, options)
    given = {**chosen, "weights": _file(chosen["weights"])}
    refiner: TrimapModel = registry.load("refiners", name)(**given, **({"augment": True} if augment else {}))
    check_part(refiner, TrimapModel, "refiner", ModelError)
    return refiner


def _file(path: PathLike | None) -> Path | None:
    return None if path is None else Path(path)


def check_augment(name: str) -> None:
    """Raise UsageError unless the refiner ``name`` has test-time augmentation."""
    if _augments(name):
        return
    able = ", ".join(other for other in registry.names("refiners") if _augments(other)) or "none"
    raise UsageError(
        f"{name} has no test-time augmentation: remove --refine-tta, or use a refiner that has it ({able})"
    )


def _augments(name: str) -> bool:
    try:
        return "augment" in inspect.signature(registry.load("refiners", name)).parameters
    except ModelError:  # an installed refiner that cannot be loaded
        return False


def check_model(name: str) -> None:
    """Raise UsageError unless ``name`` is the name of a model."""
    if not isinstance(name, str):
        raise OptionError(f"model {short(name)} is invalid: use the name of a model")
    if name not in registry.names("models") and name in registry.names("refiners"):
        raise UsageError(
            f"{name} takes a trimap: use --refine {name}, or with your own trimap: livematte image IN OUT "
            f"--trimap FILE --model {name}"
        )
    registry.entry("models", name)


def check_refine(name: str) -> None:
    """Raise UsageError unless ``name`` is an upsampling method or the name of a refiner."""
    known = [*METHODS, *registry.names("refiners")]
    if name in known:
        return
    if name in registry.names("models"):
        raise UsageError(
            f"{name} is a model without a trimap, not a refiner: use --refine with one of {', '.join(known)}"
        )
    close = get_close_matches(name, known, 1)
    hint = f"did you mean {close[0]!r}? " if close else ""
    raise UsageError(f"unknown refine method {name!r}: {hint}allowed are {', '.join(known)}")
