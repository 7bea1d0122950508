"""Auto-framing: to the people, calmly, and never beyond an edge."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from livematte.errors import UsageError
from livematte.frame import Frame, Matte
from livematte.matting.backgrounds import Color
from livematte.matting.compositor import Compositor
from livematte.matting.framing import (
    FASTEST,
    TIGHTEST,
    Framer,
    Section,
    check_framing,
    crop_frame,
    crop_plane,
    wanted_section,
)


def person(left: float = 0.6, right: float = 0.8, top: float = 0.3) -> np.ndarray:
    alpha = np.zeros((90, 160), np.float32)
    alpha[round(top * 90) :, round(left * 160) : round(right * 160)] = 1
    return alpha


def test_the_body_is_in_the_section_and_the_head_is_closer() -> None:
    shape = person(0.55, 0.85, 0.5)  # shoulders and body under a head of 16 x 22 pixels
    shape[23:45, 104:120] = 1
    body, head = wanted_section(shape, "body"), wanted_section(shape, "head")
    assert body is not None and head is not None and head.size < body.size < 1
    for section, bottom in ((body, 1.0), (head, 0.5)):
        half = section.size / 2
        assert section.x - half <= 0.65 and section.x + half >= 0.75
        assert section.y - half <= 23 / 90 and section.y + half >= bottom - 1e-6
    near = wanted_section(person(0.1, 0.8, 0.05), "head")  # a face that fills the picture
    assert near is not None and near.size > 0.8
    assert wanted_section(np.zeros((90, 160), np.float32), "body") is None


@pytest.mark.parametrize("seed", range(5))
def test_no_edge_is_ever_seen_and_no_movement_is_faster_than_allowed(seed: int) -> None:
    rng, framer, before = np.random.default_rng(seed), Framer("body"), None
    for tick in range(300):
        if tick % 20 == 0:
            left = rng.uniform(0, 0.9)
            alpha = person(left, min(1.0, left + rng.uniform(0.02, 0.5)), rng.uniform(0, 0.9))
        now = framer.move(alpha, tick / 30)
        half = now.size / 2
        assert TIGHTEST <= now.size <= 1 and min(now.x, now.y) >= half - 1e-9
        assert max(now.x, now.y) <= 1 - half + 1e-9
        if before is not None:
            step = FASTEST / 30 + 1e-9
            assert abs(now.size - before.size) <= step
            assert max(abs(now.x - before.x), abs(now.y - before.y)) <= 1.5 * step, "the edge may push"
        before = now


def test_it_arrives_without_swinging_past_and_rests_where_people_only_sway() -> None:
    framer = Framer("body")
    framer.move(person(0.1, 0.3), 0.0)
    path = [framer.move(person(0.7, 0.9), tick / 30).x for tick in range(1, 300)]
    assert path == sorted(path) and abs(path[-1] - wanted_section(person(0.7, 0.9), "body").x) < 0.01  # type: ignore[union-attr]
    there = framer.move(person(0.7, 0.9), 10.0)
    swaying = [framer.move(person(0.7 + 0.02 * (tick % 2), 0.9), 10 + tick / 30) for tick in range(1, 60)]
    assert max(abs(each.x - there.x) for each in swaying) < 0.01


def test_a_new_shot_jumps_and_a_pause_does_not() -> None:
    framer = Framer("body")
    framer.move(person(0.1, 0.3), 0.0)
    later = framer.move(person(0.7, 0.9), 60.0)
    assert later.x < 0.45, "a tenth of a second's movement"
    assert framer.move(person(0.7, 0.9), 60.1, cut=True) == wanted_section(person(0.7, 0.9), "body")


def test_a_crop_is_the_section_enlarged() -> None:
    ramp = np.tile(np.arange(160, dtype=np.float32), (90, 1))
    made = crop_plane(ramp, Section(0.75, 0.5, 0.5))
    assert made.shape == ramp.shape
    assert np.allclose(made[45], 80 + (np.arange(160) + 0.5) / 2 - 0.5, atol=0.05) or made[0, 0] >= 79.7
    assert np.array_equal(crop_plane(ramp, Section()), ramp)


@pytest.mark.parametrize("format", ["yuv420p", "nv12"])
def test_planes_stay_together(format: str) -> None:
    luma = np.tile(np.arange(160, dtype=np.uint8), (90, 1))
    u = np.tile(np.arange(0, 160, 2, dtype=np.uint8), (45, 1))
    v = 255 - u
    planes = (luma, u, v) if format == "yuv420p" else (luma, np.dstack([u, v]).reshape(45, 160))
    frame = crop_frame(Frame(planes, format, 0, Fraction(1, 30)), Section(0.6, 0.5, 0.5))
    if format == "nv12":
        u, v = frame.planes[1].reshape(45, 80, 2).transpose(2, 0, 1)
    else:
        _, u, v = frame.planes
    assert np.abs(frame.planes[0][::2, ::2].astype(int) - u).max() <= 2
    assert np.abs(255 - u.astype(int) - v).max() <= 1


def test_the_picture_is_filled_by_the_person_and_off_changes_no_bit() -> None:
    rng = np.random.default_rng(0)
    luma = rng.integers(30, 200, (180, 320)).astype(np.uint8)
    chroma = np.full((90, 160), 128, np.uint8)
    frame = Frame((luma, chroma, chroma), "yuv420p", 0, Fraction(1, 30))
    white, matte = Color((255, 255, 255)), Matte(person(0.7, 0.85, 0.5))

    def people(compositor: Compositor) -> tuple[np.ndarray, float]:
        made = compositor(frame, matte, white).picture
        assert made is not None and made.size == frame.size
        return made.planes[0], float((made.planes[0] < 225).mean())

    plain, share = people(Compositor(refine="none"))
    same, _ = people(Compositor(refine="none", framer=Framer("off")))
    assert np.array_equal(plain, same)
    framed, larger = people(Compositor(refine="none", framer=Framer("body")))
    assert larger > 2 * share
    columns = (framed < 225).mean(0) > 0.2
    assert 0.3 < np.flatnonzero(columns).mean() / 320 < 0.75, "in the middle, as far as the edge allows"


def test_an_unknown_mode_is_refused() -> None:
    with pytest.raises(UsageError, match="frame 'face' is invalid: use one of off, head, body"):
        check_framing("face")
