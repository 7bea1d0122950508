"""Measure matting quality with ground-truth alpha that no network made.

    python -m benchmarks.quality --true-alpha [--data FOLDER] [--rvm rvm.onnx] [--mediapipe-python PYTHON]
    python -m benchmarks.quality --true-alpha --weights FILE --count 40 --sizes 352,512

The output is three tables for 640 x 360 pictures: validation stills (head and shoulders), validation clips of
people who move in front of a static background, and the same clips with a hand-held camera's background. The
backgrounds are from the validation split too. Each row is measured with the complete processing of a render.

Without ``--weights`` the rows are all registered models, the default model at ``--sizes`` and with each
refiner, RobustVideoMatting at its default setting (long side 512) and MediaPipe's selfie segmentation. With
``--weights`` they are only the given weights, at their default size or at ``--sizes``, and the two other
projects. The last column is the median time per frame with pre- and postprocessing; other programs running on
the machine make it longer.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
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
from livematte.evaluation.scoring import MattingMethod, MattingPipeline, evaluate, heading
from livematte.evaluation.truth import Case
from livematte.frame import Matte
from livematte.options import DEFAULT_MODEL
from livematte.resolve import resolve
from livematte.training.cutouts import CUTCLIPS, CUTOUTS

Make = Callable[[ExitStack], MattingMethod]
"""Creates a method to measure; registers its clean-up on the stack."""

Means = dict[str, dict[str, float]]

COLUMNS = ("MAD", "MSE", "Grad", "dtSSD", "fgMSE")
TITLES = {
    "stills": "stills, heads and shoulders",
    "clips": "clips, a room that stands still",
    "moving clips": "clips, a hand-held camera's room",
}
STILLS_A_CLIP = 15
"""Ratio of the number of validation stills to that of clip cases (182 and 12)."""


class Timed:
    """A matting method that records the time of each frame in milliseconds."""

    def __init__(self, method: MattingMethod) -> None:
        self._method = method
        self.times: list[float] = []

    def begin(self) -> None:
        """Start a new shot."""
        begin = getattr(self._method, "begin", None)
        if begin is not None:
            begin()

    def __call__(self, rgb: NDArray[np.uint8]) -> NDArray[np.float32] | Matte:
        start = time.perf_counter()
        matte = self._method(rgb)
        self.times.append(1e3 * (time.perf_counter() - start))
        return matte


def methods(options: argparse.Namespace) -> Iterator[tuple[str, Make]]:
    """Yield the name and the factory of each row."""
    compute = {name: getattr(options, name) for name in ("device", "runtime", "precision")}

    def ours(model: str = DEFAULT_MODEL, **how: Any) -> Make:
        def make(stack: ExitStack) -> MattingMethod:
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
        yield (
            "MediaPipe selfie",
            lambda stack: stack.enter_context(closing(MediaPipe(options.mediapipe_python))),
        )


def measure(make: Make, cases: Mapping[str, Sequence[Case]]) -> Means:
    """Return the mean metrics of each kind of cases, with ``ms``, the median time per frame."""
    with ExitStack() as stack:
        method = make(stack)
        means: Means = {}
        for kind, chosen in cases.items():
            timed = Timed(method)
            found = evaluate(timed, chosen, worst=0).mean
            means[kind] = {name: found[name] for name in COLUMNS if name in found}
            means[kind]["ms"] = statistics.median(timed.times)
    return means


def table(rows: Mapping[str, Means], kind: str) -> str:
    """Return the Markdown table of one kind of cases."""
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
    """Return all tables, with the date, the command and the number of cases."""
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
        raise argparse.ArgumentTypeError(f"{given}: use FILE or NAME=FILE with an existing file")
    return name if equals else DEFAULT_MODEL, Path(file)


def _sizes(given: str) -> list[int]:
    try:
        return [int(size) for size in given.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{given} is invalid: use long sides separated by commas, such as 352,512"
        ) from None


def main(words: Sequence[str]) -> None:
    """Measure all rows, and print and write the tables."""
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
    for name, make in methods(options):
        try:
            rows[name] = measure(make, cases)
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
