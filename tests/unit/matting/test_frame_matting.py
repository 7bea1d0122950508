"""Matting of frames in order: a clip with a cut gives the mattes of its two shots apart."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from livematte.device import Device
from livematte.frame import Array, ColorInfo, Frame, Matte
from livematte.kernels.convert import planes_from_rgb
from livematte.matting.compositor import Compositor
from livematte.matting.cuts import is_cut
from livematte.matting.frame_matting import FrameMatting
from livematte.matting.refiner import TileRefiner
from livematte.matting.temporal import TemporalFilter
from livematte.offline.engine import mattes
from livematte.protocols import SourceInfo
from tests.unit.kernels.backends import SOURCE, running
from tests.unit.kernels.pictures import disc
from tests.unit.kernels.test_cuda import needs_compiler
from tests.unit.matting.test_refiner import BLUE, RED, TwoColours

HEIGHT, WIDTH = 240, 400
GREEN, YELLOW = np.array([20.0, 150, 60]), np.array([250.0, 240, 60])


class RedIsPerson:
    """Alpha from the red of a picture, with noise; ``recurrent``: a fifth of the frame before is mixed in."""

    def __init__(self, *, recurrent: bool) -> None:
        self._recurrent = recurrent

    def input_size(self, height: int, width: int) -> tuple[int, int]:
        return height // 4, width // 4

    def __call__(self, rgb: Array, state: Array | None) -> tuple[Matte, Array | None]:
        noise = np.random.default_rng(int(rgb.sum())).normal(0, 0.05, rgb.shape[:2])
        alpha = ((rgb[..., 0] - 30.0) / 190 + noise).clip(0, 1).astype(np.float32)
        if not self._recurrent:
            return Matte(alpha), None
        mixed = alpha if state is None else np.float32(0.8) * alpha + np.float32(0.2) * state
        return Matte(mixed), mixed


def shot(room: Array, person: Array, first: int, *, place: int) -> list[Frame]:
    """Five frames of a disc that is still and then moves by four pixels a frame, before grain."""
    frames = []
    for number in range(5):
        alpha = np.roll(disc(HEIGHT, WIDTH, softness=0.03), place + 4 * max(0, number - 2), axis=1)
        rgb = alpha[..., None] * person + (1 - alpha[..., None]) * room
        rgb = rgb + np.random.default_rng(first + number).normal(0, 2, rgb.shape)
        color = ColorInfo(full_range=True)
        planes = planes_from_rgb(np.clip(rgb, 0, 255).astype(np.uint8), "yuv444p", color)
        frames.append(Frame(planes, "yuv444p", first + number, Fraction(1, 25), 1, color))
    return frames


FIRST, SECOND = shot(BLUE, RED, 0, place=0), shot(GREEN, YELLOW, 5, place=60)


class Frames:
    """A source of frames in memory."""

    def __init__(self, frames: Sequence[Frame]) -> None:
        self.info = SourceInfo("frames", HEIGHT, WIDTH, "yuv444p", Fraction(1, 25), frames=len(frames))
        self._frames = frames

    def __iter__(self) -> Iterator[Frame]:
        return iter(self._frames)

    def close(self) -> None:
        pass


def full_alphas(
    frames: Sequence[Frame], *, recurrent: bool, refine: bool, device: Device | None = None
) -> list[Array]:
    """What a render composites with: filtered over time, and refined one tile a frame."""
    refiner = None
    if refine:
        network = TwoColours(seconds=1)
        refiner = TileRefiner(network, budget=0.001, clock=lambda: network.now)
    made = mattes(
        Frames(frames),
        RedIsPerson(recurrent=recurrent),
        compositor=Compositor(refiner=refiner),
        temporal=TemporalFilter("strong"),
        device=device,
    )
    return [matte.alpha for _, matte in made]


@pytest.mark.parametrize("recurrent", [False, True], ids=["no state", "recurrent"])
@pytest.mark.parametrize("refine", [False, True], ids=["guided", "refiner"])
def test_a_clip_with_a_cut_has_the_mattes_of_its_two_shots_apart(recurrent: bool, refine: bool) -> None:
    options: dict[str, Any] = {"recurrent": recurrent, "refine": refine}
    together = full_alphas([*FIRST, *SECOND], **options)
    apart = [*full_alphas(FIRST, **options), *full_alphas(SECOND, **options)]
    for number, (one, other) in enumerate(zip(together, apart, strict=True)):
        np.testing.assert_array_equal(one, other, err_msg=f"frame {number}")


@needs_compiler
@pytest.mark.parametrize("refine", [False, True], ids=["guided", "refiner"])
def test_on_a_gpu_a_clip_with_a_cut_has_the_mattes_of_its_two_shots_apart(
    refine: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running(SOURCE):
        gpu = Device("cuda", 0, "as asked")
        options: dict[str, Any] = {"recurrent": True, "refine": refine, "device": gpu}
        together = full_alphas([*FIRST, *SECOND], **options)
        apart = [*full_alphas(FIRST, **options), *full_alphas(SECOND, **options)]
    for number, (one, other) in enumerate(zip(together, apart, strict=True)):
        np.testing.assert_array_equal(one, other, err_msg=f"frame {number}")


def test_within_a_shot_the_filter_changes_the_mattes() -> None:
    """Otherwise the comparison above would say nothing."""
    one = full_alphas(FIRST, recurrent=False, refine=False)
    alone = [full_alphas([frame], recurrent=False, refine=False)[0] for frame in FIRST]
    assert (one[0] == alone[0]).all() and all((a != b).any() for a, b in zip(one[1:], alone[1:], strict=True))


def test_the_model_input_says_where_a_shot_begins() -> None:
    matting = FrameMatting(RedIsPerson(recurrent=False), TemporalFilter())
    hinted = replace(SECOND[1], keyframe_hint=True)
    frames = [FIRST[0], FIRST[1], FIRST[4], SECOND[0], hinted, SECOND[2]]
    assert [matting.shrink(frame).cut for frame in frames] == [True, False, False, True, True, False]


def test_pictures_are_compared_once_a_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def counted(before: Array, now: Array) -> Any:
        calls.append(now.shape)
        return is_cut(before, now)

    monkeypatch.setattr("livematte.matting.cuts.is_cut", counted)
    full_alphas([*FIRST, *SECOND], recurrent=True, refine=True)
    assert len(calls) == 9
