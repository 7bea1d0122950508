"""How far a model's mattes are from the truth: every picture, their mean, and the worst to look at.

Anything that makes an alpha (H, W) float32 in [0, 1] of a picture (H, W, 3) uint8 RGB can be judged;
:class:`MattingPipeline` makes such a thing of a model.
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
from numpy.typing import NDArray

from livematte.errors import InputError, ModelError, OutputError
from livematte.evaluation.truth import Case, Truth
from livematte.frame import ColorInfo, Frame, Matte
from livematte.kernels.convert import planes_from_rgb
from livematte.matting import metrics
from livematte.matting.compositor import Compositor
from livematte.matting.frame_matting import FrameMatting
from livematte.progress import Meter, Progress
from livematte.protocols import Model

Picture = NDArray[np.uint8]
Alpha = NDArray[np.float32]

Judged = Callable[[Picture], "Alpha | Matte"]
"""A picture's alpha, or its matte where foreground colours are to be judged too; of the picture's size."""

FACTORS: Mapping[str, float] = {
    "SAD": 1e-3, "MAD": 1e3, "MSE": 1e3, "Grad": 1e-3, "Conn": 1e-3, "dtSSD": 1e2, "MESSDdt": 1e3,
    "fgSAD": 1e-3, "fgMSE": 1e3,
}  # fmt: skip
"""Factor of each metric of :mod:`livematte.matting.metrics`, as papers print it, in the order of a table."""

WORST = 8
"""Pictures kept to be looked at."""


@dataclass(frozen=True)
class Score:
    """One picture's or clip's figures: means over its frames, times :data:`FACTORS`."""

    name: str
    frames: int
    values: Mapping[str, float]


@dataclass(frozen=True)
class Strip:
    """The worst frame of a case, to be looked at.

    Attributes:
        frame: counted from 1.
        picture: (H, 4 W, 3) uint8 RGB: picture, true alpha, the answer, and the error: red where it has
            too much, blue where it lacks.
    """

    name: str
    frame: int
    mad: float
    picture: Picture


@dataclass(frozen=True)
class Report:
    """What an evaluation found."""

    scores: Sequence[Score]
    mean: Mapping[str, float]
    """Over the cases, each counted once; a metric is over those that have it."""
    worst: Sequence[Strip]
    """By MAD, the worst first."""
    band: bool
    """Whether only the unknown band counted."""

    def facts(self) -> dict[str, object]:
        """All but the pictures, for JSON."""
        return {
            "region": "unknown band" if self.band else "whole picture",
            "factors": {name: FACTORS[name] for name in self.mean},
            "mean": dict(self.mean),
            "cases": [asdict(score) for score in self.scores],
            "worst": [{"name": s.name, "frame": s.frame, "MAD": s.mad} for s in self.worst],
        }


class MattingPipeline:
    """A model, judged: its alpha enlarged plainly, or the whole way that a rendered frame goes."""

    def __init__(
        self,
        model: Model,
        compositor: Compositor | None = None,
        matting: Callable[[Model], FrameMatting] | None = None,
    ) -> None:
        """Choose what is judged.

        Args:
            compositor: brings the matte to full size as in a render; None judges the network alone, enlarged
                by interpolation.
            matting: makes what filters the model's mattes before the compositor, for each shot; a render's
                by default. Unused without a compositor.
        """
        self._model, self._compositor = model, compositor
        self._new = FrameMatting.unfiltered if compositor is None else matting or FrameMatting
        self.begin()

    def begin(self) -> None:
        """Another shot begins."""
        self._matting = self._new(self._model)
        self._number = 0

    def __call__(self, rgb: Picture) -> Matte:
        """Matte the next frame, which goes through 4:2:0 planes as a video's does."""
        color = ColorInfo()
        planes, first = planes_from_rgb(rgb, "yuv420p", color), self._number == 0
        frame = Frame(planes, "yuv420p", self._number, Fraction(1, 30), color=color, keyframe_hint=first)
        self._number += 1
        small = self._matting.shrink(frame)
        matte = self._matting(frame, small)
        if self._compositor is not None:
            return self._compositor.full_matte(frame, matte, small.planes, small.cut)
        size = (frame.width, frame.height)
        foreground = None if matte.foreground is None else cv2.resize(matte.foreground, size)
        return Matte(np.asarray(cv2.resize(matte.alpha, size), np.float32), foreground)


