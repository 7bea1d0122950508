"""The temporal filter on mattes whose truth is known: a disc before a textured room, still and in motion."""

from __future__ import annotations

import numpy as np
import pytest

from livematte.errors import UsageError
from livematte.frame import Array, Matte
from livematte.matting.cuts import CutDetector, is_cut
from livematte.matting.refined_memory import RefinedMemory
from livematte.matting.temporal import TemporalFilter, motion
from tests.unit.kernels.pictures import disc

H, W = 90, 160


def scene(x: float, *, seed: int = 0, grain: float = 0.0) -> tuple[Array, Array]:
    """True alpha and (H, W, 3) uint8 picture of a red disc at column ``x`` before a room of blue texture."""
    columns = np.arange(W) - x
    rows = np.arange(H) - H / 2
    alpha = np.clip(25 - np.hypot(rows[:, None], columns[None, :]) + 0.5, 0, 1).astype(np.float32)
    room = 90 + 40 * np.sin(np.arange(W) / 7)[None, :] * np.cos(np.arange(H) / 5)[:, None]
    person = np.array([190.0, 120.0, 100.0])
    behind = np.stack([room * 0.6, room, room * 1.3], -1)
    picture = alpha[..., None] * person + (1 - alpha[..., None]) * behind
    picture = picture + np.random.default_rng(seed).normal(0, grain, picture.shape)
    return alpha, np.clip(picture, 0, 255).astype(np.uint8)


def noisy(alpha: Array, seed: int) -> Array:
    """What a network gives: the edge swims by noise, the inside is sure."""
    import cv2

    rng = np.random.default_rng(1000 + seed)
    noise = cv2.GaussianBlur(rng.normal(0, 1, alpha.shape).astype(np.float32), (0, 0), 1.5)
    edge = cv2.GaussianBlur(4 * alpha * (1 - alpha), (0, 0), 1.5)
    return np.clip(alpha + noise / noise.std() * edge * 0.4, 0, 1).astype(np.float32)


def run(
    mode: str, truths: list[Array], alphas: list[Array], pictures: list[Array]
) -> tuple[float, float, Array]:
    """Flicker (RMS of the change of the error, as dtSSD has it), MAD, and the last alpha."""
    smooth, state, out = TemporalFilter(mode), None, []
    for alpha, picture in zip(alphas, pictures, strict=True):
        matte, state = smooth(Matte(alpha), picture, state)
        out.append(matte.alpha)
    error = np.stack(out) - np.stack(truths)
    return float(np.sqrt((np.diff(error, axis=0) ** 2).mean())), float(np.abs(error).mean()), out[-1]


@pytest.mark.parametrize("speed", [0.0, 0.3, 1.0, 4.0, 12.0])
@pytest.mark.parametrize("grain", [0.0, 2.0])
def test_flicker_goes_down_and_the_error_not_up(speed: float, grain: float) -> None:
    xs = [40 + speed * i if speed * 24 <= 80 else 40 + 80 * abs((speed * i / 80) % 2 - 1) for i in range(24)]
    shots = [scene(x, seed=i, grain=grain) for i, x in enumerate(xs)]
    truths, pictures = [s[0] for s in shots], [s[1] for s in shots]
    alphas = [noisy(a, i) for i, a in enumerate(truths)]
    before, mad_before, _ = run("off", truths, alphas, pictures)
    for mode, gain in (("on", 0.55), ("strong", 0.45)):
        after, mad, _ = run(mode, truths, alphas, pictures)
        assert mad <= mad_before * 1.005
        assert after <= before * (gain if speed == 0 else 1.001)


def test_a_jump_leaves_no_ghost() -> None:
    truths, pictures = zip(*[scene(40), scene(40), scene(40), scene(110)], strict=True)
    _, _, last = run("strong", list(truths), list(truths), list(pictures))
    gone = (truths[0] == 1) & (truths[3] == 0)
    assert last[gone].max() < 0.02
    assert np.abs(last - truths[3]).max() < 0.05


