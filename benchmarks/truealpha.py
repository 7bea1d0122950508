"""How good the mattes are by alphas that no network made.

    python -m benchmarks.quality --true-alpha [--data FOLDER] [--rvm rvm.onnx] [--mediapipe-python PYTHON]
    python -m benchmarks.quality --true-alpha --weights FILE --count 40 --sizes 352,512

Three tables: held-out stills (head and shoulders), held-out clips of people who move on a room that stands
still, and the same clips on a room seen by a hand-held camera; 640 x 360, the rooms held out too. Every row
is the whole way of a rendered frame. Without ``--weights`` they are the registered models, the default model
at ``--sizes`` and with each refiner, RobustVideoMatting at its own setting (long side 512) and MediaPipe's
selfie segmentation; with it, only the given weights, at their own size or at ``--sizes``, and the peers. The
last column is the median time of a frame, pre- and postprocessing included, on whatever else runs here.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.peers import MediaPipe, Rvm
from benchmarks.section import Section
from livematte import registry
from livematte.errors import LivematteError
from livematte.evaluation.cases import find_cases, spread
from livematte.evaluation.scoring import Judged, MattingPipeline, evaluate, heading
from livematte.evaluation.truth import Case
from livematte.frame import Matte
from livematte.options import DEFAULT_MODEL
from livematte.resolve import resolve
from livematte.training.cutouts import CUTCLIPS, CUTOUTS

Make = Callable[[ExitStack], Judged]
Means = dict[str, dict[str, float]]

COLUMNS = ("MAD", "MSE", "Grad", "dtSSD", "fgMSE")
TITLES = {
    "stills": "stills, heads and shoulders",
    "clips": "clips, a room that stands still",
    "moving clips": "clips, a hand-held camera's room",
}
STILLS_A_CLIP = 15
"""Held-out stills for each case of the clips: 182 and 12."""


class Timed:
    """Calls ``judged``; remembers how long each frame took, in milliseconds."""

    def __init__(self, judged: Judged) -> None:
        self._judged = judged
        self.times: list[float] = []

    def begin(self) -> None:
        """Another shot begins."""
        begin = getattr(self._judged, "begin", None)
        if begin is not None:
            begin()

    def __call__(self, rgb: NDArray[np.uint8]) -> NDArray[np.float32] | Matte:
        start = time.perf_counter()
        answer = self._judged(rgb)
        self.times.append(1e3 * (time.perf_counter() - start))
        return answer


def contenders(options: argparse.Namespace) -> Iterator[tuple[str, Make]]:
    """Name and maker of each row."""
    compute = {name: getattr(options, name) for name in ("device", "runtime", "precision")}

    def ours(model: str = DEFAULT_MODEL, **how: Any) -> Make:
        def make(stack: ExitStack) -> Judged:
            resolved = resolve({"model": model, **compute, **how})
            return MattingPipeline(resolved.model(), resolved.compositor(), resolved.matting)

        return make

    alone = bool(options.weights)
    known = registry.names("models")
    for model in options.models if options.models is not None else [] if alone else known:
        yield f"`{model}`", ours(model)
    for name, file in options.weights:
        for size in options.sizes or [None]:
            label = f"`{name}` with {file.name}" + ("" if size is None else f", {size} px")
            yield label, ours(name, size=size, weights=file)
    for size in [] if alone else options.sizes:
        yield f"`{DEFAULT_MODEL}`, {size} px", ours(size=size)
    refiners = registry.names("refiners")
    for refiner in options.refiners if options.refiners is not None else [] if alone else refiners:
        yield f"`{DEFAULT_MODEL}`, refined by `{refiner}`", ours(refine=refiner)
    if options.rvm:
        yield "RVM MobileNetV3, 512 px", lambda _: Rvm(options.rvm, 512)
    if options.mediapipe_python:

        def peer(stack: ExitStack) -> Judged:
            made = MediaPipe(options.mediapipe_python)
            stack.callback(made.close)
            return made

        yield "MediaPipe selfie", peer


def judge(make: Make, cases: Mapping[str, Sequence[Case]]) -> Means:
    """Means over each kind of case, with ``ms``, the median time of a frame."""
    with ExitStack() as stack:
        judged = make(stack)
        means: Means = {}
        for kind, chosen in cases.items():
            timed = Timed(judged)
            found = evaluate(timed, chosen, worst=0).mean
            means[kind] = {name: found[name] for name in COLUMNS if name in found}
            means[kind]["ms"] = statistics.median(timed.times)
    return means


def table(rows: Mapping[str, Means], kind: str) -> str:
    """One kind's table."""
    lines = [
        f"| {TITLES[kind]} | {' | '.join(heading(name) for name in COLUMNS)} | ms |",
        f"|---|{'---:|' * (len(COLUMNS) + 1)}",
    ]
    for name, means in rows.items():
        values = means[kind]
        cells = [f"{values[c]:.2f}" if c in values else "-" for c in COLUMNS] + [f"{values['ms']:.0f}"]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def document(rows: Mapping[str, Means], cases: Mapping[str, Sequence[Case]], left_out: Sequence[str]) -> str:
    """All tables, with what they were made of."""
    day = datetime.now(timezone.utc).date()
    counts = ", ".join(f"{len(chosen)} {kind}" for kind, chosen in cases.items())
    made = f"Made on {day} by `python -m benchmarks.quality --true-alpha`: {counts}, 640 x 360."
    lines = [made, "", *(table(rows, kind) for kind in cases)]
    if left_out:
        lines += ["Left out:", "", *(f"- {line}" for line in left_out), ""]
    return "\n".join(lines)


