"""A second network, one that takes a trimap, where the first is in doubt: alpha and colours of the tiles that
touch the unknown band.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from livematte.contracts import check_matte, check_part, check_range, title
from livematte.device import namespace
from livematte.errors import ModelError
from livematte.frame import Array, Frame, Matte
from livematte.kernels import twins
from livematte.kernels.copies import along, beside, to_gpu, to_host
from livematte.kernels.cuda_launch import on_gpu
from livematte.kernels.twins import explaining_background, linear_window, upsample_window, window_planes
from livematte.kernels.windows import Box, covered
from livematte.protocols import GpuTrimapModel, TrimapModel
from livematte.refine import EPSILON, colors
from livematte.temporal import RefinedMemory, check_mode
from livematte.tiles import (
    Blend,
    Place,
    Tile,
    around,
    grid_of,
    in_order,
    left_out,
    part,
    told,
    working_size,
)
from livematte.trimap import BACKGROUND, around_each, trimap_of

HEARD = 2.0
"""How far a refiner is heard goes with how soft the alpha without it is around: so many times the mean of
4α(1-α), wholly from 1 on. Around most outlines that is between a tenth and a half; the two together are right
more often than either alone (docs/models.md)."""


@dataclass(frozen=True)
class Refined:
    """What a refiner made of a frame's alpha; arrays are where the frame is.

    Attributes:
        plane: (H, W), dtype and depth of the frame's planes, 0..maximum.
        trimap: (h, w) uint8 of the working picture, in the computer's memory.
        done, waiting: the tiles that were computed, and how many were left for the next frames.
        kept: of those, the ones that still show what was refined before.
        share: (h, w) float32 of the working picture: how far what was refined counts, 0 where nothing was.
        colors: foreground and background (3, h, w each, codes of the frame's planes) of the tiles done and
            kept; None where the refiner gives no foreground.
    """

    plane: Array
    maximum: int
    trimap: Array
    done: tuple[Tile, ...]
    waiting: int
    kept: tuple[Tile, ...]
    share: Array
    colors: Blend | None

    def small_alpha(self, height: int, width: int) -> Array:
        """The plane as (height, width) float32 in [0, 1]."""
        return twins.resize(self.plane, height, width).astype(np.float32) * np.float32(1 / self.maximum)


class TileRefiner:
    """Asks a network that takes a trimap where the first network is in doubt.

    Only tiles that touch the unknown band are computed; elsewhere alpha stays as it came. What is refined is
    calmed over time, and a tile there was no time for keeps what was refined before where nothing changed.
    So one is for one video, in order, and not thread-safe. Frames may be on a GPU: the trimap is made and
    tiles are chosen by the CPU, from the small matte, and each tile's word is waited for.

    Args:
        network: an object of the group ``livematte.refiners``.
        long_side: of the working picture, in pixels; larger frames are shrunk to it, and what comes out
            follows the full-size luma. None: :data:`livematte.tiles.LONG_SIDE`.
        budget: seconds a frame that its networks may take; at least one tile is always computed. None: all.
        temporal: ``on``, ``strong`` or ``off``: how what is refined is calmed.
        alone: in the unknown band only the refiner is heard, as where somebody drew the trimap; otherwise as
            far as :data:`HEARD`.
        clock: seconds.

    Raises:
        UsageError: unknown ``temporal``.
        ModelError: ``network`` is no refiner.
    """

    def __init__(
        self,
        network: TrimapModel,
        *,
        long_side: int | None = None,
        budget: float | None = None,
        temporal: str = "on",
        alone: bool = False,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._network, self._long_side, self._budget, self._clock = network, long_side, budget, clock
        check_mode(temporal)
        check_part(network, TrimapModel, "refiner", ModelError)
        if not (isinstance(network.stride, int) and network.stride >= 1):
            who = title("refiner", network)
            raise ModelError(f"{who} has stride {network.stride!r}, allowed is a whole number from 1 on")
        self._temporal, self._alone = temporal, alone
        self._there: tuple[Tile, ...] = ()
        self._begin((0, 0), np)
        self._tile_seconds = 0.0

    def _begin(self, size: tuple[int, int], own: Any) -> None:
        self._size, self._own, self._memory = size, own, RefinedMemory(size, self._temporal, own)
        self._waiting: dict[Place, int] = {}
        self._left_out = 0.0
        self._shown: set[Place] = set()
        self._fronts: dict[Place, Array] = {}

    def __call__(self, frame: Frame, matte: Matte, plane: Array) -> Refined:
        """Refine one frame.

        Args:
            matte: at the network's size; its own trimap is taken where ``extras`` has one.
            plane: (H, W) alpha as it is without a refiner; left as it is.

        Raises:
            ModelError: the network gives what is no matte of that size, or values that are no alpha.
        """
        began = self._clock()
        size, own = working_size(frame.height, frame.width, self._long_side), namespace(plane)
        if (size, own) != (self._size, self._own):
            self._begin(size, own)
            tiles = grid_of(*size, self._network.stride)
            self._there = tuple(map(_uploaded, tiles)) if on_gpu(plane) else tiles
        trimap = trimap_of(matte, size)
        order = in_order(trimap, self._there, self._waiting)
        if not order:
            self._begin(size, own)
            nowhere = own.zeros(size, np.float32)
            return Refined(plane.copy(), frame.pixel_format.maximum, trimap, (), 0, (), nowhere, None)
        box = around(order)
        held, urgent = own.zeros(size, np.float32), own.ones(size, np.float32)
        holds, moves = self._look(frame, matte, order, box)
        part(held, box)[...] = holds
        heard = self._heard(plane, frame.pixel_format.maximum, matte.alpha.shape, box)
        if self._budget is not None:
            # What moves is hardly heard where time is short: what came to rest is more urgent then.
            part(urgent, box)[...] = (1 - holds) * (1 - self._left_out * moves) * heard
            order = in_order(trimap, order, self._waiting, urgent)
        work = _Tiles(frame, size, trimap, own)
        for tile in order:
            if work.done and self._late(began):
                break
            started = self._clock()
            work.add(tile, self._network)
            spent = self._clock() - started
            self._tile_seconds += (spent - self._tile_seconds) * (0.2 if self._tile_seconds else 1)
        self._waiting = left_out(order, work.done, self._waiting)
        self._left_out = len(self._waiting) / len(order)
        alpha, share = own.zeros(size, np.float32), own.zeros(size, np.float32)
        part(alpha, box)[...], part(share, box)[...] = self._memory.take(*work.found(box), self._left_out)
        part(share, box)[...] *= heard
        left = [tile for tile in order if tile.place in self._waiting and tile.place in self._shown]
        most = told([part(held, tile.cell).max() for tile in left])
        kept = tuple(tile for tile, holding in zip(left, most, strict=True) if holding > 0)
        self._shown = {tile.place for tile in (*kept, *work.done)}
        self._fronts = {t.place: self._fronts[t.place] for t in kept if t.place in self._fronts}
        self._fronts |= work.fronts
        made, colors = work.onto(plane, kept, alpha, share, self._fronts)
        maximum, done = frame.pixel_format.maximum, tuple(work.done)
        return Refined(made, maximum, trimap, done, len(self._waiting), kept, share, colors)

    def _look(self, frame: Frame, matte: Matte, order: list[Tile], box: Box) -> tuple[Array, Array]:
        """How far what was refined before holds, and how far the picture moves, in ``box``."""
        height, width = self._size
        reach = self._own.zeros(self._size, np.float32)
        for tile in order:
            shares = part(reach, tile.box)
            np.maximum(shares, tile.share, out=shares)
        picture = twins.small_rgb(frame, -(-height // 2), -(-width // 2))
        guide = linear_window(matte.alpha, self._size, box)
        return self._memory.look(picture, guide, part(reach, box), box, fresh=frame.keyframe_hint)

    def _heard(self, plane: Array, maximum: int, small: tuple[int, ...], box: Box) -> Array:
        """How far the refiner counts in ``box``, by the ``plane`` without it, seen at the size ``small``."""
        if self._alone:
            return self._own.ones((box[1] - box[0], box[3] - box[2]), np.float32)
        if on_gpu(plane):
            alpha = plane.astype(np.float32) * np.float32(1 / maximum)
            doubt = 1020 * alpha * (1 - alpha) + np.float32(0.5)
        else:
            levels = np.linspace(0, 1, maximum + 1)
            doubt = np.rint(1020 * levels * (1 - levels)).astype(np.uint8)[plane]
        soft = to_host(twins.resize(doubt, *small).astype(np.uint8)).astype(np.float32)
        heard = np.minimum(np.float32(HEARD / 255) * around_each(soft), 1)
        return linear_window(to_gpu(heard) if on_gpu(plane) else heard, self._size, box)

    def _late(self, began: float) -> bool:
        """Whether one more tile would exceed the budget."""
        if self._budget is None:
            return False
        return self._clock() - began + self._tile_seconds > self._budget


class _Tiles:
    """One frame under way."""

    def __init__(self, frame: Frame, size: tuple[int, int], trimap: Array, own: Any) -> None:
        self._frame, self._size, self._trimap, self._own = frame, size, trimap, own
        self._alpha = Blend(size, own=own)
        self._codes: dict[Place, Array] = {}
        self.done: list[Tile] = []
        self.fronts: dict[Place, Array] = {}

    def add(self, tile: Tile, network: TrimapModel) -> None:
        """Ask the network."""
        codes = window_planes(self._frame, self._size, tile.box)
        trimap = part(self._trimap, tile.box)
        matte = _asked(network, twins.rgb_from_codes(codes, self._frame), trimap)
        self._alpha.add(tile, matte.alpha[None])
        self._codes[tile.place] = codes
        self.done.append(tile)
        if matte.foreground is not None:
            front = matte.foreground * np.float32(255)
            self.fronts[tile.place] = twins.codes_from_rgb(front, self._frame.color, self._frame.format)

    def found(self, box: Box) -> tuple[Array, Array]:
        """Alpha and how far it counts, of the tiles that were added."""
        return self._alpha.values(box)[0], self._alpha.share(box)

    def onto(
        self,
        plane: Array,
        kept: tuple[Tile, ...],
        alpha: Array,
        share: Array,
        fronts: Mapping[Place, Array],
    ) -> tuple[Array, Blend | None]:
        """A copy of the full-size ``plane`` with ``alpha`` on it as far as it counts, and the colours."""
        out = plane.copy()
        colors = Blend(self._size, 6, self._own) if fronts else None
        maximum = self._frame.pixel_format.maximum
        for tile in (*kept, *self.done):
            codes = self._codes.get(tile.place)
            if codes is None:
                codes = window_planes(self._frame, self._size, tile.box)
            inside, counts = part(alpha, tile.box), part(share, tile.box)
            window = covered(tile.box, self._size, plane.shape)
            full, counts = self._full_size(tile, inside, counts, codes[0])
            kinds = twins.tile_kinds(counts, maximum)
            mixed = twins.mix_plane(full, part(plane, window), counts, kinds, (0, 0), maximum)
            part(out, window)[...] = mixed
            front = fronts.get(tile.place)
            if front is not None and colors is not None:
                # With the background that makes the equation true, fusing gives the foreground back.
                back = explaining_background(codes, front, inside, maximum)
                colors.add(tile, self._own.concatenate([front, back]))
        return out, colors

    def _full_size(self, tile: Tile, alpha: Array, share: Array, luma: Array) -> tuple[Array, Array]:
        """A tile's alpha, following the edges of the full-size luma, and how far it counts: both in codes."""
        size, maximum, full = self._size, self._frame.pixel_format.maximum, self._frame.planes[0]
        nothing = self._own.zeros(share.shape, np.float32)
        counts, _ = upsample_window(full, nothing, share, maximum, tile.box, size)
        if self._frame.size == size:
            return upsample_window(full, nothing, alpha, maximum, tile.box, size)[0], counts
        slope, offset = twins.guided_coefficients(alpha, luma * np.float32(1 / maximum), EPSILON, 0.0)
        top, bottom, left, right = tile.box
        finer = (2 * top, 2 * bottom, 2 * left, 2 * right), (2 * size[0], 2 * size[1])
        return upsample_window(full, slope, offset, maximum, *finer)[0], counts


def _uploaded(tile: Tile) -> Tile:
    return replace(tile, weight=to_gpu(tile.weight), share=to_gpu(tile.share))


def _asked(network: TrimapModel, rgb: Array, trimap: Array) -> Matte:
    """The matte of one tile, checked; smaller pictures than a tile are padded to the stride."""
    own = namespace(rgb)
    height, width = trimap.shape
    down, right = -height % network.stride, -width % network.stride
    if down or right:
        rgb = own.pad(rgb, ((0, down), (0, right), (0, 0)), mode="edge")
        trimap = np.pad(trimap, ((0, down), (0, right)), mode="edge")
    takes = isinstance(network, GpuTrimapModel) and network.takes_gpu_arrays
    given = network.refine(rgb if takes else to_host(rgb), np.ascontiguousarray(trimap))
    check_matte(network, "refiner", given, *trimap.shape)
    matte = beside(given, rgb)
    alpha, front = matte.alpha, matte.foreground
    _check_values(network, "alpha", alpha)
    if front is not None:
        _check_values(network, "foreground", front)
    return Matte(alpha.clip(0, 1)[:height, :width], None if front is None else front[:height, :width])


def _check_values(network: TrimapModel, what: str, values: Array) -> None:
    if on_gpu(values):
        from livematte.kernels import cuda_regions

        low, high = map(float, to_host(cuda_regions.clipped(values)[1]))
    else:
        low, high = float(values.min()), float(values.max())  # both NaN if anything is
    who = title("refiner", network)
    if not np.isfinite([low, high]).all():
        raise ModelError(f"{who} gave values that are no numbers: its weights or its runtime are broken")
    check_range(f"{who}'s {what}", low, high)


def refined_colors(frame: Frame, matte: Matte, small: Array, refined: Refined) -> tuple[Array, Array]:
    """The refiner's own colours where it gives them, elsewhere as :func:`livematte.refine.colors`.

    Args:
        matte: its alpha is the refined one, shrunk to the network's size.
        small: (3, h, w) float32, the frame's planes at that size.

    Returns:
        F̂, B̂: (3, h, w) float32; of the working picture's size where the refiner gives colours.
    """
    F, B = colors(frame, matte, small, method="none")
    if refined.colors is None:
        return F, B
    size = refined.trimap.shape
    F, B = (_enlarged(planes, size) for planes in (F, B))
    for tile in (*refined.kept, *refined.done):
        given = refined.colors.values(tile.box)
        # Where the trimap is sure of the background a network's foreground means nothing.
        share = part(refined.share, tile.box) * along(part(refined.trimap, tile.box) != BACKGROUND, given)
        top, bottom, left, right = tile.box
        for whole, own in ((F, given[:3]), (B, given[3:])):
            region = whole[:, top:bottom, left:right]
            own -= region
            own *= share
            region += own
    return F, B


def _enlarged(planes: Array, size: tuple[int, int]) -> Array:
    own = namespace(planes)
    out: Array = own.stack([twins.resize(plane, *size) for plane in planes])
    return out
