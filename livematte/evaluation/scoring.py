"""Evaluate a matting method: metrics of each case, their means, and pictures of the largest errors.

A matting method is any callable from a picture (H, W, 3) uint8 RGB to an alpha (H, W) float32 in [0, 1].
:class:`MattingPipeline` turns a model into one.
"""

from __future__ import annotations

import heapq
import json
import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

from livematte.errors import InputError, ModelError, OutputError
from livematte.evaluation.frame_metrics import (
    Alpha,
    FrameResult,
    Picture,
    draw_errors,
    still_metrics,
    temporal_metrics,
    unknown_pixels,
)
from livematte.evaluation.truth import Case
from livematte.frame import ColorInfo, Frame, Matte
from livematte.kernels.convert import planes_from_rgb
from livematte.matting import metrics
from livematte.matting.compositor import Compositor
from livematte.matting.frame_matting import FrameMatting
from livematte.progress import Meter, Progress
from livematte.protocols import Model

MattingMethod = Callable[[Picture], "Alpha | Matte"]
"""Returns the alpha of a picture, or a matte to evaluate foreground colours too, at the picture's size."""

FACTORS: Mapping[str, float] = {
    "SAD": 1e-3, "MAD": 1e3, "MSE": 1e3, "Grad": 1e-3, "Conn": 1e-3, "dtSSD": 1e2, "MESSDdt": 1e3,
    "fgSAD": 1e-3, "fgMSE": 1e3,
}  # fmt: skip
"""Factor of each metric of :mod:`livematte.matting.metrics` in papers, in the order of the table columns."""

WORST = 8
"""Default number of error pictures in a report."""


@dataclass(frozen=True)
class Score:
    """Metrics of one case: means over its frames, multiplied by :data:`FACTORS`."""

    name: str
    frames: int
    values: Mapping[str, float]


@dataclass(frozen=True)
class ErrorPicture:
    """The frame of a case with the largest MAD.

    Attributes:
        frame: number of the frame, from 1.
        mad: MAD x 1000.
        picture: (H, 4 W, 3) uint8 RGB: picture, true alpha, predicted alpha, and the error: red where the
            prediction is too high, blue where it is too low.
    """

    name: str
    frame: int
    mad: float
    picture: Picture


@dataclass(frozen=True)
class Report:
    """Results of an evaluation."""

    scores: Sequence[Score]
    mean: Mapping[str, float]
    """Unweighted mean over the cases; for each metric, over the cases that have it."""
    worst: Sequence[ErrorPicture]
    """Sorted by MAD, largest first."""
    band: bool
    """True if only pixels of the unknown band were evaluated."""

    def facts(self) -> dict[str, object]:
        """Return everything except the pictures, as JSON-serialisable values."""
        return {
            "region": "unknown band" if self.band else "whole picture",
            "factors": {name: FACTORS[name] for name in self.mean},
            "mean": dict(self.mean),
            "cases": [asdict(score) for score in self.scores],
            "worst": [{"name": s.name, "frame": s.frame, "MAD": s.mad} for s in self.worst],
        }


class MattingPipeline:
    """A model as a matting method: the network alone, or the complete processing of a render."""

    def __init__(
        self,
        model: Model,
        compositor: Compositor | None = None,
        matting: Callable[[Model], FrameMatting] | None = None,
    ) -> None:
        """Store the stages to evaluate.

        Args:
            compositor: upsamples the matte to full size as in a render; None evaluates the network alone,
                upsampled by bilinear interpolation.
            matting: creates, for each shot, the stage that filters mattes before the compositor; default is
                that of a render. Unused without a compositor.
        """
        self._model, self._compositor = model, compositor
        self._make_matting = FrameMatting.unfiltered if compositor is None else matting or FrameMatting
        self.begin()

    def begin(self) -> None:
        """Start a new shot: reset all state from earlier frames."""
        self._matting = self._make_matting(self._model)
        self._number = 0

    def __call__(self, rgb: Picture) -> Matte:
        """Return the matte of the next frame; the picture is converted to 4:2:0 as in a video."""
        color = ColorInfo()
        planes, first = planes_from_rgb(rgb, "yuv420p", color), self._number == 0
        frame = Frame(planes, "yuv420p", self._number, Fraction(1, 30), color=color, keyframe_hint=first)
        self._number += 1
        small = self._matting.focus(frame, self._matting.shrink(frame))
        matte = self._matting(frame, small)
        if self._compositor is not None:
            return self._compositor.full_matte(frame, matte, small.planes, small.cut)
        size = (frame.width, frame.height)
        foreground = None if matte.foreground is None else cv2.resize(matte.foreground, size)
        return Matte(np.asarray(cv2.resize(matte.alpha, size), np.float32), foreground)


