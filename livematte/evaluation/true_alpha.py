"""Held-out people with true alpha on held-out rooms: stills, and clips in their own motion.

The same folder always gives the same pictures: what is drawn is drawn from the case's name. Pictures have a
long side of :data:`WIDTH` pixels; people stand at the bottom edge, as before a webcam.
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
from livematte.training.foregrounds import extended
from livematte.training.loading import read

HEIGHT, WIDTH = 360, 640
"""Of every picture."""

FRAMES, STARTS = 24, (0, 50, 100)
"""Consecutive frames of a case of a clip, and where in the clip they begin."""

TALLEST = 0.8
"""Height by width of what is shown of somebody: heads and shoulders; the rest is below the picture."""

FIRM = 128
"""Alpha from which a pixel counts for somebody's box."""

NOISE = 2.0
"""Deviation of the sensor noise of clips, in steps of 8 bits."""

SWAY, TILT, BREATH = 9.0, 0.8, 0.012
"""A hand-held camera's movement: pixels, degrees and share of the scale, to either side."""


def still_cases(data: Path) -> list[Case]:
    """Every held-out cut-out of ``data``, head and shoulders on a room.

    Raises:
        InputError: there is none, or no held-out room.
    """
    rooms = _rooms(data)
    names = sorted(split_cutouts(data)["val"])
    files = {name: data / CUTOUTS / f"{name}.webp" for name in names}
    cases = [Case(name, partial(_still, file, rooms)) for name, file in files.items() if file.is_file()]
    if not cases:
        raise InputError(f"{data / CUTOUTS} has nobody of those that cutouts.json lists under val")
    return cases


def clip_cases(data: Path, *, moving: bool) -> list[Case]:
    """Held-out keyed clips on rooms, :data:`FRAMES` consecutive frames a case.

    Args:
        moving: the room is seen by a hand-held camera; otherwise it stands still.

    Raises:
        InputError: there is no held-out clip, or no held-out room.
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
        raise InputError(f"{data} has no clip in cutclips/ that is held out of training")
    return cases


def _rooms(data: Path) -> list[Path]:
    rooms = [file for file in sorted((data / "backgrounds").glob("*.jpg")) if is_validation_room(file.stem)]
    if not rooms:
        raise InputError(f"{data / 'backgrounds'} has no room that is held out of training")
    return rooms


def _rng(name: str) -> np.random.Generator:
    return np.random.default_rng(zlib.crc32(name.encode()))


def _still(file: Path, rooms: list[Path]) -> Iterator[Truth]:
    rng = _rng(file.stem)
    rgba = read(file)
    if rgba.ndim != 3 or rgba.shape[2] != 4:
        raise InputError(f"{file} has no alpha channel")
    alpha = np.ascontiguousarray(rgba[..., 3])
    foreground = extended(np.ascontiguousarray(rgba[..., 2::-1]), alpha)
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
        front = _warped(extended(foreground, alpha), matrix)
        matte = _warped(alpha, matrix, border=False)
        behind = _handheld(room, number / 30, phases) if moving else room
        truth = _composite(front, matte, behind)
        noisy = truth.rgb + rng.normal(0, NOISE, truth.rgb.shape)
        yield Truth(np.clip(noisy + 0.5, 0, 255).astype(np.uint8), truth.alpha, truth.foreground)


def _placing(scale: float, point: tuple[float, float], target: tuple[float, float]) -> NDArray[np.float64]:
    """(2, 3) affine map that scales and brings (x, y) ``point`` to ``target``; edges, not pixel centres."""
    shift = [t - 0.5 - scale * (p - 0.5) for p, t in zip(point, target, strict=True)]
    return np.array([[scale, 0, shift[0]], [0, scale, shift[1]]])


def _warped(picture: Picture, matrix: NDArray[np.float64], *, border: bool = True) -> Picture:
    """``picture`` under a scaling ``matrix``, averaged if it shrinks; colours go on beyond its border."""
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
    """The middle of ``room``, ``margin`` times as large as a picture."""
    height, width = round(HEIGHT * margin), round(WIDTH * margin)
    scale = max(height / room.shape[0], width / room.shape[1])
    size = max(width, round(room.shape[1] * scale)), max(height, round(room.shape[0] * scale))
    large = np.asarray(cv2.resize(room, size, interpolation=cv2.INTER_CUBIC), np.uint8)
    top, left = (size[1] - height) // 2, (size[0] - width) // 2
    return large[top : top + height, left : left + width]


def _handheld(room: Picture, seconds: float, phases: NDArray[np.float64]) -> Picture:
    """A picture's part of ``room`` after so many seconds: four slow swings, each of two frequencies."""
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
