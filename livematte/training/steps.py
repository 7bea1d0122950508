"""Training steps: sizes of crops and batches, and the learning rate schedule."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

SMALL = ((96, 160), (128, 128), (160, 96))
LARGE = ((128, 224), (160, 192), (224, 128))
LIVE = ((128, 224), (160, 192), (224, 128), (256, 128), (160, 256))
FINE = ((192, 352), (224, 320), (256, 256), (320, 224), (352, 192), (160, 256))
"""Heights and widths of training crops for live sizes; each batch uses one of them."""

EVERY = (
    *((128, 192), (128, 224), (160, 160), (192, 128), (192, 352), (256, 256), (352, 192), (224, 320)),
    *((256, 448), (448, 256), (320, 512), (288, 512), (384, 384), (512, 288), (352, 640), (384, 640)),
    *((640, 352), (480, 480)),
)
"""Landscape, square and portrait crops with long sides from 192 to 640, as used by renders at live sizes."""

RARITY = 0.7
"""The probability of a size in :data:`EVERY` is proportional to area ** -RARITY."""


@dataclass(frozen=True)
class Step:
    """Settings of one training step.

    Attributes:
        sizes: (height, width) of the crops; one is drawn at random for each batch.
        batch: crops per iteration, summed over all processes.
        base_rate, top_rate: lowest and highest learning rate.
        cycles: number of triangular cycles of the learning rate; 0 keeps ``top_rate`` after ``warm_up``.
        rarity: the probability of a size is proportional to its area ** -rarity.
        area: crop area in pixels for which ``batch`` is meant. Batches of larger crops are smaller, and those
            of smaller crops are larger, so that all iterations cost about the same. 0: always ``batch``.
        warm_up, decay: with ``cycles`` = 0, number of iterations at the start in which the rate increases
            linearly, and at the end in which it decreases linearly to ``base_rate``.
        scenes: crops are from :func:`livematte.training.scenes.scene_example`.
        encoder_factor, average: override the values of the plan.
    """

    name: str
    iterations: int
    sizes: tuple[tuple[int, int], ...]
    batch: int
    base_rate: float
    top_rate: float
    cycles: int = 1
    rarity: float = 0.0
    area: int = 0
    warm_up: int = 150
    decay: int = 0
    scenes: bool = False
    encoder_factor: float | None = None
    average: float | None = None

    def rate(self, iteration: int) -> float:
        """Return the learning rate of an iteration (from 0).

        In a triangular cycle (Smith 2017) it increases over the first fifth and decreases over the rest. With
        ``cycles`` = 0 it is constant, except for ``warm_up`` and ``decay``.
        """
        if self.cycles == 0:
            rising = min(1.0, (iteration + 1) / max(1, self.warm_up))
            falling = min(1.0, (self.iterations - iteration) / (self.decay + 1))
            return self.base_rate + (self.top_rate - self.base_rate) * min(rising, falling)
        length = self.iterations / self.cycles
        phase = (iteration % length) / length
        height = phase / 0.2 if phase < 0.2 else (1 - phase) / 0.8
        return self.base_rate + (self.top_rate - self.base_rate) * height

    def draw_size(self, rng: np.random.Generator) -> tuple[int, int]:
        """Draw the (height, width) of a batch at random."""
        if self.rarity == 0:
            return self.sizes[int(rng.integers(len(self.sizes)))]
        weights = np.array([float(h * w) ** -self.rarity for h, w in self.sizes])
        return self.sizes[int(rng.choice(len(self.sizes), p=weights / weights.sum()))]

    def crops(self, height: int, width: int) -> int:
        """Return the number of crops of this size in an iteration; with :attr:`area` > 0 it is 3 to 16."""
        if self.area == 0:
            return self.batch
        return max(3, min(16, round(self.batch * self.area / (height * width))))

    def smallest_batch(self) -> int:
        """Return the smallest number of crops in an iteration."""
        return min(self.crops(height, width) for height, width in self.sizes)


def every_size(iterations: int) -> Step:
    """Return the last step of the live sizes: crops and people of all sizes, at a constant learning rate.

    It can be stopped at any time, since the moving average of weights is usable throughout. The learning rate
    decreases only in the last iterations.
    """
    return Step(
        "every-size", iterations, EVERY, 12, 1e-6, 7e-4, 0,
        rarity=RARITY, area=57_344, decay=min(4000, iterations // 5), scenes=True,
        encoder_factor=1.0, average=0.999,
    )  # fmt: skip
