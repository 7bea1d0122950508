"""Data sets in miniature: the folders of each known layout, with real files of a few pixels.

A person is a disk whose opacity falls off over some pixels, in front of a plain colour; each one's colours
are drawn from its name.
"""

from __future__ import annotations

import zlib
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

HEIGHT, WIDTH = 24, 16


def disk(height: int = HEIGHT, width: int = WIDTH) -> NDArray[np.uint8]:
    """(H, W) alpha of a soft disk a quarter of the picture wide."""
    y, x = np.mgrid[:height, :width]
    distance = np.hypot(y - height / 2, x - width / 2)
    return np.asarray(np.clip((width / 3 - distance) / 3 + 0.5, 0, 1) * 255, np.uint8)


def colours(name: str) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """RGB of the person and of what is behind."""
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    return rng.integers(120, 256, 3).astype(np.uint8), rng.integers(0, 100, 3).astype(np.uint8)


def write(file: Path, picture: NDArray[np.uint8]) -> Path:
    """Save RGB, RGBA or grey; makes the folder."""
    file.parent.mkdir(parents=True, exist_ok=True)
    if picture.ndim == 3:
        picture = picture[..., [2, 1, 0, *range(3, picture.shape[2])]]
    best = [cv2.IMWRITE_JPEG_QUALITY, 100] if file.suffix == ".jpg" else []
    done, data = cv2.imencode(file.suffix, picture, best)
    assert done
    file.write_bytes(data.tobytes())
    return file


def photograph(name: str) -> NDArray[np.uint8]:
    """(H, W, 3): the person over what is behind."""
    front, behind = colours(name)
    a = disk()[..., None] / 255
    return np.asarray(a * front + (1 - a) * behind + 0.5, np.uint8)


def cut_out(name: str) -> NDArray[np.uint8]:
    """(H, W, 3): straight colours where alpha is not zero, bright green elsewhere."""
    out = np.empty((HEIGHT, WIDTH, 3), np.uint8)
    out[:] = colours(name)[0]
    out[disk() == 0] = (0, 255, 0)
    return out


def photographs(folder: Path, picture: str, alpha: str, names: list[str], suffix: str = ".jpg") -> None:
    """Photographs and their alphas in two folders."""
    for name in names:
        write(folder / picture / f"{name}{suffix}", photograph(name))
        write(folder / alpha / f"{name}.png", disk())


def cut_outs(folder: Path, foreground: str, alpha: str, names: list[str]) -> None:
    """Straight foregrounds and their alphas in two folders."""
    for name in names:
        write(folder / foreground / f"{name}.png", cut_out(name))
        write(folder / alpha / f"{name}.png", disk())


def rooms(folder: Path, count: int = 12) -> Path:
    """Plain blue pictures, each a little brighter than the last."""
    for n in range(count):
        write(folder / f"room_{n}.png", np.full((40, 60, 3), (0, 0, 100 + 10 * n), np.uint8))
    return folder
