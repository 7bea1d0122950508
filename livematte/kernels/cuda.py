"""The twins of :mod:`livematte.kernels.cpu` for NVIDIA GPUs: same names, same signatures, CuPy arrays.

What each function means, and its shapes, is said in :mod:`livematte.kernels.reference`. Nothing here waits
for the GPU, and nothing goes there or comes back but what launches are called with. The kernels are in
``cu/``.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from livematte.frame import PIXEL_FORMATS, Array, ColorInfo, Frame, PixelFormat
from livematte.kernels.color import planes_from_rgb_matrix, rgb_from_planes_matrix
from livematte.kernels.cuda_launch import as_plane, cupy, empty, over_runs, over_samples, over_spots, whole
from livematte.kernels.reference import TILE

MIX, FUSE, STRAIGHT, MASKED = range(4)
"""As ``cu/composite.cu`` counts them."""


def resize(plane: Array, height: int, width: int) -> Array:
    """The plane at another size: area means where both axes shrink, linear interpolation otherwise."""
    if plane.shape == (height, width):
        return plane
    out = empty((height, width), plane.dtype)
    given = (*as_plane(plane), *plane.shape, out)
    over_samples("resample", "resize", (height, width), *given, sample=plane.dtype.name)
    return out


def split_planes(frame: Frame) -> tuple[Array, ...]:
    """The planes with interleaved chroma taken apart, as views: three, or four with alpha."""
    if frame.pixel_format.interleaved:
        luma, chroma = frame.planes
        return luma, chroma[..., 0], chroma[..., 1]
    return frame.planes


def join_planes(planes: tuple[Array, ...], layout: PixelFormat) -> tuple[Array, ...]:
    """The opposite of :func:`split_planes` for the three planes of a picture."""
    return (planes[0], cupy().stack(planes[1:], -1)) if layout.interleaved else planes


def small_planes(frame: Frame, height: int, width: int) -> Array:
    """The first three planes, all at one small size: (3, height, width) float32 codes, not rounded."""
    return _small(frame, height, width, codes=True, rgb=False)[0]


def small_rgb(frame: Frame, height: int, width: int) -> Array:
    """The picture as (height, width, 3) uint8 RGB: planes shrunk first, converted when small."""
    return _small(frame, height, width, codes=False, rgb=True)[1]


def small_both(frame: Frame, height: int, width: int) -> tuple[Array, Array]:
    """:func:`small_planes` and :func:`small_rgb` in one pass over the frame."""
    return _small(frame, height, width, codes=True, rgb=True)


def _small(frame: Frame, height: int, width: int, *, codes: bool, rgb: bool) -> tuple[Array, Array]:
    """What is not wanted comes with no elements."""
    out = empty((3, height, width) if codes else (0,), np.float32)
    picture = empty((height, width, 3) if rgb else (0,), np.uint8)
    planes = split_planes(frame)[:3]
    given = [argument for plane in planes for argument in as_plane(plane)]
    over_samples(
        "to_rgb", "small", (height, width), *given, *planes[0].shape, *planes[1].shape,
        *_numbers(rgb_from_planes_matrix(frame.color, frame.pixel_format)), codes, out, rgb, picture,
        sample=planes[0].dtype.name,
    )  # fmt: skip
    return out, picture


def _numbers(matrix: Array) -> list[float]:
    return [float(x) for x in matrix.ravel()]


def to_rgb(frame: Frame) -> Array:
    """The whole picture as (H, W, 3) uint8 RGB, chroma interpolated; for previews and images."""
    return small_rgb(frame, frame.height, frame.width)


def rgb_from_codes(codes: Array, frame: Frame) -> Array:
    """(3, h, w) codes of the frame's planes, to (h, w, 3) uint8 RGB."""
    _, h, w = codes.shape
    rgb = empty((h, w, 3), np.uint8)
    matrix = _numbers(rgb_from_planes_matrix(frame.color, frame.pixel_format))
    over_samples("to_rgb", "rgb_from_codes", (h * w,), whole(codes, np.float32), *matrix, rgb)
    return rgb


