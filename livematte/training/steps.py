"""Steps of a training: sizes of crops and batches, and the learning rate over time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

SMALL = ((96, 160), (128, 128), (160, 96))
LARGE = ((128, 224), (160, 192), (224, 128))
LIVE = ((128, 224), (160, 192), (224, 128), (256, 128), (160, 256))
FINE = ((192, 352), (224, 320), (256, 256), (320, 224), (352, 192), (160, 256))
"""Heights and widths of training crops for live sizes; a batch has one of them."""


EVERY = (
    *((128, 192), (128, 224), (160, 160), (192, 128), (192, 352), (256, 256), (352, 192), (224, 320)),
    *((256, 448), (448, 256), (320, 512), (288, 512), (384, 384), (512, 288), (352, 640), (384, 640)),
    *((640, 352), (480, 480)),
)
"""Long sides from 192 to 640, wide, square and high: what a live size is asked for."""

RARITY = 0.7
"""Of :data:`EVERY`, a size is drawn in proportion to its area to the power of minus this."""


@dataclass(frozen=True)
class Step:
    """One of a paper's training steps.

    Attributes:
        sizes: (height, width) of the crops; each batch draws one.
        batch: crops an iteration, over all processes.
        base_rate, top_rate: the learning rate's lowest and highest value.
        cycles: triangular cycles of the rate in this step; 0 keeps the highest rate after ``warm_up``.
        rarity: how much rarer larger sizes are: the power of their area that chances are divided by.
        area: pixels of the crops that ``batch`` is meant for; larger ones come in smaller batches and
            smaller ones in larger, so that an iteration costs about the same. 0: always ``batch``.
        warm_up, decay: with ``cycles`` = 0, iterations at the begin in which the rate rises linearly, and at
            the end in which it falls linearly to ``base_rate``.
        scenes: crops are :func:`livematte.training.scenes.scene_example`'s.
        encoder_factor, average: instead of the plan's.
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
        """Triangular cycles (Smith 2017), rising over the first fifth of each and falling over the rest; or
        constant.
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
        """(height, width) of a batch."""
        if self.rarity == 0:
            return self.sizes[int(rng.integers(len(self.sizes)))]
        weights = np.array([float(h * w) ** -self.rarity for h, w in self.sizes])
        return self.sizes[int(rng.choice(len(self.sizes), p=weights / weights.sum()))]

    def crops(self, height: int, width: int) -> int:
        """How many of this size an iteration takes: 3 to 16 where :attr:`area` says so."""
        if self.area == 0:
            return self.batch
        return max(3, min(16, round(self.batch * self.area / (height * width))))

    def smallest_batch(self) -> int:
        """Crops of the iteration that has fewest."""
        return min(self.crops(height, width) for height, width in self.sizes)


def every_size(iterations: int) -> Step:
    """The last step of the live sizes: every size of picture and person, one rate, as long as one likes.

    Its weights are read off the moving average at any time; only the end of a training lowers the rate.
    """
    return Step(
        "every-size", iterations, EVERY, 12, 1e-6, 7e-4, 0,
        rarity=RARITY, area=57_344, decay=min(4000, iterations // 5), scenes=True,
        encoder_factor=1.0, average=0.999,
    )  # fmt: skip
