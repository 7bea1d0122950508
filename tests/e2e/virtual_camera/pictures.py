"""Read the content of a picture of the virtual camera: the placeholder, or bars and a number."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

ORANGE = (255, 128, 0)
BARS = np.array([(191, 191, 191), (191, 191, 0), (0, 191, 191), (0, 191, 0),
                 (191, 0, 191), (191, 0, 0), (0, 0, 191), (0, 0, 0)])  # fmt: skip
TOLERANCE = 16
"""Allowed difference caused by chroma subsampling and rounding, in levels of 255."""


def patches(rgb: np.ndarray, top: float, bottom: float) -> np.ndarray:
    """Return the (8, 3) mean colours of eight columns between the relative heights ``top`` and ``bottom``."""
    height, width = rgb.shape[:2]
    rows = rgb[round(top * height) : round(bottom * height)].astype(float)
    return np.array([
        rows[:, round((i + 0.3) * width / 8) : round((i + 0.7) * width / 8)].mean((0, 1)) for i in range(8)
    ])  # fmt: skip


def near(colours: np.ndarray, wanted: Any) -> np.ndarray:
    return np.abs(colours - np.asarray(wanted)).max(axis=-1) < TOLERANCE


def read_number(top: np.ndarray, middle: np.ndarray, bottom: np.ndarray | None = None) -> int | None:
    """Return the number of a picture, or None for the placeholder. Fails for any other picture."""
    rest = bottom is None or near(bottom, ORANGE).all()
    if near(top, ORANGE).all() and near(middle, ORANGE).all() and rest:
        return None
    assert rest and near(middle, BARS).all(), f"neither placeholder nor picture: {middle.round()} {bottom}"
    bits = near(top, ORANGE)
    assert (bits | near(top, BARS)).all(), f"no number: {top.round()}"
    return int(sum(1 << i for i in range(8) if bits[i]))


def read_frame_number(frame: np.ndarray) -> int | None:
    """Return the number of an I420 frame, (h * 3 / 2, w) uint8; None for the placeholder."""
    rgb = cv2.cvtColor(frame, cv2.COLOR_YUV2RGB_I420)
    return read_number(patches(rgb, 0.05, 0.12), patches(rgb, 0.35, 0.65), patches(rgb, 0.9, 0.97))


def check_recording(raw: str, size: tuple[int, int] = (640, 480)) -> dict[str, Any]:
    """Check that the numbers in a recording increase; return the number of pictures and placeholders."""
    width, height = size
    data = np.fromfile(raw, np.uint8)
    assert len(data) and len(data) % (width * height * 3 // 2) == 0, len(data)
    numbers = [read_frame_number(frame) for frame in data.reshape(-1, height * 3 // 2, width)]
    seen = [each for each in numbers if each is not None]
    steps = np.diff(seen) % 256
    assert (steps < 128).all(), f"out of order: {seen}"
    return {"frames": len(numbers), "pictures": len(seen), "different": len(set(seen)),
            "placeholders": numbers.count(None)}  # fmt: skip
