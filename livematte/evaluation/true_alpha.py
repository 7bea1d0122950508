"""Evaluation cases with alpha that no network made: validation people on validation backgrounds.

There are stills, and clips with the original motion. Random numbers are seeded with the case's name, so the
same folder always gives the same pictures. All pictures are :data:`HEIGHT` x :data:`WIDTH`; people touch the
bottom edge, as in front of a webcam.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from livematte.errors import InputError
from livematte.evaluation.truth import Case, Truth, read_rgb, unit
from livematte.training.cutouts import CUTOUTS, find_clips, is_validation_clip, read_clip, split_cutouts
from livematte.training.data import Picture, is_validation_room
from livematte.training.datasets import frame_count
from livematte.training.foregrounds import extend_colors
from livematte.training.loading import read

HEIGHT, WIDTH = 360, 640
"""Size of all pictures, in pixels."""

FRAMES, STARTS = 24, (0, 50, 100)
"""Number of consecutive frames in a clip case, and the possible first frames in the source clip."""

TALLEST = 0.8
"""Maximum ratio of height to width of the visible part of a person (head and shoulders)."""

FIRM = 128
"""Minimum alpha (0 to 255) of pixels inside a person's bounding box."""

NOISE = 2.0
"""Standard deviation of the sensor noise in clips, in 8-bit levels."""

SWAY, TILT, BREATH = 9.0, 0.8, 0.012
"""Amplitudes of the simulated hand-held camera: shift in pixels, rotation in degrees, relative scale."""


def still_cases(data: Path) -> list[Case]:
    """Return one case for each validation cut-out in ``data``: head and shoulders on a background.

    Raises:
        InputError: there is no validation cut-out or no validation background.
    """
    rooms = _rooms(data)
    names = sorted(split_cutouts(data)["val"])
    files = {name: data / CUTOUTS / f"{name}.webp" for name in names}
    cases = [Case(name, partial(_still, file, rooms)) for name, file in files.items() if file.is_file()]
    if not cases:
        raise InputError(f"{data / CUTOUTS} contains none of the files listed under val in cutouts.json")
    return cases


def clip_cases(data: Path, *, moving: bool) -> list[Case]:
    """Return cases of :data:`FRAMES` consecutive frames of validation clips on backgrounds.

    Args:
        moving: move the background as seen by a hand-held camera; otherwise it is static.

    Raises:
        InputError: there is no validation clip or no validation background.
    """
    rooms = _rooms(data)
    cases = [
        Case(f"{name}/{start:03}", partial(_clip, files, start, rooms, moving))
        for name, files in find_clips(data).items()
        if is_validation_clip(name)
        for start in STARTS
        if start == 0 or start + FRAMES <= frame_count(files[1])
    ]
    if not cases:
        raise InputError(f"{data} has no validation clip in cutclips/: add one")
    return cases


def _rooms(data: Path) -> list[Path]:
    rooms = [file for file in sorted((data / "backgrounds").glob("*.jpg")) if is_validation_room(file.stem)]
    if not rooms:
        raise InputError(f"{data / 'backgrounds'} has no validation background: add more pictures (*.jpg)")
    return rooms


def _rng(name: str) -> np.random.Generator:
    return np.random.default_rng(zlib.crc32(name.encode()))


def _still(file: Path, rooms: list[Path]) -> Iterator[Truth]:
    rng = _rng(file.stem)
    rgba = read(file)
    if rgba.ndim != 3 or rgba.shape[2] != 4:
        raise InputError(f"{file} has no alpha channel")
    alpha = np.ascontiguousarray(rgba[..., 3])
    foreground = extend_colors(np.ascontiguousarray(rgba[..., 2::-1]), alpha)
    x, y, w, h = cv2.boundingRect((alpha >= FIRM).astype(np.uint8))
    h = min(h, round(TALLEST * w))
    scale = rng.uniform(0.75, 0.97) * HEIGHT / h
    middle = WIDTH * (0.5 + rng.uniform(-0.12, 0.12))
    matrix = _placing(scale, (x + w / 2, y + h), (middle, HEIGHT))
    front, matte = _warped(foreground, matrix), _warped(alpha, matrix, border=False)
    room = _covered(read_rgb(rooms[int(rng.integers(len(rooms)))]), 1.0)
    yield _composite(front, matte, room)


