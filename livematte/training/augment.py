"""Training pictures: augmented photographs, and people composited on backgrounds.

All random numbers come from one ``numpy`` generator, so a picture is reproducible from its seed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from livematte.training.data import Keypoints, PeopleStore, Picture

Rng = np.random.Generator
Box = tuple[int, int, int, int]

WHOLE_VIEW = 0.3
"""Share of the photographs of which the largest crop is taken, with as much of the room as there is."""

MIRRORED = (0, 1, 5, 6, 7, 2, 3, 4, 8, 12, 13, 14, 9, 10, 11, 16, 15, 18, 17, 22, 23, 24, 19, 20, 21)
"""Index of the BODY_25 joint that each joint becomes when the picture is mirrored."""


@dataclass(frozen=True)
class PlacedPerson:
    """One person in a training picture, before simulation of the camera."""

    foreground: Picture
    """(H, W, 3) straight RGB, extended to pixels with alpha 0."""
    alpha: Picture
    """(H, W) 0..255."""
    keypoints: Keypoints | None
    """(25, 3) in pixels, possibly outside the picture; None if there are no annotations."""


@dataclass(frozen=True)
class Example:
    """A training picture and its ground truth; all pictures are uint8 with the same height and width."""

    rgb: Picture
    """(H, W, 3), after simulation of the camera."""
    alpha: Picture
    """(H, W), the union of all people."""
    people: tuple[PlacedPerson, ...]
    """In order from back to front; can be empty."""
    background: Picture | None
    """(H, W, 3) RGB before simulation of the camera; None for a photograph."""

    def foreground(self) -> Picture:
        """Return the straight foreground (H, W, 3) RGB of all people.

        alpha * foreground + (1 - alpha) * background is the composite before simulation of the camera. Where
        alpha is 0, the colours are those of the front person, or 0 if there are no people.
        """
        premultiplied = np.zeros(self.rgb.shape, np.float32)
        total = np.zeros((*self.alpha.shape, 1), np.float32)
        for person in self.people:
            a = person.alpha[..., None].astype(np.float32) / 255
            premultiplied += a * (person.foreground - premultiplied)
            total += a * (1 - total)
        rest = self.people[-1].foreground if self.people else np.zeros_like(self.rgb)
        straight = np.where(total > 0, premultiplied / np.maximum(total, 1e-6), rest)
        return (straight + 0.5).astype(np.uint8)


def _resize(picture: Picture, height: int, width: int) -> Picture:
    shrink = height * width < picture.shape[0] * picture.shape[1]
    method = cv2.INTER_AREA if shrink else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(picture, (width, height), interpolation=method), np.uint8)


def _transform_keypoints(keypoints: Keypoints | None, matrix: NDArray[np.float64]) -> Keypoints | None:
    """Apply an affine (2, 3) ``matrix`` to joints; if it mirrors, left and right joints are exchanged."""
    if keypoints is None:
        return None
    out = keypoints.copy()
    out[:, :2] = keypoints[:, :2] @ matrix[:, :2].T + matrix[:, 2]
    return out[list(MIRRORED)] if np.linalg.det(matrix[:, :2]) < 0 else out


def person_box(rng: Rng, box: Box, shape: tuple[int, int]) -> Box:
    """Draw the visible part of a person: whole person, upper body, or head and shoulders.

    Boxes of standing people are tall; cutting them imitates the framing of a webcam.

    Args:
        box: left, top, width and height of the person in the photograph.
    """
    x, y, w, h = box
    tall = h / max(w, 1)
    draw = rng.random()
    if tall > 2.0 and draw < 0.62:  # a whole body: cut to the desk or to the face
        h = int(h * (rng.uniform(0.16, 0.3) if draw < 0.2 else rng.uniform(0.3, 0.6)))
    elif tall > 1.2 and draw < 0.4:
        h = int(h * rng.uniform(0.45, 0.85))
    if rng.random() < 0.14:  # no head: a person who stands up, or a camera that is too low
        y += int(h * (rng.uniform(0.25, 0.5) if tall > 1.2 else rng.uniform(0.5, 0.7)))
        h = int(h * rng.uniform(0.3, 0.5 if tall > 1.2 else 0.3))
    return x, y, max(w, 8), max(h, 8)


def _photograph(rng: Rng, store: PeopleStore, height: int, width: int) -> Example:
    """Return a crop (height, width) of a photograph around a person, before simulation of the camera."""
    number = store.draw(rng, whole=True)
    entry, person = store.people[number], store.person(number)
    rows, columns = person.alpha.shape
    x, y, w, h = person_box(rng, tuple(entry["box"]), (rows, columns))
    aspect = width / height
    side = max(h, w / aspect) * rng.uniform(0.8, 1.7)
    if rng.random() < WHOLE_VIEW:
        side = rows
    side = min(side, rows, columns / aspect)
    ch, cw = max(int(side), 16), max(int(side * aspect), 16)
    cx = x + w / 2 + rng.normal(0, 0.15) * cw
    cy = y + h / 2 + rng.normal(0, 0.12) * ch
    left = int(np.clip(cx - cw / 2, 0, max(columns - cw, 0)))
    top = int(np.clip(cy - ch / 2, 0, max(rows - ch, 0)))
    window = np.s_[top : top + ch, left : left + cw]
    pictures = [_resize(p[window], height, width) for p in (person.image, person.foreground, person.alpha)]
    sx, sy = width / cw, height / ch
    matrix = np.array([[sx, 0, (0.5 - left) * sx - 0.5], [0, sy, (0.5 - top) * sy - 0.5]])
    if rng.random() < 0.5:
        pictures = [np.ascontiguousarray(p[:, ::-1]) for p in pictures]
        matrix = np.array([[-sx, 0, width - 1 - matrix[0, 2]], matrix[1]])
    image, foreground, alpha = pictures
    placed = PlacedPerson(foreground, alpha, _transform_keypoints(store.keypoints(number), matrix))
    return Example(image, alpha, (placed,), None)


def _background(rng: Rng, store: PeopleStore, height: int, width: int) -> Picture:
    """Return a crop of a background, sometimes blurred; with a probability of 0.1, a plain or shaded wall."""
    if rng.random() < 0.1:
        corners = rng.integers(0, 256, (2, 2, 3))
        if rng.random() < 0.5:
            corners = np.clip(corners[:1, :1] + rng.integers(-30, 30, (2, 2, 3)), 0, 255)
        return _resize(corners.astype(np.uint8), height, width)
    room = store.room(int(rng.integers(len(store.rooms))))
    rows, columns = room.shape[:2]
    aspect = width / height * rng.uniform(0.8, 1.25)
    side = min(rows, columns / aspect) * rng.uniform(0.4, 1.0)
    ch, cw = max(int(side), 16), max(int(side * aspect), 16)
    top, left = int(rng.integers(rows - ch + 1)), int(rng.integers(max(columns - cw, 0) + 1))
    out = _resize(room[top : top + ch, left : left + cw], height, width)
    if rng.random() < 0.5:
        out = out[:, ::-1]
    if rng.random() < 0.3:
        sigma = float(rng.uniform(0.5, 5)) * height / 160
        out = np.asarray(cv2.GaussianBlur(out, (0, 0), sigma), np.uint8)
    return out


def _tone(rng: Rng, picture: Picture, strength: float) -> Picture:
    """Change exposure, contrast, gamma and colour cast at random, with one lookup table per channel."""
    levels = np.linspace(0, 1, 256, dtype=np.float32)
    gamma = float(np.exp(rng.normal(0, 0.35 * strength)))
    gain = np.exp(rng.normal(0, 0.2 * strength)) * np.exp(rng.normal(0, 0.07 * strength, 3))
    lift = rng.normal(0, 0.05 * strength)
    table = np.clip((levels[:, None] ** gamma) * gain + lift, 0, 1)
    return np.asarray(cv2.LUT(np.ascontiguousarray(picture), (table * 255).astype(np.uint8)[:, None, :]))


def _place(rng: Rng, store: PeopleStore, height: int, width: int) -> PlacedPerson:
    """Return one person at a random position and scale on an empty canvas (height, width)."""
    number = store.draw(rng)
    entry, person = store.people[number], store.person(number)
    rows, columns = person.alpha.shape
    x, y, w, h = person_box(rng, tuple(entry["box"]), (rows, columns))
    whole = y + h >= entry["box"][1] + entry["box"][3] and y + h < rows - 3
    scale = rng.uniform(0.45, 1.15) * height / h
    scale = min(scale, rng.uniform(0.5, 1.6) * width / w)
    if h < 1.6 * w and rng.random() < 0.15:  # close to the camera, as wide as the picture
        scale = rng.uniform(0.8, 1.5) * width / w
    angle = float(rng.normal(0, 5)) if rng.random() < 0.4 else 0.0
    flip = -1.0 if rng.random() < 0.5 else 1.0
    cx = width * (0.5 + rng.normal(0, 0.18))
    bottom = height * (rng.uniform(0.85, 1.1) if whole else rng.uniform(1.0, 1.12))
    cos, sin = np.cos(np.radians(angle)) * scale, np.sin(np.radians(angle)) * scale
    linear = np.array([[cos * flip, -sin], [sin * flip, cos]])
    anchor = np.array([x + w / 2, y + h])
    matrix = np.hstack((linear, (np.array([cx, bottom]) - linear @ anchor)[:, None]))
    keypoints = _transform_keypoints(store.keypoints(number), matrix)
    source_f, source_a = person.foreground, person.alpha
    if scale < 0.6:  # warpAffine does not average: shrink first so that small people do not alias
        factor = scale / 0.75
        source_f = _resize(source_f, max(int(rows * factor), 1), max(int(columns * factor), 1))
        source_a = _resize(source_a, source_f.shape[0], source_f.shape[1])
        matrix[:, 0] *= columns / source_a.shape[1]
        matrix[:, 1] *= rows / source_a.shape[0]
    foreground = cv2.warpAffine(
        source_f, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    alpha = cv2.warpAffine(source_a, matrix, (width, height), flags=cv2.INTER_LINEAR)
    return PlacedPerson(np.asarray(foreground, np.uint8), np.asarray(alpha, np.uint8), keypoints)


def _add_pattern(rng: Rng, person: PlacedPerson) -> PlacedPerson:
    """Draw checks or stripes on the clothes: below the neck if annotated, else on the lower two thirds."""
    height, width = person.alpha.shape
    rows = np.flatnonzero(person.alpha.max(1) > 128)
    if rows.size < 8:
        return person
    joints = person.keypoints
    neck = joints[1, 1] if joints is not None and joints[1, 2] > 0.3 else rows[0] + rows.size / 3
    top = int(np.clip(neck, 0, height))
    period = rng.uniform(0.03, 0.3) * height
    across, down = [(1.0, 1.0), (1.0, 0.0), (0.0, 1.0)][int(rng.integers(3))]
    edge = rng.uniform(1, 6)
    x = np.tanh(edge * np.sin(2 * np.pi * (np.arange(width) / period + rng.random())))
    y = np.tanh(edge * np.sin(2 * np.pi * (np.arange(top, height) / period + rng.random())))
    bands = (across * x[None, :] + down * y[:, None])[..., None]
    colour = rng.uniform(10, 45) * (1 + rng.normal(0, 0.4, 3))
    out = person.foreground.copy()
    out[top:] = np.clip(out[top:] + bands * colour, 0, 255).astype(np.uint8)
    return replace(person, foreground=out)


def _vary(rng: Rng, person: PlacedPerson) -> PlacedPerson:
    """Give some people patterned clothes, and most of them other colours."""
    if rng.random() < 0.12:
        person = _add_pattern(rng, person)
    if rng.random() < 0.7:
        person = replace(person, foreground=_tone(rng, person.foreground, 0.7))
    return person


def _camouflage(rng: Rng, background: Picture, person: PlacedPerson) -> Picture:
    """Shift the background's colours towards those of a person's clothes, which makes matting harder."""
    height = person.alpha.shape[0]
    rows = np.flatnonzero(person.alpha.max(1) > 128)
    if rows.size < 8:
        return background
    lower = np.s_[int(rows[0] + 0.3 * rows.size) : height]
    clothes = person.foreground[lower][person.alpha[lower] > 200].astype(np.float32)
    if len(clothes) < 16:
        return background
    room = background.astype(np.float32)
    mean, spread = room.mean((0, 1)), room.std() + 4
    share = rng.uniform(0.5, 1.0)
    gain = (1 - share) + share * np.clip((clothes.std() + 4) / spread, 0.3, 1.5)
    shift = mean + share * (clothes.mean(0) - mean)
    return np.asarray(np.clip((room - mean) * gain + shift, 0, 255), np.uint8)


def _composite(rng: Rng, store: PeopleStore, height: int, width: int) -> Example:
    """Composite zero to two people on a background, before simulation of the camera."""
    background = _tone(rng, _background(rng, store, height, width), 1.0)
    placed = []
    draw = rng.random()
    people = 0 if draw < 0.03 else 2 if draw < 0.2 else 1
    for _ in range(people):
        placed.append(_vary(rng, _place(rng, store, height, width)))
    if placed and rng.random() < 0.2:
        background = _camouflage(rng, background, placed[-1])
    return _blend(background, placed)


def _blend(background: Picture, placed: Sequence[PlacedPerson]) -> Example:
    """Composite people on a background, the last one in front."""
    picture = background.astype(np.float32)
    total = np.zeros(background.shape[:2], np.float32)
    for person in placed:
        alpha = person.alpha.astype(np.float32) / 255
        picture += alpha[..., None] * (person.foreground - picture)
        total += alpha * (1 - total)
    alpha8 = (total * 255 + 0.5).astype(np.uint8)
    return Example(picture.astype(np.uint8), alpha8, tuple(placed), background)


def _simulate_camera(rng: Rng, picture: Picture) -> Picture:
    """Simulate a webcam: tone, blur, noise, JPEG compression."""
    height, width = picture.shape[:2]
    picture = _tone(rng, picture, 1.0)
    if rng.random() < 0.08:
        grey = picture @ np.array([0.299, 0.587, 0.114], np.float32)
        picture = np.repeat(grey.astype(np.uint8)[..., None], 3, 2)
    if rng.random() < 0.25:
        k = float(rng.uniform(0.3, 1.2))
        picture = np.asarray(cv2.GaussianBlur(picture, (0, 0), k))
    elif rng.random() < 0.1:  # motion
        length = int(rng.integers(3, 8))
        kernel = np.zeros((length, length), np.float32)
        cv2.line(kernel, (0, int(rng.integers(length))), (length - 1, int(rng.integers(length))), 1.0)
        picture = np.asarray(cv2.filter2D(picture, -1, kernel / kernel.sum()))
    if rng.random() < 0.4:
        noise = rng.normal(0, rng.uniform(1, 9), (height, width, 3)).astype(np.float32)
        if rng.random() < 0.5:
            noise = np.asarray(cv2.blur(noise, (2, 2))) * 1.6
        picture = np.clip(picture + noise, 0, 255).astype(np.uint8)
    if rng.random() < 0.3:
        quality = int(rng.integers(35, 90))
        _, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])
        picture = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR))
    return picture


def training_example(
    rng: Rng, store: PeopleStore, height: int, width: int, composited: float = 0.65
) -> Example:
    """Return one augmented picture with its ground truth.

    Args:
        composited: probability of a composite, whose alpha is exact. The others are photographs with the
            alpha of the data set. Without photographs all are composites.
    """
    whole = rng.random() >= composited and "photograph" in store.indices_by_kind()
    make = _photograph if whole else _composite
    example = make(rng, store, height, width)
    return replace(example, rgb=_simulate_camera(rng, example.rgb))


def training_picture(
    rng: Rng, store: PeopleStore, height: int, width: int, composited: float = 0.65
) -> tuple[Picture, Picture]:
    """Return only the picture (H, W, 3) RGB and the alpha (H, W) of :func:`training_example`, both uint8."""
    example = training_example(rng, store, height, width, composited)
    return example.rgb, example.alpha


def validation_picture(store: PeopleStore, number: int) -> tuple[Picture, Picture, Picture]:
    """Composite person ``number`` on a background, at the size of the person's photograph.

    The same number always gives the same picture.

    Returns:
        picture (H, W, 3), alpha (H, W) and straight foreground (H, W, 3), all uint8.
    """
    rng = np.random.default_rng(number)
    person = store.person(number)
    rows, columns = person.alpha.shape
    room = store.room(int(rng.integers(len(store.rooms))))
    scale = max(rows / room.shape[0], columns / room.shape[1])
    size = max(rows, round(room.shape[0] * scale)), max(columns, round(room.shape[1] * scale))
    room = _resize(room, *size)
    top, left = (size[0] - rows) // 2, (size[1] - columns) // 2
    background = room[top : top + rows, left : left + columns].astype(np.float32)
    alpha = person.alpha.astype(np.float32)[..., None] / 255
    picture = background + alpha * (person.foreground - background)
    return (picture + 0.5).astype(np.uint8), person.alpha, person.foreground