def evaluate(
    judged: Judged,
    cases: Sequence[Case],
    *,
    band: bool = False,
    worst: int = WORST,
    progress: Callable[[Progress], None] | None = None,
) -> Report:
    """Judge ``judged`` on every case.

    Args:
        judged: called frame by frame; its ``begin()``, where it has one, before each case.
        band: count the unknown band only: where the case's trimap is unknown, or, without one, what
            :func:`livematte.matting.metrics.unknown_band` makes of the truth. Foreground counts where the
            true alpha is above 0.
        worst: how many pictures to keep.
        progress: called now and then, with cases done.

    Raises:
        InputError: there is no case, or one cannot be read.
        ModelError: an answer of another size than its picture, or not a number.
    """
    if not cases:
        raise InputError("there is no picture to judge by")
    meter = Meter(len(cases), progress)
    scores: list[Score] = []
    heap: list[tuple[float, int, Strip]] = []
    for number, case in enumerate(cases):
        score, strip = _judge(judged, case, band)
        scores.append(score)
        heapq.heappush(heap, (strip.mad, -number, strip))
        if len(heap) > worst:
            heapq.heappop(heap)
        meter(number + 1)
    strips = [strip for *_, strip in sorted(heap, key=lambda entry: entry[:2], reverse=True)]
    return Report(scores, _means([s.values for s in scores]), strips, band)


def _answer(judged: Judged, rgb: Picture, where: str) -> Matte:
    answer = judged(rgb)
    matte = answer if isinstance(answer, Matte) else Matte(answer)
    if matte.alpha.shape != rgb.shape[:2]:
        raise ModelError(f"{where}: alpha of size {matte.alpha.shape} for a picture of {rgb.shape[:2]}")
    if not np.isfinite(matte.alpha).all():
        raise ModelError(f"{where}: alpha has values that are no numbers; the weights may be damaged")
    return matte


@dataclass(frozen=True)
class _Seen:
    """A frame, its truth and the answer."""

    truth: Truth
    alpha: Alpha
    mask: NDArray[np.bool_] | None

    def person(self) -> Picture:
        """(H, W) grey: the true person on black, whose motion is the true one."""
        grey = cv2.cvtColor(self.truth.rgb, cv2.COLOR_RGB2GRAY)
        return np.asarray(grey * self.truth.alpha + 0.5, np.uint8)


def _judge(judged: Judged, case: Case, band: bool) -> tuple[Score, Strip]:
    begin = getattr(judged, "begin", None)
    if begin is not None:
        begin()
    values: list[dict[str, float]] = []
    before: _Seen | None = None
    strip: Strip | None = None
    for number, truth in enumerate(case.frames(), 1):
        matte = _answer(judged, truth.rgb, f"{case.name}, frame {number}")
        seen = _Seen(truth, np.asarray(matte.alpha, np.float32), _region(truth) if band else None)
        found = still_values(seen.alpha, truth.alpha, seen.mask)
        if matte.foreground is not None and truth.foreground is not None:
            colour = truth.foreground.astype(np.float32) / np.float32(255)
            found["fgSAD"] = metrics.foreground_sad(matte.foreground, colour, truth.alpha)
            found["fgMSE"] = metrics.foreground_mse(matte.foreground, colour, truth.alpha)
        if before is not None:
            found |= _change_values(before, seen)
        values.append({name: FACTORS[name] * value for name, value in found.items()})
        if strip is None or values[-1]["MAD"] > strip.mad:
            strip = Strip(case.name, number, values[-1]["MAD"], _picture(seen))
        before = seen
    if strip is None:
        raise InputError(f"{case.name} has no picture that can be read")
    return Score(case.name, len(values), _means(values)), strip