def _clip(files: tuple[Path, Path], start: int, rooms: list[Path], moving: bool) -> Iterator[Truth]:
    rng = _rng(f"{files[0].stem}/{start:03}")
    scale = rng.uniform(0.85, 0.97)
    middle = WIDTH * (0.5 + rng.uniform(-0.12, 0.12))
    margin = 1.0 + 2 * (SWAY / HEIGHT + BREATH + np.radians(TILT))
    room = _covered(read_rgb(rooms[int(rng.integers(len(rooms)))]), margin if moving else 1.0)
    phases = rng.uniform(0, 2 * np.pi, (4, 2))
    for number, (foreground, alpha) in enumerate(read_clip(*files)):
        if not start <= number < start + FRAMES:
            if number >= start + FRAMES:
                return
            continue
        rows, columns = alpha.shape
        matrix = _placing(scale * HEIGHT / rows, (columns / 2, rows), (middle, HEIGHT))
        front = _warped(extend_colors(foreground, alpha), matrix)
        matte = _warped(alpha, matrix, border=False)
        behind = _handheld(room, number / 30, phases) if moving else room
        truth = _composite(front, matte, behind)
        noisy = truth.rgb + rng.normal(0, NOISE, truth.rgb.shape)
        yield Truth(np.clip(noisy + 0.5, 0, 255).astype(np.uint8), truth.alpha, truth.foreground)


def _placing(scale: float, point: tuple[float, float], target: tuple[float, float]) -> NDArray[np.float64]:
    """Return the (2, 3) affine matrix that scales and maps (x, y) ``point`` to ``target``.

    Coordinates of points count from the picture's edge, not from the centre of the first pixel.
    """
    shift = [t - 0.5 - scale * (p - 0.5) for p, t in zip(point, target, strict=True)]
    return np.array([[scale, 0, shift[0]], [0, scale, shift[1]]])


def _warped(picture: Picture, matrix: NDArray[np.float64], *, border: bool = True) -> Picture:
    """Apply a scaling (2, 3) ``matrix`` to ``picture``, with area averaging when it gets smaller.

    Args:
        border: replicate the border pixels; otherwise pixels outside the picture are 0.
    """
    factor = float(matrix[0, 0])
    if factor < 0.9:  # warpAffine does not average
        rows, columns = picture.shape[:2]
        size = max(1, round(columns * factor)), max(1, round(rows * factor))
        picture = np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)
        ratio = np.array([columns / size[0], rows / size[1]])
        linear = matrix[:, :2] * ratio
        shift = matrix[:, 2] + matrix[:, :2] @ ((ratio - 1) / 2)  # pixels are squares, not points
        matrix = np.hstack((linear, shift[:, None]))
    mode = cv2.BORDER_REPLICATE if border else cv2.BORDER_CONSTANT
    out = cv2.warpAffine(picture, matrix, (WIDTH, HEIGHT), flags=cv2.INTER_LINEAR, borderMode=mode)
    return np.asarray(out, np.uint8)


def _covered(room: Picture, margin: float) -> Picture:
    """Return the resized centre of ``room``, ``margin`` times as large as an output picture."""
    height, width = round(HEIGHT * margin), round(WIDTH * margin)
    scale = max(height / room.shape[0], width / room.shape[1])
    size = max(width, round(room.shape[1] * scale)), max(height, round(room.shape[0] * scale))
    large = np.asarray(cv2.resize(room, size, interpolation=cv2.INTER_CUBIC), np.uint8)
    top, left = (size[1] - height) // 2, (size[0] - width) // 2
    return large[top : top + height, left : left + width]


def _handheld(room: Picture, seconds: float, phases: NDArray[np.float64]) -> Picture:
    """Return the view of a hand-held camera on ``room`` at a time in seconds.

    Shift in x and y, rotation and scale are each a sum of two sines; ``phases`` is (4, 2), in radians.
    """
    rates = 2 * np.pi * np.array([0.35, 1.1])
    swings = (np.array([0.75, 0.25]) * np.sin(rates * seconds + phases)).sum(1)
    middle = room.shape[1] / 2 + SWAY * swings[0], room.shape[0] / 2 + SWAY * swings[1]
    turn = cv2.getRotationMatrix2D(middle, TILT * swings[2], 1 + BREATH * swings[3])
    turn[:, 2] += WIDTH / 2 - middle[0], HEIGHT / 2 - middle[1]
    out = cv2.warpAffine(
        room, turn, (WIDTH, HEIGHT), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101
    )
    return np.asarray(out, np.uint8)


def _composite(foreground: Picture, alpha8: Picture, background: Picture) -> Truth:
    alpha = unit(alpha8)
    picture = background + alpha[..., None] * (foreground.astype(np.float32) - background)
    return Truth((picture + 0.5).astype(np.uint8), alpha, foreground)
