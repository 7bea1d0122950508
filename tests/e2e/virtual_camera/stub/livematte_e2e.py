"""A model without a network, because an emulated processor needs seconds for one.

It finds a person everywhere except in a pattern that shows the number of the picture. Like any model of a
third party it is registered by an entry point.

Ground truth: rows from 0.2 to 0.8 are person. Below them everything is background. Above them are 8 blocks
side by side, the lowest bit first: background where the bit of the picture's number (mod 256) is set.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from livematte.frame import Array, Matte
from livematte.protocols import State

BITS = 8
TOP, BOTTOM = 0.2, 0.8


class Everything:
    """The model; see the module."""

    def __init__(self) -> None:
        self._count = 0

    def input_size(self, height: int, width: int) -> tuple[int, int]:
        """Return a quarter of the size of the frame."""
        return height // 4, width // 4

    def __call__(self, rgb: Array, state: State | None) -> tuple[Matte, State]:
        """Return the pattern at the size of ``rgb``."""
        height, width = rgb.shape[:2]
        alpha = np.ones((height, width), np.float32)
        alpha[round(BOTTOM * height) :] = 0
        for bit in range(BITS):
            if self._count >> bit & 1:
                block = slice(bit * width // BITS, (bit + 1) * width // BITS)
                alpha[: round(TOP * height), block] = 0
        self._count = (self._count + 1) % (1 << BITS)
        return Matte(alpha), None


def everything(**_: Any) -> Everything:
    """Create the model; ignores all options."""
    return Everything()
