"""Regions: small people are seen enlarged, nobody is missed for long, and a large person is seen whole."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import pytest

from livematte.errors import UsageError
from livematte.frame import Array, ColorInfo, Frame, Matte
from livematte.kernels.convert import planes_from_rgb
from livematte.matting.frame_matting import FrameMatting
from livematte.matting.people import People
from livematte.matting.regions import LOOK_SECONDS, RegionTracker, Window, best_window, place
from livematte.matting.temporal import TemporalFilter

FRAME = 270, 480
SIZE = 54, 96
RATE = 30


class RedIsPerson:
    """Alpha from the red of the picture; keeps the sizes and the mean colours of what it saw."""

    def __init__(self) -> None:
        self.seen: list[tuple[int, int]] = []
        self.people: list[float] = []

    def input_size(self, height: int, width: int) -> tuple[int, int]:
        return SIZE

    def __call__(self, rgb: Array, state: object) -> tuple[Matte, None]:
        self.seen.append(rgb.shape[:2])
        alpha = ((rgb[..., 0] - 40.0) / 160).clip(0, 1).astype(np.float32)
        self.people.append(float(alpha.mean()))
        return Matte(alpha), None


def picture(number: int, people: Sequence[tuple[int, int, int]]) -> tuple[Frame, Array]:
    """A frame with red ellipses (middle row, middle column, half height), and its true alpha."""
    rows, columns = np.mgrid[: FRAME[0], : FRAME[1]]
    alpha = np.zeros(FRAME, np.float32)
    for y, x, half in people:
        distance = np.hypot((rows - y) / half, (columns - x) / (half / 3))
        alpha = np.maximum(alpha, ((1 - distance) * half / 3 + 0.5).clip(0, 1).astype(np.float32))
    rgb = alpha[..., None] * np.array([200.0, 30, 30]) + (1 - alpha[..., None]) * np.array([40.0, 90, 60])
    color = ColorInfo(full_range=True)
    planes = planes_from_rgb((rgb + 0.5).astype(np.uint8), "yuv444p", color)
    frame = Frame(planes, "yuv444p", number, Fraction(1, RATE), 1, color, keyframe_hint=number == 0)
    return frame, alpha


def matting(model: RedIsPerson, mode: str = "auto") -> FrameMatting:
    return FrameMatting(model, TemporalFilter("off"), keep_small_components=True, regions=RegionTracker(mode))


def run(frames: FrameMatting, frame: Frame) -> Matte:
    return frames(frame, frames.focus(frame, frames.shrink(frame)))


@pytest.mark.parametrize("people", [1, (0.25, 0.5)])
def test_the_person_who_is_kept_stays_when_the_window_changes_its_size(people: People) -> None:
    model = RedIsPerson()
    frames = FrameMatting(
        model, TemporalFilter("off"), keep_small_components=True, people=people, regions=RegionTracker("auto")
    )
    grids = set()
    for number in range(40):
        half = 30 + number  # comes nearer
        matte = run(frames, picture(number, [(135, 120, half), (135, 400, 20)])[0])
        grids.add(matte.alpha.shape)
        alpha = full(matte)
        assert alpha[135, 120] > 0.9 and alpha[:, 330:].max() == 0, number
    assert len(grids) > 1


def full(matte: Matte) -> Array:
    import cv2

    return np.asarray(cv2.resize(matte.alpha, FRAME[::-1]))


def test_a_small_person_is_seen_enlarged_at_the_same_cost_and_comes_out_finer() -> None:
    errors = {}
    for mode in ("off", "auto"):
        model = RedIsPerson()
        frames = matting(model, mode)
        for number in range(6):
            frame, truth = picture(number, [(150, 200 + number, 45)])
            matte = run(frames, frame)
        errors[mode] = float(np.abs(full(matte) - truth).mean())
        assert set(model.seen) == {SIZE}
        assert len(model.seen) == 6, "one run a frame: nothing moves outside the window"
    assert matte.alpha.shape[0] >= 2 * SIZE[0]
    assert errors["auto"] < 0.6 * errors["off"]


def test_the_matte_of_a_window_lies_where_the_person_is() -> None:
    model = RedIsPerson()
    frames = matting(model)
    for number in range(3):
        frame, truth = picture(number, [(200, 90, 40)])
        matte = run(frames, frame)
    rows, columns = np.nonzero(full(matte) > 0.5)
    true_rows, true_columns = np.nonzero(truth > 0.5)
    assert abs(rows.mean() - true_rows.mean()) < 0.7 and abs(columns.mean() - true_columns.mean()) < 0.7


def test_a_person_as_tall_as_the_frame_is_seen_whole() -> None:
    frames = matting(RedIsPerson())
    for number in range(4):
        frame, _ = picture(number, [(150, 240, 130)])
        small = frames.focus(frame, frames.shrink(frame))
        assert small.window is None
        frames(frame, small)


def test_a_person_who_walks_is_followed_without_a_cut_limb() -> None:
    """Each frame's matte holds the whole person, although windows change."""
    frames = matting(RedIsPerson())
    windows = set()
    for number in range(60):
        frame, truth = picture(number, [(140, 60 + 6 * number, 45)])
        small = frames.focus(frame, frames.shrink(frame))
        windows.add(small.window)
        matte = frames(frame, small)
        assert abs(float(full(matte).sum() / truth.sum()) - 1) < 0.06
    assert len(windows) > 3


