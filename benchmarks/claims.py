"""Check a claim of each paper with the live sizes, in short experiments.

    python -m benchmarks.claims --data runs/packed --runs runs/claims --write docs/models.md

Three claims need only one trained network: the branches of Late Fusion compared with their fusion, the alpha
of AdaMatting before and after each propagation step, and the colours of FBA compared with colours estimated
from alpha. Two claims need training with and without a loss term: pose and gradient terms of JMNet, border
and perceptual terms of POMAGAN. These trainings are short and differ only in the term; ``--seeds`` shows the
random variation. They start from the shipped weights, which were trained with the term, or from the weights
of ``--start``, which may contain only a part, such as the encoder. Finished trainings are reused.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.section import Section
from livematte import registry
from livematte.inference.weights import load_into
from livematte.kernels.foreground import estimate_colors
from livematte.models.adamatting.network import FOREGROUND, UNKNOWN, adamatting_live
from livematte.models.fba.model import fba_live
from livematte.models.late_fusion.network import late_fusion_live
from livematte.training.augment import validation_picture
from livematte.training.data import PeopleStore
from livematte.training.loop import Settings, train
from livematte.training.recipe import as_tensors
from livematte.training.trimaps import edge_crop, random_trimap

Alpha = NDArray[np.float32]

SIDE = 288
"""Long side of the pictures that networks without a trimap see."""

TRAINED = {
    "jmnet-live": (
        "own",
        {"all terms": {}, "without pose": {"pose": 0.0}, "without gradient": {"gradient": 0.0}},
    ),
    "pomagan-live": (
        "alpha",
        {
            "all terms": {},
            "without border": {"alpha_border": 0.0},
            "without perceptual": {"alpha_perceptual": 0.0},
        },
    ),
}
"""Recipe: the repeated step, and the changed options of each variant."""


class Means:
    """MAD and MSE x 1000 of named results."""

    def __init__(self) -> None:
        self._values: dict[str, list[tuple[float, float]]] = defaultdict(list)

    def add(self, name: str, result: Alpha, truth: Alpha) -> None:
        error = result - truth
        self._values[name].append((1e3 * float(np.abs(error).mean()), 1e3 * float(np.square(error).mean())))

    def rows(self) -> Iterator[tuple[str, str, str]]:
        for name, values in self._values.items():
            mad, mse = np.mean(values, axis=0)
            yield name, f"{mad:.2f}", f"{mse:.2f}"


def shipped_weights(name: str) -> Path:
    """Return the shipped safetensors file of a live size."""
    return Path("models") / name.removesuffix("-live").replace("-", "_") / "weights" / f"{name}.safetensors"


@torch.no_grad()
def branches(store: PeopleStore, count: int) -> Means:
    """Measure Late Fusion (sec. 3.2 and 3.3): each decoder alone, their mean, and the learned fusion."""
    network = late_fusion_live()
    load_into(network, shipped_weights("late-fusion-live"))
    network.eval()
    means = Means()
    for number in np.linspace(0, len(store.people) - 1, count).astype(int):
        picture, alpha8, _ = validation_picture(store, int(number))
        rows, columns = alpha8.shape
        scale = SIDE / max(rows, columns)
        height, width = (max(32, round(v * scale / 32) * 32) for v in (rows, columns))
        small = np.asarray(cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
        out = network(as_tensors([{"rgb": small}])["rgb"])
        f, b = out.foreground, 1 - out.background
        answers = {"foreground branch alone": f, "background branch alone": b, "mean of both": (f + b) / 2}
        for name, answer in (answers | {"fused (eq. 2)": out.alpha}).items():
            whole = cv2.resize(answer[0, 0].numpy(), (columns, rows))
            means.add(name, np.asarray(whole, np.float32), np.asarray(alpha8 / 255, np.float32))
    return means


def crops(store: PeopleStore, count: int, side: int = 256) -> Iterator[tuple[NDArray[np.uint8], ...]]:
    """Yield crops at soft edges of validation people on validation backgrounds.

    Yields:
        rgb, alpha, foreground and trimap, all uint8.
    """
    for number in range(count):
        rng = np.random.default_rng((11, number))
        rgb, alpha, foreground, _ = edge_crop(rng, store, side, side)
        yield rgb, alpha, foreground, random_trimap(rng, alpha)


@torch.no_grad()
def propagation(store: PeopleStore, count: int) -> Means:
    """Measure AdaMatting (sec. 3.2): the alpha of the decoder and of each propagation step."""
    network = adamatting_live()
    load_into(network, shipped_weights("adamatting-live"))
    network.eval()
    means = Means()
    for rgb, alpha8, _, trimap in crops(store, count):
        halves = np.where(trimap == 128, 0.5, trimap / 255).astype(np.float32)
        picture = torch.from_numpy(rgb.transpose(2, 0, 1)[None].astype(np.float32) / 255)
        out = network(picture, torch.from_numpy(halves)[None, None])
        p = torch.softmax(out.trimap, 1)
        for step, estimation in enumerate(out.alphas):
            answer = p[:, FOREGROUND] + p[:, UNKNOWN] * estimation[:, 0].clamp(0, 1)
            name = f"after {step} propagation step{'s' * (step != 1)}"
            means.add(name, answer[0].numpy(), np.asarray(alpha8 / 255, np.float32))
    return means


def colours(store: PeopleStore, count: int) -> Means:
    """Measure FBA: composites with the predicted F, with an estimated F, and with the colours of the picture.

    The error is that of the composite in the unknown band, RGB in [0, 1].
    """
    refiner = fba_live(device="cpu")
    means = Means()
    room = np.array([0.1, 0.7, 0.3], np.float32)  # green of a screen, which shows colour errors in hair
    for rgb, alpha8, foreground, trimap in crops(store, count):
        matte = refiner.refine(rgb, trimap)
        truth = np.asarray(alpha8 / 255, np.float32)
        ideal = truth[..., None] * foreground / 255 + (1 - truth[..., None]) * room
        small = np.ascontiguousarray(rgb.transpose(2, 0, 1).astype(np.float32))
        estimated = estimate_colors(small, matte.alpha, (4, 1), None)[0].transpose(1, 2, 0) / 255
        assert matte.foreground is not None
        answers = {
            "the picture's own colours": rgb / 255,
            "colours estimated from alpha": estimated,
            "F predicted with alpha": matte.foreground,
        }
        band = trimap == 128
        a = matte.alpha[..., None]
        for name, layer in answers.items():
            composite = np.asarray(a * layer + (1 - a) * room, np.float32)
            means.add(name, composite[band], np.asarray(ideal, np.float32)[band])
    return means


def trained(options: argparse.Namespace, name: str) -> dict[str, list[dict[str, float]]]:
    """Train each variant and seed; return the last validation result of each."""
    step, variants = TRAINED[name]
    recipe = registry.load("recipes", name)
    out: dict[str, list[dict[str, float]]] = {}
    for variant, changes in variants.items():
        for seed in range(1, options.seeds + 1):
            plan = recipe.plan(1.0, seed).only([step])
            table = {"options": changes, "steps": {step: {"iterations": options.iterations}}}
            folder = options.runs / f"{name}-{variant.replace(' ', '-')}-{seed}"
            last = _last(folder)
            if last is None:
                settings = Settings(
                    validation_pictures=options.judged, say=lambda row: print(row, flush=True)
                )
                start = options.start.get(name, shipped_weights(name))
                train(recipe, plan.changed(table), folder, options.data, settings=settings, start_from=start)
                last = _last(folder)
            assert last is not None
            out.setdefault(variant, []).append(last)
    return out


def _last(folder: Path) -> dict[str, float] | None:
    log = folder / "log.jsonl"
    if not (folder / "average.safetensors").exists() or not log.exists():
        return None
    rows = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    validated = [row for row in rows if "mad" in row]
    return {"mad": validated[-1]["mad"], "mse": validated[-1]["mse"]} if validated else None


def table(head: tuple[str, ...], rows: Iterator[tuple[str, ...]]) -> list[str]:
    """Return the lines of a Markdown table."""
    lines = ["| " + " | ".join(head) + " |", "|---|" + "---:|" * (len(head) - 1)]
    return [*lines, *("| " + " | ".join(row) + " |" for row in rows), ""]


def _trained_rows(found: Mapping[str, list[dict[str, float]]]) -> Iterator[tuple[str, ...]]:
    for variant, values in found.items():
        mads, mses = ([v[k] for v in values] for k in ("mad", "mse"))
        spread = f" ± {max(mads) - np.mean(mads):.2f}" if len(mads) > 1 else ""
        yield variant, f"{np.mean(mads):.2f}{spread}", f"{np.mean(mses):.2f}"


def _start(given: str) -> tuple[str, Path]:
    name, equals, file = given.partition("=")
    if not equals or name not in TRAINED or not Path(file).is_file():
        raise argparse.ArgumentTypeError(f"{given}: give NAME=FILE, NAME one of {', '.join(TRAINED)}")
    return name, Path(file)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--data", type=Path, default=Path("runs/packed"), help="packed people and backgrounds"
    )
    parser.add_argument(
        "--runs", type=Path, default=Path("runs/claims"), help="folder of the short trainings"
    )
    parser.add_argument("--count", type=int, default=100, help="number of validation pictures and crops")
    parser.add_argument("--iterations", type=int, default=300, help="iterations of each short training")
    parser.add_argument("--seeds", type=int, default=1, help="number of trainings of each variant")
    parser.add_argument(
        "--judged", type=int, default=96, help="number of validation pictures of a short training"
    )
    parser.add_argument("--start", nargs="*", default=[], type=_start, metavar="NAME=FILE")
    parser.add_argument(
        "--only", nargs="*", help="some of: late-fusion adamatting fba jmnet-live pomagan-live"
    )
    parser.add_argument("--write", type=Path, help="insert the tables into this document, between its marks")
    options = parser.parse_args()
    options.start = dict(options.start)
    section = options.write and Section(options.write, "claims")
    torch.set_num_threads(1)
    store = PeopleStore(options.data, validation=True)
    lines: list[str] = []
    head = ("", "MAD x 1000", "MSE x 1000")
    direct: tuple[tuple[str, str, Callable[[PeopleStore, int], Means]], ...] = (
        ("late-fusion", "Late Fusion: two branches and their fusion beat one branch", branches),
        ("adamatting", "AdaMatting: propagation helps (crops around outlines)", propagation),
        ("fba", "FBA: F predicted with alpha helps the composite (colours on green, unknown band)", colours),
    )
    for name, title, measure in direct:
        if options.only is None or name in options.only:
            lines += [f"### {title}", "", *table(head, measure(store, options.count).rows())]
    for name in TRAINED:
        if options.only is None or name in options.only:
            found = trained(options, name)
            lines += [f"### {name}: {options.iterations} iterations with and without a term", ""]
            lines += table(head, _trained_rows(found))
    text = "\n".join(lines)
    print(text)
    if section:
        section.write(text)


if __name__ == "__main__":
    main()