@pytest.mark.parametrize("hole", [0.0, 1.0])
def test_a_spike_of_one_frame_in_a_still_picture_is_held_back(hole: float) -> None:
    alpha, picture = scene(60)
    spiked = alpha.copy()
    where = (slice(40, 50), slice(55, 65)) if hole == 0 else (slice(5, 15), slice(120, 130))
    spiked[where] = hole
    shots = [alpha, alpha, alpha, spiked, alpha]
    smooth, state, out = TemporalFilter("on"), None, []
    for shot in shots:
        matte, state = smooth(Matte(shot), picture, state)
        out.append(matte.alpha)
    assert np.abs(out[3] - alpha).max() < 0.1
    assert np.abs(out[4] - alpha).max() < 0.1


def test_what_stays_is_believed_in_the_second_frame() -> None:
    """A person the model saw late, in a picture that did not change."""
    alpha, picture = scene(60)
    empty = np.zeros_like(alpha)
    smooth, state, out = TemporalFilter("on"), None, []
    for shot in [empty, empty, alpha, alpha, alpha]:
        matte, state = smooth(Matte(shot), picture, state)
        out.append(matte.alpha[45, 60])
    assert out[2] < 0.1
    assert out[3] > 0.9
    assert out[4] > 0.99


def test_off_changes_nothing() -> None:
    alpha, picture = scene(60)
    matte = Matte(alpha)
    assert TemporalFilter("off")(matte, picture, None) == (matte, None)


def test_a_cut_starts_anew() -> None:
    alpha, picture = scene(60)
    other = np.full_like(picture, 30)
    smooth = TemporalFilter("strong")
    _, state = smooth(Matte(alpha), picture, None)
    matte, _ = smooth(Matte(np.zeros_like(alpha)), other, state, cut=True)
    assert matte.alpha.max() == 0


def test_a_cut_is_the_first_picture_another_size_and_another_scene() -> None:
    find = CutDetector()
    _, picture = scene(60)
    small = np.ascontiguousarray(picture[::2, ::2])
    pictures = [picture, scene(64)[1], np.full_like(picture, 30), np.full_like(picture, 31), small, small]
    assert [find(each) for each in pictures] == [True, False, True, False, True, False]


def test_another_size_starts_anew() -> None:
    alpha, picture = scene(60)
    smooth = TemporalFilter()
    _, state = smooth(Matte(alpha), picture, None)
    small = disc(45, 80)
    matte, _ = smooth(Matte(small), np.ascontiguousarray(picture[::2, ::2]), state)
    assert (matte.alpha == small).all()


def test_a_cut_is_told_from_motion_light_and_a_pan() -> None:
    picture, moved = scene(60)[1].astype(np.float32), scene(75)[1].astype(np.float32)
    assert not is_cut(picture, picture)
    assert not is_cut(picture, moved)
    assert not is_cut(picture, np.roll(picture, 9, axis=1))
    assert not is_cut(picture, np.clip(picture + 10, 0, 255))
    assert is_cut(picture, 255 - picture)
    assert is_cut(picture, np.full_like(picture, 20))


def test_grain_is_no_motion_but_an_arm_is() -> None:
    _, before = scene(60, seed=1, grain=1.2)
    _, still = scene(60, seed=2, grain=1.2)
    _, moved = scene(66, seed=2, grain=1.2)
    before, still, moved = (picture[::2, ::2].astype(np.float32) for picture in (before, still, moved))
    assert motion(before, still).mean() < 0.1
    assert motion(before, moved)[22, 42:45].min() > 0.9


def test_the_foreground_passes_through() -> None:
    alpha, picture = scene(60)
    own = np.zeros((H, W, 3), np.float32)
    smooth = TemporalFilter()
    _, state = smooth(Matte(alpha, own), picture, None)
    assert smooth(Matte(alpha, own), picture, state)[0].foreground is own


def test_an_unknown_mode_is_refused_with_what_is_allowed() -> None:
    with pytest.raises(UsageError, match=r"'mild'.*on, off, strong"):
        TemporalFilter("mild")