def test_who_comes_in_is_seen_within_a_fifth_of_a_second() -> None:
    """Somebody walks in at the other side of the frame."""
    model = RedIsPerson()
    frames = matting(model)
    missed = 0
    for number in range(45):
        newcomer = [(150, 440 - 2 * (number - 15), 40)] if number >= 15 else []
        frame, truth = picture(number, [(150, 90, 45), *newcomer])
        matte = full(run(frames, frame))
        if newcomer:
            there = truth[:, 300:] > 0.5
            missed += bool(there.sum()) and float(matte[:, 300:][there].mean()) < 0.5
    assert missed <= LOOK_SECONDS * RATE
    assert full(run(frames, picture(45, [(150, 90, 45), (150, 380, 40)])[0]))[150, 380] > 0.9


def test_looks_cost_little_when_nothing_moves_elsewhere() -> None:
    model = RedIsPerson()
    frames = matting(model)
    for number in range(3 * RATE):
        run(frames, picture(number, [(150, 90, 45)])[0])
    assert len(model.seen) - 3 * RATE <= 2


def test_when_everybody_leaves_the_whole_frame_is_seen_again() -> None:
    frames = matting(RedIsPerson())
    for number in range(4):
        run(frames, picture(number, [(150, 90, 45)])[0])
    run(frames, picture(4, [])[0])
    frame, _ = picture(5, [(150, 400, 45)])
    assert frames.focus(frame, frames.shrink(frame)).window is None


def test_a_cut_begins_with_the_whole_frame() -> None:
    from dataclasses import replace

    frames = matting(RedIsPerson())
    for number in range(4):
        run(frames, picture(number, [(150, 90, 45)])[0])
    frame = replace(picture(4, [(150, 400, 45)])[0], keyframe_hint=True)
    assert frames.focus(frame, frames.shrink(frame)).window is None


def test_a_still_is_seen_twice_where_people_are_small() -> None:
    model = RedIsPerson()
    frame, truth = picture(0, [(150, 200, 45)])
    small, matte = matting(model).still(frame)
    assert len(model.seen) == 2 and small.window is not None and matte.alpha.shape == small.rgb.shape[:2]
    _, coarse = matting(RedIsPerson(), "off").still(frame)
    assert np.abs(full(matte) - truth).mean() < 0.6 * np.abs(full(coarse) - truth).mean()


def test_a_change_of_grid_keeps_the_memory_of_the_temporal_filter() -> None:
    frames = FrameMatting(RedIsPerson(), TemporalFilter("on"), regions=RegionTracker())
    for number in range(3):
        run(frames, picture(number, [(150, 200, 45)])[0])
    assert frames.remembers_alpha
    frame, truth = picture(3, [(150, 200, 45)])
    assert np.abs(full(run(frames, frame)) - truth).mean() < 0.01


@pytest.mark.parametrize("frame", [(270, 480), (540, 960), (1080, 1920), (60, 100)])
def test_a_grid_is_never_finer_than_the_frame(frame: tuple[int, int]) -> None:
    window = best_window((0.5, 0.4, 0.7, 0.5), SIZE, frame)
    if frame[0] < 1.3 * SIZE[0]:
        assert window is None
    else:
        assert window is not None and window.grid[0] <= frame[0] and window.grid[1] <= frame[1]


@pytest.mark.parametrize("box", [(0.0, 0.0, 0.3, 0.1), (0.7, 0.9, 1.0, 1.0), (0.4, 0.45, 0.6, 0.55)])
def test_a_window_holds_people_also_at_the_edges(box: tuple[float, float, float, float]) -> None:
    window = best_window(box, SIZE, (1080, 1920))
    assert window is not None and window.room(box) > 0
    assert window.top >= 0 and window.left >= 0
    assert window.top + window.height <= window.grid[0] and window.left + window.width <= window.grid[1]


def test_all_maps_are_placed() -> None:
    """Outside the window: nobody, the picture's own colours, surely background."""
    window = Window((8, 12), 2, 3, 4, 6)
    ones = np.ones((4, 6), np.float32)
    extras = {"trimap": np.stack([0 * ones, 0 * ones, ones]), "edge": ones}
    rgb = np.full((8, 12, 3), 51, np.uint8)
    matte = place(Matte(ones, np.repeat(ones[..., None], 3, 2), extras), window, rgb)
    assert matte.alpha.sum() == 24 and matte.alpha[2:6, 3:9].all()
    assert matte.foreground is not None and matte.foreground[0, 0, 0] == pytest.approx(0.2)
    assert matte.foreground[3, 4, 0] == 1
    np.testing.assert_array_equal(matte.extras["trimap"].sum(0), 1)
    assert matte.extras["trimap"][0, 0, 0] == 1 and matte.extras["edge"].sum() == 24


def test_an_unknown_mode_is_refused() -> None:
    with pytest.raises(UsageError, match="allowed are auto, off"):
        RegionTracker("always")


class SeesMoreWhenEnlarged(RedIsPerson):
    """Takes half of any picture for a person in which the person is tall."""

    def __call__(self, rgb: Array, state: object) -> tuple[Matte, None]:
        matte, _ = super().__call__(rgb, state)
        rows = np.flatnonzero((matte.alpha > 0.5).any(1))
        if len(rows) > 0.5 * len(rgb):
            matte.alpha[:, : rgb.shape[1] // 2] = 1
        return matte, None


def test_a_window_in_which_the_model_sees_something_else_is_left_at_once() -> None:
    frames = matting(SeesMoreWhenEnlarged())
    wrong = 0
    for number in range(60):
        frame, truth = picture(number, [(150, 240, 45)])
        wrong += float(np.abs(full(run(frames, frame)) - truth).mean()) > 0.05
    assert wrong <= 1
