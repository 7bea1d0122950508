"""Which parts of a picture a refiner is shown, in which order, and how its answers are put together.

Everything is counted in pixels of the working picture: the frame, shrunk where it is larger than what
refining works at. Tiles lie on a grid that depends on its size alone: they stand still while people move.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np

from livematte.device import namespace
from livematte.frame import Array
from livematte.kernels.copies import to_gpu, to_host
from livematte.kernels.cuda_launch import on_gpu
from livematte.kernels.twins import add_weighted
from livematte.kernels.windows import Box
from livematte.trimap import UNKNOWN

TILE = 256
"""Side of a tile, where the picture is that large; rounded up to the refiner's stride."""
OVERLAP = 48
"""Pixels that neighbours share at least: what a network says near its border, it says without context."""
LONG_SIDE = 1280
"""Larger pictures are refined at this long side unless asked otherwise."""
HASTE = 4
"""Frames: see :func:`in_order`."""

Place = tuple[int, int]
"""Row and column of a tile in its grid."""


@dataclass(frozen=True)
class Tile:
    """One part.

    Attributes:
        box: what the refiner sees.
        cell: what the tile answers for; cells do not overlap and together are the picture.
        weight: (h, w) float32 over the box: how it counts against its neighbours, with whom it adds up to 1.
        share: (h, w) float32 over the box: how it counts against what was there before, 1 in its cell and
            falling to 0 at the box's inner sides.
    """

    place: Place
    box: Box
    cell: Box
    weight: Array
    share: Array


def working_size(height: int, width: int, long_side: int | None = None) -> tuple[int, int]:
    """The (height, width) at which a frame is refined: its own, or of ``long_side`` where that is smaller."""
    scale = min(1.0, (long_side or LONG_SIDE) / max(height, width))
    return max(1, round(height * scale)), max(1, round(width * scale))


@lru_cache(maxsize=8)
def grid_of(height: int, width: int, stride: int, tile: int = TILE) -> tuple[Tile, ...]:
    """All tiles of a working picture, of one size each."""
    side = -(-tile // stride) * stride
    rows, columns = _axis(height, side), _axis(width, side)
    return tuple(
        Tile(
            (i, j),
            (top, bottom, left, right),
            (*row_cell, *column_cell),
            down[:, None] * across,
            np.minimum(2 * down, 1)[:, None] * np.minimum(2 * across, 1),
        )
        for i, (top, bottom, row_cell, down) in enumerate(rows)
        for j, (left, right, column_cell, across) in enumerate(columns)
    )


def _axis(length: int, side: int) -> list[tuple[int, int, tuple[int, int], Array]]:
    """Start, end, cell and weights of each tile along one axis."""
    if length <= side:
        return [(0, length, (0, length), np.ones(length, np.float32))]
    count = -(-(length - OVERLAP) // (side - OVERLAP))
    starts = [int(s) for s in np.round(np.linspace(0, length - side, count))]
    middles = [0, *((before + side + start) // 2 for before, start in pairwise(starts)), length]
    found = []
    for number, start in enumerate(starts):  # weights cross at a half, where one cell meets the next
        x = np.arange(side) + 0.5
        weight = np.ones(side)
        if number:
            weight = np.minimum(weight, x / (starts[number - 1] + side - start))
        if number + 1 < count:
            weight = np.minimum(weight, (side - x) / (start + side - starts[number + 1]))
        cell = (middles[number], middles[number + 1])
        found.append((start, start + side, cell, weight.astype(np.float32)))
    return found


def part(picture: Array, box: Box) -> Array:
    """The box of a picture (h, w, ...): a view."""
    top, bottom, left, right = box
    return picture[top:bottom, left:right]


def in_order(
    trimap: Array, tiles: Iterable[Tile], waiting: Mapping[Place, int], stale: Array | None = None
) -> list[Tile]:
    """The tiles with anything unknown in their cell, the most urgent first.

    Those that have waited longest come first, but a tile that changed goes before still ones that have waited
    up to :data:`HASTE` frames longer; then those with most that is unknown. So with time for one tile a
    frame, every tile gets its turn, and those where something happens get it sooner.

    Args:
        trimap: (h, w) uint8 of the working picture.
        waiting: for how many frames each place was left out.
        stale: (h, w) in [0, 1]: where what was refined before holds no more, waited for where it is on a GPU.
            None: everywhere alike.
    """
    unknown = trimap == UNKNOWN
    amounts = {tile.place: int(np.count_nonzero(part(unknown, tile.cell))) for tile in tiles}
    touched = [tile for tile in tiles if amounts[tile.place]]
    changed: dict[Place, float] = {}
    if stale is not None:
        there = to_gpu(unknown) if on_gpu(stale) else unknown
        sums = [(part(stale, t.cell) * part(there, t.cell)).sum() for t in touched]
        changed = {t.place: total for t, total in zip(touched, told(sums), strict=True)}
    most = max(changed.values(), default=0) or 1

    def urgency(tile: Tile) -> tuple[float, int, Place]:
        waited = waiting.get(tile.place, 0) + HASTE * changed.get(tile.place, 0) / most
        return -waited, -amounts[tile.place], tile.place

    return sorted(touched, key=urgency)


def left_out(order: Iterable[Tile], done: Iterable[Tile], waiting: Mapping[Place, int]) -> dict[Place, int]:
    """``waiting`` for the next frame."""
    finished = {tile.place for tile in done}
    return {tile.place: waiting.get(tile.place, 0) + 1 for tile in order if tile.place not in finished}


def around(tiles: Iterable[Tile]) -> Box:
    """The smallest box that holds all of ``tiles``, at least one."""
    boxes = np.array([tile.box for tile in tiles])
    (top, _, left, _), (_, bottom, _, right) = boxes.min(0).tolist(), boxes.max(0).tolist()
    return top, bottom, left, right


def told(numbers: list[Array]) -> list[float]:
    """Single numbers as Python's; those that are on a GPU are waited for, together."""
    if not numbers or not on_gpu(numbers[0]):
        return [float(number) for number in numbers]
    return list(map(float, to_host(namespace(numbers[0]).stack(numbers))))


class Blend:
    """A map of the working picture put together from tiles; smooth where they overlap, and at their ends.

    Args:
        size: (height, width) of the working picture.
        channels: how many values a pixel.
        own: the module of its arrays, and of those of the tiles: numpy or cupy.
    """

    def __init__(self, size: tuple[int, int], channels: int = 1, own: Any = np) -> None:
        self._sums = own.zeros((channels, *size), np.float32)
        self._weights = own.zeros(size, np.float32)
        self._shares = own.zeros(size, np.float32)

    def add(self, tile: Tile, values: Array) -> None:
        """What one tile says: (channels, h, w) float32 over its box."""
        top, bottom, left, right = tile.box
        sums = self._sums[:, top:bottom, left:right]
        add_weighted(tile.weight, values, sums, part(self._weights, tile.box))
        shares = part(self._shares, tile.box)
        np.maximum(shares, tile.share, out=shares)

    def values(self, box: Box) -> Array:
        """(channels, h, w) float32: the weighted mean of the tiles that say anything; elsewhere 0."""
        top, bottom, left, right = box
        weights = np.maximum(part(self._weights, box), np.float32(1e-6))
        return self._sums[:, top:bottom, left:right] / weights

    def share(self, box: Box) -> Array:
        """(h, w) float32: how far the tiles count, 1 in the cells of those that were added, 0 beyond."""
        return part(self._shares, box)