def _rgb(rgb: Array) -> tuple[Array, tuple[Any, ...]]:
    """uint8 or float32, and what ``PLANE`` and ``next`` are of it."""
    if rgb.dtype not in (np.uint8, np.float32):
        rgb = rgb.astype(np.float32)
    array, *strides = as_plane(rgb)
    return array, (array, *strides, array.strides[2] // array.itemsize)


def codes_from_rgb(rgb: Array, color: ColorInfo, format: str) -> Array:
    """(h, w, 3) RGB in 0..255, to (3, h, w) float32 codes of a format's first three planes."""
    rgb, given = _rgb(rgb)
    codes = empty((3, *rgb.shape[:2]), np.float32)
    matrix = _numbers(planes_from_rgb_matrix(color, PIXEL_FORMATS[format]))
    over_samples(
        "from_rgb", "codes_from_rgb", rgb.shape[:2], *given, *matrix, codes, rgb=rgb.dtype.name
    )  # fmt: skip
    return codes


def planes_from_rgb(rgb: Array, format: str, color: ColorInfo) -> tuple[Array, ...]:
    """An RGB picture as the planes of a format; chroma is the mean of the pixels it covers, alpha is
    opaque.
    """
    layout = PIXEL_FORMATS[format]
    dtype = np.dtype(np.uint8 if layout.depth == 8 else np.uint16)
    rgb, given = _rgb(rgb)
    size = rgb.shape[:2]
    planes, (second, third) = _new_planes(size, layout, dtype)
    alpha = empty(size, dtype) if layout.alpha else planes[0]
    over_samples(
        "from_rgb", "planes_from_rgb", second.shape, *given, *size, *layout.chroma, layout.maximum,
        *_numbers(planes_from_rgb_matrix(color, layout)), planes[0], second, third,
        *as_plane(second)[1:], layout.alpha, alpha, sample=dtype.name, rgb=rgb.dtype.name,
    )  # fmt: skip
    return (*planes, alpha) if layout.alpha else planes


def _new_planes(
    size: tuple[int, int], layout: PixelFormat, dtype: Any
) -> tuple[tuple[Array, ...], tuple[Array, Array]]:
    """The planes of a new frame less its alpha, and its chroma planes, which may be views of one."""
    luma, chroma = empty(size, dtype), layout.chroma_size(*size)
    if layout.interleaved:
        pairs = empty((*chroma, 2), dtype)
        return (luma, pairs), (pairs[..., 0], pairs[..., 1])
    second, third = empty(chroma, dtype), empty(chroma, dtype)
    return (luma, second, third), (second, third)


def planes_from_surface(luma: Array, chroma: Array, depth: int) -> tuple[Array, ...]:
    """The surface of a hardware decoder whose samples lie in the high bits, as planar Y, U and V.

    Args:
        luma: (H, W) uint16: P010 or P016, with any pitch.
        chroma: (h, w, 2) uint16, U and V.
        depth: 10 or 12 bits.

    Returns:
        Y, U, V uint16 with the value in the low bits, as ``yuv420p10le`` and its like have it. An NV12
        surface is a frame's planes as it is.
    """
    return tuple(
        _shifted(plane, 0, 16 - depth, empty(plane.shape, np.uint16))
        for plane in (luma, chroma[..., 0], chroma[..., 1])
    )


def surface_from_planes(planes: tuple[Array, ...], depth: int) -> tuple[Array, Array]:
    """The opposite of :func:`planes_from_surface`: luma and chroma for a hardware encoder."""
    luma, chroma = empty(planes[0].shape, np.uint16), empty((*planes[1].shape, 2), np.uint16)
    onto_surface(planes, depth, (luma, chroma[..., 0], chroma[..., 1]))
    return luma, chroma


def onto_surface(planes: tuple[Array, ...], depth: int, out: tuple[Array, ...]) -> None:
    """Write Y, U and V where a hardware encoder takes them from: more than 8 bits into the high ones.

    Args:
        planes: (H, W), (h, w) and (h, w), of ``depth`` bits.
        out: such views of a surface, with any pitch.
    """
    for plane, target in zip(planes, out, strict=True):
        _shifted(plane, 16 - depth if depth > 8 else 0, 0, target)


def _shifted(plane: Array, up: int, down: int, out: Array) -> Array:
    given = (*as_plane(plane), up, down, *as_plane(out))
    over_samples("to_rgb", "shifted", plane.shape, *given, sample=plane.dtype.name)
    return out


def block_mean(plane: Array, chroma: tuple[int, int]) -> Array:
    """Mean over the pixels that a chroma sample covers; at an odd edge the edge pixel counts twice."""
    v, h = chroma
    size = -(-plane.shape[0] >> v), -(-plane.shape[1] >> h)
    out = empty(size, np.float32)
    given = (*as_plane(plane), *plane.shape, *chroma, out)
    over_samples("resample", "block_mean", size, *given, sample=plane.dtype.name)
    return out


def soft_cells(alpha: Array, snap: float, radius: int) -> Array:
    """CLEAR where alpha is up to ``snap`` in the whole (2r+1)² window, SOLID from ``1 - snap``, else SOFT."""
    kinds = empty(alpha.shape, np.uint8)
    over_samples("alpha", "soft_cells", alpha.shape, whole(alpha, np.float32), float(snap), radius, kinds)
    return kinds


def guided_coefficients(alpha: Array, luma: Array, epsilon: float, snap: float) -> tuple[Array, Array]:
    """How alpha follows luma: ``alpha ≈ slope · luma + offset``, on a grid twice as fine as the small
    alpha.
    """
    h, w = alpha.shape
    small = whole(alpha, np.float32), whole(luma, np.float32)
    raw, kinds = empty((h, w), np.float32), empty((h, w), np.uint8)
    slope, offset = empty((2 * h, 2 * w), np.float32), empty((2 * h, 2 * w), np.float32)
    over_samples("alpha", "guided_slopes", (h, w), *small, float(epsilon), float(snap), raw, kinds)
    over_samples("alpha", "guided_fine", (h, w), *small, raw, kinds, float(snap), slope, offset)
    return slope, offset


def _tiles(height: int, width: int) -> Array:
    return empty((-(-height // TILE), -(-width // TILE)), np.uint8)


def upsample_alpha(luma: Array, slope: Array, offset: Array, maximum: int) -> tuple[Array, Array]:
    """Full-size alpha: ``slope · luma + offset``, both interpolated linearly, clipped to [0, 1]."""
    return upsample_part(luma, slope, offset, maximum, luma.shape, (0, 0), slope.shape, (0, 0))


def upsample_part(
    luma: Array,
    slope: Array,
    offset: Array,
    maximum: int,
    picture: tuple[int, int],
    corner: tuple[int, int],
    maps: tuple[int, int],
    origin: tuple[int, int],
) -> tuple[Array, Array]:
    """:func:`upsample_alpha` of the part of a ``picture``'s luma that begins at ``corner``, from the piece of
    ``maps`` that begins at ``origin``.
    """
    size = luma.shape
    alpha, kinds = empty(size, luma.dtype), _tiles(*size)
    over_spots(
        "alpha", "upsample_alpha", size, *as_plane(luma), whole(slope, np.float32), whole(offset, np.float32),
        *slope.shape, *origin, *maps, *picture, *corner, maximum, alpha, kinds, sample=luma.dtype.name,
    )  # fmt: skip
    return alpha, kinds


def tile_kinds(alpha: Array, maximum: int) -> Array:
    """CLEAR, SOLID or SOFT for every tile of a full-size alpha; see :func:`upsample_alpha`."""
    kinds = _tiles(*alpha.shape)
    given = (*as_plane(alpha), maximum, kinds)
    over_spots("alpha", "tile_kinds", alpha.shape, *given, sample=alpha.dtype.name)
    return kinds


def estimate_colors(
    planes: Array, alpha: Array, radii: tuple[int, int], foreground: Array | None = None
) -> tuple[Array, Array]:
    """Smooth foreground and background colours by blur-fusion (Forte 2021, eq. 4-7), two passes."""
    planes, alpha = whole(planes, np.float32), whole(alpha, np.float32)
    F, B = planes, planes
    for number, radius in enumerate(radii):
        first = number == 0
        before, F, B = (F, B), empty(planes.shape, np.float32), empty(planes.shape, np.float32)
        given = (planes, *before, alpha, radius, 2 + radii[1] if first else 2, first, F, B)
        over_samples("colors", "blur_fusion", alpha.shape, *given)
    return (F if foreground is None else whole(foreground, np.float32)), B


def mix_plane(
    plane: Array, background: Array, alpha: Array, kinds: Array, chroma: tuple[int, int], maximum: int
) -> Array:
    """The compositing equation on one plane, the picture itself taken as foreground: αI +
    (1-α)·background.
    """
    return _blend(MIX, plane, background, 0, alpha, kinds, None, chroma, maximum)


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
    return _blend(FUSE, plane, background, 0, alpha, kinds, (F_hat, B_hat), chroma, maximum)


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
    return _blend(STRAIGHT, plane, plane, black, alpha, kinds, (F_hat, B_hat), chroma, maximum)


def masked_plane(plane: Array, black: int, alpha: Array, kinds: Array, chroma: tuple[int, int]) -> Array:
    """The plane itself, and the code ``black`` where alpha is 0."""
    return _blend(MASKED, plane, plane, black, alpha, kinds, None, chroma, 1)


def small_colors(colors: tuple[Array, Array] | None) -> tuple[Any, ...]:
    """F̂ and B̂ with their size as kernels take them; something of no size where there are none."""
    if colors is None:
        nothing = empty((1,), np.float32)
        return nothing, nothing, 1, 1
    F, B = (whole(x, np.float32) for x in colors)
    return F, B, *F.shape[-2:]


def _blend(
    mode: int,
    plane: Array,
    behind: Array,
    black: int,
    alpha: Array,
    kinds: Array,
    colors: tuple[Array, Array] | None,
    chroma: tuple[int, int],
    maximum: int,
) -> Array:
    out = empty(plane.shape, plane.dtype)
    height, width = plane.shape
    given = (
        mode, *as_plane(plane), *as_plane(behind), black, whole(alpha, plane.dtype), whole(kinds, np.uint8),
        *alpha.shape, *small_colors(colors), *chroma, maximum, out,
    )  # fmt: skip
    over_runs("composite", "blend_plane", (height, width), *given, sample=plane.dtype.name)
    return out
