"""A refiner's pass over the tiles of one frame: run the network, blend its answers into full-size alpha."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from livematte.device import namespace
from livematte.device.cuda import on_gpu
from livematte.device.transfer import matte_to_same_device, to_host
from livematte.errors import ModelError
from livematte.frame import Array, Frame, Matte
from livematte.kernels.boxes import Box, scale_box
from livematte.kernels.composite import mix_plane
from livematte.kernels.convert import codes_from_rgb, crop_planes, rgb_from_codes
from livematte.kernels.foreground import solve_background
from livematte.kernels.kinds import tile_kinds
from livematte.kernels.statistics import clip_with_limits
from livematte.kernels.upsample import guided_coefficients, upsample_crop
from livematte.matting.contracts import check_matte, check_range
from livematte.matting.tiles import Blend, GridPosition, Tile, crop
from livematte.matting.upsampling import EPSILON
from livematte.parts import named_errors, title
from livematte.protocols import GpuTrimapModel, TrimapModel


class TilePass:
    """The tiles of one frame that the network has answered so far.

    Attributes:
        done: these tiles, in the order in which they were added.
        foregrounds: (3, h, w) float32 codes of the frame's planes for each of them, if the network gives any.
    """

    def __init__(self, frame: Frame, size: tuple[int, int], trimap: Array, xp: Any) -> None:
        """Begin a frame.

        Args:
            size: (height, width) of the working picture.
            trimap: uint8 of that size.
            xp: the module of all other arrays: numpy or cupy.
        """
        self._frame, self._size, self._trimap, self._xp = frame, size, trimap, xp
        self._alpha = Blend(size, xp=xp)
        self._codes: dict[GridPosition, Array] = {}
        self.done: list[Tile] = []
        self.foregrounds: dict[GridPosition, Array] = {}

    def add(self, tile: Tile, network: TrimapModel) -> None:
        """Refine one tile. Raises ModelError for an invalid answer."""
        codes = crop_planes(self._frame, self._size, tile.box)
        trimap = crop(self._trimap, tile.box)
        matte = refine_tile(network, rgb_from_codes(codes, self._frame), trimap)
        self._alpha.add(tile, matte.alpha[None])
        self._codes[tile.position] = codes
        self.done.append(tile)
        if matte.foreground is not None:
            rgb = matte.foreground * np.float32(255)
            self.foregrounds[tile.position] = codes_from_rgb(rgb, self._frame.color, self._frame.format)

    def result(self, box: Box) -> tuple[Array, Array]:
        """Alpha and coverage, (h, w) float32 each, of the tiles that were added."""
        return self._alpha.values(box)[0], self._alpha.coverage(box)

    def blend_onto(
        self,
        plane: Array,
        kept: tuple[Tile, ...],
        alpha: Array,
        weight: Array,
        foregrounds: Mapping[GridPosition, Array],
    ) -> tuple[Array, Blend | None]:
        """Blend refined alpha into a copy of the full-size alpha.

        Args:
            plane: (H, W) alpha before refining.
            kept: tiles that were refined in an earlier frame and still hold.
            alpha, weight: (h, w) float32 of the working picture: refined alpha and its blend weight.
            foregrounds: of the tiles done and kept.

        Returns:
            The blended plane, and foreground and background colours; None without ``foregrounds``.
        """
        out = plane.copy()
        colors = Blend(self._size, 6, self._xp) if foregrounds else None
        maximum = self._frame.pixel_format.maximum
        for tile in (*kept, *self.done):
            codes = self._codes.get(tile.position)
            if codes is None:
                codes = crop_planes(self._frame, self._size, tile.box)
            inside, weights = crop(alpha, tile.box), crop(weight, tile.box)
            window = scale_box(tile.box, self._size, plane.shape)
            full, weights = self._full_size(tile, inside, weights, codes[0])
            kinds = tile_kinds(weights, maximum)
            mixed = mix_plane(full, crop(plane, window), weights, kinds, (0, 0), maximum)
            crop(out, window)[...] = mixed
            foreground = foregrounds.get(tile.position)
            if foreground is not None and colors is not None:
                # With the background that satisfies the compositing equation, fusion returns the foreground.
                background = solve_background(codes, foreground, inside, maximum)
                colors.add(tile, self._xp.concatenate([foreground, background]))
        return out, colors

    def _full_size(self, tile: Tile, alpha: Array, weight: Array, luma: Array) -> tuple[Array, Array]:
        """A tile's alpha, following the edges of the full-size luma, and its blend weight: both in codes."""
        size, maximum, full = self._size, self._frame.pixel_format.maximum, self._frame.planes[0]
        nothing = self._xp.zeros(weight.shape, np.float32)
        weights, _ = upsample_crop(full, nothing, weight, maximum, tile.box, size)
        if self._frame.size == size:
            return upsample_crop(full, nothing, alpha, maximum, tile.box, size)[0], weights
        slope, offset = guided_coefficients(alpha, luma * np.float32(1 / maximum), EPSILON, 0.0)
        top, bottom, left, right = tile.box
        finer = (2 * top, 2 * bottom, 2 * left, 2 * right), (2 * size[0], 2 * size[1])
        return upsample_crop(full, slope, offset, maximum, *finer)[0], weights


def refine_tile(network: TrimapModel, rgb: Array, trimap: Array) -> Matte:
    """The matte of one tile, checked. A picture that is smaller than a tile is padded to the stride."""
    xp = namespace(rgb)
    height, width = trimap.shape
    down, right = -height % network.stride, -width % network.stride
    if down or right:
        rgb = xp.pad(rgb, ((0, down), (0, right), (0, 0)), mode="edge")
        trimap = np.pad(trimap, ((0, down), (0, right)), mode="edge")
    on_device = isinstance(network, GpuTrimapModel) and network.takes_gpu_arrays
    with named_errors("refiner", network, ModelError):
        given = network.refine(rgb if on_device else to_host(rgb), np.ascontiguousarray(trimap))
    check_matte(network, "refiner", given, *trimap.shape)
    matte = matte_to_same_device(given, rgb)
    alpha, foreground = matte.alpha, matte.foreground
    _check_values(network, "alpha", alpha)
    if foreground is not None:
        _check_values(network, "foreground", foreground)
        foreground = foreground[:height, :width]
    return Matte(alpha.clip(0, 1)[:height, :width], foreground)


def _check_values(network: TrimapModel, what: str, values: Array) -> None:
    if on_gpu(values):
        low, high = map(float, to_host(clip_with_limits(values)[1]))
    else:
        low, high = float(values.min()), float(values.max())  # both NaN if anything is
    who = title("refiner", network)
    if not np.isfinite([low, high]).all():
        raise ModelError(f"{who} returned values that are no numbers: its weights or its runtime are broken")
    check_range(f"{who}'s {what}", low, high)
