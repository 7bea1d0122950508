"""Held-out people with true alpha: who they are, and that they come out the same every time."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from livematte.errors import InputError
from livematte.evaluation.cases import find_cases
from livematte.evaluation.true_alpha import HEIGHT, WIDTH
from livematte.training.cutouts import (
    find_clips,
    is_validation_clip,
    read_clip,
    split_cutouts,
    without_bars,
)
from tests.unit.training import trees


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two cut-outs and a clip for training, as many for validation, and rooms."""
    folder = tmp_path_factory.mktemp("true")
    trees.true_alpha(folder, {"train": ["a_1", "a_2"], "val": ["b_1", "b_2"]}, ["wix", "brad"])
    trees.rooms(folder / "backgrounds", suffix=".jpg")
    return folder


def test_stills_are_the_cutouts_of_the_list_on_rooms_that_are_held_out(data: Path) -> None:
    cases = find_cases(data / "cutouts")
    assert [case.name for case in cases] == ["b_1", "b_2"]
    (truth,) = cases[0].frames()
    assert truth.rgb.shape == (HEIGHT, WIDTH, 3) and truth.foreground is not None
    inside, outside = truth.alpha == 1, truth.alpha == 0
    assert inside.any() and outside.any()
    np.testing.assert_array_equal(truth.rgb[inside], truth.foreground[inside])
    assert np.abs(truth.rgb[inside].astype(int) - trees.colours("b_1")[0]).max() <= 1
    assert truth.rgb[outside][:, :2].max() < 60, "a blue room, not the file's green"
    (again,) = find_cases(data / "cutouts")[0].frames()
    np.testing.assert_array_equal(again.rgb, truth.rgb)


def test_people_stand_at_the_bottom_edge_as_high_as_most_of_the_picture(data: Path) -> None:
    for case in find_cases(data / "cutouts"):
        (truth,) = case.frames()
        rows = np.flatnonzero((truth.alpha > 0.5).any(1))
        assert rows[-1] == HEIGHT - 1 and 0.7 * HEIGHT < rows.size < HEIGHT


def test_clips_are_of_held_out_people_and_move_as_they_do(data: Path) -> None:
    cases = find_cases(data / "cutclips")
    assert [case.name for case in cases] == ["wix/000"]
    frames = list(cases[0].frames())
    assert len(frames) == trees.CLIP_FRAMES
    middles = [float((f.alpha.sum(0) @ np.arange(WIDTH)) / f.alpha.sum()) for f in frames]
    assert all(now - before > 2 for before, now in pairwise(middles))


def test_only_a_hand_held_camera_moves_the_room(data: Path) -> None:
    changes = {}
    for moving in (False, True):
        first, *_, last = find_cases(data / "cutclips", moving=moving)[0].frames()
        room = (first.alpha == 0) & (last.alpha == 0)
        changes[moving] = np.abs(first.rgb[room].astype(float).mean(0) - last.rgb[room].mean(0)).max()
        np.testing.assert_array_equal(first.alpha.shape, (HEIGHT, WIDTH))
    first, last = (list(find_cases(data / "cutclips", moving=True)[0].frames())[n] for n in (0, -1))
    still = list(find_cases(data / "cutclips")[0].frames())
    np.testing.assert_array_equal(first.alpha, still[0].alpha)
    assert changes[False] < 1


def test_the_validation_persons_are_these_four() -> None:
    names = "brad chantel demo jed jen joey juliap keep1 keep4 postal regist renny shona spanish walk wix"
    held_out = [name for name in names.split() if is_validation_clip(name)]
    assert held_out == ["juliap", "keep4", "shona", "wix"]
    others = [is_validation_clip(f"somebody {n}") for n in range(200)]
    assert 30 < sum(others) < 70


def test_alpha_is_the_luma_as_it_is_stored(data: Path) -> None:
    colour, alpha = find_clips(data)["brad"]
    first = next(read_clip(colour, alpha))
    assert first[0].shape == (*first[1].shape, 3)
    np.testing.assert_array_equal(first[1], trees.clip_alpha(0))


def test_a_bar_that_a_keyer_left_at_the_top_is_nobody() -> None:
    alpha = trees.disk(40, 30)
    barred = alpha.copy()
    barred[:2], barred[2] = 255, 100
    np.testing.assert_array_equal(without_bars(barred)[3:], alpha[3:])
    assert without_bars(barred)[:3].max() == 0
    assert without_bars(alpha) is alpha
    assert without_bars(np.full((4, 4), 255, np.uint8)).max() == 0


def test_what_is_missing_is_said(data: Path, tmp_path: Path) -> None:
    assert split_cutouts(tmp_path) == {"train": [], "val": []}
    (tmp_path / "cutouts.json").write_text("[]")
    with pytest.raises(InputError, match=r"cutouts\.json is not a list"):
        split_cutouts(tmp_path)
    (tmp_path / "cutouts.json").write_text(json.dumps({"train": [], "val": ["gone"]}))
    (tmp_path / "cutouts").mkdir()
    with pytest.raises(InputError, match="no validation background"):
        find_cases(tmp_path / "cutouts")
    trees.rooms(tmp_path / "backgrounds", suffix=".jpg")
    with pytest.raises(InputError, match="contains none of the files"):
        find_cases(tmp_path / "cutouts")
