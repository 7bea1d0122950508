"""Refining: a network that knows two colours decides the unknown band, in every format, within its time."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from livematte.errors import ModelError, UsageError
from livematte.frame import Array, ColorInfo, Frame, Matte
from livematte.kernels.convert import planes_from_rgb, to_rgb
from livematte.kernels.resize import resize
from livematte.matting.backgrounds import Color
from livematte.matting.compositor import Compositor
from livematte.matting.refiner import TileRefiner
from livematte.matting.upsampling import enlarged_alpha
from livematte.protocols import TrimapModel
from tests.unit.kernels.pictures import SOURCE_FORMATS, disc

RED, BLUE = np.array([220.0, 40, 40]), np.array([30.0, 40, 230])


@dataclass
class TwoColours:
    """Solves the compositing equation exactly: people are red and rooms blue.

    Attributes:
        seen: the trimaps it was shown.
        seconds: what the clock says after each call more than before.
    """

    stride: int = 32
    foreground: bool = False
    seconds: float = 0.0
    now: float = 0.0
    seen: list[Array] = field(default_factory=list)

    def refine(self, rgb: Array, trimap: Array) -> Matte:
        assert rgb.dtype == trimap.dtype == np.uint8 and rgb.shape == (*trimap.shape, 3)
        assert trimap.shape[0] % self.stride == trimap.shape[1] % self.stride == 0
        self.seen.append(trimap)
        self.now += self.seconds
        alpha = np.clip((rgb - BLUE) @ (RED - BLUE) / ((RED - BLUE) @ (RED - BLUE)), 0, 1)
        alpha = np.where(trimap == 128, alpha, trimap / 255).astype(np.float32)
        front = np.broadcast_to((RED / 255).astype(np.float32), rgb.shape) if self.foreground else None
        return Matte(alpha, front)


def person(
    height: int, width: int, format: str = "yuv444p", *, comb: bool = False
) -> tuple[Frame, Array, Matte]:
    """A red disc in a blue room, its alpha, and the matte of a network that saw it eight times smaller.

    ``comb``: the disc has stripes of hair, finer than that network sees.
    """
    alpha = disc(height, width, softness=0.03)
    if comb:
        outer, inner = (disc(height, width, radius=radius, softness=0.01) for radius in (0.4, 0.28))
        stripes = (np.sin(np.arange(width) * 1.1) > 0).astype(np.float32)
        alpha = np.maximum(alpha, np.clip(outer - inner, 0, 1) * stripes)
    rgb = np.rint(alpha[..., None] * RED + (1 - alpha[..., None]) * BLUE).astype(np.uint8)
    color = ColorInfo("rgb", full_range=True) if format.startswith("gbr") else ColorInfo(full_range=True)
    frame = Frame(planes_from_rgb(rgb, format, color), format, 7, Fraction(1, 25), 1, color)
    return frame, alpha, Matte(resize(alpha, height // 8, width // 8))


def error(plane: Array, truth: Array, maximum: int = 255) -> float:
    return float(np.abs(plane / maximum - truth).mean())


def test_the_tests_network_is_a_refiner() -> None:
    assert isinstance(TwoColours(), TrimapModel)


def test_what_the_network_could_not_see_is_refined() -> None:
    frame, truth, matte = person(480, 640, comb=True)
    plane, _ = enlarged_alpha(frame, matte.alpha)
    done = TileRefiner(TwoColours())(frame, matte, plane)
    assert error(done.plane, truth) < 0.004 < 0.03 < error(plane, truth)
    assert done.waiting == 0 and done.colors is None


@pytest.mark.parametrize("format", SOURCE_FORMATS)
def test_every_format_is_refined(format: str) -> None:
    frame, truth, matte = person(190, 270, format)
    maximum = frame.pixel_format.maximum
    plane, _ = enlarged_alpha(frame, matte.alpha)
    done = TileRefiner(TwoColours())(frame, matte, plane)
    assert done.plane.dtype == frame.planes[0].dtype and done.plane.shape == frame.size
    assert done.plane.max() == maximum and done.maximum == maximum
    tolerance = 0.02 if frame.pixel_format.chroma != (0, 0) else 0.004  # halved chroma blurs the colours
    assert error(done.plane, truth, maximum) < tolerance


def test_the_plane_that_came_is_left_as_it_was_and_stays_outside_the_tiles() -> None:
    frame, _, matte = person(600, 900)
    plane, _ = enlarged_alpha(frame, matte.alpha)
    plane[:40, :60] = 77  # nothing unknown is near
    before = plane.copy()
    small = Matte(resize(disc(600, 900, radius=0.1, softness=0.02), 75, 112))
    done = TileRefiner(TwoColours())(frame, small, plane)
    np.testing.assert_array_equal(plane, before)
    assert (done.plane[:40, :60] == 77).all()


@pytest.mark.parametrize("long_side", [320, 450, 900])
def test_large_frames_are_refined_small_and_follow_the_full_size_luma(long_side: int) -> None:
    frame, truth, matte = person(600, 900)
    plane, _ = enlarged_alpha(frame, matte.alpha)
    network = TwoColours()
    done = TileRefiner(network, long_side=long_side)(frame, matte, plane)
    assert done.trimap.shape == (round(600 * long_side / 900), long_side)
    assert error(done.plane, truth) < error(plane, truth)
    edge = (truth > 0.02) & (truth < 0.98)
    assert np.abs(done.plane / 255 - truth)[edge].mean() < 0.03


def test_it_is_heard_as_far_as_the_first_network_is_in_doubt() -> None:
    """A hard edge to the left, of which the first network is sure, and a wide soft one to the right."""
    frame, _, _ = person(240, 640)
    x = np.arange(640, dtype=np.float32)
    row = np.minimum(np.clip((x - 120) / 2, 0, 1), np.clip((560 - x) / 160, 0, 1))
    plane = np.rint(255 * np.tile(row, (240, 1))).astype(np.uint8)
    matte = Matte(resize(plane / np.float32(255), 120, 320))
    share = TileRefiner(TwoColours())(frame, matte, plane).weight[120]
    assert share[480] == 1 and 0 < share[121] < 0.5
    alone = TileRefiner(TwoColours(), replace=True)(frame, matte, plane).weight[120]
    assert alone[480] == alone[121] == 1


def test_small_pictures_are_padded_to_the_stride() -> None:
    frame, truth, matte = person(50, 70)
    network = TwoColours(stride=32)
    done = TileRefiner(network, replace=True)(frame, matte, enlarged_alpha(frame, matte.alpha)[0])
    assert [trimap.shape for trimap in network.seen] == [(64, 96)]
    assert error(done.plane, truth) < 0.02


def test_nothing_unknown_asks_nothing() -> None:
    frame, _, _ = person(200, 300)
    network = TwoColours()
    everything = Matte(np.ones((25, 38), np.float32))
    done = TileRefiner(network)(frame, everything, np.full((200, 300), 255, np.uint8))
    assert network.seen == [] and done.done == () and (done.plane == 255).all()


def test_the_networks_own_trimap_decides_what_is_asked() -> None:
    frame, _, matte = person(480, 640)
    own = np.zeros((60, 80), np.float32)
    own[25:35, 30:50] = 0.5
    network = TwoColours()
    TileRefiner(network)(frame, Matte(matte.alpha, None, {"trimap": own}), np.zeros((480, 640), np.uint8))
    asked = sum(int((trimap == 128).sum()) for trimap in network.seen)
    assert asked > 0.9 * 10 * 20 * 64 and all((trimap != 255).all() for trimap in network.seen)


def test_a_budget_cuts_and_every_tile_gets_its_turn() -> None:
    frame, _, matte = person(720, 1280)
    plane, _ = enlarged_alpha(frame, matte.alpha)
    free = TwoColours()
    all_of_them = {tile.position for tile in TileRefiner(free)(frame, matte, plane).done}
    assert len(all_of_them) > 4
    slow = TwoColours(seconds=0.010)
    refiner = TileRefiner(slow, budget=0.025, clock=lambda: slow.now)
    seen = set()
    for _ in range(-(-len(all_of_them) // 2)):
        done = refiner(frame, matte, plane)
        assert len(done.done) <= 2 and len(done.done) + done.waiting == len(all_of_them)
        seen |= {tile.position for tile in done.done}
    assert seen == all_of_them


def test_a_budget_shorter_than_a_tile_still_does_one() -> None:
    frame, _, matte = person(720, 1280)
    slow = TwoColours(seconds=1)
    refiner = TileRefiner(slow, budget=0.001, clock=lambda: slow.now)
    plane, _ = enlarged_alpha(frame, matte.alpha)
    assert [len(refiner(frame, matte, plane).done) for _ in range(3)] == [1, 1, 1]


def one_a_frame(**options: Any) -> tuple[TwoColours, TileRefiner]:
    slow = TwoColours(seconds=1)
    return slow, TileRefiner(slow, budget=0.001, clock=lambda: slow.now, **options)


def test_a_tile_without_its_turn_keeps_what_was_refined_before() -> None:
    frame, truth, matte = person(720, 1280, comb=True)
    plane, _ = enlarged_alpha(frame, matte.alpha)
    _, refiner = one_a_frame()
    first = refiner(frame, matte, plane)
    count = 1 + first.waiting
    for _ in range(count):
        last = refiner(frame, matte, plane)
    assert count > 4 and len(last.kept) == count - 1
    whole = error(TileRefiner(TwoColours())(frame, matte, plane).plane, truth)
    assert error(last.plane, truth) < whole + 1e-4 < error(first.plane, truth) / 2
    again = refiner(frame, matte, plane)
    assert np.abs(again.plane.astype(int) - last.plane).max() <= 1, "nothing moves, nothing flickers"


def test_what_was_refined_is_not_kept_where_somebody_moved() -> None:
    frame, _, matte = person(720, 1280)
    plane, _ = enlarged_alpha(frame, matte.alpha)
    _, refiner = one_a_frame()
    for _ in range(12):
        refiner(frame, matte, plane)
    truth = np.roll(disc(720, 1280, softness=0.03), 40, axis=1)
    rgb = np.rint(truth[..., None] * RED + (1 - truth[..., None]) * BLUE).astype(np.uint8)
    moved = frame.with_planes(planes_from_rgb(rgb, frame.format, frame.color))
    matte = Matte(resize(truth, 90, 160))
    plane, _ = enlarged_alpha(moved, matte.alpha)
    done = refiner(moved, matte, plane)
    assert len(done.done) == 1 and error(done.plane, truth) <= error(plane, truth) + 1e-3
    assert np.abs(done.plane / 255 - truth).max() < 0.5


def test_where_the_first_network_sees_nobody_any_more_nothing_is_kept() -> None:
    """Even if the picture looks the same: nobody must stay visible because a refiner had no time."""
    frame, _, matte = person(720, 1280)
    plane, _ = enlarged_alpha(frame, matte.alpha)
    _, refiner = one_a_frame()
    for _ in range(12):
        refiner(frame, matte, plane)
    left = matte.alpha.copy()
    left[:, 80:] = 0
    done = refiner(frame, Matte(left), np.zeros_like(plane))
    right = np.zeros((720, 1280), bool)
    right[:, 720:] = True
    for tile in done.done:
        top, bottom, begin, end = tile.box
        right[top:bottom, begin:end] = False
    assert right.any() and done.plane[right].max() < 64 and (done.plane[right] > 0).mean() < 0.01


@pytest.mark.parametrize("how", ["cut", "hint"])
def test_another_shot_keeps_nothing(how: str) -> None:
    frame, _, matte = person(720, 1280)
    plane, _ = enlarged_alpha(frame, matte.alpha)
    _, refiner = one_a_frame()
    for _ in range(3):
        kept = refiner(frame, matte, plane).kept
    assert len(kept) == 2
    other = replace(frame, keyframe_hint=how == "hint")
    assert refiner(other, matte, plane, cut=how == "cut").kept == ()


@dataclass
class Trembling(TwoColours):
    """As the other, but its word on the unknown wavers from call to call."""

    def refine(self, rgb: Array, trimap: Array) -> Matte:
        matte = super().refine(rgb, trimap)
        noise = np.random.default_rng(len(self.seen)).normal(0, 0.08, trimap.shape)
        wavering = np.clip(matte.alpha + noise * (trimap == 128), 0, 1)
        return replace(matte, alpha=wavering.astype(np.float32))


def test_what_is_refined_is_calmed_over_time_as_far_as_asked() -> None:
    frame, _, matte = person(240, 320)
    plane, _ = enlarged_alpha(frame, matte.alpha)
    change = {}
    for mode in ("off", "on", "strong"):
        refiner = TileRefiner(Trembling(), temporal=mode)
        shown = [refiner(frame, matte, plane).plane.astype(int) for _ in range(6)]
        change[mode] = float(np.mean([np.abs(b - a).mean() for a, b in pairwise(shown[2:])]))
    assert change["strong"] < 0.6 * change["on"] < 0.3 * change["off"]


def test_calming_neither_delays_nor_blurs_what_moves() -> None:
    still = [disc(240, 320, softness=0.03)] * 3
    refiners = {mode: TileRefiner(TwoColours(), temporal=mode) for mode in ("off", "on")}
    for number, alpha in enumerate(still + [np.roll(still[0], 8 * n, axis=1) for n in (1, 2, 3)]):
        rgb = np.rint(alpha[..., None] * RED + (1 - alpha[..., None]) * BLUE).astype(np.uint8)
        color = ColorInfo(full_range=True)
        frame = Frame(planes_from_rgb(rgb, "yuv444p", color), "yuv444p", number, Fraction(1, 25), 1, color)
        matte = Matte(resize(alpha, 30, 40))
        plane, _ = enlarged_alpha(frame, matte.alpha)
        shown = {mode: refiner(frame, matte, plane).plane for mode, refiner in refiners.items()}
        assert error(shown["on"], alpha) < error(shown["off"], alpha) + 5e-4


def test_the_colours_of_a_tile_without_its_turn_are_kept_too() -> None:
    frame, truth, matte = person(720, 1280, comb=True)
    slow = TwoColours(seconds=1, foreground=True)
    compositor = Compositor(refiner=TileRefiner(slow, budget=0.001, clock=lambda: slow.now))
    for _ in range(16):
        full = compositor.full_matte(frame, matte)
    assert full.foreground is not None
    assert np.abs(full.foreground[truth > 0.2] - RED / 255).mean() < 0.02


def test_an_unknown_way_of_calming_is_refused() -> None:
    with pytest.raises(UsageError, match=r"'much'.*on, off, strong"):
        TileRefiner(TwoColours(), temporal="much")


def test_another_size_forgets_who_waited() -> None:
    slow = TwoColours(seconds=1)
    refiner = TileRefiner(slow, budget=0.001, clock=lambda: slow.now)
    for size in ((720, 1280), (50, 70)):
        frame, _, matte = person(*size)
        done = refiner(frame, matte, enlarged_alpha(frame, matte.alpha)[0])
    assert done.waiting == 0 and len(done.done) == 1


@pytest.mark.parametrize(
    ("alpha", "message"),
    [
        (np.full((256, 256), np.nan, np.float32), "no numbers"),
        (np.zeros((8, 8), np.float32), r"gave an array \(8, 8\) .* expected an array \(256, 256\)"),
    ],
    ids=["nan", "size"],
)
def test_a_broken_refiner_is_one_line(alpha: Array, message: str) -> None:
    class Broken:
        stride = 32

        def refine(self, rgb: Array, trimap: Array) -> Matte:
            return Matte(alpha)

    frame, _, matte = person(480, 640)
    with pytest.raises(ModelError, match=message) as caught:
        TileRefiner(Broken())(frame, matte, np.zeros((480, 640), np.uint8))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("format", ["yuv420p", "nv12", "yuv444p10le", "gbrp", "yuva420p"])
def test_the_refiners_own_colours_are_composited(format: str) -> None:
    """Hair finer than the first network sees, on black: all that is left is red."""
    frame, truth, matte = person(240, 320, format, comb=True)
    glow = {}
    for own in (True, False):
        refiner = TileRefiner(TwoColours(foreground=own))
        made = Compositor(refiner=refiner)(frame, matte, Color((0, 0, 0))).picture
        assert made is not None
        expected = truth[..., None] * RED
        glow[own] = float(np.abs(to_rgb(made) - expected)[(truth > 0.1) & (truth < 0.9)].mean())
    assert glow[True] < glow[False]
    if frame.pixel_format.chroma == (0, 0):
        assert glow[True] < 6


def test_without_foreground_the_picture_itself_is_composited() -> None:
    frame, truth, matte = person(240, 320)
    refiner = TileRefiner(TwoColours(foreground=True))
    made = Compositor(refiner=refiner, foreground=False)(frame, matte, Color((0, 0, 0))).picture
    assert made is not None
    half = np.abs(truth - 0.5) < 0.1
    assert to_rgb(made)[half][:, 2].mean() > 40, "the room's blue is still in it"


def test_full_matte_has_the_refined_alpha_and_colours() -> None:
    frame, truth, matte = person(240, 320, comb=True)
    full = Compositor(refiner=TileRefiner(TwoColours(foreground=True))).full_matte(frame, matte)
    assert np.abs(full.alpha - truth).mean() < 0.005
    assert full.foreground is not None
    assert np.abs(full.foreground[truth > 0.2] - RED / 255).mean() < 0.02


def test_what_the_frame_says_is_transparent_stays_so() -> None:
    frame, _, matte = person(240, 320, "yuva420p")
    own = np.full((240, 320), 255, np.uint8)
    own[:, :160] = 0
    frame = frame.with_planes((*frame.planes[:3], own))
    made = Compositor(refiner=TileRefiner(TwoColours()))(
        frame, matte, Color((0, 0, 0)), frozenset({"alpha"})
    ).alpha
    assert made is not None and (made.planes[0][:, :160] == 0).all() and made.planes[0].max() == 255
