"""From a trained checkpoint to the files that are shipped: fp16 safetensors, int8 ONNX, the card.

python -m livematte.models.late_fusion.export install runs/late-fusion-live/average.safetensors
"""

from __future__ import annotations

import argparse
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import cv2
import numpy as np
from livematte.models.late_fusion import model as adapter
from livematte.models.late_fusion.network import DecoderBlock, LateFusion, late_fusion, late_fusion_live
from livematte.training.data import data_hash
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from livematte.frame import Array
from livematte.metrics import mad, mse
from livematte.runtime.onnx_network import export
from livematte.runtime.quantize import quantize
from livematte.training.augment import training_picture, validation_picture
from livematte.training.checkpoints import load_checkpoint
from livematte.training.data import PeopleStore
from livematte.weights import Card, load_into, save_small, sha256

_HERE = Path(__file__).parent
_BUILD = {"late-fusion-live": late_fusion_live, "late-fusion": late_fusion}


class Deployed(nn.Module):
    """The network as runtimes run it: (1, H, W, 3) uint8 RGB in, four (1, H, W) float32 maps in [0, 1] out.

    Batch normalisation after a deconvolution is folded into it, which exporters do for convolutions only.
    """

    def __init__(self, network: LateFusion) -> None:
        super().__init__()
        self.network = network.eval()
        for decoder in (network.foreground, network.background):
            for block in decoder.blocks:
                assert isinstance(block, DecoderBlock)
                block.up = fuse_conv_bn_eval(block.up, block.norm, transpose=True)
                block.norm = nn.Identity()  # type: ignore[assignment]

    def forward(self, rgb: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Alpha, F-bar, B-bar and beta of eq. 2."""
        out = self.network(rgb.permute(0, 3, 1, 2).float() * (1 / 255))
        alpha, foreground = out.alpha.squeeze(1), out.foreground.squeeze(1)
        return alpha, foreground, out.background.squeeze(1), out.blend.squeeze(1)


def deployed(name: str, weights: Path) -> Deployed:
    """The network called ``name`` with the tensors of a safetensors file.

    Raises:
        WeightsError: the file is not this network's.
    """
    network = _BUILD[name]()
    load_into(network, weights)
    return Deployed(network)


LIMIT = 8_000_000
"""Bytes a shipped weight file may have."""

_MARK = "# --- below: written by `python -m livematte.models.late_fusion.export install` ---"
_FLOAT = re.compile(r"/side/|/blend/|_conv_stem|encoder/_act/|_blocks\.[01]/")
_EIGHT_BIT = re.compile(r"/(Conv|ConvTranspose|Relu|Clip|Concat)$|_blocks\.\d+/Add$")


def keeps_float(node: str) -> bool:
    """Whether an ONNX node stays in float: stem, first blocks, heads and the arithmetic of eq. 2.

    Measured: the first layers in float cost no time and take away a third of the error.
    """
    return bool(_FLOAT.search(node)) or not _EIGHT_BIT.search(node)


def calibration_pictures(store: PeopleStore, count: int = 40, side: int = 160) -> list[Array]:
    """Training pictures, (1, side, side, 3) uint8; always the same ones."""
    seeds = (np.random.default_rng((7, number)) for number in range(count))
    return [training_picture(rng, store, side, side)[0][None] for rng in seeds]


def judge(
    model: adapter.LateFusionModel, store: PeopleStore, count: int
) -> tuple[dict[str, float], list[Array]]:
    """MAD and MSE (x 1e3) on people composited on unseen rooms, at full size; and the small alphas."""
    far, square, alphas = [], [], []
    for number in np.linspace(0, len(store.people) - 1, count).astype(int):
        picture, alpha8, _ = validation_picture(store, int(number))
        rows, columns = alpha8.shape
        height, width = model.input_size(rows, columns)
        matte, _ = model(cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA), None)
        truth = np.asarray(alpha8 / 255, np.float32)
        whole = np.asarray(cv2.resize(matte.alpha, (columns, rows)), np.float32)
        far.append(mad(whole, truth))
        square.append(mse(whole, truth))
        alphas.append(matte.alpha)
    return {"mad": 1e3 * float(np.mean(far)), "mse": 1e3 * float(np.mean(square))}, alphas


def install(average: Path, cache: Path, folder: Path, count: int, data: Path | None = None) -> None:
    """Write the live size's shipped files and card into ``folder`` from a run's averaged weights."""
    name = "late-fusion-live"
    tensors, facts = load_checkpoint(average)
    if data is not None:
        facts["data_hash"] = data_hash(data)
    weights = folder / "weights"
    weights.mkdir(exist_ok=True)
    with TemporaryDirectory(dir=weights, prefix=".part-") as scratch:
        float_file, int8_file = Path(scratch) / f"{name}.safetensors", Path(scratch) / f"{name}.int8.onnx"
        reduced = save_small(tensors, float_file, LIMIT, {"model": name, "step": json.dumps(facts)})
        source = adapter.program(name, Card(name, folder / "card-live.toml", {}, ()), float_file, "fp32")
        pictures = calibration_pictures(PeopleStore(cache))
        quantize(export(source), int8_file, pictures, keeps_float, overflow_safe=True)
        rows = compare(float_file, int8_file, average, PeopleStore(cache, validation=True), count)
        files = {"fp16": float_file, "int8": int8_file}
        text = card_text(folder / "card-live.toml", files, rows, facts, reduced, count)
        for file in files.values():
            file.chmod(0o644)  # safetensors writes for the owner alone
            os.replace(file, weights / file.name)
    (folder / "card-live.toml").write_text(text, encoding="utf-8")


def compare(
    float_file: Path, int8_file: Path, average: Path, store: PeopleStore, count: int
) -> dict[str, dict[str, float]]:
    """How good the files are, and how far from the checkpoint they were made of."""
    rows, alphas = {}, {}
    for label, file in (("checkpoint", average), ("fp16", float_file), ("int8", int8_file)):
        rows[label], alphas[label] = judge(adapter.late_fusion_live(device="cpu", weights=file), store, count)
        off = [float(np.abs(a - b).mean()) for a, b in zip(alphas[label], alphas["checkpoint"], strict=True)]
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
    head = card.read_text(encoding="utf-8").split(_MARK)[0]
    lines = [_MARK, "", "[checkpoint]"]
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


def main() -> None:
    """Command line of the export."""
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("install", help="make the shipped files and the card from a checkpoint")
    command.add_argument("average", type=Path, help="average.safetensors of a training run")
    command.add_argument("--cache", type=Path, default=Path("runs/packed"), help="the recipe's packed data")
    command.add_argument("--folder", type=Path, default=_HERE, help="where card and weights/ are")
    command.add_argument("--count", type=int, default=100, help="validation pictures to judge by")
    command.add_argument("--data", type=Path, help="the data's folder, to note its hash in the card")
    args = parser.parse_args()
    install(args.average, args.cache, args.folder, args.count, args.data)


if __name__ == "__main__":
    main()
