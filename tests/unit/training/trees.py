"""Data sets in miniature: the folders of each known layout, with real files of a few pixels.

A person is a disk whose opacity falls off over some pixels, in front of a plain colour; each one's colours
are drawn from its name.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import av
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


def rooms(folder: Path, count: int = 12, suffix: str = ".png") -> Path:
    """Plain blue pictures, each a little brighter than the last."""
    for n in range(count):
        write(folder / f"room_{n}{suffix}", np.full((40, 60, 3), (0, 0, 100 + 10 * n), np.uint8))
    return folder


CLIP_FRAMES = 8


def clip_alpha(number: int) -> NDArray[np.uint8]:
    """(64, 96) alpha of a clip's frame: a disk that moves two pixels a frame."""
    return np.roll(disk(64, 96), 2 * number - 16, 1)


def true_alpha(folder: Path, cutouts: Mapping[str, Sequence[str]], clips: Sequence[str]) -> Path:
    """Cut-outs and keyed clips as :mod:`livematte.training.cutouts` reads them; no rooms."""
    for name in (name for names in cutouts.values() for name in names):
        write(folder / "cutouts" / f"{name}.webp", np.dstack((cut_out(name), disk())))
    (folder / "cutouts.json").write_text(json.dumps(cutouts), encoding="utf-8")
    for name in clips:
        colour = np.full((64, 96, 3), colours(name)[0], np.uint8)
        video(folder / "cutclips" / f"{name}.mp4", [colour] * CLIP_FRAMES)
        video(folder / "cutclips" / f"{name}_alpha.mp4", [clip_alpha(n) for n in range(CLIP_FRAMES)])
    return folder


def video(file: Path, pictures: Sequence[NDArray[np.uint8]]) -> Path:
    """H.264 at 30 frames a second; grey pictures (H, W) become the luma as they are, without loss."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(file), "w") as container:
        stream = container.add_stream("libx264", rate=30, options={"qp": "0"})
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        for picture in pictures:
            if picture.ndim == 3:
                frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format="yuv420p")
            else:
                chroma = np.full((picture.shape[0] // 2, picture.shape[1]), 128, np.uint8)
                frame = av.VideoFrame.from_ndarray(np.vstack((picture, chroma)), format="yuv420p")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return file
