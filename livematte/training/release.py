"""Create release files from a run's averaged weights: fp16 safetensors, int8 ONNX and the model card.

    python -m livematte.training.release late-fusion-live runs/late-fusion-live/average.safetensors

The files are written to the model's folder; their sha256 and metrics are written to its card.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor

from livematte import registry
from livematte.errors import LivematteError, UsageError
from livematte.frame import Array, Matte
from livematte.inference.adapters import NetworkModel, open_model
from livematte.inference.model_spec import ModelSpec, load_program
from livematte.inference.onnx_network import export_onnx
from livematte.inference.quantize import quantize
from livematte.inference.weights import ModelCard, save_within_limit, sha256
from livematte.matting.metrics import foreground_mse, mad, mse
from livematte.protocols import TrimapModel
from livematte.training.augment import training_picture, validation_picture
from livematte.training.checkpoints import load_checkpoint
from livematte.training.data import PeopleStore
from livematte.training.packing import data_hash
from livematte.training.recipe import Recipe
from livematte.training.trimaps import coarse_trimap

LIMIT = 8_000_000
"""Maximum size of a released weight file in bytes."""

MARK = "# --- below: written by livematte.training.release ---"

Validate = Callable[[ModelSpec, Path, PeopleStore, int], tuple[dict[str, float], list[Array]]]
"""Measures weights on a number of validation people; returns metrics (x 1e3) and the predicted alphas."""


def calibration_pictures(store: PeopleStore, count: int = 40, side: int = 224) -> list[Array]:
    """Return training pictures, (1, side, side, 3) uint8; always the same ones."""
    seeds = (np.random.default_rng((7, number)) for number in range(count))
    return [training_picture(rng, store, side, side)[0][None] for rng in seeds]


def validate_model(
    spec: ModelSpec, weights: Path, store: PeopleStore, count: int
) -> tuple[dict[str, float], list[Array]]:
    """Validate a model without a trimap; return MAD and MSE (x 1e3) at full size, and the small alphas.

    Args:
        weights: a safetensors or ONNX file.
        store: validation people and backgrounds.
        count: number of pictures.
    """
    model: NetworkModel = open_model(spec, device="cpu", weights=weights)
    far, square, alphas = [], [], []
    for number in np.linspace(0, len(store.people) - 1, count).astype(int):
        picture, alpha8, _ = validation_picture(store, int(number))
        rows, columns = alpha8.shape
        height, width = model.input_size(rows, columns)
        small = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
        matte: Matte = model(np.asarray(small), None)[0]
        truth = np.asarray(alpha8 / 255, np.float32)
        whole = np.asarray(cv2.resize(matte.alpha, (columns, rows)), np.float32)
        far.append(mad(whole, truth))
        square.append(mse(whole, truth))
        alphas.append(matte.alpha)
    return {"mad": 1e3 * float(np.mean(far)), "mse": 1e3 * float(np.mean(square))}, alphas


def validate_refiner(
    spec: ModelSpec, weights: Path, store: PeopleStore, count: int
) -> tuple[dict[str, float], list[Array]]:
    """Validate a refiner with trimaps from coarse alphas; return metrics (x 1e3) at full size, and alphas.

    The metrics are MAD and MSE of alpha and, if the refiner predicts a foreground, ``color_mse``: the MSE of
    the foreground where the true alpha is above 0. ``given_*`` are the same metrics of the input: the trimap
    as an alpha that is 0.5 in unknown pixels, and the picture as a foreground. Arguments as
    :func:`validate_model`.
    """
    refiner: TrimapModel = registry.load("refiners", spec.name)(device="cpu", weights=weights)
    rows, alphas = [], []
    for number in np.linspace(0, len(store.people) - 1, count).astype(int):
        picture, alpha8, foreground8 = validation_picture(store, int(number))
        trimap = coarse_trimap(np.random.default_rng(int(number)), alpha8)
        matte = refiner.refine(picture, trimap)
        truth, given = (np.asarray(x / 255, np.float32) for x in (alpha8, trimap))
        row = {"mad": mad(matte.alpha, truth), "mse": mse(matte.alpha, truth)}
        row |= {"given_mad": mad(given, truth), "given_mse": mse(given, truth)}
        if matte.foreground is not None:
            colors, own = (np.asarray(x / 255, np.float32) for x in (foreground8, picture))
            row["color_mse"] = foreground_mse(matte.foreground, colors, truth)
            row["given_color_mse"] = foreground_mse(own, colors, truth)
        rows.append(row)
        alphas.append(matte.alpha)
    return {name: 1e3 * float(np.mean([row[name] for row in rows])) for name in rows[0]}, alphas


def install(
    spec: ModelSpec, average: Path, cache: Path, *, data: Path | None = None, count: int = 100
) -> None:
    """Write the release files and the generated part of the card from a run's averaged weights.

    Args:
        average: ``average.safetensors`` of a run.
        cache: folder of the packed data.
        data: folder of the data, whose hash is written to the card.
        count: number of validation pictures.
    """
    tensors, facts = load_checkpoint(average)
    part = spec.training_prefix
    tensors = {k[len(part) :]: v for k, v in tensors.items() if k.startswith(part)}
    if data is not None:
        facts["data_hash"] = data_hash(data)
    weights = spec.card.parent / "weights"
    weights.mkdir(exist_ok=True)
    with TemporaryDirectory(dir=weights, prefix=".part-") as scratch:
        files = {"fp16": Path(scratch) / f"{spec.name}.safetensors"}
        reduced = save_within_limit(
            tensors, files["fp16"], LIMIT, {"model": spec.name, "step": json.dumps(facts)}
        )
        if spec.int8 is not None:
            files["int8"] = Path(scratch) / f"{spec.name}.int8.onnx"
            source = load_program(spec, ModelCard(spec.name, spec.card, {}, ()), files["fp16"], "fp32")
            pictures = calibration_pictures(PeopleStore(cache))
            exported = export_onnx(source)
            keeps_float, is_head = spec.int8.keeps_float, spec.int8.is_head
            quantize(exported, files["int8"], pictures, keeps_float, overflow_safe=True, unrounded=is_head)
        exact = Path(scratch) / "checkpoint.safetensors"
        _save(tensors, exact)
        store = PeopleStore(cache, validation=True).only("photograph")
        validate = validate_model if len(spec.inputs) == 1 else validate_refiner
        rows = compare(spec, {"checkpoint": exact, **files}, validate, store, count)
        text = card_text(spec.card, files, rows, facts, reduced, count)
        for file in files.values():
            file.chmod(0o644)  # safetensors makes files readable only by the owner
            os.replace(file, weights / file.name)
    spec.card.write_text(text, encoding="utf-8")


def _save(tensors: Mapping[str, Tensor], path: Path) -> None:
    from safetensors.torch import save_file

    save_file({k: v.contiguous() for k, v in tensors.items()}, path)


def compare(
    spec: ModelSpec, files: Mapping[str, Path], validate: Validate, store: PeopleStore, count: int
) -> dict[str, dict[str, float]]:
    """Return the metrics of each file, and the mean absolute difference of its alphas to the first file's."""
    rows, alphas = {}, {}
    first = next(iter(files))
    for label, file in files.items():
        rows[label], alphas[label] = validate(spec, file, store, count)
        off = [float(np.abs(a - b).mean()) for a, b in zip(alphas[label], alphas[first], strict=True)]
        rows[label] |= {"off_mean": 1e3 * float(np.mean(off)), "off_worst": 1e3 * max(off)}
    return rows


