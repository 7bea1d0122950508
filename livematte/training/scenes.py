"""Training pictures with people of any size and number, and with relighting.

They are like those of :mod:`livematte.training.augment`, except for position and size of people. A picture
has zero (3 %), one (82 %), two or three people. A person's height is 0.1 to 1.8 times that of the picture.
People are at the bottom edge, or are cut by any other edge. Some pictures are photographs.
"""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from livematte.training.augment import (
    Box,
    Example,
    PlacedPerson,
    Rng,
    _background,
    _blend,
    _camouflage,
    _photograph,
    _resize,
    _simulate_camera,
    _tone,
    _transform_keypoints,
    _vary,
)
from livematte.training.data import PeopleStore, Person, Picture

WHOLE = 0.25
"""Probability of a photograph with its own background."""

PLAIN = 0.08
"""Probability that the background of a composite is from :func:`augment._background`."""


FURNITURE = 0.4
"""Probability that dark objects, or objects in the colours of a person's clothes, stand behind the person."""


def scene_example(rng: Rng, store: PeopleStore, height: int, width: int) -> Example:
    """Return one training picture (H, W) with its ground truth."""
    if rng.random() < WHOLE and "photograph" in store.indices_by_kind():
        example = _photograph(rng, store, height, width)
    else:
        example = composite_scene(rng, store, height, width)
    return replace(example, rgb=_simulate_camera(rng, example.rgb))


def composite_scene(rng: Rng, store: PeopleStore, height: int, width: int) -> Example:
    """Composite zero to three people on a background, before simulation of the camera."""
    background = _tone(rng, room(rng, store, height, width), 1.0)
    draw = rng.random()
    count = 0 if draw < 0.03 else 1 if draw < 0.85 else 2 if draw < 0.95 else 3
    placed = []
    for _ in range(count):
        person = _vary(rng, place_person(rng, store, height, width))
        if rng.random() < 0.5:
            person = replace(person, foreground=relight(rng, person.foreground, person.alpha))
        placed.append(person)
    if placed and rng.random() < 0.15:
        background = _camouflage(rng, background, placed[-1])
    if placed and rng.random() < FURNITURE:
        background = add_furniture(rng, background, placed[-1])
    return _blend(background, placed)


def room(rng: Rng, store: PeopleStore, height: int, width: int) -> Picture:
    """Return a background (H, W, 3): a random crop, magnified by up to 1.8 relative to the largest crop.

    With probability :data:`PLAIN`, it is from :func:`augment._background`.
    """
    if rng.random() < PLAIN:
        return _background(rng, store, height, width)
    whole = store.room(int(rng.integers(len(store.rooms))))
    rows, columns = whole.shape[:2]
    scale = max(height / rows, width / columns) * rng.uniform(1, 1.8)
    h, w = min(rows, max(1, round(height / scale))), min(columns, max(1, round(width / scale)))
    top, left = int(rng.integers(rows - h + 1)), int(rng.integers(columns - w + 1))
    out = _resize(whole[top : top + h, left : left + w], height, width)
    if rng.random() < 0.5:
        out = np.ascontiguousarray(out[:, ::-1])
    if rng.random() < 0.35:
        sigma = float(rng.uniform(0.5, 4)) * height / 250
        out = np.asarray(cv2.GaussianBlur(out, (0, 0), sigma), np.uint8)
    return out


def add_furniture(rng: Rng, background: Picture, person: PlacedPerson) -> Picture:
    """Draw one to four objects such as chair backs and screens, mostly beside the person's shoulders.

    They are near black or have the mean colour of the person's clothes, are lit from one side, and have the
    texture of the background. Without them a network takes a dark chair beside a dark jacket for the person.
    """
    height, width = person.alpha.shape
    rows = np.flatnonzero(person.alpha.max(1) > 128)
    if rows.size < 8:
        return background
    size = float(np.clip(rows.size, 0.2 * height, height))
    columns = np.flatnonzero(person.alpha.max(0) > 128)
    lower = np.s_[int(rows[0] + 0.4 * rows.size) : height]
    clothes = person.foreground[lower][person.alpha[lower] > 200]
    out = background.astype(np.float32)
    for _ in range(int(rng.integers(1, 5))):
        if len(clothes) > 16 and rng.random() < 0.55:
            colour = clothes.mean(0) * rng.uniform(0.6, 1.3)
        else:
            colour = rng.uniform(4, 60) * (1 + rng.normal(0, 0.1, 3))
        side = int(rng.integers(2))
        near = float(columns[-1] if side else columns[0]) + rng.normal(0, 0.25) * size
        middle = np.array([near if rng.random() < 0.75 else rng.uniform(0, width), 0.0])
        middle[1] = rows[0] + size * rng.uniform(0.2, 1.1)
        half = size * rng.uniform(0.08, 0.4, 2)
        mask = _rounded_shape(rng, middle, half, height, width)[..., None]
        light = 1 + rng.uniform(-0.6, 0.6) * (np.linspace(-0.5, 0.5, width, dtype=np.float32)[None, :, None])
        texture = rng.uniform(0, 0.5) * (background.astype(np.float32) - float(background.mean()))
        out += mask * (np.clip(colour * light + texture, 0, 255) - out)
    return np.asarray(np.clip(out, 0, 255), np.uint8)


