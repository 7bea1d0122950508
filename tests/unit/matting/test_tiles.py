"""Tiles: they cover what is unknown, take turns when time is short, and leave no seam."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from livematte.matting.tiles import (
    TILE,
    Blend,
    GridPosition,
    count_waiting,
    crop,
    sort_by_urgency,
    tile_grid,
    working_size,
)

SIZES = st.tuples(st.integers(1, 900), st.integers(1, 1400))


@settings(max_examples=40, deadline=None)
@given(SIZES, st.sampled_from([1, 8, 32, 96]))
def test_cells_are_the_whole_picture_once(size: tuple[int, int], stride: int) -> None:
    times = np.zeros(size, np.int32)
    for tile in tile_grid(*size, stride):
        cell = crop(times, tile.cell)
        cell += 1
        (top, bottom, left, right), (a, b, c, d) = tile.box, tile.cell
        assert top <= a < b <= bottom and left <= c < d <= right
    assert (times == 1).all()


@settings(max_examples=20, deadline=None)
@given(SIZES, st.sampled_from([8, 32, 96]))
def test_tiles_are_of_one_size_and_fit_the_stride(size: tuple[int, int], stride: int) -> None:
    shapes = {tile.weight.shape for tile in tile_grid(*size, stride)}
    assert len(shapes) == 1
    side = -(-TILE // stride) * stride
    assert shapes.pop() == (min(side, size[0]), min(side, size[1]))


@settings(max_examples=20, deadline=None)
@given(SIZES)
def test_all_tiles_together_give_back_the_picture(size: tuple[int, int]) -> None:
    picture = np.random.default_rng(0).uniform(0, 1, size).astype(np.float32)
    blend, whole = Blend(size), (0, size[0], 0, size[1])
    for tile in tile_grid(*size, 8):
        blend.add(tile, crop(picture, tile.box)[None])
    np.testing.assert_allclose(blend.values(whole)[0], picture, atol=1e-5)
    assert (blend.coverage(whole) == 1).all()


def test_one_tile_counts_fully_in_its_cell_and_fades_beyond() -> None:
    size = (256, 700)
    first, second, *_ = tile_grid(*size, 32)
    blend = Blend(size)
    blend.add(first, np.ones((1, *first.weight.shape), np.float32))
    coverage = blend.coverage((0, 256, 0, 700))
    assert (crop(coverage, first.cell) == 1).all()
    row = coverage[100, first.cell[3] : first.box[3]]
    assert (np.diff(row) < 0).all() and row[-1] < 0.1
    assert (coverage[:, first.box[3] :] == 0).all()
    assert second.cell[2] == first.cell[3]


def test_a_tile_alone_counts_fully_to_the_corners_of_its_cell() -> None:
    inner = next(tile for tile in tile_grid(700, 900, 32) if tile.position == (1, 1))
    blend = Blend((700, 900))
    blend.add(inner, np.ones((1, *inner.weight.shape), np.float32))
    assert (blend.coverage(inner.cell) == 1).all()
    np.testing.assert_allclose(blend.values(inner.cell), 1, atol=1e-6)


def test_two_that_disagree_meet_without_a_step() -> None:
    size = (200, 400)
    blend = Blend(size)
    for value, tile in enumerate(tile_grid(*size, 8)):
        blend.add(tile, np.full((1, *tile.weight.shape), value, np.float32))
    line = blend.values((100, 101, 0, 400))[0, 0]
    assert line[0] == 0 and line[-1] == 1
    assert np.abs(np.diff(line)).max() < 1 / 40


def test_only_tiles_with_something_unknown_are_chosen_and_the_most_of_it_first() -> None:
    tiles = tile_grid(600, 1000, 32)
    trimap = np.zeros((600, 1000), np.uint8)
    busy, calm = tiles[-1], tiles[0]
    crop(trimap, busy.cell)[...] = 128
    crop(trimap, calm.cell)[:2] = 128
    crop(trimap, calm.cell)[2:] = 255
    assert [tile.position for tile in sort_by_urgency(trimap, tiles, {})] == [busy.position, calm.position]


@pytest.mark.parametrize("time_for", [1, 2, 3])
def test_with_too_little_time_every_tile_gets_its_turn(time_for: int) -> None:
    tiles = tile_grid(600, 1000, 32)
    trimap = np.zeros((600, 1000), np.uint8)
    for number, tile in enumerate(tiles):
        crop(trimap, tile.cell)[: 1 + 10 * number] = 128
    waiting: dict[GridPosition, int] = {}
    seen: list[GridPosition] = []
    for _ in range(-(-len(tiles) // time_for)):
        order = sort_by_urgency(trimap, tiles, waiting)
        waiting = count_waiting(order, order[:time_for], waiting)
        seen += [tile.position for tile in order[:time_for]]
    assert set(seen) == {tile.position for tile in tiles}


def test_a_tile_that_changed_goes_before_still_ones() -> None:
    tiles = tile_grid(600, 1000, 32)
    trimap = np.full((600, 1000), 128, np.uint8)
    stale = np.zeros((600, 1000), np.float32)
    crop(stale, tiles[7].cell)[...] = 1
    waiting = {tile.position: 2 for tile in tiles if tile is not tiles[7]}
    assert sort_by_urgency(trimap, tiles, waiting, stale)[0] is tiles[7]
    assert sort_by_urgency(trimap, tiles, waiting)[-1] is tiles[7]


def test_a_tile_that_always_changes_does_not_starve_the_others() -> None:
    tiles = tile_grid(600, 1000, 32)
    trimap = np.full((600, 1000), 128, np.uint8)
    stale = np.zeros((600, 1000), np.float32)
    crop(stale, tiles[0].cell)[...] = 1
    waiting: dict[GridPosition, int] = {}
    turns: list[GridPosition] = []
    for _ in range(40):
        order = sort_by_urgency(trimap, tiles, waiting, stale)
        waiting = count_waiting(order, order[:1], waiting)
        turns.append(order[0].position)
    assert set(turns) == {tile.position for tile in tiles}
    assert turns.count(tiles[0].position) > max(turns.count(tile.position) for tile in tiles[1:])


def test_a_tile_with_nothing_unknown_any_more_stops_waiting() -> None:
    tiles = tile_grid(300, 300, 32)
    trimap = np.zeros((300, 300), np.uint8)
    order = sort_by_urgency(trimap, tiles, {(0, 0): 5})
    assert order == [] and count_waiting(order, [], {(0, 0): 5}) == {}


def test_the_working_picture_is_the_frame_unless_that_is_large() -> None:
    assert working_size(720, 1280) == (720, 1280)
    assert working_size(2160, 3840) == (720, 1280)
    assert working_size(1080, 1920, 960) == (540, 960)
    assert working_size(480, 640, 4000) == (480, 640)
    assert working_size(1, 5000) == (1, 1280)
