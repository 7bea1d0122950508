"""Doubts about mattes, judged without ground truth."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from livematte.frame import Array
from livematte.matting.doubt import FLICKER, LARGER, NOBODY, SMALLER, DoubtMeter, soft_area

RNG = np.random.default_rng(7)
ROOM = RNG.integers(0, 256, (192, 352, 3)).astype(np.uint8)


def disc(radius: float = 60.0, x: float = 176.0, soft: float = 2.0) -> Array:
    """Alpha of a round person with an outline that is ``soft`` pixels wide."""
    rows, columns = np.mgrid[:192, :352]
    distance = np.hypot(rows - 96, columns - x)
    return np.clip((radius - distance) / soft + 0.5, 0, 1).astype(np.float32)


def settled(meter: DoubtMeter, alpha: Array, frames: int = 15) -> float:
    """The largest doubt about a person who stands still."""
    return max(meter(ROOM, alpha).value for _ in range(frames))


@pytest.mark.parametrize("soft", [1.0, 2.0, 4.0])
def test_a_usual_outline_is_no_doubt(soft: float) -> None:
    assert settled(DoubtMeter(), disc(soft=soft)) < 0.002


def test_a_half_transparent_part_is_its_share_of_the_person() -> None:
    alpha = disc()
    half = alpha.copy()
    half[96:] *= 0.5
    assert DoubtMeter()(ROOM, half).value > 0.45
    assert soft_area(half) > 50 * soft_area(alpha) and "half transparent" in DoubtMeter()(ROOM, half).reason


def test_a_change_without_motion_is_a_doubt_and_a_person_who_moves_is_none() -> None:
    meter, alpha = DoubtMeter(), disc()
    settled(meter, alpha)
    chair = alpha.copy()
    chair[150:190, 260:320] = 1
    found = meter(ROOM, chair)
    assert found.reason == FLICKER and found.value > 0.1
    walking = DoubtMeter()
    for step in range(15):
        picture, moved = ROOM.copy(), disc(x=120 + 6 * step)
        picture[moved > 0.5] = np.roll(ROOM, 6 * step, 1)[moved > 0.5]
        assert walking(picture, moved).value < 0.01


@pytest.mark.parametrize(("radius", "reason"), [(30, SMALLER), (95, LARGER), (-5, NOBODY)])
def test_a_sudden_change_of_size_is_a_doubt_but_not_at_a_cut(radius: int, reason: str) -> None:
    moving = [cv2.GaussianBlur(np.roll(ROOM, 5 * n, 1), (3, 3), 0) for n in range(20)]  # nothing stands still
    meter = DoubtMeter()
    for picture in moving[:15]:
        meter(picture, disc())
    found = meter(moving[15], disc(radius))
    assert found.reason == reason and found.value > 0.5
    other = DoubtMeter()
    for picture in moving[:15]:
        other(picture, disc())
    assert other(moving[15], disc(radius), cut=True).value < 0.01


def test_an_empty_room_is_no_doubt_after_its_first_second() -> None:
    meter, empty = DoubtMeter(), np.zeros((192, 352), np.float32)
    settled(meter, disc())
    for _ in range(12):
        meter(ROOM, empty)
    assert settled(meter, empty) == 0


def test_a_matte_of_another_size_has_nothing_before_it() -> None:
    meter = DoubtMeter()
    settled(meter, disc())
    smaller = cv2.resize(ROOM, (176, 96)), cv2.resize(disc(), (176, 96))
    assert "picture does not" not in meter(*smaller).reason