def _weights(given: str) -> tuple[str, Path]:
    name, equals, file = given.rpartition("=")
    if not Path(file).is_file():
        raise argparse.ArgumentTypeError(f"{given}: give FILE or NAME=FILE, of a file that is there")
    return name if equals else DEFAULT_MODEL, Path(file)


def _sizes(given: str) -> list[int]:
    try:
        return [int(size) for size in given.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(f"{given}: give long sides as 352,512") from None


def main(words: Sequence[str]) -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.quality --true-alpha",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="holds cutouts/, cutclips/")
    parser.add_argument("--models", nargs="*", help="only these")
    parser.add_argument("--refiners", nargs="*", help="only these")
    parser.add_argument("--weights", nargs="*", default=[], type=_weights, metavar="[NAME=]FILE")
    parser.add_argument("--sizes", type=_sizes, default=[], metavar="PX,PX", help="long sides to try")
    parser.add_argument("--count", type=int, help="stills; all otherwise, and of clips in proportion")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--runtime", default="auto")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--rvm", type=Path, help="rvm_mobilenetv3_fp32.onnx")
    parser.add_argument("--mediapipe-python", help="an interpreter with mediapipe==0.10.21")
    parser.add_argument("--json", type=Path, help="write the figures there too")
    parser.add_argument("--write", type=Path, help="put the tables between the marks of this document")
    options = parser.parse_args(words)
    section = options.write and Section(options.write, "true-alpha")
    clips = None if options.count is None else max(1, round(options.count / STILLS_A_CLIP))
    cases = {
        "stills": spread(find_cases(options.data / CUTOUTS), options.count),
        "clips": spread(find_cases(options.data / CUTCLIPS), clips),
        "moving clips": spread(find_cases(options.data / CUTCLIPS, moving=True), clips),
    }
    rows: dict[str, Means] = {}
    left_out = []
    for name, make in contenders(options):
        try:
            rows[name] = judge(make, cases)
        except LivematteError as error:
            left_out.append(f"{name}: {error}")
            continue
        found = (f"{k}: {', '.join(f'{c} {v:.2f}' for c, v in m.items())}" for k, m in rows[name].items())
        print(f"{name}: {'; '.join(found)}", flush=True)
    text = document(rows, cases, left_out)
    print(f"\n{text}")
    if options.json:
        facts: dict[str, Any] = {"rows": rows, "left_out": left_out}
        options.json.write_text(json.dumps(facts, indent=1), encoding="utf-8")
    if section:
        section.write(text)
