"""What every kernel means, in NumPy. :mod:`livematte.kernels.cpu` is the fast twin with the same signatures.

Arrays are planes: (H, W) uint8, or uint16 with the value in the low bits, any row stride. ``maximum`` is the
largest code of the format, 255 at 8 bits; full-size alpha has the depth of the frame and runs 0..maximum.
"""

from __future__ import annotations

import numpy as np

from livematte.frame import PIXEL_FORMATS, Array, ColorInfo, Frame, PixelFormat
from livematte.kernels import grid
from livematte.kernels.color import planes_from_rgb_matrix, rgb_from_planes_matrix

TILE = 16
"""Side of the squares in which a full-size alpha is called clear, solid or soft."""
CLEAR, SOLID, SOFT = 0, 1, 2


def resize(plane: Array, height: int, width: int) -> Array:
    """The plane at another size: area means where both axes shrink, linear interpolation otherwise.

    Args:
        plane: (h, w) uint8, uint16 or float32.

    Returns:
        (height, width), same dtype, integers rounded half to even.
    """
    h, w = plane.shape
    weights = grid.area_weights if height <= h and width <= w else grid.linear_weights
    result = weights(h, height) @ plane.astype(np.float64) @ weights(w, width).T
    return (np.rint(result) if plane.dtype.kind == "u" else result).astype(plane.dtype)


def small_planes(frame: Frame, height: int, width: int) -> Array:
    """The first three planes, all at one small size: (3, height, width) float32 codes, not rounded."""
    planes = [resize(plane.astype(np.float32), height, width) for plane in split_planes(frame)[:3]]
    return np.stack(planes)


def split_planes(frame: Frame) -> tuple[Array, ...]:
    """The planes with interleaved chroma taken apart: three, or four with alpha."""
    if frame.pixel_format.interleaved:
        luma, chroma = frame.planes
        return luma, np.ascontiguousarray(chroma[..., 0]), np.ascontiguousarray(chroma[..., 1])
    return frame.planes


def join_planes(planes: tuple[Array, ...], layout: PixelFormat) -> tuple[Array, ...]:
    """The opposite of :func:`split_planes` for the three planes of a picture."""
    return (planes[0], np.stack(planes[1:], -1)) if layout.interleaved else planes


def small_rgb(frame: Frame, height: int, width: int) -> Array:
    """The picture as (height, width, 3) uint8 RGB: planes shrunk first, converted when small."""
    return rgb_from_codes(small_planes(frame, height, width), frame)


def to_rgb(frame: Frame) -> Array:
    """The whole picture as (H, W, 3) uint8 RGB, chroma interpolated; for previews and images."""
    return small_rgb(frame, frame.height, frame.width)


def rgb_from_codes(codes: Array, frame: Frame) -> Array:
    """(3, h, w) codes of the frame's planes, to (h, w, 3) uint8 RGB."""
    matrix = rgb_from_planes_matrix(frame.color, frame.pixel_format)
    rgb = np.moveaxis(codes, 0, -1).astype(np.float64) @ matrix[:, :3].T + matrix[:, 3]
    return np.floor(np.clip(rgb, 0, 255) + 0.5).astype(np.uint8)


def codes_from_rgb(rgb: Array, color: ColorInfo, format: str) -> Array:
    """(h, w, 3) RGB in 0..255, to (3, h, w) float32 codes of a format's first three planes."""
    matrix = planes_from_rgb_matrix(color, PIXEL_FORMATS[format])
    codes = rgb.astype(np.float64) @ matrix[:, :3].T + matrix[:, 3]
    return np.moveaxis(codes, -1, 0).astype(np.float32)


def planes_from_rgb(rgb: Array, format: str, color: ColorInfo) -> tuple[Array, ...]:
    """An RGB picture as the planes of a format; chroma is the mean of the pixels it covers, alpha is opaque.

    Args:
        rgb: (H, W, 3) uint8.
    """
    pixel_format = PIXEL_FORMATS[format]
    dtype = np.uint8 if pixel_format.depth == 8 else np.uint16
    codes = codes_from_rgb(rgb, color, format)

    def whole(values: Array) -> Array:
        return np.clip(np.rint(values), 0, pixel_format.maximum).astype(dtype)

    chroma = [block_mean(codes[c], pixel_format.chroma) for c in (1, 2)]
    planes: tuple[Array, ...] = (whole(codes[0]), whole(chroma[0]), whole(chroma[1]))
    planes = join_planes(planes, pixel_format)
    if pixel_format.alpha:
        planes += (np.full(rgb.shape[:2], pixel_format.maximum, dtype),)
    return planes


