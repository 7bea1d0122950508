"""Tiles of a picture for a refiner: their grid, the order in which they are refined, and their blending.

All lengths are in pixels of the working picture: the frame, reduced where it is larger than the refiner's
working size. The grid depends only on that size: tiles stand still while people move.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np

from livematte.device import namespace
from livematte.device.cuda import on_gpu
from livematte.device.transfer import to_gpu, to_host
from livematte.frame import Array
from livematte.kernels.accumulate import add_weighted
from livematte.kernels.boxes import Box
from livematte.matting.trimap import UNKNOWN

TILE = 256
"""Side of a tile, where the picture is that large; rounded up to the refiner's stride."""
OVERLAP = 48
"""Smallest overlap of neighbours in pixels: near its border a network has no context."""
LONG_SIDE = 1280
"""Larger pictures are refined at this long side unless asked otherwise."""
PRIORITY = 4
"""Frames; see :func:`sort_by_urgency`."""

GridPosition = tuple[int, int]
"""Row and column of a tile in its grid."""


@dataclass(frozen=True)
class Tile:
    """One tile.

    Attributes:
        box: the region that the network is given.
        cell: the region that only this tile is responsible for; the cells of all tiles partition the picture.
        weight: (h, w) float32 over the box: blend weight among neighbours; the sum over all tiles is 1.
        coverage: (h, w) float32 over the box: blend weight against the unrefined alpha, 1 in the cell and
            falling to 0 at those sides of the box that lie inside the picture.
    """

    position: GridPosition
    box: Box
    cell: Box
    weight: Array
    coverage: Array


def working_size(height: int, width: int, long_side: int | None = None) -> tuple[int, int]:
    """The (height, width) at which a frame is refined: its own, or of ``long_side`` where that is smaller."""
    scale = min(1.0, (long_side or LONG_SIDE) / max(height, width))
    return max(1, round(height * scale)), max(1, round(width * scale))


@lru_cache(maxsize=8)
def tile_grid(height: int, width: int, stride: int, tile: int = TILE) -> tuple[Tile, ...]:
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


def crop(picture: Array, box: Box) -> Array:
    """The box of a picture (h, w, ...): a view."""
    top, bottom, left, right = box
    return picture[top:bottom, left:right]


def sort_by_urgency(
    trimap: Array, tiles: Iterable[Tile], waiting: Mapping[GridPosition, int], stale: Array | None = None
) -> list[Tile]:
    """Return the tiles with an unknown pixel in their cell, most urgent first.

    Tiles are sorted by waiting time, longest first, and then by the number of unknown pixels, largest first.
    A changed tile counts as if it had waited :data:`PRIORITY` frames longer. Even with time for only one tile
    per frame, each tile is refined eventually.

    Args:
        trimap: (h, w) uint8 of the working picture.
        waiting: for each tile that was left out, the number of frames that it has waited.
        stale: (h, w) in [0, 1]: 1 where refined alpha of earlier frames is no longer valid. An array on a GPU
            causes a synchronisation. None: equal for all pixels.
    """
    unknown = trimap == UNKNOWN
    amounts = {tile.position: int(np.count_nonzero(crop(unknown, tile.cell))) for tile in tiles}
    touched = [tile for tile in tiles if amounts[tile.position]]
    changed: dict[GridPosition, float] = {}
    if stale is not None:
        there = to_gpu(unknown) if on_gpu(stale) else unknown
        sums = [(crop(stale, t.cell) * crop(there, t.cell)).sum() for t in touched]
        changed = {t.position: total for t, total in zip(touched, to_floats(sums), strict=True)}
    most = max(changed.values(), default=0) or 1

    def urgency(tile: Tile) -> tuple[float, int, GridPosition]:
        waited = waiting.get(tile.position, 0) + PRIORITY * changed.get(tile.position, 0) / most
        return -waited, -amounts[tile.position], tile.position

    return sorted(touched, key=urgency)


def count_waiting(
    order: Iterable[Tile], done: Iterable[Tile], waiting: Mapping[GridPosition, int]
) -> dict[GridPosition, int]:
    """``waiting`` for the next frame."""
    finished = {tile.position for tile in done}
    return {
        tile.position: waiting.get(tile.position, 0) + 1 for tile in order if tile.position not in finished
    }


def bounding_box(tiles: Iterable[Tile]) -> Box:
    """The smallest box that holds all of ``tiles``, at least one."""
    boxes = np.array([tile.box for tile in tiles])
    (top, _, left, _), (_, bottom, _, right) = boxes.min(0).tolist(), boxes.max(0).tolist()
    return top, bottom, left, right


def to_floats(numbers: list[Array]) -> list[float]:
    """Single numbers as Python's; those that are on a GPU are waited for, together."""
    if not numbers or not on_gpu(numbers[0]):
        return [float(number) for number in numbers]
    return list(map(float, to_host(namespace(numbers[0]).stack(numbers))))


class Blend:
    """A map of the working picture blended from tiles; smooth where they overlap, and at their ends.

    Args:
        size: (height, width) of the working picture.
        channels: values per pixel.
        xp: the module of its arrays, and of those of the tiles: numpy or cupy.
    """

    def __init__(self, size: tuple[int, int], channels: int = 1, xp: Any = np) -> None:
        self._sums = xp.zeros((channels, *size), np.float32)
        self._weights = xp.zeros(size, np.float32)
        self._coverage = xp.zeros(size, np.float32)

    def add(self, tile: Tile, values: Array) -> None:
        """Blend in the ``values`` of one tile: (channels, h, w) float32 over its box."""
        top, bottom, left, right = tile.box
        sums = self._sums[:, top:bottom, left:right]
        add_weighted(tile.weight, values, sums, crop(self._weights, tile.box))
        coverage = crop(self._coverage, tile.box)
        np.maximum(coverage, tile.coverage, out=coverage)

    def values(self, box: Box) -> Array:
        """(channels, h, w) float32: the weighted mean of the tiles that were added; 0 elsewhere."""
        top, bottom, left, right = box
        weights = np.maximum(crop(self._weights, box), np.float32(1e-6))
        return self._sums[:, top:bottom, left:right] / weights

    def coverage(self, box: Box) -> Array:
        """(h, w) float32: coverage of the tiles, 1 in the cells of those that were added, 0 beyond."""
        return crop(self._coverage, box)
