"""Model cards and verified weight files.

A card is a ``card*.toml`` next to the model's ``model.py``. Its files are in ``weights/`` next to it and are
verified by sha256. Only formats that contain no code are read: safetensors and ONNX.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from livematte import registry
from livematte.errors import ModelError, WeightsError, check_extra
from livematte.text_files import read_toml

if TYPE_CHECKING:
    from torch import Tensor, nn

_PICKLES = (".pth", ".pt", ".ckpt", ".bin", ".pkl", ".pickle", ".pth.tar")


@dataclass(frozen=True)
class WeightFile:
    """A shipped weight file of a card."""

    path: Path
    precision: str
    """'fp16' for safetensors, 'int8' for a quantized ONNX."""
    sha256: str
    """Lower-case hexadecimal."""


@dataclass(frozen=True)
class ModelCard:
    """Metadata of a model."""

    name: str
    path: Path
    facts: Mapping[str, Any]
    """The whole TOML: paper, parameters, gflops, data, recipe, metrics, licence, limits ..."""
    files: tuple[WeightFile, ...]

    @property
    def pixels(self) -> int:
        """Number of pixels of the network input for files, from ``input``; 0 if the card lacks it."""
        height, width = self.facts.get("input", (0, 0))
        return int(height * width)

    def file(self, precision: str) -> WeightFile | None:
        """Return the shipped file of that precision; None if there is none."""
        return next((f for f in self.files if f.precision == precision), None)


def read_card(path: Path) -> ModelCard:
    """Read the card at ``path``.

    Raises:
        ModelError: it cannot be read, is not TOML, or lacks ``name`` or a file's ``sha256`` or ``precision``.
    """
    facts = read_toml(path, "model card", ModelError)
    tables = facts.get("files", [])
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise ModelError(f"model card {path}: files must be tables, [[files]]")
    files = tuple(
        WeightFile(
            path.parent / "weights" / _fact(path, table, "name"),
            _fact(path, table, "precision"),
            _fact(path, table, "sha256").lower(),
        )
        for table in tables
    )
    size = facts.get("input", [0, 0])
    if not (
        isinstance(size, list) and len(size) == 2 and all(type(n) is int and 0 <= n <= 4096 for n in size)
    ):
        raise ModelError(f"model card {path}: input must be [height, width] in pixels")
    metrics = facts.get("metrics", {})
    scores = [metrics.get(file.precision, {}) for file in files] if isinstance(metrics, dict) else [metrics]
    if not all(isinstance(table, dict) for table in scores):
        raise ModelError(f"model card {path}: metrics must be tables, [metrics.fp16]")
    return ModelCard(_fact(path, facts, "name"), path, facts, files)


def _fact(path: Path, table: Mapping[str, Any], key: str) -> str:
    if key not in table:
        raise ModelError(f"model card {path} lacks {key!r}")
    if not isinstance(table[key], str) or not table[key] or "\0" in table[key]:
        raise ModelError(f"model card {path}: {key} must be text in quotes")
    return str(table[key])


def find_card(name: str, group: str = "models") -> ModelCard:
    """Return the card of a registered model, or in group ``refiners`` of a model that takes a trimap.

    The card is found next to the model's module, which is not imported.

    Raises:
        UsageError: no model has that name.
        ModelError: the model has no card.
    """
    entry = registry.entry(group, name)
    what = f"model {registry.describe(entry)}"
    try:
        spec = find_spec(entry.module)
    except KeyboardInterrupt:
        raise
    except ImportError as error:
        raise ModelError(f"{what} is registered but not installed: {error}") from error
    except BaseException as error:  # the packages above the module are imported, which runs their code
        raise ModelError(f"{what} is registered but cannot be found: {registry.reason(error)}") from error
    if spec is None or spec.origin is None:
        raise ModelError(f"{what} is registered but its module {entry.module} does not exist")
    for path in sorted(Path(spec.origin).parent.glob("card*.toml")):
        card = read_card(path)
        if card.name == name:
            return card
    raise ModelError(f"{what} has no card*.toml next to {spec.origin}")


def sha256(path: Path) -> str:
    """Return the lower-case hexadecimal sha256 of a file.

    Raises:
        WeightsError: the file does not exist or cannot be read.
    """
    digest = hashlib.sha256()
    try:
        with open(path, "rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    except OSError as error:
        raise WeightsError(f"weight file {path} cannot be read: {error.strerror}") from error
    return digest.hexdigest()


def verified_path(file: WeightFile) -> Path:
    """Return the path of a shipped file after verifying its sha256.

    Raises:
        WeightsError: it is missing or has another hash; the message contains the beginning of both.
    """
    actual = sha256(file.path)
    if actual != file.sha256:
        raise WeightsError(
            f"weight file {file.path} is damaged or changed: its sha256 begins with {actual[:12]}, "
            f"the card says {file.sha256[:12]}; reinstall livematte, or pass your own file with --weights"
        )
    return file.path


def check_user_weights(path: str | Path) -> Path:
    """Return the path of a user's weight file, accepted by its suffix: ``.safetensors`` or ``.onnx``.

    Raises:
        WeightsError: the file does not exist, is a pickle (which can run code), or has another suffix.
    """
    file = Path(path)
    if file.name.lower().endswith(_PICKLES):
        raise WeightsError(
            f"weights {file} are a pickle, which can run any code when it is loaded: livematte reads only "
            "safetensors and ONNX; convert a file that you trust with "
            "safetensors.torch.save_file(torch.load(path, weights_only=True), 'weights.safetensors')"
        )
    if file.suffix.lower() not in (".safetensors", ".onnx"):
        raise WeightsError(f"weights {file} have an unknown format: allowed are .safetensors and .onnx")
    if not file.is_file():
        raise WeightsError(f"weights {file} do not exist: use the path of a .safetensors or .onnx file")
    return file


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a safetensors file.

    Tensors stored in 8 bits (``x`` and ``x.scale``) become float32.

    Raises:
        WeightsError: it is not a complete safetensors file, or a number in it is NaN or infinite.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        given = load_file(str(path))
    except (SafetensorError, OSError, ValueError) as error:  # ValueError: a name that is not UTF-8
        raise WeightsError(f"weight file {path} is not a complete safetensors file: {error}") from error
    bad = sorted(name for name, tensor in given.items() if not _is_finite(tensor))
    if bad:
        raise WeightsError(_not_finite(path, bad))
    for name in [k for k in given if k.endswith(".scale") and k[:-6] in given]:
        scale, whole = given.pop(name), name[:-6]
        given[whole] = given[whole].float() * scale.reshape(-1, *(1,) * (given[whole].dim() - 1))
    return given


def check_onnx(path: Path) -> None:
    """Check a user's ONNX file before a runtime reads it.

    Raises:
        WeightsError: it is not an ONNX file, or a weight in it is NaN or infinite.
        MissingExtraError: the package onnx is not installed.
    """
    check_extra("onnx", f"the weight file {path.name} in ONNX format", "onnx")
    import numpy as np
    import onnx

    try:
        graph = onnx.load(str(path)).graph
        for each in (*graph.input, *graph.output, *graph.node, *graph.initializer):
            if not isinstance(each.name, str):  # protobuf gives bytes then
                raise ValueError("a name in it is not UTF-8")
        kinds = (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.DOUBLE)
        tensors = [
            *graph.initializer,
            *(a.t for node in graph.node for a in node.attribute if a.HasField("t")),
        ]
        arrays = {each.name: onnx.numpy_helper.to_array(each) for each in tensors if each.data_type in kinds}
    except Exception as error:  # protobuf, UTF-8, files beside it: each has exceptions of its own
        reason = " ".join(str(error).split())
        raise WeightsError(f"weight file {path} is not a complete ONNX file: {reason}") from error
    if not graph.node:
        raise WeightsError(f"weight file {path} is not a complete ONNX file: it has no operations")
    bad = sorted(name for name, array in arrays.items() if not np.isfinite(array).all())
    if bad:
        raise WeightsError(_not_finite(path, bad))


def _is_finite(tensor: Tensor) -> bool:
    import numpy as np

    if not tensor.is_floating_point():
        return True
    try:
        return bool(np.isfinite(tensor.numpy()).all())  # torch takes ten times as long for many small ones
    except TypeError:  # bf16 and 8-bit floats, which NumPy lacks
        return bool(tensor.float().isfinite().all())


def _not_finite(path: Path, names: list[str]) -> str:
    return (
        f"weight file {path} has NaN or infinite numbers in {len(names)} tensors ({', '.join(names[:3])}"
        f"{', ...' if len(names) > 3 else ''}): its training failed; use an earlier checkpoint"
    )


def load_into(module: nn.Module, path: Path, part: str = "") -> None:
    """Load the tensors of a safetensors file into ``module``, converted to the module's dtype.

    If the file has names that start with ``part`` (``deployable.``), it is a training checkpoint with more
    than the network: only these tensors are loaded, without the prefix.

    A tensor may be stored in 8 bits: ``x`` int8 and ``x.scale`` float32, one scale for each index of the
    first dimension. Counters of batch normalization (``num_batches_tracked``) may be missing: inference does
    not use them.

    Raises:
        WeightsError: it is not a safetensors file, or tensors are missing, unexpected or of another shape;
            the message counts each kind and names the first ones.
    """
    given = read_tensors(path)
    if part and any(name.startswith(part) for name in given):
        given = {name[len(part) :]: tensor for name, tensor in given.items() if name.startswith(part)}
    own = module.state_dict()
    needed = {k for k in own if not k.endswith("num_batches_tracked")}
    shapes = [
        f"{k} {tuple(given[k].shape)} where {tuple(own[k].shape)} is expected"
        for k in sorted(given.keys() & own.keys())
        if given[k].shape != own[k].shape
    ]
    lists = {
        "missing": sorted(needed - given.keys()),
        "unexpected": sorted(given.keys() - own.keys()),
        "of another shape": shapes,
    }
    wrong = [
        f"{len(found)} {what} ({', '.join(found[:2])}{', ...' if len(found) > 2 else ''})"
        for what, found in lists.items()
        if found
    ]
    if wrong:
        raise WeightsError(
            f"weight file {path} does not fit this model: {'; '.join(wrong)}. It is for another "
            "model or size: choose that with --model"
        )
    module.load_state_dict(given, strict=False)


def save_within_limit(
    tensors: Mapping[str, Tensor], path: Path, limit: int, facts: Mapping[str, str]
) -> list[str]:
    """Save tensors for shipping in at most ``limit`` bytes. Return the names of those stored in 8 bits.

    Matrices and kernels are fp16, vectors float32 (variances under 6e-8 would vanish in fp16). As many of the
    largest tensors as necessary are stored in 8 bits. Counters are omitted.
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


def read_safetensors_metadata(path: Path) -> dict[str, str]:
    """Return the text metadata in the header of a safetensors file; empty if there is none.

    Raises:
        WeightsError: it is not a complete safetensors file.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "numpy") as file:
            return dict(file.metadata() or {})
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"weight file {path} is not a complete safetensors file: {error}") from error
