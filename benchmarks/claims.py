"""Each paper's own claim, checked in the small on the live sizes; written between marks of a document.

    python -m benchmarks.claims --data runs/packed --runs runs/claims --write docs/models.md

Three claims need one trained network only: Late Fusion's branches against their fusion, AdaMatting's alpha
before and after each propagation step, FBA's colours against those that the engine estimates from alpha. Two
need training with and without a loss: JMNet's pose and gradient terms, POMAGAN's border and perceptual terms.
Those runs are short and differ in nothing but the term; ``--seeds`` shows how much chance alone moves them.
They start from the shipped weights, which learned with the term already, or from ``--start``: a part of them,
such as the encoder alone, has the rest still to learn. What was trained already is not trained again.
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
from livematte.kernels import cpu
from livematte.models.adamatting.network import FOREGROUND, UNKNOWN, adamatting_live
from livematte.models.fba.model import fba_live
from livematte.models.late_fusion.network import late_fusion_live
from livematte.training.augment import validation_picture
from livematte.training.data import PeopleStore
from livematte.training.loop import Settings, train
from livematte.training.recipe import as_tensors
from livematte.training.trimaps import edge_crop, random_trimap
from livematte.weights import load_into

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
"""Recipe: the step that is repeated, and what its variants change in the options."""


class Means:
    """MAD and MSE x 1000 of named answers."""

    def __init__(self) -> None:
        self._values: dict[str, list[tuple[float, float]]] = defaultdict(list)

    def add(self, name: str, answer: Alpha, truth: Alpha) -> None:
        error = answer - truth
        self._values[name].append((1e3 * float(np.abs(error).mean()), 1e3 * float(np.square(error).mean())))

    def rows(self) -> Iterator[tuple[str, str, str]]:
        for name, values in self._values.items():
            mad, mse = np.mean(values, axis=0)
            yield name, f"{mad:.2f}", f"{mse:.2f}"


def shipped(name: str) -> Path:
    """The safetensors file of a live size."""
    return Path("models") / name.removesuffix("-live").replace("-", "_") / "weights" / f"{name}.safetensors"


@torch.no_grad()
def branches(store: PeopleStore, count: int) -> Means:
    """Late Fusion, sec. 3.2 and 3.3: either decoder alone, their mean, and the learned fusion."""
    network = late_fusion_live()
    load_into(network, shipped("late-fusion-live"))
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
    """Crops around soft outlines of held-out people on held-out rooms: rgb, alpha, foreground, trimap."""
    for number in range(count):
        rng = np.random.default_rng((11, number))
        rgb, alpha, foreground, _ = edge_crop(rng, store, side, side)
        yield rgb, alpha, foreground, random_trimap(rng, alpha)


@torch.no_grad()
def propagation(store: PeopleStore, count: int) -> Means:
    """AdaMatting, sec. 3.2: the alpha decoder's estimation and that of each propagation step."""
    network = adamatting_live()
    load_into(network, shipped("adamatting-live"))
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
    """FBA: the same person on another room, of the predicted F, of an estimated F, and of the picture itself.

    Errors are of the composite, in the unknown band, RGB in [0, 1].
    """
    refiner = fba_live(device="cpu")
    means = Means()
    room = np.array([0.1, 0.7, 0.3], np.float32)  # a screen's green: what glows in hair
    for rgb, alpha8, foreground, trimap in crops(store, count):
        matte = refiner.refine(rgb, trimap)
        truth = np.asarray(alpha8 / 255, np.float32)
        ideal = truth[..., None] * foreground / 255 + (1 - truth[..., None]) * room
        small = np.ascontiguousarray(rgb.transpose(2, 0, 1).astype(np.float32))
        estimated = cpu.estimate_colors(small, matte.alpha, (4, 1), None)[0].transpose(1, 2, 0) / 255
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
    """The last validation of each variant and seed."""
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
                settings = Settings(judged=options.judged, say=lambda row: print(row, flush=True))
                start = options.start.get(name, shipped(name))
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
    judged = [row for row in rows if "mad" in row]
    return {"mad": judged[-1]["mad"], "mse": judged[-1]["mse"]} if judged else None


def table(head: tuple[str, ...], rows: Iterator[tuple[str, ...]]) -> list[str]:
    """Markdown."""
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
    parser.add_argument("--data", type=Path, default=Path("runs/packed"), help="packed people and rooms")
    parser.add_argument("--runs", type=Path, default=Path("runs/claims"), help="where short trainings lie")
    parser.add_argument("--count", type=int, default=100, help="pictures and crops to judge by")
    parser.add_argument("--iterations", type=int, default=300, help="of each short training")
    parser.add_argument("--seeds", type=int, default=1, help="short trainings of each variant")
    parser.add_argument("--judged", type=int, default=96, help="pictures that short trainings are judged by")
    parser.add_argument("--start", nargs="*", default=[], type=_start, metavar="NAME=FILE")
    parser.add_argument("--only", nargs="*", help="of: late-fusion adamatting fba jmnet-live pomagan-live")
    parser.add_argument("--write", type=Path, help="put the tables between the marks of this document")
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
