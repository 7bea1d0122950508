"""A folder of people and rooms laid out like the project's training data, drawn by the test itself."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np


def draw_people(folder: Path, people: int = 8, held_out: int = 2, rooms: int = 16, side: int = 96) -> Path:
    """Figures with a head, in front of stripes; the last ``held_out`` are for validation."""
    rng = np.random.default_rng(0)
    for name in ("people", "alpha", "backgrounds"):
        (folder / name).mkdir(parents=True)
    names = [f"drawn_{number:03}" for number in range(people)]
    for name in names:
        alpha = np.zeros((side, side), np.uint8)
        x = int(rng.integers(side // 3, 2 * side // 3))
        cv2.circle(alpha, (x, side // 3), side // 8, 255, -1, cv2.LINE_AA)
        cv2.ellipse(alpha, (x, side), (side // 4, side // 2), 0, 0, 360, 255, -1, cv2.LINE_AA)
        body = np.full((side, side, 3), rng.integers(0, 256, 3), np.float32)
        stripes = np.tile(rng.integers(0, 256, (side, 1, 3)), (1, side, 1)).astype(np.float32)
        share = alpha[..., None].astype(np.float32) / 255
        cv2.imwrite(str(folder / "people" / f"{name}.jpg"), share * body + (1 - share) * stripes)
        cv2.imwrite(str(folder / "alpha" / f"{name}.png"), alpha)
    for number in range(rooms):
        room = cv2.resize(rng.integers(0, 256, (6, 6, 3)).astype(np.uint8), (side, side))
        cv2.imwrite(str(folder / "backgrounds" / f"room_{number:03}.jpg"), room)
    split = {"train": names[:-held_out], "val": names[-held_out:]}
    (folder / "split.json").write_text(json.dumps(split), encoding="utf-8")
    return folder