def evaluate(
    method: MattingMethod,
    cases: Sequence[Case],
    *,
    band: bool = False,
    worst: int = WORST,
    progress: Callable[[Progress], None] | None = None,
) -> Report:
    """Compute the metrics of ``method`` on all cases.

    Args:
        method: called for each frame in order; its ``begin()``, if any, is called before each case.
        band: evaluate only the unknown band: the unknown pixels of the case's trimap, or, without one, those
            of :func:`livematte.matting.metrics.unknown_band`. Foreground is always evaluated where the true
            alpha is above 0.
        worst: maximum number of error pictures in the report.
        progress: called from time to time with the number of finished cases.

    Raises:
        InputError: there are no cases, or one cannot be read.
        ModelError: a prediction has a different size than its picture, or contains NaN or infinity.
    """
    if not cases:
        raise InputError("there are no cases to evaluate: use a folder with pictures and their true alphas")
    meter = Meter(len(cases), progress)
    scores: list[Score] = []
    heap: list[tuple[float, int, ErrorPicture]] = []
    for number, case in enumerate(cases):
        score, picture = _evaluate_case(method, case, band)
        scores.append(score)
        heapq.heappush(heap, (picture.mad, -number, picture))
        if len(heap) > worst:
            heapq.heappop(heap)
        meter(number + 1)
    pictures = [picture for *_, picture in sorted(heap, key=lambda entry: entry[:2], reverse=True)]
    return Report(scores, _means([s.values for s in scores]), pictures, band)


def _predict(method: MattingMethod, rgb: Picture, where: str) -> Matte:
    prediction = method(rgb)
    matte = prediction if isinstance(prediction, Matte) else Matte(prediction)
    if matte.alpha.shape != rgb.shape[:2]:
        raise ModelError(
            f"{where}: the alpha has size {matte.alpha.shape}, but the picture has size {rgb.shape[:2]}"
        )
    if not np.isfinite(matte.alpha).all():
        raise ModelError(f"{where}: the alpha contains NaN or infinity; the weights may be damaged")
    return matte


def _evaluate_case(method: MattingMethod, case: Case, band: bool) -> tuple[Score, ErrorPicture]:
    begin = getattr(method, "begin", None)
    if begin is not None:
        begin()
    values: list[dict[str, float]] = []
    previous: FrameResult | None = None
    worst: ErrorPicture | None = None
    for number, truth in enumerate(case.frames(), 1):
        matte = _predict(method, truth.rgb, f"{case.name}, frame {number}")
        result = FrameResult(
            truth, np.asarray(matte.alpha, np.float32), unknown_pixels(truth) if band else None
        )
        frame_metrics = still_metrics(result.alpha, truth.alpha, result.mask)
        if matte.foreground is not None and truth.foreground is not None:
            colour = truth.foreground.astype(np.float32) / np.float32(255)
            frame_metrics["fgSAD"] = metrics.foreground_sad(matte.foreground, colour, truth.alpha)
            frame_metrics["fgMSE"] = metrics.foreground_mse(matte.foreground, colour, truth.alpha)
        if previous is not None:
            frame_metrics |= temporal_metrics(previous, result)
        values.append({name: FACTORS[name] * value for name, value in frame_metrics.items()})
        if worst is None or values[-1]["MAD"] > worst.mad:
            worst = ErrorPicture(case.name, number, values[-1]["MAD"], draw_errors(result))
        previous = result
    if worst is None:
        raise InputError(f"{case.name} contains no readable picture")
    return Score(case.name, len(values), _means(values)), worst


def _means(values: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Return the mean of each metric over the entries that have it, in the order of :data:`FACTORS`."""
    by_name = defaultdict(list)
    for one in values:
        for name, value in one.items():
            by_name[name].append(value)
    return {name: float(np.mean(by_name[name])) for name in FACTORS if name in by_name}


def heading(name: str) -> str:
    """Return a metric's name with its factor: ``MAD x 1000``, ``SAD / 1000``."""
    factor = FACTORS[name]
    return f"{name} x {factor:g}" if factor > 1 else f"{name} / {1 / factor:g}"


def markdown(rows: Sequence[tuple[str, Mapping[str, float]]], first: str = "picture") -> str:
    """Return a Markdown table of ``rows`` (name, metrics).

    Args:
        first: title of the first column. The other columns are all metrics that occur in any row.
    """
    names = [name for name in FACTORS if any(name in values for _, values in rows)]
    lines = [
        f"| {first} | {' | '.join(heading(name) for name in names)} |",
        f"|---|{'---:|' * len(names)}",
    ]
    for label, values in rows:
        cells = (f"{values[name]:.2f}" if name in values else "-" for name in names)
        lines.append(f"| {label} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def report_folder(folder: Path) -> None:
    """Create ``folder`` for a report. Raises OutputError if that fails."""
    try:
        (folder / "worst").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder} cannot be written: {error.strerror or error}") from error


def write_report(report: Report, folder: Path, **facts: object) -> list[Path]:
    """Write ``scores.json``, ``scores.md`` and the error pictures; return their paths.

    Error pictures of an earlier report in ``folder`` are deleted.

    Args:
        facts: additional entries for ``scores.json``.

    Raises:
        OutputError: ``folder`` is not writable.
    """
    table = [("mean", report.mean), *((score.name, score.values) for score in report.scores)]
    files: dict[str, bytes] = {
        "scores.json": json.dumps({**facts, **report.facts()}, indent=1).encode(),
        "scores.md": markdown(table).encode(),
    }
    for number, worst in enumerate(report.worst, 1):
        name = re.sub(r"[^\w.-]+", "_", worst.name)
        picture = cv2.cvtColor(worst.picture, cv2.COLOR_RGB2BGR)
        files[f"worst/{number:02}-{name}-{worst.frame}.png"] = cv2.imencode(".png", picture)[1].tobytes()
    report_folder(folder)
    try:
        for old in (folder / "worst").glob("[0-9][0-9]-*.png"):
            old.unlink()
        for name, content in files.items():
            (folder / name).write_bytes(content)
    except OSError as error:
        raise OutputError(f"{error.filename} cannot be written: {error.strerror or error}") from error
    return [folder / name for name in files]
