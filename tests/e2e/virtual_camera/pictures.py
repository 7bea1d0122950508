"""What a picture that came through the virtual camera shows: the placeholder, or bars and a number."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

ORANGE = (255, 128, 0)
BARS = np.array([(191, 191, 191), (191, 191, 0), (0, 191, 191), (0, 191, 0),
                 (191, 0, 191), (191, 0, 0), (0, 0, 191), (0, 0, 0)])  # fmt: skip
CLOSE = 16
"""Levels of 255 that chroma subsampling and rounding may change."""


def patches(rgb: np.ndarray, top: float, bottom: float) -> np.ndarray:
    """(8, 3) mean colour of the middle of each eighth between two heights."""
    height, width = rgb.shape[:2]
    rows = rgb[round(top * height) : round(bottom * height)].astype(float)
    return np.array([
        rows[:, round((i + 0.3) * width / 8) : round((i + 0.7) * width / 8)].mean((0, 1)) for i in range(8)
    ])  # fmt: skip


def near(colours: np.ndarray, wanted: Any) -> np.ndarray:
    return np.abs(colours - np.asarray(wanted)).max(axis=-1) < CLOSE


def number_in(top: np.ndarray, middle: np.ndarray, bottom: np.ndarray | None = None) -> int | None:
    """The number that a picture shows; None of the placeholder. Fails on anything else."""
    rest = bottom is None or near(bottom, ORANGE).all()
    if near(top, ORANGE).all() and near(middle, ORANGE).all() and rest:
        return None
    assert rest and near(middle, BARS).all(), f"neither placeholder nor picture: {middle.round()} {bottom}"
    bits = near(top, ORANGE)
    assert (bits | near(top, BARS)).all(), f"no number: {top.round()}"
    return int(sum(1 << i for i in range(8) if bits[i]))


def number_of(frame: np.ndarray) -> int | None:
    """The same of an I420 frame, (h * 3 / 2, w) uint8."""
    rgb = cv2.cvtColor(frame, cv2.COLOR_YUV2RGB_I420)
    return number_in(patches(rgb, 0.05, 0.12), patches(rgb, 0.35, 0.65), patches(rgb, 0.9, 0.97))


def judge(raw: str, size: tuple[int, int] = (640, 480)) -> dict[str, Any]:
    """What a recording shows: pictures in order, their number rising, and how many are the placeholder."""
    width, height = size
    data = np.fromfile(raw, np.uint8)
    assert len(data) and len(data) % (width * height * 3 // 2) == 0, len(data)
    numbers = [number_of(frame) for frame in data.reshape(-1, height * 3 // 2, width)]
    seen = [each for each in numbers if each is not None]
    steps = np.diff(seen) % 256
    assert (steps < 128).all(), f"out of order: {seen}"
    return {"frames": len(numbers), "pictures": len(seen), "different": len(set(seen)),
            "placeholders": numbers.count(None)}  # fmt: skip