def block_mean(plane: Array, chroma: tuple[int, int]) -> Array:
    """Mean over the pixels that a chroma sample covers; at an odd edge the edge pixel counts twice.

    Args:
        plane: (H, W).
        chroma: log2 of the vertical and horizontal subsampling.

    Returns:
        (ceil(H / 2**v), ceil(W / 2**h)) float32.
    """
    v, h = 1 << chroma[0], 1 << chroma[1]
    padded = np.pad(plane, ((0, -plane.shape[0] % v), (0, -plane.shape[1] % h)), mode="edge")
    rows, columns = padded.shape
    blocks = padded.reshape(rows // v, v, columns // h, h)
    return np.asarray(blocks.mean(axis=(1, 3), dtype=np.float64), np.float32)


def _box(x: Array, radius: int) -> Array:
    """Mean over a (2r+1)² window, the edge repeated; float64."""
    margin = [(radius, radius)] * 2 + [(0, 0)] * (x.ndim - 2)
    padded = np.pad(x.astype(np.float64), margin, mode="edge")
    k = 2 * radius + 1
    windows = np.lib.stride_tricks.sliding_window_view(padded, (k, k), axis=(0, 1))
    return np.asarray(windows.mean((-2, -1)))


def soft_cells(alpha: Array, snap: float, radius: int) -> Array:
    """CLEAR where alpha is up to ``snap`` in the whole (2r+1)² window, SOLID from ``1 - snap``, else SOFT."""
    size = (2 * radius + 1, 2 * radius + 1)
    around = np.lib.stride_tricks.sliding_window_view(np.pad(alpha, radius, mode="edge"), size)
    kinds = np.full(alpha.shape, SOFT, np.uint8)
    kinds[around.max((2, 3)) <= np.float32(snap)] = CLEAR
    kinds[around.min((2, 3)) >= 1 - np.float32(snap)] = SOLID
    return kinds


def guided_coefficients(alpha: Array, luma: Array, epsilon: float, snap: float) -> tuple[Array, Array]:
    """How alpha follows luma: ``alpha ≈ slope · luma + offset``, on a grid twice as fine as the small alpha.

    The slope is the guided filter's (He, Sun and Tang 2013, eq. 5, with its averaging of eq. 8), the offset
    is chosen so that at the small size the network's own alpha comes back: only what shrinking lost is taken
    from the picture. Averaging the offset too, as the guided filter does, was measured to blur: MAD x 1e3 of
    22 against 7, where plain interpolation has 13.

    Args:
        alpha: (h, w) float32 in [0, 1].
        luma: (h, w) float32 in [0, 1], shrunk to the size of ``alpha``.
        epsilon: variance of luma below which an edge is not trusted.
        snap: alpha up to ``snap`` becomes 0, from ``1 - snap`` on 1, the rest is stretched between. Where
            a pixel and its eight neighbours all are so, slope is 0 and offset exactly 0 or 1.

    Returns:
        slope, offset: (2h, 2w) float32.
    """
    h, w = alpha.shape
    kinds = soft_cells(alpha, snap, 1)
    a, y = alpha.astype(np.float64), luma.astype(np.float64)
    mean_y = _box(y, 1)
    covariance = _box(y * a, 1) - mean_y * _box(a, 1)
    slope = covariance / (np.maximum(_box(y * y, 1) - mean_y * mean_y, 0) + epsilon)
    slope = np.where(kinds == SOFT, _box(np.where(kinds == SOFT, slope, 0), 1), 0)

    def twice(x: Array) -> Array:
        return grid.cubic_weights(h, 2 * h) @ x @ grid.cubic_weights(w, 2 * w).T

    slope2 = grid.linear_weights(h, 2 * h) @ slope @ grid.linear_weights(w, 2 * w).T
    offset2 = twice(a) - slope2 * twice(y)
    stretch = 1 / (1 - 2 * snap)
    flat = kinds.repeat(2, 0).repeat(2, 1)
    slope2 = np.where(flat == SOFT, slope2 * stretch, 0)
    offset2 = np.where(flat == SOFT, (offset2 - snap) * stretch, flat)
    return slope2.astype(np.float32), offset2.astype(np.float32)


def upsample_alpha(luma: Array, slope: Array, offset: Array, maximum: int) -> tuple[Array, Array]:
    """Full-size alpha: ``slope · luma + offset``, both interpolated linearly, clipped to [0, 1].

    Args:
        luma: (H, W) uint8 or uint16.
        slope, offset: (h, w) float32, of luma in [0, 1].

    Returns:
        alpha: (H, W), dtype of ``luma``, 0..maximum.
        kinds: (ceil(H / TILE), ceil(W / TILE)) uint8: CLEAR where the tile is all 0, SOLID where it is all
            ``maximum``, SOFT elsewhere.
    """
    H, W = luma.shape
    h, w = slope.shape
    rows, columns = grid.linear_weights(h, H), grid.linear_weights(w, W)
    values = (rows @ slope @ columns.T) * (luma / maximum) + rows @ offset @ columns.T
    alpha = np.floor(np.clip(values, 0, 1) * maximum + 0.5).astype(luma.dtype)
    return alpha, tile_kinds(alpha, maximum)


def tile_kinds(alpha: Array, maximum: int) -> Array:
    """CLEAR, SOLID or SOFT for every tile of a full-size alpha; see :func:`upsample_alpha`."""
    padded = np.pad(alpha, [(0, -n % TILE) for n in alpha.shape], mode="edge")
    rows, columns = padded.shape[0] // TILE, padded.shape[1] // TILE
    tiles = padded.reshape(rows, TILE, columns, TILE)
    kinds = np.full((rows, columns), SOFT, np.uint8)
    kinds[tiles.max((1, 3)) == 0] = CLEAR
    kinds[tiles.min((1, 3)) == maximum] = SOLID
    return kinds


def estimate_colors(
    planes: Array, alpha: Array, radii: tuple[int, int], foreground: Array | None = None
) -> tuple[Array, Array]:
    """Smooth foreground and background colours by blur-fusion (Forte 2021, eq. 4-7), two passes.

    Args:
        planes: (3, h, w) float32, the small picture in RGB or the frame's own codes.
        alpha: (h, w) float32 in [0, 1].
        radii: window radius of the first, wide pass and of the second, narrow one.
        foreground: (3, h, w) float32 of the same space, where a model brings its own; else estimated.

    Returns:
        F̂, B̂: (3, h, w) float32, to be fused with each full-size pixel. Where alpha is all 0 or all 1
        within two cells (within the second radius more in the first pass) they are the picture itself.
    """
    a = alpha.astype(np.float64)
    image = planes.astype(np.float64)
    F, B = image, image
    F_hat, B_hat = image, image
    for radius, reach in zip(radii, (2 + radii[1], 2), strict=True):
        front = _box(a, radius)
        back = 1 - front
        soft = soft_cells(alpha, 0.0, reach) == SOFT
        # Far from either there is nothing to average: the picture itself is the best guess.
        F_hat = np.where(soft & (front > 1e-3), _boxes(a * F, radius) / (front + 1e-4), image)
        B_hat = np.where(soft & (back > 1e-3), _boxes((1 - a) * B, radius) / (back + 1e-4), image)
        rest = image - a * F_hat - (1 - a) * B_hat
        F, B = np.where(soft, F_hat + a * rest, image), np.where(soft, B_hat + (1 - a) * rest, image)
    if foreground is not None:
        F_hat = foreground
    return np.asarray(F_hat, np.float32), np.asarray(B_hat, np.float32)


def _boxes(planes: Array, radius: int) -> Array:
    return np.stack([_box(plane, radius) for plane in planes])


def _spread(small: Array, height: int, width: int) -> Array:
    return grid.linear_weights(small.shape[0], height) @ small @ grid.linear_weights(small.shape[1], width).T


def mix_plane(
    plane: Array, background: Array, alpha: Array, kinds: Array, chroma: tuple[int, int], maximum: int
) -> Array:
    """The compositing equation on one plane, the picture itself taken as foreground: αI + (1-α)·background.

    Args:
        plane, background: (H', W') codes; chroma is smaller than alpha as ``chroma`` says.
        alpha, kinds: as :func:`upsample_alpha` gives them.

    Returns:
        (H', W'), a new C-contiguous array, rounded half up.
    """
    a = block_mean(alpha, chroma).astype(np.float64) / maximum
    return np.floor(a * plane + (1 - a) * background + 0.5).astype(plane.dtype)


def fused_foreground(plane: Array, a: Array, F_hat: Array, B_hat: Array, maximum: int) -> Array:
    """F = F̂ + α(I - αF̂ - (1-α)B̂), clipped to codes (Forte 2021, eq. 7); float64, planes of one size."""
    return np.clip(F_hat + a * (plane - a * F_hat - (1 - a) * B_hat), 0, maximum)


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
    """:func:`mix_plane` with the foreground freed of the old background: αF + (1-α)·background.

    Args:
        F_hat, B_hat: (h, w) float32, this plane's colours of :func:`estimate_colors`.
    """
    a = block_mean(alpha, chroma).astype(np.float64) / maximum
    F = fused_foreground(plane, a, _spread(F_hat, *plane.shape), _spread(B_hat, *plane.shape), maximum)
    F = np.where(a == 1, plane, F)
    return np.floor(a * F + (1 - a) * background + 0.5).astype(plane.dtype)


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
    a = block_mean(alpha, chroma).astype(np.float64) / maximum
    F = fused_foreground(plane, a, _spread(F_hat, *plane.shape), _spread(B_hat, *plane.shape), maximum)
    F = np.where(a == 1, plane, np.where(a == 0, black, F))
    return np.floor(F + 0.5).astype(plane.dtype)


def masked_plane(plane: Array, black: int, alpha: Array, kinds: Array, chroma: tuple[int, int]) -> Array:
    """The plane itself, and the code ``black`` where alpha is 0."""
    return np.where(block_mean(alpha, chroma) == 0, black, plane).astype(plane.dtype)


def share_of_new(raw: Array, before: Array, raw_before: Array, moves: Array, still: float) -> Array:
    """How much of a new alpha to take, and the rest of the one before; (h, w) float32 all.

    Args:
        raw, raw_before: as they came, now and before.
        before: as it was given out before.
        moves: how far the picture moves: there all of the new alpha is taken.
        still: what is taken of a small change where nothing moves.
    """
    disagreement = np.abs(raw - before)
    # Seen twice, a jump is real; seen once where nothing moved, it is a spike.
    insists = np.clip((disagreement - 2 * np.abs(raw - raw_before)) * 4 - np.float32(0.4), 0, 1)
    trusted = np.float32(still) * (1 - np.float32(0.8) * np.minimum(disagreement * 2, 1))
    certain = np.maximum(moves, insists)
    return np.asarray(trusted + (1 - trusted) * certain, np.float32)


def refined_over_time(
    raw: Array,
    share: Array,
    moves: Array,
    holds: Array,
    still: float,
    alpha: Array,
    raw_before: Array,
) -> tuple[Array, Array]:
    """What was refined now over what was refined before; (h, w) float32 all.

    Args:
        raw, share: refined now, and how far it counts.
        holds: how far ``alpha``, refined before, still counts.
        moves, still, raw_before: as for :func:`share_of_new`; ``still`` 1 takes what is new as it is.
        alpha, raw_before: are brought up to date, in place.

    Returns:
        How far the alpha counts against one that is not refined, and how far it is new.
    """
    new: Array = np.ones_like(raw)
    if still < 1:
        new -= holds * (1 - share_of_new(raw, alpha, raw_before, moves, still))
    kept = (1 - share) * holds
    counts = share + kept
    calm = alpha + new * (raw - alpha)
    alpha[...] = (share * calm + kept * alpha) / np.maximum(counts, np.float32(1e-6))
    raw_before += share * (raw - raw_before)
    return counts, share * new