def still_values(alpha: Alpha, truth: Alpha, mask: NDArray[np.bool_] | None) -> dict[str, float]:
    """The metrics of one picture, not multiplied."""
    return {
        "SAD": metrics.sad(alpha, truth, mask),
        "MAD": metrics.mad(alpha, truth, mask),
        "MSE": metrics.mse(alpha, truth, mask),
        "Grad": metrics.grad(alpha, truth, mask),
        "Conn": metrics.conn(alpha, truth, mask),
    }


def _change_values(before: _Seen, now: _Seen) -> dict[str, float]:
    """The metrics between two frames; those of another size begin another shot."""
    if before.alpha.shape != now.alpha.shape:
        return {}
    four = (now.alpha, before.alpha, now.truth.alpha, before.truth.alpha)
    flow = metrics.motion(before.person(), now.person())
    return {
        "dtSSD": metrics.dtssd(*four, now.mask),
        "MESSDdt": metrics.messddt(*four, flow, before.mask),
    }


def _region(truth: Truth) -> NDArray[np.bool_]:
    if truth.trimap is not None:
        return (truth.trimap > 0) & (truth.trimap < 255)
    return metrics.unknown_band(truth.alpha)


def _means(values: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Each metric over those that have it, in the tables' order."""
    found = defaultdict(list)
    for one in values:
        for name, value in one.items():
            found[name].append(value)
    return {name: float(np.mean(found[name])) for name in FACTORS if name in found}


def _picture(seen: _Seen) -> Picture:
    error = seen.alpha - seen.truth.alpha
    if seen.mask is not None:
        error = error * seen.mask
    much, little = np.clip(error, 0, 1), np.clip(-error, 0, 1)
    shown = np.stack((1 - little, 1 - much - little, 1 - much), -1)
    greys = [np.repeat(alpha[..., None], 3, 2) for alpha in (seen.truth.alpha, seen.alpha)]
    panels = [np.rint(np.clip(panel, 0, 1) * 255).astype(np.uint8) for panel in (*greys, shown)]
    return np.hstack((seen.truth.rgb, *panels))


def heading(name: str) -> str:
    """``MAD x 1000``, ``SAD / 1000``."""
    factor = FACTORS[name]
    return f"{name} x {factor:g}" if factor > 1 else f"{name} / {1 / factor:g}"


def markdown(rows: Sequence[tuple[str, Mapping[str, float]]], first: str = "picture") -> str:
    """A table of ``rows`` (a name, its values); columns are all metrics that any row has."""
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
    """Make ``folder`` for a report, before the work begins. Raises OutputError where that cannot be."""
    try:
        (folder / "worst").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder} cannot be written: {error.strerror or error}") from error


def write_report(report: Report, folder: Path, **facts: object) -> list[Path]:
    """Write ``scores.json`` (with ``facts`` on top), ``scores.md`` and the worst pictures; gives their paths.

    The worst pictures of an earlier report in ``folder`` go.

    Raises:
        OutputError: the folder cannot be written to.
    """
    table = [("mean", report.mean), *((score.name, score.values) for score in report.scores)]
    files: dict[str, bytes] = {
        "scores.json": json.dumps({**facts, **report.facts()}, indent=1).encode(),
        "scores.md": markdown(table).encode(),
    }
    for number, strip in enumerate(report.worst, 1):
        name = re.sub(r"[^\w.-]+", "_", strip.name)
        picture = cv2.cvtColor(strip.picture, cv2.COLOR_RGB2BGR)
        files[f"worst/{number:02}-{name}-{strip.frame}.png"] = cv2.imencode(".png", picture)[1].tobytes()
    report_folder(folder)
    try:
        for old in (folder / "worst").glob("[0-9][0-9]-*.png"):
            old.unlink()
        for name, content in files.items():
            (folder / name).write_bytes(content)
    except OSError as error:
        raise OutputError(f"{error.filename} cannot be written: {error.strerror or error}") from error
    return [folder / name for name in files]
