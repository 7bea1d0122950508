"""Logs read into curves, and the pictures drawn of them."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from livematte.errors import InputError, OutputError
from livematte.training.report import loss_plot, read_log, sample_sheet, smoothed


def write(log: Path, *rows: object) -> Path:
    log.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    return log


def two_steps() -> list[dict[str, object]]:
    """Step ``warm`` of 100 iterations, then ``joint`` that was resumed at 50 and is at 100 of 400."""
    return [
        {"start_from": "weights.safetensors", "tensors": 3},
        {"step": "warm", "iteration": 50, "of": 100, "loss": 2.0},
        {"step": "warm", "iteration": 100, "of": 100, "loss": 1.0},
        {"step": "warm", "iteration": 100, "mad": 80.0, "mse": 60.0},
        {"step": "joint", "iteration": 50, "of": 400, "loss": 0.5},
        {"step": "joint", "iteration": 100, "of": 400, "loss": 9.0},
        {"step": "joint", "iteration": 100, "of": 400, "loss": 0.25},
        {"step": "joint", "iteration": 100, "mad": 40.0, "mse": 20.0},
    ]


def test_steps_follow_one_another_on_one_axis(tmp_path: Path) -> None:
    curves = read_log(write(tmp_path / "log.jsonl", *two_steps()))
    assert curves.steps == (("warm", 0), ("joint", 100))
    assert curves.mad.tolist() == [[100, 80], [200, 40]]


def test_iterations_done_again_after_a_resume_count_once(tmp_path: Path) -> None:
    curves = read_log(write(tmp_path / "log.jsonl", *two_steps()))
    assert curves.loss.tolist() == [[50, 2], [100, 1], [150, 0.5], [200, 0.25]]


def test_a_line_cut_off_by_a_crash_is_left_out(tmp_path: Path) -> None:
    log = write(tmp_path / "log.jsonl", *two_steps())
    with open(log, "a", encoding="utf-8") as out:
        out.write('{"step": "joint", "iterat')
    assert len(read_log(log).loss) == 4


def test_a_loss_that_is_not_a_number_is_left_out(tmp_path: Path) -> None:
    rows = [*two_steps(), {"step": "joint", "iteration": 150, "loss": float("nan")}]
    assert len(read_log(write(tmp_path / "log.jsonl", *rows)).loss) == 4


@pytest.mark.parametrize("text", ["", "hello\n", '{"loss": 1}\n'])
def test_a_file_that_is_no_log_is_named(tmp_path: Path, text: str) -> None:
    log = tmp_path / "other.txt"
    log.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=r"other\.txt"):
        read_log(log)
    with pytest.raises(InputError, match="absent"):
        read_log(tmp_path / "absent.jsonl")


def test_smoothing_starts_at_the_first_value_and_keeps_a_constant() -> None:
    assert smoothed(np.array([3.0, 3.0, 3.0])).tolist() == pytest.approx([3, 3, 3])
    step = smoothed(np.array([0.0, 1.0, 1.0]), decay=0.5)
    assert step.tolist() == pytest.approx([0, 2 / 3, 6 / 7])


@pytest.mark.parametrize("floor", [0.0, -5.0], ids=["logarithmic", "below-zero"])
def test_a_plot_shows_loss_and_validation(tmp_path: Path, floor: float) -> None:
    pytest.importorskip("matplotlib")
    rows: list[dict[str, object]] = [
        {"step": step, "iteration": 50 * n, "of": 2000, "loss": floor + 3 / n, "terms": {"a": 1.0}}
        for step in ("first", "second")
        for n in range(1, 41)
    ]
    with_loss = tmp_path / "loss.png"
    loss_plot(write(tmp_path / "a.jsonl", *rows), with_loss)
    judged = [*rows, *({"step": "second", "iteration": 400 * n, "mad": 90 / n} for n in (1, 2, 3))]
    with_both = tmp_path / "both.png"
    loss_plot(write(tmp_path / "b.jsonl", *judged), with_both)
    blue, orange = np.array([180, 119, 31]), np.array([14, 127, 255])  # matplotlib's first two colours, BGR

    def painted(file: Path, colour: np.ndarray) -> int:
        picture = np.asarray(cv2.imread(str(file)), int)
        return int((np.abs(picture - colour).max(2) < 12).sum())

    assert painted(with_loss, blue) > 500 and painted(with_loss, orange) == 0
    assert painted(with_both, blue) > 500 and painted(with_both, orange) > 200


def test_a_plot_of_validations_alone_is_drawn(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    loss_plot(write(tmp_path / "l.jsonl", {"step": "a", "iteration": 2, "mad": 3.0}), tmp_path / "l.png")
    assert cv2.imread(str(tmp_path / "l.png")) is not None


def test_a_sheet_has_a_column_an_example(tmp_path: Path) -> None:
    red = np.zeros((60, 40, 3), np.uint8)
    red[..., 0] = 255
    alpha = np.full((30, 20), 128, np.uint8)
    sample_sheet([[red, alpha]] * 3, tmp_path / "sheet.png", width=20)
    sheet = np.asarray(cv2.imread(str(tmp_path / "sheet.png")))
    assert sheet.shape == (60, 60, 3)
    assert sheet[:30].reshape(-1, 3).tolist() == [[0, 0, 255]] * 1800
    assert (sheet[30:] == 128).all()
    with pytest.raises(OutputError, match="nowhere"):
        sample_sheet([[red]], tmp_path / "nowhere" / "sheet.png")
