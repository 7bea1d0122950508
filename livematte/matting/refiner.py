"""A second network, which takes a trimap, refines alpha and colours in tiles that touch the unknown band."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from livematte.device import namespace
from livematte.device.cuda import on_gpu
from livematte.device.transfer import to_gpu, to_host, to_same_device
from livematte.errors import ModelError
from livematte.frame import Array, Frame, Matte
from livematte.kernels.boxes import Box
from livematte.kernels.convert import small_rgb
from livematte.kernels.resize import linear_crop, resize
from livematte.matting.contracts import check_part
from livematte.matting.cuts import Cut, wait_for_cut
from livematte.matting.refined_memory import RefinedMemory
from livematte.matting.temporal import check_mode
from livematte.matting.tile_pass import TilePass
from livematte.matting.tiles import (
    Blend,
    GridPosition,
    Tile,
    bounding_box,
    count_waiting,
    crop,
    sort_by_urgency,
    tile_grid,
    to_floats,
    working_size,
)
from livematte.matting.trimap import BACKGROUND, local_mean, trimap_from_matte
from livematte.matting.upsampling import colors
from livematte.parts import title
from livematte.protocols import TrimapModel

BLEND_GAIN = 2.0
"""Blend weight of the refiner = min(1, BLEND_GAIN × local mean of 4α(1-α)), α being the unrefined alpha.