def _rounded_shape(
    rng: Rng,
    middle: np.ndarray[tuple[int], np.dtype[np.float64]],
    half: np.ndarray[tuple[int], np.dtype[np.float64]],
    height: int,
    width: int,
) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    """Return a mask (H, W) in [0, 1] of a superellipse, from round to almost rectangular.

    It is slightly rotated, sometimes wider at the top, and often reaches the bottom edge, as a chair does.
    """
    angle = np.radians(rng.normal(0, 12))
    power = float(rng.choice([2.0, 3.0, 5.0, 8.0]))
    x, y = np.meshgrid(np.arange(width) - middle[0], np.arange(height) - middle[1])
    u = np.abs(x * np.cos(angle) + y * np.sin(angle)) / half[0]
    v = (y * np.cos(angle) - x * np.sin(angle)) / half[1]
    u = u * (1 + rng.uniform(-0.3, 0.3) * np.clip(v, -1, 1))
    if rng.random() < 0.5:
        v = np.minimum(v, 0)  # no lower end
    inside = (u**power + np.abs(v) ** power) ** (1 / power)
    softness = rng.uniform(1, 4) / float(half.min())
    return np.asarray(np.clip((1 - inside) / softness + 0.5, 0, 1), np.float32)


def visible_box(rng: Rng, box: Box, kind: str, shape: tuple[int, int]) -> Box:
    """Return left, top, width and height of the visible part of a person, often only the upper body.

    For a quarter of the photographs it is the whole photograph, so that people are cut as in the original.

    Args:
        box: bounding box of the person.
        shape: (height, width) of the photograph.
    """
    if kind == "photograph" and rng.random() < 0.25:
        return 0, 0, shape[1], shape[0]
    x, y, w, h = box
    if rng.random() < (0.55 if kind == "photograph" else 0.2):
        h = max(min(h, 40), round(h * rng.uniform(0.25 if kind == "photograph" else 0.5, 1)))
    return x, y, max(w, 1), max(h, 1)


def place_person(rng: Rng, store: PeopleStore, height: int, width: int) -> PlacedPerson:
    """Return a random person at a random position and scale on an empty canvas (H, W)."""
    number = store.draw(rng)
    entry, person = store.people[number], store.person(number)
    shape = (person.alpha.shape[0], person.alpha.shape[1])
    x, y, w, h = visible_box(rng, tuple(entry["box"]), entry["kind"], shape)
    draw = rng.random()
    low, high = (0.1, 0.4) if draw < 0.12 else (1.0, 1.8) if draw > 0.85 else (0.4, 1.1)
    scale = min(rng.uniform(low, high) * height / h, 1.5 * width / w)
    tall = scale * h
    if tall > height and rng.random() < 0.7:  # the head is visible, the rest is below the picture
        bottom = rng.uniform(-0.1, 0.12) * height + tall
    elif rng.random() < 0.75:
        bottom = height * rng.uniform(1.0, 1.12)
    else:  # any position; the top edge may cut the person
        bottom = rng.uniform(min(0, height - tall) - 0.3 * tall, max(1, height - 0.5 * tall)) + tall
    middle = width * (0.5 + rng.normal(0, 0.2))
    if rng.random() < 0.08:
        middle = width * float(rng.integers(2))
    angle = float(rng.normal(0, 6)) if rng.random() < 0.3 else 0.0
    cut = Person(
        person.name, person.image, person.foreground[: y + h], person.alpha[: y + h]
    )  # removes everything below the visible box
    flip = -1.0 if rng.random() < 0.5 else 1.0
    cos, sin = np.cos(np.radians(angle)) * scale, np.sin(np.radians(angle)) * scale
    linear = np.array([[cos * flip, -sin], [sin * flip, cos]])
    shift = np.array([middle, bottom]) - linear @ np.array([x + w / 2, y + h])
    matrix = np.hstack((linear, shift[:, None]))
    joints = store.keypoints(number)
    foreground, alpha = warped_person(cut, matrix, height, width)
    return PlacedPerson(foreground, alpha, _transform_keypoints(joints, matrix))


def warped_person(
    person: Person, matrix: np.ndarray[tuple[int, int], np.dtype[np.float64]], height: int, width: int
) -> tuple[Picture, Picture]:
    """Apply an affine (2, 3) ``matrix``, with averaging if the person gets smaller.

    Returns:
        Straight foreground (H, W, 3) and alpha (H, W), uint8.
    """
    foreground, alpha = person.foreground, person.alpha
    scale = float(np.sqrt(abs(np.linalg.det(matrix[:, :2]))))
    if scale < 0.75:  # warpAffine does not average: shrink first so that hair does not alias
        rows, columns = alpha.shape
        h, w = max(1, round(rows * scale)), max(1, round(columns * scale))
        foreground, alpha = _resize(foreground, h, w), _resize(alpha, h, w)
        matrix = np.hstack((matrix[:, :2] * [columns / w, rows / h], matrix[:, 2:]))
    size = (width, height)
    front = cv2.warpAffine(foreground, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(front, np.uint8), np.asarray(cv2.warpAffine(alpha, matrix, size), np.uint8)


def relight(rng: Rng, foreground: Picture, alpha: Picture) -> Picture:
    """Simulate light from one side: a smooth, slightly coloured gain across the person's bounding box."""
    x, y, w, h = cv2.boundingRect((alpha > 25).astype(np.uint8))
    if w == 0 or h == 0:
        return foreground
    angle, strength = rng.uniform(0, 2 * np.pi), rng.uniform(0, 0.9)
    tint = 1 + rng.normal(0, 0.12, 3)
    side = np.array([-0.5, 0.5])
    corners = side[None, :] * np.cos(angle) + side[:, None] * np.sin(angle)
    slope = np.asarray(cv2.resize(corners, (w, h), interpolation=cv2.INTER_LINEAR), np.float32)
    gain = np.exp(slope[..., None] * (strength * tint).astype(np.float32))
    out = foreground.copy()
    window = np.s_[y : y + h, x : x + w]
    out[window] = np.clip(foreground[window] * gain, 0, 255).astype(np.uint8)
    return out
