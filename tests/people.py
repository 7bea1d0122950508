"""A folder of people and rooms laid out like the project's training data, drawn by the test itself."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

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


def write_people(
    folder: Path,
    people: Mapping[str, tuple[Any, Any]],
    rooms: Sequence[Any],
    pose: Mapping[str, Any] | None = None,
    quality: int = 95,
) -> Path:
    """Write a folder of training people; the first one is also held out.

    Args:
        people: each one's BGR picture (h, w, 3) and alpha (h, w), 0 to 255, by name.
        pose: joints, of those for whom they are known.
        quality: of the JPEGs; 95 is OpenCV's own.
    """
    for name in ("people", "alpha", "backgrounds"):
        (folder / name).mkdir()
    for name, (picture, alpha) in people.items():
        jpeg = [cv2.IMWRITE_JPEG_QUALITY, quality]
        cv2.imwrite(str(folder / "people" / f"{name}.jpg"), picture.astype(np.uint8), jpeg)
        cv2.imwrite(str(folder / "alpha" / f"{name}.png"), alpha.astype(np.uint8))
    for number, room in enumerate(rooms):
        cv2.imwrite(str(folder / "backgrounds" / f"{'abc'[number]}.jpg"), room)
    first = next(iter(people))
    shutil.copyfile(folder / "people" / f"{first}.jpg", folder / "people" / "held_out.jpg")
    shutil.copyfile(folder / "alpha" / f"{first}.png", folder / "alpha" / "held_out.png")
    split = {"train": list(people), "val": ["held_out"]}
    (folder / "split.json").write_text(json.dumps(split), encoding="utf-8")
    if pose is not None:
        (folder / "pose.json").write_text(json.dumps(pose), encoding="utf-8")
    return folder


def noise_rooms(rng: np.random.Generator, brightest: int = 256) -> list[Any]:
    """Three backgrounds of noise, (200, 260, 3) uint8; of their names a, b and c one is for validation."""
    return [rng.integers(0, brightest, (200, 260, 3), np.uint8) for _ in range(3)]
