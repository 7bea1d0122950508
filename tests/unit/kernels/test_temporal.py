"""Alpha over time on the GPU: what the temporal filter makes of a clip on the CPU."""

from __future__ import annotations

import numpy as np
import pytest

from livematte.frame import Matte
from livematte.kernels.temporal import blend_refined
from livematte.kernels.temporal.cuda import smooth_alpha
from livematte.matting.cuts import CutDetector
from livematte.matting.temporal import TemporalFilter, TemporalState
from tests.unit.kernels.backends import ON_GPU, Backend, definition, down, running
from tests.unit.kernels.pictures import disc


def moving_clip() -> list[tuple[np.ndarray, np.ndarray]]:
    """(alpha, picture): a grainy room with a disc that stands, then moves; then the camera pans; then there
    is a room that is 70 brighter, and at last a chequered one and its negative, which has the same colours. A
    strip at the left is the same in all of them, but what alpha says of it changes: only who sees a cut
    believes it at once.
    """
    rng = np.random.default_rng(0)
    room = rng.integers(0, 96, (23, 31, 3)).repeat(2, 0).repeat(2, 1)
    chequered = (np.indices((46, 62)).sum(0) // 6 % 2 * 255)[..., None].repeat(3, -1)
    rooms = [*[room] * 6, np.roll(room, 8, axis=0), room + 70, room + 70, chequered, 255 - chequered]
    strip = [*[0.2] * 6, 0.6, 0.9, 0.9, 0.3, 0.8]
    clip = []
    for n, behind in enumerate(rooms):
        alpha = np.roll(disc(46, 62, radius=0.2), 3 * max(0, n - 3), axis=1)
        picture = alpha[..., None] * 40 + (1 - alpha[..., None]) * behind
        picture[:, :12], alpha[:, :12] = 30, strip[n]
        picture += rng.normal(0, 1, room.shape)
        alpha = np.clip(alpha + rng.normal(0, 0.05, alpha.shape), 0, 1).astype(np.float32)
        clip.append((alpha, np.clip(picture, 0, 255).astype(np.uint8)))
    return clip


@ON_GPU
@pytest.mark.parametrize(("mode", "still"), [("on", 0.3), ("strong", 0.12)])
def test_alpha_over_time_is_what_the_filter_makes_of_it(backend: Backend, mode: str, still: float) -> None:
    smooth, state = TemporalFilter(mode), None
    before = None
    taken = []
    find, find_on_gpu = CutDetector(), CutDetector()
    with running(backend):
        for alpha, picture in moving_clip():
            calm, state = smooth(Matte(alpha), picture, state, find(picture))
            assert isinstance(state, TemporalState)
            raw, rgb = backend.up((alpha, picture))
            cut = find_on_gpu(rgb)
            before = smooth_alpha(raw, rgb, before, still, None if cut is True else cut)
            np.testing.assert_allclose(down(before[0]), calm.alpha, atol=0.01)
            np.testing.assert_allclose(down(before[2]), state.picture, atol=1)
            taken.append(bool((calm.alpha == alpha).all()))
    assert taken == [True, *[False] * 6, True, False, True, True]  # a pan is no cut


@ON_GPU
def test_another_size_begins_a_shot(backend: Backend) -> None:
    alpha, picture = moving_clip()[0]
    with running(backend):
        first = smooth_alpha(*backend.up((alpha, picture)), None, 0.3)
        smaller = backend.up((alpha[:20].copy(), picture[:20].copy()))
        assert (down(smooth_alpha(*smaller, first, 0.3)[0]) == alpha[:20]).all()


@ON_GPU
@pytest.mark.parametrize("still", [0.12, 1.0])
def test_what_was_refined_before(backend: Backend, still: float) -> None:
    rng = np.random.default_rng(1)
    raw, share, moves, holds = rng.uniform(0, 1, (4, 7, 9)).astype(np.float32)
    maps = rng.uniform(0, 1, (2, 20, 30)).astype(np.float32)
    part = np.s_[4:11, 5:14]
    with running(backend):
        there = backend.up(maps)
        windows = (there[0][part], there[1][part])
        made = blend_refined(*backend.up((raw, share, moves, holds)), still, *windows)
        made, changed = down(made), down(there)
    alpha, before = maps[0][part], maps[1][part]
    expected = definition(blend_refined)(raw, share, moves, holds, still, alpha, before)
    for a, b in zip((*made, *changed), (*expected, *maps), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)