def card_text(
    card: Path,
    files: Mapping[str, Path],
    rows: Mapping[str, Mapping[str, float]],
    facts: Mapping[str, Any],
    reduced: list[str],
    count: int,
) -> str:
    """Return the text of the card with everything below :data:`MARK` replaced."""
    head = card.read_text(encoding="utf-8").split("# --- below")[0]
    lines = [MARK, "", "[checkpoint]"]
    lines += [f"{k} = {json.dumps(v)}" for k, v in facts.items()]
    lines += ["", "# x 1e3; off_*: mean absolute distance to the checkpoint's alpha, mean and worst picture"]
    lines += ["[metrics]"]
    lines += [f"pictures = {count}"]
    for label in files:
        row = ", ".join(f"{k} = {v:.3f}" for k, v in rows[label].items())
        lines.append(f"{label} = {{ {row} }}")
    for precision, file in files.items():
        lines += ["", "[[files]]", f'name = "{file.name}"', f'precision = "{precision}"']
        lines += [f'sha256 = "{sha256(file)}"', f"bytes = {file.stat().st_size}"]
        if precision == "fp16":
            lines.append(f"eight_bit = {json.dumps(reduced)}")
    return head + "\n".join(lines) + "\n"


def main(words: Sequence[str] | None = None) -> int:
    """Run the command line; return 0. An error ends the process with 2 and one line on stderr."""
    parser = argparse.ArgumentParser(
        prog="python -m livematte.training.release",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("model", help="recipe of a model with released weights")
    parser.add_argument("average", type=Path, help="average.safetensors of a training run")
    parser.add_argument("--cache", type=Path, default=Path("runs/packed"), help="folder of the packed data")
    parser.add_argument("--data", type=Path, help="folder of the data, whose hash is written to the card")
    parser.add_argument("--count", type=int, default=100, help="number of validation pictures")
    options = parser.parse_args(words)
    try:
        recipe: Recipe = registry.load("recipes", options.model)
        if recipe.released is None:
            raise UsageError(f"{options.model} has no shipped weights: use the name of a live size")
        with torch.no_grad():
            install(recipe.released, options.average, options.cache, data=options.data, count=options.count)
    except LivematteError as error:
        parser.exit(2, f"{error}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
