"""Least-recently-used cache of objects by input shapes, e.g. compiled networks."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")

Shapes = tuple[tuple[int, ...], ...]
"""Shapes of all inputs of a network."""


class LRUCache(Generic[T]):
    """Keeps the ``capacity`` most recently used objects by input shapes. Creating one takes seconds."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._entries: OrderedDict[Shapes, T] = OrderedDict()

    def get(self, shapes: Shapes, make: Callable[[Shapes], T]) -> T:
        """Return the object for ``shapes``, created with ``make`` if needed.

        The least recently used one is evicted.
        """
        if shapes not in self._entries:
            self._entries[shapes] = make(shapes)
            if len(self._entries) > self._capacity:
                self._entries.popitem(last=False)
        self._entries.move_to_end(shapes)
        return self._entries[shapes]

    def clear(self) -> None:
        """Remove all objects."""
        self._entries.clear()

    def __len__(self) -> int:
        return len(self._entries)
