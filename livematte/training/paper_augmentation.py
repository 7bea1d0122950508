"""Augmentation as papers on matting print it: crops around soft pixels, flips, turns, gamma, two objects.

What each of them says, for :class:`PaperAugmentation`:

- FBA sec. 3.6: sides 320, 480, 640; trimaps of 3 to 25 pixels; flip, mirroring, gamma, brightness; a second
  object half of the time, as Tang et al. 2019 do it. How much gamma and brightness is not said.
- AdaMatting sec. 4.1: sides from 320 to 800, resized to 320; random flip, resize of 0.75 to 1.5, rotation
  within 45 degrees.
- Late Fusion sec. 4: sides 512 and 800 around a pixel of the transition, random flip and rotation; how far
  it is turned is not said.
- JMNet sec. 3.5: sides 320, 480, 640, resized to 320; horizontal flip; trimaps of 5 to 20 pixels.

Everything is drawn from one ``numpy`` generator. Colours beyond the alpha have to be the foreground's
(:mod:`livematte.training.foregrounds`), or turning and resizing spills them.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from livematte.errors import UsageError
from livematte.training.augment import Example, Placed, _moved
from livematte.training.data import PeopleStore, Picture
from livematte.training.loading import covering

Rng = np.random.Generator


@dataclass(frozen=True)
class PaperAugmentation:
    """How examples are drawn.

    Attributes:
        sides: of the square crop in the photograph, in pixels; one is drawn. Of a photograph that is
            smaller, all of its shorter side is taken and enlarged.
        size: height and width of the example; None leaves the crop as it is.
        radii: pixels by which solid regions lose to the trimap's unknown region, drawn for each of the two.
        turn: at most so many degrees to either side.
        scale: smallest and largest factor of an additional resize.
        mirror: flip left and right, half of the time.
        flip: flip top and bottom, half of the time.
        tone: standard deviation of the logarithm of gamma, and of brightness; foreground and background are
            toned apart.
        second: how often a second object is put behind the first.
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
    """``rgb``, ``foreground``, ``background`` (S, S, 3), ``alpha``, ``trimap`` (S, S): uint8.

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
    """One person in front of a background, with joints; ``tone``, ``second`` and ``radii`` do not count."""
    person = _object(rng, people, how)
    background = room_crop(rng, people.room(int(rng.integers(len(people.rooms)))), person.alpha.shape[0])
    a = person.alpha[..., None].astype(np.float32) / 255
    rgb = (background + a * (person.foreground.astype(np.float32) - background) + 0.5).astype(np.uint8)
    return Example(rgb, person.alpha, (person,), background)


def square(height: int, width: int) -> int:
    """The side of a square crop.

    Raises:
        UsageError: it is not square.
    """
    if height != width:
        raise UsageError(f"crops of {height}x{width}: a printed size is trained on squares ([[320, 320]])")
    return height


def soft_pixel(rng: Rng, alpha: Picture) -> tuple[float, float]:
    """(y, x) of a pixel that is neither solid foreground nor solid background; any where there is none."""
    soft = np.flatnonzero((alpha > 5) & (alpha < 250))
    chosen = soft[rng.integers(len(soft))] if len(soft) else rng.integers(alpha.size)
    return float(chosen // alpha.shape[1]), float(chosen % alpha.shape[1])


def kept_inside(middle: tuple[float, float], side: int, shape: tuple[int, ...]) -> tuple[float, float]:
    """``middle`` moved so that a crop of ``side`` around it is in a picture of (height, width) ``shape``."""
    half = (side - 1) / 2
    y, x = (min(max(v, half), n - 1 - half) for v, n in zip(middle, shape, strict=True))
    return y, x


def crop_matrix(
    rng: Rng, middle: tuple[float, float], side: int, size: int, how: PaperAugmentation
) -> NDArray[np.float64]:
    """(2, 3) map from the photograph's (x, y) to the example's: crop, resize, turn and flips at once.

    Args:
        middle: (y, x) in the photograph that comes to the middle of the example.
        side: pixels of the photograph that ``size`` pixels of the example show, before the resize.
    """
    factor = size / side * float(np.exp(rng.uniform(*np.log(how.scale))))
    angle = np.radians(rng.uniform(-how.turn, how.turn))
    turn = factor * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    turn[0] *= -1 if how.mirror and rng.random() < 0.5 else 1
    turn[1] *= -1 if how.flip and rng.random() < 0.5 else 1
    centre = (size - 1) / 2
    return np.hstack((turn, ([centre, centre] - turn @ [middle[1], middle[0]])[:, None]))


def warped(picture: Picture, matrix: NDArray[np.float64], size: int) -> Picture:
    """A square of ``size``: ``picture`` under ``matrix``, averaged if it shrinks, mirrored at its border."""
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
    """One object before another as a single one (Tang et al. 2019, "Learning-Based Sampling").

    alpha = 1 - (1 - alpha_1) (1 - alpha_2), and the foreground that makes alpha times it both of them seen
    over nothing. Where alpha is zero it is the first's.
    """
    a, b = (x[..., None].astype(np.float32) / 255 for x in (alpha, alpha_behind))
    both = 1 - (1 - a) * (1 - b)
    seen = a * foreground + (1 - a) * b * behind
    colours = np.where(both > 0, seen / np.maximum(both, 1e-6), foreground)
    return np.clip(colours + 0.5, 0, 255).astype(np.uint8), (both[..., 0] * 255 + 0.5).astype(np.uint8)


def pixel_trimap(rng: Rng, alpha: Picture, radii: tuple[int, int]) -> Picture:
    """0, 128 and 255 (H, W): solid regions shrunk by a disk each, whose radius is drawn from ``radii``."""
    background, foreground = (
        _eroded(solid, int(rng.integers(radii[0], radii[1] + 1))) for solid in (alpha == 0, alpha == 255)
    )
    out = np.full(alpha.shape, 128, np.uint8)
    out[background] = 0
    out[foreground] = 255
    return out


def _eroded(solid: NDArray[np.bool_], radius: int) -> NDArray[np.bool_]:
    """Beyond the picture's border everything counts as solid."""
    disk = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    return np.asarray(cv2.erode(solid.astype(np.uint8), disk), np.bool_)


