"""Evaluation cases with ground-truth alpha, and readers for their picture and video files."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from livematte.errors import InputError
from livematte.kernels.convert import to_rgb
from livematte.training.data import Picture
from livematte.video.reader import open_video

STILLS = {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff"}
VIDEOS = {".mp4", ".mov", ".mkv", ".webm", ".avi", ".m4v"}


@dataclass(frozen=True)
class Truth:
    """One frame and its ground truth; all arrays have the same height and width."""

    rgb: Picture
    """(H, W, 3) uint8."""
    alpha: NDArray[np.float32]
    """(H, W) in [0, 1]."""
    foreground: Picture | None = None
    """(H, W, 3) uint8 straight RGB."""
    trimap: Picture | None = None
    """(H, W) uint8: 0 background, 255 foreground; all values between are unknown."""


@dataclass(frozen=True)
class Case:
    """One evaluation case: a picture (one frame) or a clip."""

    name: str
    frames: Callable[[], Iterator[Truth]]
    """Returns a new iterator over the frames, in order. Raises InputError if a file cannot be read."""


def unit(alpha: Picture) -> NDArray[np.float32]:
    """Convert 8-bit alpha to float32 in [0, 1]."""
    return alpha.astype(np.float32) / np.float32(255)


def _stills(path: Path) -> list[Path]:
    files = [path] if path.is_file() else sorted(f for f in path.iterdir() if f.suffix.lower() in STILLS)
    if not files:
        raise InputError(f"{path} contains no pictures ({', '.join(sorted(STILLS))})")
    return files


def read_pictures(path: Path) -> Iterator[Picture]:
    """Yield (H, W, 3) uint8 RGB from a picture, a folder of frames or a video.

    Raises:
        InputError: a file cannot be read.
    """
    if path.suffix.lower() not in VIDEOS:
        yield from map(read_rgb, _stills(path))
        return
    with closing(open_video(path)) as source:
        for frame in source:
            yield np.asarray(to_rgb(frame), np.uint8)


def read_alphas(path: Path) -> Iterator[NDArray[np.float32]]:
    """Yield (H, W) float32 alpha in [0, 1] from a picture, a folder of frames or a video.

    The alpha channel is used if there is one, otherwise the green channel.

    Raises:
        InputError: a file cannot be read.
    """
    if path.suffix.lower() not in VIDEOS:
        yield from map(read_alpha, _stills(path))
        return
    with closing(open_video(path)) as source:
        for frame in source:
            if frame.pixel_format.alpha:
                yield (frame.planes[3] / np.float32(frame.pixel_format.maximum)).astype(np.float32)
            else:
                yield unit(np.ascontiguousarray(to_rgb(frame)[..., 1]))


def read_rgb(path: Path) -> Picture:
    """Read a picture file as (H, W, 3) uint8 RGB. Raises InputError."""
    return np.asarray(cv2.cvtColor(_decode(path, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB), np.uint8)


def read_alpha(path: Path) -> NDArray[np.float32]:
    """Read a picture file as (H, W) float32 alpha in [0, 1]. Raises InputError.

    The alpha channel is used if there is one, otherwise the grey value (the green channel of colour files).
    """
    values = _decode(path, cv2.IMREAD_UNCHANGED)
    maximum = np.iinfo(values.dtype).max if values.dtype.kind == "u" else 1
    if values.ndim == 3:
        values = values[..., 3] if values.shape[2] in (2, 4) else values[..., 1]
    return (values / np.float32(maximum)).astype(np.float32)


def _decode(path: Path, flags: int) -> NDArray[Any]:
    try:
        data = np.frombuffer(path.read_bytes(), np.uint8)
        decoded = cv2.imdecode(data, flags) if data.size else None
    except (OSError, cv2.error) as error:
        raise InputError(f"{path} cannot be read: {error}") from error
    if decoded is None:
        raise InputError(f"{path} is not a picture in a supported format")
    return np.asarray(decoded)
