"""Sizes, batches and rates of a step."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from livematte.training.steps import EVERY, Step, every_size


def test_a_constant_rate_rises_stays_and_falls_at_the_very_end() -> None:
    step = Step("x", 100, ((32, 32),), 1, 0.0, 1.0, 0, warm_up=10, decay=20)
    assert [step.rate(i) for i in (0, 4, 9, 50, 79)] == pytest.approx([0.1, 0.5, 1.0, 1.0, 1.0])
    assert 0 < step.rate(99) < step.rate(90) < 1.0


def test_an_iteration_costs_about_the_same_whatever_the_size() -> None:
    step = every_size(1000)
    pixels = {size: step.crops(*size) * size[0] * size[1] for size in EVERY}
    middle = [cost for size, cost in pixels.items() if 3 < step.crops(*size) < 16]
    assert len(middle) > 6 and max(middle) / min(middle) < 1.2
    assert step.smallest_batch() == 3
    assert Step("x", 1, EVERY, 7, 0, 1).crops(640, 640) == 7


def test_larger_sizes_are_rarer_by_their_area() -> None:
    step, rng = every_size(1000), np.random.default_rng(0)
    drawn = Counter(step.draw_size(rng) for _ in range(20_000))
    assert set(drawn) == set(EVERY)
    ratio = drawn[(128, 192)] / drawn[(384, 640)]
    assert ratio == pytest.approx((384 * 640 / (128 * 192)) ** 0.7, rel=0.2)


def test_sizes_are_what_a_live_network_takes() -> None:
    assert all(h % 32 == 0 and w % 32 == 0 for h, w in EVERY)
    assert min(max(size) for size in EVERY) <= 192 and max(max(size) for size in EVERY) == 640