def toned(rng: Rng, picture: Picture, strength: float) -> Picture:
    """Gamma and brightness through one table for all channels."""
    gamma, gain = np.exp(rng.normal(0, strength, 2))
    table = np.clip(np.linspace(0, 1, 256) ** gamma * gain, 0, 1) * 255 + 0.5
    return np.asarray(cv2.LUT(picture, table.astype(np.uint8)))


def room_crop(rng: Rng, room: Picture, side: int) -> Picture:
    """A square of a background, which is enlarged where it is smaller; flipped half of the time."""
    rows, columns = room.shape[:2]
    top = int(rng.integers(max(rows - side, 0) + 1))
    left = int(rng.integers(max(columns - side, 0) + 1))
    out = covering(room[top:, left:], (side, side))
    return np.ascontiguousarray(out[:, ::-1] if rng.random() < 0.5 else out)


def _object(rng: Rng, people: PeopleStore, how: PaperAugmentation, size: int | None = None) -> Placed:
    """Somebody, around a soft pixel."""
    number = people.draw(rng)
    person = people.person(number)
    side = int(rng.choice(how.sides))
    size = size or how.size or side
    side = min(side, *person.alpha.shape)
    middle = kept_inside(soft_pixel(rng, person.alpha), side, person.alpha.shape)
    matrix = crop_matrix(rng, middle, side, size, how)
    joints = _moved(people.keypoints(number), matrix)
    return Placed(warped(person.foreground, matrix, size), warped(person.alpha, matrix, size), joints)
