"""From a run's averaged weights to what is shipped: fp16 safetensors, int8 ONNX, the card's figures."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import cv2
import numpy as np
from torch import Tensor

from livematte.adapters import NetworkModel, Shipped, open_model, program
from livematte.frame import Array, Matte
from livematte.metrics import mad, mse
from livematte.runtime.onnx_network import export
from livematte.runtime.quantize import quantize
from livematte.training.augment import training_picture, validation_picture
from livematte.training.checkpoints import load_checkpoint
from livematte.training.data import PeopleStore, data_hash
from livematte.weights import Card, save_small, sha256

LIMIT = 8_000_000
"""Bytes a shipped weight file may have."""

MARK = "# --- below: written by the `export` module beside this card ---"

Judge = Callable[[Path, PeopleStore, int], tuple[dict[str, float], list[Array]]]
"""Weights, held-out people, how many: metrics, and the alphas they were taken of."""


def calibration_pictures(store: PeopleStore, count: int = 40, side: int = 224) -> list[Array]:
    """Training pictures, (1, side, side, 3) uint8; always the same ones."""
    seeds = (np.random.default_rng((7, number)) for number in range(count))
    return [training_picture(rng, store, side, side)[0][None] for rng in seeds]


def judge_model(
    shipped: Shipped, weights: Path, store: PeopleStore, count: int
) -> tuple[dict[str, float], list[Array]]:
    """MAD and MSE (x 1e3) on people composited on unseen rooms, at full size; and the small alphas."""
    model: NetworkModel = open_model(shipped, device="cpu", weights=weights)
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


def install(
    shipped: Shipped,
    average: Path,
    cache: Path,
    *,
    part: str = "",
    keeps_float: Callable[[str], bool] | None = None,
    unrounded: Callable[[str], bool] = lambda _: False,
    judge: Judge | None = None,
    data: Path | None = None,
    count: int = 100,
) -> None:
    """Write the shipped files and the lower half of the card from a run's averaged weights.

    Args:
        average: ``average.safetensors`` of a run.
        cache: the packed data.
        part: only tensors under this name are shipped (``deployable.``), the name left out.
        keeps_float: says of an ONNX node's name whether it stays in float; None ships no int8 file.
        unrounded: see :func:`livematte.runtime.quantize.quantize`.
        judge: measures weights; :func:`judge_model` for a model without a trimap.
        data: the data's folder, to note its hash in the card.
        count: validation pictures to judge by.
    """
    tensors, facts = load_checkpoint(average)
    tensors = {k[len(part) :]: v for k, v in tensors.items() if k.startswith(part)}
    if data is not None:
        facts["data_hash"] = data_hash(data)
    weights = shipped.card.parent / "weights"
    weights.mkdir(exist_ok=True)
    with TemporaryDirectory(dir=weights, prefix=".part-") as scratch:
        files = {"fp16": Path(scratch) / f"{shipped.name}.safetensors"}
        reduced = save_small(
            tensors, files["fp16"], LIMIT, {"model": shipped.name, "step": json.dumps(facts)}
        )
        if keeps_float is not None:
            files["int8"] = Path(scratch) / f"{shipped.name}.int8.onnx"
            source = program(shipped, Card(shipped.name, shipped.card, {}, ()), files["fp16"], "fp32")
            pictures = calibration_pictures(PeopleStore(cache))
            exported = export(source)
            quantize(exported, files["int8"], pictures, keeps_float, overflow_safe=True, unrounded=unrounded)
        exact = Path(scratch) / "checkpoint.safetensors"
        _save(tensors, exact)
        store = PeopleStore(cache, validation=True)
        judged = judge or (lambda path, people, n: judge_model(shipped, path, people, n))
        rows = compare({"checkpoint": exact, **files}, judged, store, count)
        text = card_text(shipped.card, files, rows, facts, reduced, count)
        for file in files.values():
            file.chmod(0o644)  # safetensors writes for the owner alone
            os.replace(file, weights / file.name)
    shipped.card.write_text(text, encoding="utf-8")


def _save(tensors: Mapping[str, Tensor], path: Path) -> None:
    from safetensors.torch import save_file

    save_file({k: v.contiguous() for k, v in tensors.items()}, path)


def compare(
    files: Mapping[str, Path], judge: Judge, store: PeopleStore, count: int
) -> dict[str, dict[str, float]]:
    """How good the files are, and how far from the first of them."""
    rows, alphas = {}, {}
    first = next(iter(files))
    for label, file in files.items():
        rows[label], alphas[label] = judge(file, store, count)
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
    """The card with everything below its mark written anew."""
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


def install_arguments(description: str | None) -> dict[str, Any]:
    """What :func:`install` takes from the command line of a model's ``export.py``."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("average", type=Path, help="average.safetensors of a training run")
    parser.add_argument("--cache", type=Path, default=Path("runs/packed"), help="the recipe's packed data")
    parser.add_argument("--data", type=Path, help="the data's folder, to note its hash in the card")
    parser.add_argument("--count", type=int, default=100, help="validation pictures to judge by")
    return vars(parser.parse_args())