WHOLE = 0, H, 0, W
REACH = np.ones((H, W), np.float32)


def remembering(mode: str = "on") -> tuple[RefinedMemory, Array, Array]:
    """A memory that was told everything of a still scene: it, the truth and the half-size picture."""
    alpha, picture = scene(70)
    memory = RefinedMemory((H, W), mode)
    memory.begin_frame(picture[::2, ::2], alpha, REACH, WHOLE)
    memory.end_frame(alpha, REACH)
    return memory, alpha, picture[::2, ::2]


def test_what_was_refined_holds_while_nothing_changes() -> None:
    memory, alpha, picture = remembering()
    for _ in range(5):
        holds, moves = memory.begin_frame(picture, alpha, REACH, WHOLE)
        assert holds.min() == 1 and moves.max() == 0
        kept, counts = memory.end_frame(np.zeros_like(alpha), np.zeros_like(alpha))
        np.testing.assert_allclose(kept, alpha, atol=1e-6)
        assert counts.min() == 1


def test_what_was_refined_holds_no_more_where_the_picture_or_the_first_network_changes() -> None:
    memory, alpha, picture = remembering()
    moved, other = scene(80)
    holds, moves = memory.begin_frame(other[::2, ::2], alpha, REACH, WHOLE)
    assert holds[H // 2, 105:][:3].max() == 0 and moves[H // 2, 97:103].min() == 1
    assert holds[:10, :20].min() == 1
    memory, alpha, picture = remembering()
    holds, _ = memory.begin_frame(picture, np.maximum(alpha, moved), REACH, WHOLE)
    assert holds[(moved - alpha) > 0.35].max() == 0 and holds[alpha == 1].min() == 1


def test_what_held_no_more_does_not_come_back() -> None:
    memory, alpha, picture = remembering()
    nothing = np.zeros_like(alpha)
    for shown in (scene(80)[1][::2, ::2], picture):
        memory.begin_frame(shown, alpha, REACH, WHOLE)
        _, counts = memory.end_frame(nothing, nothing)
    assert counts[H // 2, 97:103].max() == 0


def test_outside_the_box_everything_is_forgotten() -> None:
    memory, alpha, picture = remembering()
    box = 0, H, 0, 60
    memory.begin_frame(picture, alpha[:, :60], REACH[:, :60], box)
    memory.end_frame(np.zeros((H, 60), np.float32), np.zeros((H, 60), np.float32))
    holds, _ = memory.begin_frame(picture, alpha, REACH, WHOLE)
    assert holds[:, :60].min() == 1 and holds[:, 60:].max() == 0


@pytest.mark.parametrize(("mode", "share"), [("off", 1.0), ("on", 0.3), ("strong", 0.12)])
def test_a_small_change_in_a_still_place_is_taken_in_part(mode: str, share: float) -> None:
    memory, alpha, picture = remembering(mode)
    memory.begin_frame(picture, alpha, REACH, WHOLE)
    changed = np.where(alpha == 0, np.float32(0.02), alpha)
    taken, _ = memory.end_frame(changed, REACH)
    assert taken[5, 5] == pytest.approx(0.02 * share, rel=0.1)


def test_what_moves_is_heard_only_as_far_as_there_is_time_for_all() -> None:
    truth, picture = scene(80)
    for left_out in (0.0, 0.75, 1.0):
        memory, alpha, _ = remembering()
        _, moves = memory.begin_frame(picture[::2, ::2], alpha, REACH, WHOLE)
        taken, counts = memory.end_frame(truth, REACH, left_out)
        assert counts[moves == 1] == pytest.approx(1 - left_out) and (counts[moves == 0] == 1).all()
        heard = (moves == 1) & (counts > 0)
        np.testing.assert_allclose(taken[heard], truth[heard], atol=1e-6)


def test_an_unknown_mode_of_memory_is_refused() -> None:
    with pytest.raises(UsageError, match="'much'"):
        RefinedMemory((H, W), "much")