Around most outlines the weight is between a tenth and a half; the two networks together are right more often
than either alone (docs/models.md)."""


@dataclass(frozen=True)
class Refined:
    """The refined alpha of one frame; arrays are on the device where the frame is.

    Attributes:
        plane: (H, W), dtype and depth of the frame's planes, 0..maximum.
        trimap: (h, w) uint8 of the working picture, in the computer's memory.
        done, waiting: the tiles that were refined, and the number of tiles left for the next frames.
        kept: those left tiles that still show what an earlier frame refined.
        weight: (h, w) float32 of the working picture: blend weight of the refined alpha, 0 without one.
        colors: foreground and background (3, h, w each, codes of the frame's planes) of the tiles done and
            kept; None where the refiner gives no foreground.
    """

    plane: Array
    maximum: int
    trimap: Array
    done: tuple[Tile, ...]
    waiting: int
    kept: tuple[Tile, ...]
    weight: Array
    colors: Blend | None

    def small_alpha(self, height: int, width: int) -> Array:
        """The plane as (height, width) float32 in [0, 1]."""
        return resize(self.plane, height, width).astype(np.float32) * np.float32(1 / self.maximum)


@dataclass(frozen=True)
class RefinerState:
    """All that a refiner remembers of the frames before. Each frame replaces the whole value; only the arrays
    in ``memory`` are updated in place.

    Attributes:
        size: (height, width) of the working picture.
        xp: the module of all arrays: numpy or cupy.
        tiles: all tiles of the working picture, on the device where frames are.
        memory: refined alpha.
        waiting: for each tile that was left out, the number of frames that it has waited.
        left_out: share of the tiles that there was no time for in the last frame.
        shown: positions of the tiles with refined alpha in the last frame.
        foregrounds: (3, h, w) float32 codes of the tiles shown, if the network gives any.
        tile_seconds: running mean of the time that a tile takes; 0 before the first.
    """

    size: tuple[int, int]
    xp: Any
    tiles: tuple[Tile, ...]
    memory: RefinedMemory
    waiting: Mapping[GridPosition, int] = field(default_factory=dict)
    left_out: float = 0.0
    shown: frozenset[GridPosition] = frozenset()
    foregrounds: Mapping[GridPosition, Array] = field(default_factory=dict)
    tile_seconds: float = 0.0


class TileRefiner:
    """Refines alpha with a network that takes a trimap, where the first network is in doubt.

    Only tiles that touch the unknown band are computed; elsewhere alpha is unchanged. Refined alpha is
    filtered over time, and a tile there was no time for keeps its refined alpha where nothing changed. One
    object serves one video, frames in order, and is not thread-safe. Frames may be on a GPU: the trimap is
    made and tiles are chosen on the CPU, from the small matte, and the GPU is waited for after each tile.

    Args:
        network: an object of the entry-point group ``livematte.refiners``.
        long_side: of the working picture, in pixels; larger frames are reduced to it, and the refined alpha
            follows the full-size luma. None: :data:`livematte.matting.tiles.LONG_SIDE`.
        budget: seconds per frame for the network; at least one tile is always computed. None: no limit.
        temporal: ``on``, ``strong`` or ``off``: the temporal filter of refined alpha.
        replace: refined alpha replaces the first network's in the unknown band, as for a trimap that a person
            drew; otherwise the two are blended, see :data:`BLEND_GAIN`.
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
        replace: bool = False,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._network, self._long_side, self._budget, self._clock = network, long_side, budget, clock
        check_mode(temporal)
        check_part(network, TrimapModel, "refiner", ModelError)
        if not (isinstance(network.stride, int) and network.stride >= 1):
            who = title("refiner", network)
            raise ModelError(f"{who} has stride {network.stride!r}, allowed is a whole number from 1 on")
        self._temporal, self._replace = temporal, replace
        self._state: RefinerState | None = None

    def __call__(self, frame: Frame, matte: Matte, plane: Array, cut: Cut = False) -> Refined:
        """Refine one frame.

        Args:
            matte: at the network's size; its own trimap is taken where ``extras`` has one.
            plane: (H, W) alpha without a refiner; it is not written to.
            cut: true where the frame begins a new shot, as is its ``keyframe_hint``; a GPU is waited for.

        Raises:
            ModelError: the network returns no matte of that size, or values that are no alpha.
        """
        began = self._clock()
        state = self._state_before(frame, plane, restart=frame.keyframe_hint or wait_for_cut(cut))
        refined, self._state = self._refine(frame, matte, plane, state, began)
        return refined

    def _state_before(self, frame: Frame, plane: Array, *, restart: bool) -> RefinerState:
        """The state for the next frame: a new one for another size, another device and a new shot."""
        size, xp = working_size(frame.height, frame.width, self._long_side), namespace(plane)
        state = self._state
        if state is None or (state.size, state.xp) != (size, xp):
            tiles = tile_grid(*size, self._network.stride)
            if on_gpu(plane):
                tiles = tuple(map(_uploaded, tiles))
            seconds = 0.0 if state is None else state.tile_seconds
            return RefinerState(size, xp, tiles, self._new_memory(size, xp), tile_seconds=seconds)
        return self._restarted(state) if restart else state

    def _restarted(self, state: RefinerState) -> RefinerState:
        """``state`` without its memory of earlier frames."""
        memory = self._new_memory(state.size, state.xp)
        return RefinerState(state.size, state.xp, state.tiles, memory, tile_seconds=state.tile_seconds)

    def _new_memory(self, size: tuple[int, int], xp: Any) -> RefinedMemory:
        return RefinedMemory(size, self._temporal, xp)

    def _refine(
        self, frame: Frame, matte: Matte, plane: Array, state: RefinerState, began: float
    ) -> tuple[Refined, RefinerState]:
        """Refine one frame; also returns the state for the next one."""
        size, xp, maximum = state.size, state.xp, frame.pixel_format.maximum
        trimap = trimap_from_matte(matte, size)
        order = sort_by_urgency(trimap, state.tiles, state.waiting)
        if not order:
            nothing = xp.zeros(size, np.float32)
            return Refined(plane.copy(), maximum, trimap, (), 0, (), nothing, None), self._restarted(state)
        box = bounding_box(order)
        holds, moves = _begin_frame(state, frame, matte, order, box)
        gain = self._blend_weight(plane, maximum, matte.alpha.shape, size, box)
        if self._budget is not None:
            # Under a time budget, still tiles are refined before moving ones.
            urgent = xp.ones(size, np.float32)
            crop(urgent, box)[...] = (1 - holds) * (1 - state.left_out * moves) * gain
            order = sort_by_urgency(trimap, order, state.waiting, urgent)
        tiles = TilePass(frame, size, trimap, xp)
        tile_seconds = self._run_network(tiles, order, began, state.tile_seconds)
        waiting = count_waiting(order, tiles.done, state.waiting)
        left_out = len(waiting) / len(order)
        alpha, weight = xp.zeros(size, np.float32), xp.zeros(size, np.float32)
        crop(alpha, box)[...], crop(weight, box)[...] = state.memory.end_frame(*tiles.result(box), left_out)
        crop(weight, box)[...] *= gain
        kept = _kept_tiles(state, order, waiting, holds, box)
        foregrounds = {
            t.position: state.foregrounds[t.position] for t in kept if t.position in state.foregrounds
        }
        foregrounds |= tiles.foregrounds
        blended, tile_colors = tiles.blend_onto(plane, kept, alpha, weight, foregrounds)
        done = tuple(tiles.done)
        refined = Refined(blended, maximum, trimap, done, len(waiting), kept, weight, tile_colors)
        return refined, replace(
            state,
            waiting=waiting,
            left_out=left_out,
            shown=frozenset(tile.position for tile in (*kept, *done)),
            foregrounds=foregrounds,
            tile_seconds=tile_seconds,
        )

    def _run_network(self, tiles: TilePass, order: list[Tile], began: float, tile_seconds: float) -> float:
        """Refine tiles until the budget is used up; the new mean of the seconds that a tile takes."""
        for tile in order:
            started = self._clock()
            late = self._budget is not None and started - began + tile_seconds > self._budget
            if tiles.done and late:
                break
            tiles.add(tile, self._network)
            spent = self._clock() - started
            tile_seconds += (spent - tile_seconds) * (0.2 if tile_seconds else 1)
        return tile_seconds

    def _blend_weight(
        self, plane: Array, maximum: int, small: tuple[int, ...], size: tuple[int, int], box: Box
    ) -> Array:
        """Blend weight of the refiner in ``box``, from the unrefined ``plane`` reduced to size ``small``."""
        if self._replace:
            return namespace(plane).ones((box[1] - box[0], box[3] - box[2]), np.float32)
        if on_gpu(plane):
            alpha = plane.astype(np.float32) * np.float32(1 / maximum)
            doubt = 1020 * alpha * (1 - alpha) + np.float32(0.5)
        else:
            levels = np.linspace(0, 1, maximum + 1)
            doubt = np.rint(1020 * levels * (1 - levels)).astype(np.uint8)[plane]
        soft = to_host(resize(doubt, *small).astype(np.uint8)).astype(np.float32)
        weight = np.minimum(np.float32(BLEND_GAIN / 255) * local_mean(soft), 1)
        return linear_crop(to_gpu(weight) if on_gpu(plane) else weight, size, box)


def _begin_frame(
    state: RefinerState, frame: Frame, matte: Matte, order: list[Tile], box: Box
) -> tuple[Array, Array]:
    """(b, r) float32 each in ``box``: how well the refined alpha before still holds, and motion."""
    height, width = state.size
    reach = state.xp.zeros(state.size, np.float32)
    for tile in order:
        coverage = crop(reach, tile.box)
        np.maximum(coverage, tile.coverage, out=coverage)
    picture = small_rgb(frame, -(-height // 2), -(-width // 2))
    guide = linear_crop(matte.alpha, state.size, box)
    return state.memory.begin_frame(picture, guide, crop(reach, box), box)


def _kept_tiles(
    state: RefinerState, order: list[Tile], waiting: Mapping[GridPosition, int], holds: Array, box: Box
) -> tuple[Tile, ...]:
    """The tiles that were left out in this frame and still show refined alpha of an earlier one."""
    held = state.xp.zeros(state.size, np.float32)
    crop(held, box)[...] = holds
    left = [tile for tile in order if tile.position in waiting and tile.position in state.shown]
    most = to_floats([crop(held, tile.cell).max() for tile in left])
    return tuple(tile for tile, holding in zip(left, most, strict=True) if holding > 0)


def _uploaded(tile: Tile) -> Tile:
    return replace(tile, weight=to_gpu(tile.weight), coverage=to_gpu(tile.coverage))


def refined_colors(frame: Frame, matte: Matte, small: Array, refined: Refined) -> tuple[Array, Array]:
    """The refiner's colours where there are any, else those of :func:`livematte.matting.upsampling.colors`.

    Args:
        matte: its alpha is the refined one, reduced to the network's size.
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
        # Where the trimap is background, the network's foreground colour is undefined.
        weight = crop(refined.weight, tile.box) * to_same_device(
            crop(refined.trimap, tile.box) != BACKGROUND, given
        )
        top, bottom, left, right = tile.box
        for whole, own in ((F, given[:3]), (B, given[3:])):
            region = whole[:, top:bottom, left:right]
            own -= region
            own *= weight
            region += own
    return F, B


def _enlarged(planes: Array, size: tuple[int, int]) -> Array:
    own = namespace(planes)
    out: Array = own.stack([resize(plane, *size) for plane in planes])
    return out
