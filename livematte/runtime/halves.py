"""A picture that is too large for the memory: run in halves that overlap, and joined."""

from __future__ import annotations

from collections.abc import Callable

from livematte.device import namespace
from livematte.frame import Array
from livematte.runtime.network import OutOfMemory

MARGIN = 32
"""Pixels that each half reaches beyond the middle: what a network sees of the other, and where they mix."""

_Maps = tuple[Array, ...]


class Halves:
    """Remembers which pictures were too large, so that memory runs out for each size once.

    Args:
        outputs: names of what the network gives. One that ends in ``_rgb`` is (1, H, W, 3), others are
            (1, ..., h, w), of the picture's size or smaller by a divisor of ``stride``.
        stride: pictures come in multiples of this.
    """

    def __init__(self, outputs: tuple[str, ...], stride: int) -> None:
        self.notes: list[str] = []
        self._outputs, self._stride = outputs, stride
        self._too_large: int | None = None

    def run(self, network: Callable[[Array, Array], _Maps], rgb: Array, guide: Array) -> _Maps:
        """What ``network`` gives of a picture, in as few parts as there is memory for.

        Args:
            rgb: (h, w, 3); guide: (h, w); h and w multiples of the stride.

        Raises:
            OutOfMemory: halves would be no smaller.
        """
        height, width = guide.shape
        if self._too_large is None or height * width < self._too_large:
            try:
                return network(rgb, guide)
            except OutOfMemory:
                if self._cut(max(height, width)) is None:
                    raise
            self._too_large = height * width
            self.notes[:] = [
                f"out of memory at {width}x{height} pixels: the refiner works on halves, more slowly"
            ]
        cut = self._cut(max(height, width))
        if cut is None:
            return network(rgb, guide)
        end, start = cut
        along = 0 if height >= width else 1
        sides = [(slice(None),) * along + (side,) for side in (slice(0, end), slice(start, None))]
        parts = [self.run(network, _whole(rgb[side]), _whole(guide[side])) for side in sides]
        return tuple(
            _joined(a, b, along + (1 if name.endswith("_rgb") else a.ndim - 2), end, start)
            for name, a, b in zip(self._outputs, *parts, strict=True)
        )

    def _cut(self, length: int) -> tuple[int, int] | None:
        """Where the first half ends and the second begins; None where they would not be smaller."""
        reach = -(-MARGIN // self._stride) * self._stride
        middle = length // (2 * self._stride) * self._stride
        end, start = middle + reach, middle - reach
        return (end, start) if start > 0 and end < length else None


def _whole(part: Array) -> Array:
    return namespace(part).ascontiguousarray(part)


def _joined(first: Array, second: Array, axis: int, end: int, start: int) -> Array:
    """Two arrays of a picture cut along ``axis``, mixed where both have it: from ``start`` to ``end``."""
    own = namespace(first)
    length = first.shape[axis]
    begins = start * length // end  # in this array's own steps, which may be coarser than pixels
    overlap = length - begins
    share = ((own.arange(overlap, dtype="float32") + 0.5) / overlap).reshape(
        [-1 if n == axis else 1 for n in range(first.ndim)]
    )

    def part(array: Array, from_: int, to: int | None) -> Array:
        return array[tuple(slice(from_, to) if n == axis else slice(None) for n in range(array.ndim))]

    upper, lower = part(first, begins, None), part(second, 0, overlap)
    mixed = upper + share * (lower - upper)
    return own.concatenate([part(first, 0, begins), mixed, part(second, overlap, None)], axis)
