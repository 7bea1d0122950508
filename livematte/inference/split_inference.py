"""Process a picture that is too large for the memory in overlapping halves."""

from __future__ import annotations

from collections.abc import Callable

from livematte.device import namespace
from livematte.frame import Array
from livematte.inference.network import OutOfMemory

MARGIN = 32
"""Pixels by which each half extends beyond the middle: context for the network, and the blending region."""

_Maps = tuple[Array, ...]


class SplitInference:
    """Runs a network on halves if memory runs out, and remembers the size, so that it runs out only once.

    Args:
        outputs: names of the network's outputs. One that ends in ``_rgb`` is (1, H, W, 3), others are (1,
            ..., h, w), at the size of the picture or smaller by a divisor of ``stride``.
        stride: picture sizes are multiples of this.
    """

    def __init__(self, outputs: tuple[str, ...], stride: int) -> None:
        self.notes: list[str] = []
        self._outputs, self._stride = outputs, stride
        self._too_large: int | None = None

    def run(self, network: Callable[[Array, Array], _Maps], rgb: Array, guide: Array) -> _Maps:
        """Return the outputs of ``network`` for a picture, in as few parts as memory allows.

        Args:
            rgb: (h, w, 3), h and w multiples of the stride.
            guide: (h, w).

        Raises:
            OutOfMemory: halves would not be smaller.
        """
        height, width = guide.shape
        if self._too_large is None or height * width < self._too_large:
            try:
                return network(rgb, guide)
            except OutOfMemory:
                if self._split_point(max(height, width)) is None:
                    raise
            self._too_large = height * width
            self.notes[:] = [
                f"out of memory at {width}x{height} pixels: the refiner processes halves, which is slower"
            ]
        split = self._split_point(max(height, width))
        if split is None:
            return network(rgb, guide)
        end, start = split
        axis = 0 if height >= width else 1
        sides = [(slice(None),) * axis + (side,) for side in (slice(0, end), slice(start, None))]
        parts = [self.run(network, _contiguous(rgb[side]), _contiguous(guide[side])) for side in sides]
        return tuple(
            _blend_halves(a, b, axis + (1 if name.endswith("_rgb") else a.ndim - 2), end, start)
            for name, a, b in zip(self._outputs, *parts, strict=True)
        )

    def _split_point(self, length: int) -> tuple[int, int] | None:
        """Return the end of the first half and the start of the second; None if the length is too small."""
        overlap = -(-MARGIN // self._stride) * self._stride
        middle = length // (2 * self._stride) * self._stride
        end, start = middle + overlap, middle - overlap
        return (end, start) if start > 0 and end < length else None


def _contiguous(part: Array) -> Array:
    return namespace(part).ascontiguousarray(part)


def _blend_halves(first: Array, second: Array, axis: int, end: int, start: int) -> Array:
    """Join two halves along ``axis`` and blend the overlap linearly, from ``start`` to ``end``."""
    xp = namespace(first)
    length = first.shape[axis]
    begins = start * length // end  # in elements of this array, which may be coarser than pixels
    overlap = length - begins
    weight = ((xp.arange(overlap, dtype="float32") + 0.5) / overlap).reshape(
        [-1 if n == axis else 1 for n in range(first.ndim)]
    )

    def part(array: Array, from_: int, to: int | None) -> Array:
        return array[tuple(slice(from_, to) if n == axis else slice(None) for n in range(array.ndim))]

    upper, lower = part(first, begins, None), part(second, 0, overlap)
    mixed = upper + weight * (lower - upper)
    return xp.concatenate([part(first, 0, begins), mixed, part(second, overlap, None)], axis)
