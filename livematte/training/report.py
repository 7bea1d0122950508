"""Training curves and sheets of sample pictures."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from livematte.cache import cache_folder
from livematte.errors import InputError, OutputError

Series = NDArray[np.float64]


@dataclass(frozen=True)
class Curves:
    """Curves of a run's log; iterations are counted over all steps.

    Attributes:
        steps: name and first iteration of each step, in the order of execution.
        loss: (N, 2) iteration and loss.
        mad: (M, 2) iteration and validation MAD x 1e3.
    """

    steps: tuple[tuple[str, int], ...]
    loss: Series
    mad: Series


def read_log(log: Path) -> Curves:
    """Read the curves of a ``log.jsonl`` with rows ``{"step", "iteration", "loss" or "mad", ...}``.

    A resumed run writes some iterations twice: the later row is used. An incomplete last line and rows of
    other kinds are skipped.

    Raises:
        InputError: the file cannot be read, or contains no row with a step and an iteration.
    """
    try:
        lines = log.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise InputError(f"cannot read the log {log}: {error.strerror}") from error
    lengths: dict[str, int] = {}
    values: dict[str, dict[tuple[str, int], float]] = {"loss": {}, "mad": {}}
    for row in filter(None, map(_row, lines)):
        step, iteration = row["step"], int(row["iteration"])
        lengths[step] = max(lengths.get(step, 0), iteration, int(row.get("of", 0)))
        for name, known in values.items():
            if name in row:
                known[step, iteration] = float(row[name])
    if not lengths:
        raise InputError(
            f"{log} has no row with a step and an iteration: use the log.jsonl of a training run"
        )
    starts, total = {}, 0
    for step, length in lengths.items():
        starts[step] = total
        total += length
    series = []
    for known in values.values():
        points = sorted((starts[step] + iteration, value) for (step, iteration), value in known.items())
        finite = [point for point in points if np.isfinite(point[1])]
        series.append(np.array(finite, np.float64).reshape(-1, 2))
    return Curves(tuple(starts.items()), series[0], series[1])


def _row(line: str) -> Mapping[str, Any] | None:
    try:
        row = json.loads(line)
    except json.JSONDecodeError:  # the process was killed while writing it
        return None
    return row if isinstance(row, dict) and {"step", "iteration"} <= row.keys() else None


def smoothed(values: Series, decay: float = 0.9) -> Series:
    """Return the exponential moving average (N,), with correction of the bias from the initial zero.

    Args:
        decay: in [0, 1).
    """
    out = np.empty_like(values)
    mean = weight = 0.0
    for number, value in enumerate(values):
        mean = decay * mean + (1 - decay) * value
        weight = decay * weight + 1 - decay
        out[number] = mean / weight
    return out


def loss_plot(log: Path, out: Path) -> None:
    """Plot a run's loss (logarithmic, smoothed within each step) and validation MAD to a PNG file.

    Raises:
        ImportError: matplotlib, which is in the ``[train]`` extra, is not installed.
        InputError: as :func:`read_log`.
        OutputError: ``out`` cannot be written.
    """
    folder = cache_folder("matplotlib")
    if folder is not None and "matplotlib" not in sys.modules:
        os.environ.setdefault("MPLCONFIGDIR", str(folder))  # keeps the font cache out of the home folder
    from matplotlib.figure import Figure

    curves = read_log(log)
    figure = Figure(figsize=(10, 5), dpi=100, layout="constrained")
    axes = figure.add_subplot()
    bounds = [start for _, start in curves.steps]
    for number, (name, start) in enumerate(curves.steps):
        end = bounds[number + 1] if number + 1 < len(bounds) else np.inf
        inside = (curves.loss[:, 0] > start) & (curves.loss[:, 0] <= end)
        iterations, loss = curves.loss[inside].T
        axes.plot(iterations, loss, color="C0", alpha=0.25, linewidth=1)
        axes.plot(iterations, smoothed(loss), color="C0", linewidth=2)
        axes.axvline(start, color="0.8", linewidth=1, zorder=0)
        axes.annotate(
            name, (start, 1), xycoords=("data", "axes fraction"), xytext=(3, -3), textcoords="offset points",
            rotation=90, va="top", fontsize=8, color="0.4",
        )  # fmt: skip
    if len(curves.loss) and curves.loss[:, 1].min() > 0:  # with learnt loss weights the loss can be negative
        axes.set_yscale("log")
    axes.set_xlabel("iteration")
    axes.set_ylabel("loss", color="C0")
    if len(curves.mad):
        right = axes.twinx()
        right.plot(*curves.mad.T, color="C1", marker=".")
        right.set_ylim(0, 1.1 * curves.mad[:, 1].max())
        right.set_ylabel("validation MAD x 1000", color="C1")
    try:
        figure.savefig(out, format="png")
    except OSError as error:
        raise OutputError(f"cannot write the loss plot {out}: {error.strerror}") from error


def sample_sheet(columns: Sequence[Sequence[NDArray[np.uint8]]], out: Path, width: int = 160) -> None:
    """Write a table of pictures to one PNG or JPEG file, one column per sample.

    Args:
        columns: lists of equal length of pictures (h, w, 3) RGB or (h, w) grey, uint8, of any size.
        width: width of a column in pixels. All pictures are resized to this width and to the aspect ratio of
            the first picture of the first column.

    Raises:
        OutputError: ``out`` cannot be written.
    """
    first = columns[0][0]
    size = (width, max(1, round(width * first.shape[0] / first.shape[1])))
    drawn = []
    for column in columns:
        cells = [cv2.resize(cell, size, interpolation=cv2.INTER_AREA) for cell in column]
        codes = [cv2.COLOR_GRAY2BGR if cell.ndim == 2 else cv2.COLOR_RGB2BGR for cell in cells]
        drawn.append(np.vstack([cv2.cvtColor(c, code) for c, code in zip(cells, codes, strict=True)]))
    if not out.parent.is_dir() or not cv2.imwrite(str(out), np.hstack(drawn)):
        raise OutputError(f"cannot write the sample sheet {out}: use an existing, writable folder")
