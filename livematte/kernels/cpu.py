"""The fast twins of :mod:`livematte.kernels.reference`.

What each function means, and its shapes, is said there; ``tests/unit/kernels/test_parity.py`` holds the two
together. Loops compiled by Numba do what a frame needs, since they measured faster than chains of OpenCV
calls (``python -m benchmarks.kernels``); OpenCV does the rest. Numba is imported with the first picture.
"""

from __future__ import annotations

from functools import lru_cache
from types import ModuleType

import cv2
import numpy as np

from livematte.frame import PIXEL_FORMATS, Array, ColorInfo, Frame, PixelFormat
from livematte.kernels import grid
from livematte.kernels.color import planes_from_rgb_matrix, rgb_from_planes_matrix
from livematte.kernels.reference import TILE


@lru_cache(maxsize=1)
def _loops() -> ModuleType:
    from livematte.kernels import loops

    return loops


@lru_cache(maxsize=1)
def _small_loops() -> ModuleType:
    from livematte.kernels import small_loops

    return small_loops


def resize(plane: Array, height: int, width: int) -> Array:
    """The plane at another size: area means where both axes shrink, linear interpolation otherwise."""
    h, w = plane.shape
    if (h, w) == (height, width):
        return plane
    method = cv2.INTER_AREA if height <= h and width <= w else cv2.INTER_LINEAR
    return cv2.resize(plane, (width, height), interpolation=method)


def split_planes(frame: Frame) -> tuple[Array, ...]:
    """The planes with interleaved chroma taken apart: three, or four with alpha."""
    if frame.pixel_format.interleaved:
        luma, chroma = frame.planes
        return luma, *cv2.split(chroma)
    return frame.planes


def join_planes(planes: tuple[Array, ...], layout: PixelFormat) -> tuple[Array, ...]:
    """The opposite of :func:`split_planes` for the three planes of a picture."""
    return (planes[0], cv2.merge(planes[1:])) if layout.interleaved else planes


@lru_cache(maxsize=64)
def _transposed(n_in: int, n_out: int) -> Array:
    return np.ascontiguousarray(grid.area_table(n_in, n_out)[1].T)


def small_planes(frame: Frame, height: int, width: int) -> Array:
    """The first three planes, all at one small size: (3, height, width) float32 codes, not rounded."""
    out = np.empty((3, height, width), np.float32)
    for c, plane in enumerate(split_planes(frame)[:3]):
        h, w = plane.shape
        if height <= h and width <= w:
            flat, stride = _flat(plane)
            rows, columns = grid.area_table(h, height), grid.area_table(w, width)
            _loops().shrink(flat, stride, *rows, columns[0], _transposed(w, width), out[c])
        else:
            out[c] = resize(plane.astype(np.float32), height, width)
    return out


def small_rgb(frame: Frame, height: int, width: int) -> Array:
    """The picture as (height, width, 3) uint8 RGB: planes shrunk first, converted when small."""
    return rgb_from_codes(small_planes(frame, height, width), frame)


def to_rgb(frame: Frame) -> Array:
    """The whole picture as (H, W, 3) uint8 RGB, chroma interpolated; for previews and images."""
    return small_rgb(frame, frame.height, frame.width)


def rgb_from_codes(codes: Array, frame: Frame) -> Array:
    """(3, h, w) codes of the frame's planes, to (h, w, 3) uint8 RGB."""
    matrix = rgb_from_planes_matrix(frame.color, frame.pixel_format).astype(np.float32)
    rgb = np.empty(codes.shape, np.uint8)
    _small_loops().to_rgb(_floats(codes).reshape(3, -1), matrix, rgb.reshape(3, -1))
    return cv2.merge(tuple(rgb))


def codes_from_rgb(rgb: Array, color: ColorInfo, format: str) -> Array:
    """(h, w, 3) RGB in 0..255, to (3, h, w) float32 codes of a format's first three planes."""
    matrix = planes_from_rgb_matrix(color, PIXEL_FORMATS[format]).astype(np.float32)
    return np.stack(cv2.split(cv2.transform(rgb.astype(np.float32), matrix)))


