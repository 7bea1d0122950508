"""Augmentation as described in the papers: crops around soft pixels, flips, rotation, gamma, two objects.

The settings of the papers for :class:`PaperAugmentation`:

- FBA sec. 3.6: sides 320, 480, 640; trimap radii of 3 to 25 pixels; flip, mirroring, gamma, brightness; a
  second object with probability 0.5, as in Tang et al. 2019. The strength of gamma and brightness is not
  given.
- AdaMatting sec. 4.1: sides from 320 to 800, resized to 320; random flip; resize by 0.75 to 1.5; rotation by
  up to 45 degrees.
- Late Fusion sec. 4: sides 512 and 800 around a pixel of the transition; random flip and rotation. The
  maximum angle is not given.
- JMNet sec. 3.5: sides 320, 480, 640, resized to 320; horizontal flip; trimap radii of 5 to 20 pixels.

All random numbers come from one ``numpy`` generator. Colours of pixels with alpha 0 must be foreground
colours (:mod:`livematte.training.foregrounds`), since rotation and resizing mix them into the result.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from livematte.errors import UsageError
from livematte.training.augment import Example, PlacedPerson, _transform_keypoints
from livematte.training.data import PeopleStore, Picture
from livematte.training.loading import crop_to_cover

Rng = np.random.Generator


@dataclass(frozen=True)
class PaperAugmentation:
    """Settings of the augmentation.

    Attributes:
        sides: possible sides of the square crop in the photograph, in pixels. In a smaller photograph, the
            side is the photograph's shorter side.
        size: height and width to which the crop is resized; None does not resize it.
        radii: smallest and largest erosion radius of the trimap's solid regions, in pixels; drawn separately
            for foreground and background.
        turn: maximum rotation in degrees, in both directions.
        scale: smallest and largest factor of an additional resize.
        mirror: flip left and right with probability 0.5.
        flip: flip top and bottom with probability 0.5.
        tone: standard deviation of the logarithm of gamma and of brightness; drawn separately for foreground
            and background.
        second: probability of a second object behind the first.
    """

    sides: tuple[int, ...] = (320, 480, 640)
    size: int | None = None
    radii: tuple[int, int] = (3, 25)
    turn: float = 0.0
    scale: tuple[float, float] = (1.0, 1.0)
    mirror: bool = True
    flip: bool = False
    tone: float = 0.0
    second: float = 0.0


def paper_example(rng: Rng, people: PeopleStore, how: PaperAugmentation) -> dict[str, Picture]:
    """Return one training sample.

    Returns:
        ``rgb``, ``foreground``, ``background`` (S, S, 3), and ``alpha``, ``trimap`` (S, S), all uint8, with
        rgb = alpha * foreground + (1 - alpha) * background, rounded.
    """
    first = _object(rng, people, how)
    foreground, alpha = first.foreground, first.alpha
    if rng.random() < how.second:
        behind = _object(rng, people, how, alpha.shape[0])
        foreground, alpha = merged(foreground, alpha, behind.foreground, behind.alpha)
    side = alpha.shape[0]
    background = room_crop(rng, people.room(int(rng.integers(len(people.rooms)))), side)
    if how.tone:
        foreground, background = toned(rng, foreground, how.tone), toned(rng, background, how.tone)
    a = alpha[..., None].astype(np.float32) / 255
    rgb = (background + a * (foreground.astype(np.float32) - background) + 0.5).astype(np.uint8)
    trimap = pixel_trimap(rng, alpha, how.radii)
    return {"rgb": rgb, "alpha": alpha, "trimap": trimap, "foreground": foreground, "background": background}


def paper_portrait(rng: Rng, people: PeopleStore, how: PaperAugmentation) -> Example:
    """Return one person on a background, with joints; ``tone``, ``second`` and ``radii`` are not used."""
    person = _object(rng, people, how)
    background = room_crop(rng, people.room(int(rng.integers(len(people.rooms)))), person.alpha.shape[0])
    a = person.alpha[..., None].astype(np.float32) / 255
    rgb = (background + a * (person.foreground.astype(np.float32) - background) + 0.5).astype(np.uint8)
    return Example(rgb, person.alpha, (person,), background)


def square(height: int, width: int) -> int:
    """Return the side of a square crop.

    Raises:
        UsageError: ``height`` and ``width`` differ.
    """
    if height != width:
        raise UsageError(
            f"crops of {height}x{width} are invalid: sizes as printed in a paper need square crops, such as "
            "[[320, 320]]"
        )
    return height


def soft_pixel(rng: Rng, alpha: Picture) -> tuple[float, float]:
    """Draw the (y, x) of a soft pixel, with alpha from 6 to 249; of any pixel if none is soft."""
    soft = np.flatnonzero((alpha > 5) & (alpha < 250))
    chosen = soft[rng.integers(len(soft))] if len(soft) else rng.integers(alpha.size)
    return float(chosen // alpha.shape[1]), float(chosen % alpha.shape[1])


def kept_inside(middle: tuple[float, float], side: int, shape: tuple[int, ...]) -> tuple[float, float]:
    """Move ``middle`` (y, x) so that a crop of ``side`` around it is inside a (height, width) ``shape``."""
    half = (side - 1) / 2
    y, x = (min(max(v, half), n - 1 - half) for v, n in zip(middle, shape, strict=True))
    return y, x


def crop_matrix(
    rng: Rng, middle: tuple[float, float], side: int, size: int, how: PaperAugmentation
) -> NDArray[np.float64]:
    """Return the (2, 3) affine matrix from photograph to sample (x, y): crop, resize, rotation and flips.

    Args:
        middle: (y, x) in the photograph of the sample's centre.
        side: side of the crop in the photograph, in pixels, before the additional resize.
        size: side of the sample, in pixels.
    """
    factor = size / side * float(np.exp(rng.uniform(*np.log(how.scale))))
    angle = np.radians(rng.uniform(-how.turn, how.turn))
    turn = factor * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    turn[0] *= -1 if how.mirror and rng.random() < 0.5 else 1
    turn[1] *= -1 if how.flip and rng.random() < 0.5 else 1
    centre = (size - 1) / 2
    return np.hstack((turn, ([centre, centre] - turn @ [middle[1], middle[0]])[:, None]))


def warped(picture: Picture, matrix: NDArray[np.float64], size: int) -> Picture:
    """Apply ``matrix`` to ``picture``; return a square of ``size``.

    If the picture gets smaller, it is averaged; outside its border it is mirrored.
    """
    factor = float(np.sqrt(abs(np.linalg.det(matrix[:, :2]))))
    if factor < 0.75:  # warpAffine does not average: shrink first so that hair does not alias
        rows, columns = picture.shape[:2]
        smaller = max(1, round(columns * factor)), max(1, round(rows * factor))
        picture = np.asarray(cv2.resize(picture, smaller, interpolation=cv2.INTER_AREA), np.uint8)
        ratio = np.array([columns / smaller[0], rows / smaller[1]])
        linear = matrix[:, :2] * ratio
        shift = matrix[:, 2] + matrix[:, :2] @ ((ratio - 1) / 2)  # pixels are squares, not points
        matrix = np.hstack((linear, shift[:, None]))
    out = cv2.warpAffine(
        picture, matrix, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101
    )
    return np.asarray(out, np.uint8)


def merged(
    foreground: Picture, alpha: Picture, behind: Picture, alpha_behind: Picture
) -> tuple[Picture, Picture]:
    """Merge an object and a second one behind it (Tang et al. 2019, "Learning-Based Sampling").

    Returns:
        Straight foreground and alpha = 1 - (1 - alpha_1) (1 - alpha_2). Alpha times the foreground is the
        first object composited over the second. Where alpha is 0, the foreground is that of the first.
    """
    a, b = (x[..., None].astype(np.float32) / 255 for x in (alpha, alpha_behind))
    both = 1 - (1 - a) * (1 - b)
    seen = a * foreground + (1 - a) * b * behind
    colours = np.where(both > 0, seen / np.maximum(both, 1e-6), foreground)
    return np.clip(colours + 0.5, 0, 255).astype(np.uint8), (both[..., 0] * 255 + 0.5).astype(np.uint8)


def pixel_trimap(rng: Rng, alpha: Picture, radii: tuple[int, int]) -> Picture:
    """Return a trimap (H, W) of 0, 128 and 255; solid regions are eroded by disks with random ``radii``."""
    background, foreground = (
        _eroded(solid, int(rng.integers(radii[0], radii[1] + 1))) for solid in (alpha == 0, alpha == 255)
    )
    out = np.full(alpha.shape, 128, np.uint8)
    out[background] = 0
    out[foreground] = 255
    return out


def _eroded(solid: NDArray[np.bool_], radius: int) -> NDArray[np.bool_]:
    """Erode a region; pixels outside the picture count as solid."""
    disk = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    return np.asarray(cv2.erode(solid.astype(np.uint8), disk), np.bool_)


def toned(rng: Rng, picture: Picture, strength: float) -> Picture:
    """Change gamma and brightness at random, with one lookup table for all channels."""
    gamma, gain = np.exp(rng.normal(0, strength, 2))
    table = np.clip(np.linspace(0, 1, 256) ** gamma * gain, 0, 1) * 255 + 0.5
    return np.asarray(cv2.LUT(picture, table.astype(np.uint8)))


def room_crop(rng: Rng, room: Picture, side: int) -> Picture:
    """Return a random square crop of a background, enlarged if it is too small; mirrored half of the time."""
    rows, columns = room.shape[:2]
    top = int(rng.integers(max(rows - side, 0) + 1))
    left = int(rng.integers(max(columns - side, 0) + 1))
    out = crop_to_cover(room[top:, left:], (side, side))
    return np.ascontiguousarray(out[:, ::-1] if rng.random() < 0.5 else out)


def _object(rng: Rng, people: PeopleStore, how: PaperAugmentation, size: int | None = None) -> PlacedPerson:
    """Return a random person, cropped around a soft pixel."""
    number = people.draw(rng)
    person = people.person(number)
    side = int(rng.choice(how.sides))
    size = size or how.size or side
    side = min(side, *person.alpha.shape)
    middle = kept_inside(soft_pixel(rng, person.alpha), side, person.alpha.shape)
    matrix = crop_matrix(rng, middle, side, size, how)
    joints = _transform_keypoints(people.keypoints(number), matrix)
    return PlacedPerson(warped(person.foreground, matrix, size), warped(person.alpha, matrix, size), joints)
