"""What a network was made ready for, of late."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")

Shapes = tuple[tuple[int, ...], ...]
"""Of all inputs of a network."""


class Kept(Generic[T]):
    """The ``most`` last used of what is made for shapes of inputs; making one takes seconds."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._made: OrderedDict[Shapes, T] = OrderedDict()

    def get(self, shapes: Shapes, make: Callable[[Shapes], T]) -> T:
        """What there is for ``shapes``; made if need be, and then the one that was not used longest goes."""
        if shapes not in self._made:
            self._made[shapes] = make(shapes)
            if len(self._made) > self._most:
                self._made.popitem(last=False)
        self._made.move_to_end(shapes)
        return self._made[shapes]

    def clear(self) -> None:
        """Let all of them go."""
        self._made.clear()

    def __len__(self) -> int:
        return len(self._made)