def planes_from_rgb(rgb: Array, format: str, color: ColorInfo) -> tuple[Array, ...]:
    """An RGB picture as the planes of a format; chroma is the mean of the pixels it covers, alpha is
    opaque.
    """
    pixel_format = PIXEL_FORMATS[format]
    dtype = np.uint8 if pixel_format.depth == 8 else np.uint16
    first, second, third = codes_from_rgb(rgb, color, format)

    def whole(values: Array) -> Array:
        return np.clip(np.rint(values), 0, pixel_format.maximum).astype(dtype)

    planes: tuple[Array, ...] = (
        whole(first),
        whole(block_mean(second, pixel_format.chroma)),
        whole(block_mean(third, pixel_format.chroma)),
    )
    planes = join_planes(planes, pixel_format)
    if pixel_format.alpha:
        planes += (np.full(rgb.shape[:2], pixel_format.maximum, dtype),)
    return planes


def block_mean(plane: Array, chroma: tuple[int, int]) -> Array:
    """Mean over the pixels that a chroma sample covers; at an odd edge the edge pixel counts twice."""
    if chroma == (0, 0):
        return plane.astype(np.float32)
    height, width = plane.shape
    v, h = 1 << chroma[0], 1 << chroma[1]
    if height % v or width % h:
        plane = cv2.copyMakeBorder(plane, 0, -height % v, 0, -width % h, cv2.BORDER_REPLICATE)
    size = (plane.shape[1] // h, plane.shape[0] // v)
    return cv2.resize(plane.astype(np.float32), size, interpolation=cv2.INTER_AREA)


def soft_cells(alpha: Array, snap: float, radius: int) -> Array:
    """CLEAR where alpha is up to ``snap`` in the whole (2r+1)² window, SOLID from ``1 - snap``, else SOFT."""
    kinds = np.empty(alpha.shape, np.uint8)
    _small_loops().neighbourhood(_floats(alpha), np.float32(snap), radius, kinds)
    return kinds


def _floats(x: Array) -> Array:
    return np.require(x, np.float32, ["C", "W"])


def guided_coefficients(alpha: Array, luma: Array, epsilon: float, snap: float) -> tuple[Array, Array]:
    """How alpha follows luma: ``alpha ≈ slope · luma + offset``, on a grid twice as fine as the small
    alpha.
    """
    h, w = alpha.shape
    alpha, luma = _floats(alpha), _floats(luma)
    loops = _small_loops()
    kinds = soft_cells(alpha, snap, 1)
    raw, slope = np.empty_like(alpha), np.empty_like(alpha)
    loops.guided_slopes(alpha, luma, np.float32(epsilon), kinds, raw)
    loops.mean_slopes(raw, kinds, slope)
    slope2, offset2 = np.empty((2 * h, 2 * w), np.float32), np.empty((2 * h, 2 * w), np.float32)
    cubic = grid.cubic_weights(8, 16)[8, 2:7].astype(np.float32)  # the left half of cell 4, from cells 2..6
    loops.twice_as_fine(alpha, luma, slope, kinds, np.float32(snap), cubic, slope2, offset2)
    return slope2, offset2


class _Memory:
    """A flat view of a plane that NumPy calls writable: Numba would compile anew for read-only arrays."""

    def __init__(self, plane: Array, length: int) -> None:
        self._plane = plane
        self.__array_interface__ = {
            "version": 3,
            "shape": (length,),
            "typestr": plane.dtype.str,
            "data": (plane.__array_interface__["data"][0], False),
        }


def _flat(plane: Array) -> tuple[Array, int]:
    """A plane as 1-D contiguous memory (only to be read) and its row stride in samples.

    Copied only where samples do not lie side by side in rows that go down.
    """
    height, width = plane.shape
    stride, rest = divmod(plane.strides[0], plane.itemsize)
    if plane.strides[1] != plane.itemsize or stride < width or rest:
        plane, stride = np.array(plane, order="C"), width
    return np.asarray(_Memory(plane, (height - 1) * stride + width)), stride


def _tiles(height: int, width: int) -> Array:
    return np.empty((-(-height // TILE), -(-width // TILE)), np.uint8)


def upsample_alpha(luma: Array, slope: Array, offset: Array, maximum: int) -> tuple[Array, Array]:
    """Full-size alpha: ``slope · luma + offset``, both interpolated linearly, clipped to [0, 1]."""
    H, W = luma.shape
    h, w = slope.shape
    alpha, kinds = np.empty((H, W), luma.dtype), _tiles(H, W)
    flat, stride = _flat(luma)
    rows, columns = grid.linear_table(h, H), grid.linear_table(w, W)
    codes = np.multiply(offset, np.float32(maximum), dtype=np.float32)
    slope = np.ascontiguousarray(slope)
    _loops().alpha_plane(flat, stride, (H, W), slope, codes, rows, columns, maximum, alpha.reshape(-1), kinds)
    return alpha, kinds


def tile_kinds(alpha: Array, maximum: int) -> Array:
    """CLEAR, SOLID or SOFT for every tile of a full-size alpha; see :func:`upsample_alpha`."""
    height, width = alpha.shape
    kinds = _tiles(height, width)
    _loops().tile_kinds(np.ascontiguousarray(alpha).reshape(-1), height, width, maximum, kinds)
    return kinds


def estimate_colors(
    planes: Array, alpha: Array, radii: tuple[int, int], foreground: Array | None = None
) -> tuple[Array, Array]:
    """Smooth foreground and background colours by blur-fusion (Forte 2021, eq. 4-7), two passes."""
    planes, alpha = _floats(planes), _floats(alpha)
    loops = _small_loops()
    h, w = alpha.shape
    F, B = planes, planes
    for number, radius in enumerate(radii):
        first = number == 0
        products = np.empty((h, 7 * (w + 2 * radius)), np.float32)
        loops.weighted_colors(F, B, alpha, radius, products)
        F, B = planes.copy(), planes.copy()
        soft = soft_cells(alpha, 0.0, 2 + radii[1] if first else 2)
        loops.blur_fusion(products, planes, alpha, radius, soft, first, F, B)
    return (F if foreground is None else _floats(foreground)), B


def mix_plane(
    plane: Array, background: Array, alpha: Array, kinds: Array, chroma: tuple[int, int], maximum: int
) -> Array:
    """The compositing equation on one plane, the picture itself taken as foreground: αI +
    (1-α)·background.
    """
    out = np.empty(plane.shape, plane.dtype)
    flat, stride = _flat(plane)
    behind, behind_stride = _flat(background)
    _loops().mix_plane(
        flat, stride, behind, behind_stride, alpha.reshape(-1), alpha.shape, kinds, chroma, maximum,
        out.reshape(-1), out.shape,
    )  # fmt: skip
    return out


def fuse_plane(
    plane: Array,
    background: Array,
    alpha: Array,
    kinds: Array,
    F_hat: Array,
    B_hat: Array,
    chroma: tuple[int, int],
    maximum: int,
) -> Array:
    """:func:`mix_plane` with the foreground freed of the old background: αF + (1-α)·background."""
    behind, stride = _flat(background)
    return _fused(plane, behind, stride, alpha, kinds, F_hat, B_hat, chroma, maximum, straight=False)


def straight_plane(
    plane: Array,
    black: int,
    alpha: Array,
    kinds: Array,
    F_hat: Array,
    B_hat: Array,
    chroma: tuple[int, int],
    maximum: int,
) -> Array:
    """The straight foreground F of :func:`fuse_plane`, and the code ``black`` where alpha is 0."""
    row = np.full(plane.shape[1], black, plane.dtype)  # stride 0: every row behind is this one
    return _fused(plane, row, 0, alpha, kinds, F_hat, B_hat, chroma, maximum, straight=True)


def _fused(
    plane: Array,
    behind: Array,
    behind_stride: int,
    alpha: Array,
    kinds: Array,
    F_hat: Array,
    B_hat: Array,
    chroma: tuple[int, int],
    maximum: int,
    *,
    straight: bool,
) -> Array:
    height, width = plane.shape
    h, w = F_hat.shape
    out = np.empty((height, width), plane.dtype)
    flat, stride = _flat(plane)
    _loops().fuse_plane(
        flat, stride, behind, behind_stride, alpha.reshape(-1), alpha.shape, kinds,
        np.ascontiguousarray(F_hat), np.ascontiguousarray(B_hat),
        grid.linear_table(h, height), grid.linear_table(w, width), chroma, maximum, straight,
        out.reshape(-1), out.shape,
    )  # fmt: skip
    return out


def masked_plane(plane: Array, black: int, alpha: Array, kinds: Array, chroma: tuple[int, int]) -> Array:
    """The plane itself, and the code ``black`` where alpha is 0."""
    out = np.full(plane.shape, black, plane.dtype)
    covered = alpha.astype(np.float32) if chroma == (0, 0) else block_mean(alpha, chroma)
    return np.asarray(cv2.copyTo(plane, (covered > 0).view(np.uint8), out))
