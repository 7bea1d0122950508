"""Model cards, and the way from a card to weights that can be trusted.

A card is a ``card*.toml`` beside the model's ``model.py``; files it names lie in ``weights/`` next to it and
are checked by sha256. Only formats that carry no code are read: safetensors and ONNX.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING, Any

from platformdirs import user_cache_path

from livematte import registry
from livematte.errors import ModelError, WeightsError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

if TYPE_CHECKING:
    from torch import Tensor, nn

_PICKLES = (".pth", ".pt", ".ckpt", ".bin", ".pkl", ".pickle", ".pth.tar")
_CACHE_VARIABLE = "LIVEMATTE_CACHE"


@dataclass(frozen=True)
class WeightFile:
    """One shipped file of a card."""

    path: Path
    precision: str
    """'fp16' for safetensors, 'int8' for a quantised ONNX."""
    sha256: str
    """Lower-case hexadecimal."""


@dataclass(frozen=True)
class Card:
    """What a model says of itself."""

    name: str
    path: Path
    facts: Mapping[str, Any]
    """The whole TOML: paper, parameters, gflops, data, recipe, metrics, licence, limits ..."""
    files: tuple[WeightFile, ...]

    def file(self, precision: str) -> WeightFile | None:
        """The shipped file of that precision, None where the model comes without."""
        return next((f for f in self.files if f.precision == precision), None)


def read_card(path: Path) -> Card:
    """The card at ``path``.

    Raises:
        ModelError: it cannot be read, is no TOML, or lacks ``name`` or a file's ``sha256`` or ``precision``.
    """
    try:
        facts = tomllib.loads(path.read_text(encoding="utf-8"))
        files = tuple(
            WeightFile(path.parent / "weights" / entry["name"], entry["precision"], entry["sha256"].lower())
            for entry in facts.get("files", [])
        )
        return Card(facts["name"], path, facts, files)
    except OSError as error:
        raise ModelError(f"model card {path} cannot be read: {error.strerror}") from error
    except tomllib.TOMLDecodeError as error:
        raise ModelError(f"model card {path} is not TOML: {error}") from error
    except KeyError as error:
        raise ModelError(f"model card {path} lacks {error}") from error


def card_of(name: str, group: str = "models") -> Card:
    """The card of a registered model or, of the group ``refiners``, one that takes a trimap; found beside
    its module, which is not imported.

    Raises:
        UsageError: no model has that name.
        ModelError: the model has no card.
    """
    entry = registry.entry(group, name)
    try:
        spec = find_spec(entry.module)
    except ImportError as error:
        raise ModelError(f"model {name!r} is registered but not installed: {error}") from error
    if spec is None or spec.origin is None:
        raise ModelError(f"model {name!r} is registered but its module {entry.module} is not there")
    for path in sorted(Path(spec.origin).parent.glob("card*.toml")):
        card = read_card(path)
        if card.name == name:
            return card
    raise ModelError(f"model {name!r} has no card*.toml beside {spec.origin}")


def sha256(path: Path) -> str:
    """Lower-case hexadecimal sha256 of a file.

    Raises:
        WeightsError: the file is not there or cannot be read.
    """
    digest = hashlib.sha256()
    try:
        with open(path, "rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    except OSError as error:
        raise WeightsError(f"weight file {path} cannot be read: {error.strerror}") from error
    return digest.hexdigest()


def verified(file: WeightFile) -> Path:
    """The path of a shipped file whose sha256 is the card's.

    Raises:
        WeightsError: missing, or of another hash; the message gives both.
    """
    actual = sha256(file.path)
    if actual != file.sha256:
        raise WeightsError(
            f"weight file {file.path} is damaged or changed: its sha256 is {actual}, "
            f"the card says {file.sha256}; reinstall livematte, or pass your own file with --weights"
        )
    return file.path


def user_weights(path: str | Path) -> Path:
    """A file of the user's own, accepted by its suffix: ``.safetensors`` or ``.onnx``.

    Raises:
        WeightsError: no such file, a pickle (it could run code), or another suffix.
    """
    file = Path(path)
    if file.name.lower().endswith(_PICKLES):
        raise WeightsError(
            f"weights {file} are a pickle, which can run any code when it is opened: livematte reads only "
            "safetensors and ONNX; convert a file that you trust with "
            "safetensors.torch.save_file(torch.load(path, weights_only=True), 'weights.safetensors')"
        )
    if file.suffix.lower() not in (".safetensors", ".onnx"):
        raise WeightsError(f"weights {file} are of an unknown kind: allowed are .safetensors and .onnx")
    if not file.is_file():
        raise WeightsError(f"weights {file} are not there: give the path of a .safetensors or .onnx file")
    return file


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file; those kept in 8 bits (``x`` beside ``x.scale``) as float32.

    Raises:
        WeightsError: not a whole safetensors file.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        given = load_file(str(path))
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"weight file {path} is not a whole safetensors file: {error}") from error
    for name in [k for k in given if k.endswith(".scale") and k[:-6] in given]:
        scale, whole = given.pop(name), name[:-6]
        given[whole] = given[whole].float() * scale.reshape(-1, *(1,) * (given[whole].dim() - 1))
    return given


def load_into(module: nn.Module, path: Path, part: str = "") -> None:
    """Fill ``module`` with the tensors of a safetensors file; fp16 becomes the module's own dtype.

    A file with names that begin with ``part`` (``deployable.``) is a training's, which holds more than the
    network: those alone are taken, ``part`` left out.

    A tensor may be stored in 8 bits: ``x`` int8 beside ``x.scale`` float32, one scale for each first index.
    Counters of batch normalisation (``num_batches_tracked``) may be missing: inference does not use them.

    Raises:
        WeightsError: not a safetensors file, or tensors that are missing, unexpected or of another shape;
            the message counts each kind and names the first ones.
    """
    given = read_tensors(path)
    if part and any(name.startswith(part) for name in given):
        given = {name[len(part) :]: tensor for name, tensor in given.items() if name.startswith(part)}
    own = module.state_dict()
    needed = {k for k in own if not k.endswith("num_batches_tracked")}
    shapes = [
        f"{k} {tuple(given[k].shape)} where {tuple(own[k].shape)} is needed"
        for k in sorted(given.keys() & own.keys())
        if given[k].shape != own[k].shape
    ]
    lists = {
        "missing": sorted(needed - given.keys()),
        "unexpected": sorted(given.keys() - own.keys()),
        "of another shape": shapes,
    }
    wrong = [
        f"{len(found)} {what} ({', '.join(found[:3])}{', ...' if len(found) > 3 else ''})"
        for what, found in lists.items()
        if found
    ]
    if wrong:
        raise WeightsError(
            f"weight file {path} does not fit this model: {'; '.join(wrong)}. It was made for another "
            "model or size: choose that with --model"
        )
    module.load_state_dict(given, strict=False)


def save_small(tensors: Mapping[str, Tensor], path: Path, limit: int, facts: Mapping[str, str]) -> list[str]:
    """Write tensors for shipping, in at most ``limit`` bytes; gives the names of those kept in 8 bits.

    Matrices and kernels are fp16, vectors float32 (variances under 6e-8 would vanish in fp16), and the
    largest tensors 8 bits a weight, as many as the limit asks for. Counters are left out.
    """
    import torch
    from safetensors.torch import save_file

    out = {
        k: (v.half() if v.dim() > 1 else v.float()).contiguous()
        for k, v in tensors.items()
        if not k.endswith("num_batches_tracked")
    }
    header = 128 * len(out)
    reduced: list[str] = []
    for name in sorted(out, key=lambda k: out[k].numel(), reverse=True):
        if sum(v.numel() * v.element_size() for v in out.values()) + header <= limit:
            break
        value = tensors[name].float()
        scale = (value.flatten(1).abs().amax(1) / 127).clamp(min=1e-12)
        eight = value / scale.reshape(-1, *(1,) * (value.dim() - 1))
        out[name], out[f"{name}.scale"] = eight.round().to(torch.int8), scale
        reduced.append(name)
    save_file(out, str(path), metadata=dict(facts))
    return reduced


def safetensors_facts(path: Path) -> dict[str, str]:
    """The text metadata in the header of a safetensors file; empty where it has none."""
    with open(path, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(length))
    return dict(header.get("__metadata__", {}))


def cache_folder(*parts: str) -> Path | None:
    """A per-user folder for compiled artefacts, made if need be; None where it cannot be written.

    ``LIVEMATTE_CACHE`` in the environment moves it. Everything in it can be deleted at any time.
    """
    root = os.environ.get(_CACHE_VARIABLE)
    folder = (Path(root) if root else user_cache_path("livematte", appauthor=False)).joinpath(*parts)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with NamedTemporaryFile(dir=folder, prefix=".try-"):
            return folder
    except OSError:
        return None


def write_cached(path: Path, data: bytes) -> None:
    """Write ``data`` whole or not at all; a full disk or another process at the same file is no error."""
    part = path.with_name(f".part-{os.getpid()}-{path.name}")
    try:
        part.write_bytes(data)
        os.replace(part, path)
    except OSError:
        with suppress(OSError):
            part.unlink()
