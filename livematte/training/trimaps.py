"""Training samples for networks with a trimap input: crops around soft outlines, and random trimaps.

A trimap is (H, W) uint8: 0 background, 128 unknown, 255 foreground. All random numbers come from one
``numpy`` generator, so a sample is reproducible from its seed.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from livematte.training.augment import Rng, _background, _tone
from livematte.training.data import PeopleStore, Picture

BACKGROUND, UNKNOWN, FOREGROUND = 0, 128, 255

LOW, HIGH = 5, 250
"""Alpha <= LOW is solid background, alpha >= HIGH solid foreground, since 8-bit mattes contain noise."""

SMALLEST = 256
"""Minimum longer side of photographs, in pixels; smaller ones have no fine detail."""


def exact_trimap(alpha: Picture) -> Picture:
    """Return the trimap in which exactly the soft pixels are unknown (AdaMatting eq. 2)."""
    return _trimap(alpha <= LOW, alpha >= HIGH)


def eroded_trimap(rng: Rng, alpha: Picture) -> Picture:
    """Return a trimap with solid regions eroded by random radii, up to a tenth of the shorter side.

    All its known pixels are correct. "Random erode and dilate": AdaMatting sec. 4.1, after Xu et al. 2017,
    "Deep Image Matting".
    """
    reach = max(2, min(alpha.shape) // 10)
    background, foreground = (
        _erode(solid, int(rng.integers(0, reach + 1))) for solid in (alpha <= LOW, alpha >= HIGH)
    )
    return _trimap(background, foreground)


def coarse_trimap(rng: Rng, alpha: Picture) -> Picture:
    """Simulate a trimap made from the alpha of a network without trimap, at a size 2.5 to 8 times smaller.

    It has the typical errors of such an alpha: displaced and smooth outlines, missing thin structures, and
    sometimes a region assigned to the wrong side. Known pixels can therefore be wrong.
    """
    height, width = alpha.shape
    factor = float(np.exp(rng.uniform(np.log(2.5), np.log(8))))
    rows, columns = max(round(height / factor), 4), max(round(width / factor), 4)
    small = np.asarray(cv2.resize(alpha, (columns, rows), interpolation=cv2.INTER_AREA), np.float32)
    soft = cv2.resize(
        _degraded(rng, small / np.float32(255)), (width, height), interpolation=cv2.INTER_LINEAR
    )
    low, high = rng.uniform(0.02, 0.2, 2)
    radius = factor * float(np.exp(rng.uniform(np.log(0.3), np.log(3.5))))
    radius = min(radius, min(height, width) / 5)
    return _trimap(_erode(soft <= low, radius), _erode(soft >= 1 - high, radius))


def random_trimap(rng: Rng, alpha: Picture, coarse: float = 0.5) -> Picture:
    """Return a random trimap of (H, W) uint8 ``alpha``.

    Args:
        coarse: probability of :func:`coarse_trimap`; the others are from :func:`eroded_trimap`.
    """
    return coarse_trimap(rng, alpha) if rng.random() < coarse else eroded_trimap(rng, alpha)


def edge_crop(
    rng: Rng, people: PeopleStore, height: int, width: int
) -> tuple[Picture, Picture, Picture, Picture]:
    """Return a crop around a person's soft outline, composited on a background.

    Its resolution is close to that of the photograph.

    Returns:
        rgb (H, W, 3), alpha (H, W), straight foreground (H, W, 3) and background (H, W, 3), all uint8.
        Except for blur, noise and compression, rgb = alpha * foreground + (1 - alpha) * background.
    """
    foreground, alpha = _outline_crop(rng, people, height, width)
    if rng.random() < 0.35:
        foreground, alpha = add_strands(rng, foreground, alpha)
    background = _room_crop(rng, people, height, width)
    if rng.random() < 0.7:
        foreground, background = _tone(rng, foreground, 0.5), _tone(rng, background, 0.7)
    rgb, foreground, background = simulate_photograph(rng, foreground, alpha, background)
    return rgb, alpha, foreground, background


def simulate_photograph(
    rng: Rng, foreground: Picture, alpha: Picture, background: Picture
) -> tuple[Picture, Picture, Picture]:
    """Composite the layers and simulate a camera.

    The same random tone is applied to both layers; blur, noise and compression only to the composite.

    Args:
        foreground, background: (H, W, 3) uint8.
        alpha: (H, W) uint8.

    Returns:
        Picture, and foreground and background with the camera's tone.
    """
    table = int(rng.integers(1 << 31))
    foreground, background = (
        _tone(np.random.default_rng(table), picture, 0.7) for picture in (foreground, background)
    )
    a = alpha[..., None].astype(np.float32) / 255
    rgb = background + a * (foreground.astype(np.float32) - background)
    return _simulate_sensor(rng, (rgb + 0.5).astype(np.uint8)), foreground, background


def _trimap(background: NDArray[np.bool_], foreground: NDArray[np.bool_]) -> Picture:
    out = np.full(background.shape, UNKNOWN, np.uint8)
    out[background] = BACKGROUND
    out[foreground] = FOREGROUND
    return out


def _erode(mask: NDArray[np.bool_], radius: float) -> NDArray[np.bool_]:
    """Erode a region; it is not eroded from the picture's border."""
    if radius < 1 or mask.all():
        return mask
    inside = cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5)
    return np.asarray(inside > radius, np.bool_)


def _smooth_noise(rng: Rng, shape: tuple[int, int], sigma: float) -> NDArray[np.float32]:
    """Return Gaussian noise with standard deviation 1, blurred by ``sigma`` pixels."""
    noise = rng.normal(0, 1, shape).astype(np.float32)
    noise = np.asarray(cv2.GaussianBlur(noise, (0, 0), sigma), np.float32)
    return noise / max(float(noise.std()), 1e-6)


def _degraded(rng: Rng, alpha: NDArray[np.float32]) -> NDArray[np.float32]:
    """Add the typical errors of a small network to an (h, w) float32 alpha."""
    shape = alpha.shape[0], alpha.shape[1]
    if rng.random() < 0.3:  # removes thin structures or closes narrow gaps
        operation = cv2.MORPH_OPEN if rng.random() < 0.7 else cv2.MORPH_CLOSE
        alpha = np.asarray(cv2.morphologyEx(alpha, operation, np.ones((3, 3), np.uint8)), np.float32)
    if rng.random() < 0.8:  # displaced outlines
        strength, grain = rng.uniform(0.1, 1.0), float(rng.uniform(1.5, 6))
        y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
        x += np.float32(strength) * _smooth_noise(rng, shape, grain)
        y += np.float32(strength) * _smooth_noise(rng, shape, grain)
        alpha = np.asarray(
            cv2.remap(alpha, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), np.float32
        )
    if rng.random() < 0.7:
        alpha = np.asarray(cv2.GaussianBlur(alpha, (0, 0), float(rng.uniform(0.3, 1.3))), np.float32)
    gain, bias = float(np.exp(rng.normal(0.25, 0.25))), float(rng.normal(0, 0.06))
    alpha = (alpha - 0.5) * gain + 0.5 + bias
    if rng.random() < 0.5:
        alpha = alpha + float(rng.uniform(0, 0.1)) * _smooth_noise(rng, shape, float(rng.uniform(1, 4)))
    if rng.random() < 0.2:  # assigns a region to the wrong side
        y, x = (float(rng.uniform(0, n)) for n in shape)
        rows, columns = np.ogrid[: shape[0], : shape[1]]
        radius = float(rng.uniform(0.05, 0.2)) * min(shape)
        distance = ((rows - y) ** 2 + (columns - x) ** 2) / radius**2
        alpha = alpha + (1.2 if rng.random() < 0.5 else -1.2) * np.exp(-distance)
    return np.clip(alpha, 0, 1).astype(np.float32)


def _outline_crop(rng: Rng, people: PeopleStore, height: int, width: int) -> tuple[Picture, Picture]:
    """Return straight foreground and alpha around a soft pixel, with random flip, rotation and resize.

    The rotation is up to 45 degrees. The resize factor is 0.4 to 1.5, and larger if the photograph would not
    fill the crop. AdaMatting sec. 4.1 resizes crops of 320 to 800 pixels to 320 and then by 0.75 to 1.5,
    which is 0.3 to 1.5 in total.
    """
    sides = [max(entry["shape"]) for entry in people.people]
    number = people.draw(rng)
    while sides[number] < min(SMALLEST, max(sides)):
        number = people.draw(rng)
    person = people.person(number)
    ys, xs = np.nonzero((person.alpha > LOW) & (person.alpha < HIGH))
    if len(ys):
        chosen = int(rng.integers(len(ys)))
        y, x = float(ys[chosen]), float(xs[chosen])
    else:  # hard edges only
        left, top, w, h = people.people[number]["box"]
        y, x = top + h * rng.random(), left + w * rng.random()
    rows, columns = person.alpha.shape
    smallest = max(0.4, height / rows, width / columns)
    scale = float(np.exp(rng.uniform(np.log(smallest), np.log(max(1.5, smallest)))))
    angle = np.radians(rng.uniform(-45, 45)) if rng.random() < 0.5 else 0.0
    flip = -1.0 if rng.random() < 0.5 else 1.0
    reach = np.array([width, height]) / (2 * scale)  # keeps the window in the photograph, except its corners
    middle = np.array([x, y]) + rng.uniform(-0.6, 0.6, 2) * reach
    middle = np.clip(middle, reach, np.maximum(np.array([columns, rows]) - reach, reach))
    source_f, source_a, shrink = person.foreground, person.alpha, 1.0
    if scale < 0.75:  # warpAffine does not average: shrink first so that hair does not alias
        shrink = scale
        source_f, source_a = (
            np.asarray(cv2.resize(p, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)
            for p in (source_f, source_a)
        )
    cos, sin = np.cos(angle) * scale / shrink, np.sin(angle) * scale / shrink
    turn = np.array([[cos * flip, -sin], [sin * flip, cos]])
    matrix = np.hstack((turn, (np.array([width, height]) / 2 - turn @ middle * shrink)[:, None]))
    foreground, alpha = (
        np.asarray(
            cv2.warpAffine(
                p, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101
            ),
            np.uint8,
        )
        for p in (source_f, source_a)
    )
    return foreground, alpha


def add_strands(rng: Rng, foreground: Picture, alpha: Picture) -> tuple[Picture, Picture]:
    """Draw strands of hair that start at the outline into foreground and alpha; alpha never decreases.

    Mattes predicted by a network contain almost no single hairs, so a model could not learn them otherwise.
    """
    ys, xs = np.nonzero((alpha > 64) & (alpha < 192))
    if not len(ys):
        return foreground, alpha
    chosen = int(rng.integers(len(ys)))  # hair grows on one part of the outline
    near = np.hypot(ys - ys[chosen], xs - xs[chosen]) < rng.uniform(0.1, 0.5) * min(alpha.shape)
    ys, xs = ys[near], xs[near]
    smooth = cv2.GaussianBlur(alpha.astype(np.float32), (0, 0), 3)
    outwards = -np.stack((cv2.Sobel(smooth, -1, 1, 0), cv2.Sobel(smooth, -1, 0, 1)), -1)
    common = rng.normal(0, 0.6, 2)  # combed, or blown by wind
    bend, longest = rng.normal(0, 0.5), rng.uniform(0.05, 0.25) * max(alpha.shape)
    painted, grown = foreground.copy(), np.zeros_like(alpha)
    along = np.linspace(0, 1, 8)[:, None]
    for _ in range(int(rng.integers(4, 40))):
        root = int(rng.integers(len(ys)))
        y, x = int(ys[root]), int(xs[root])
        normal = outwards[y, x] / max(float(np.hypot(*outwards[y, x])), 1e-6)
        way = normal + common + rng.normal(0, 0.3, 2)
        side = np.array([-way[1], way[0]]) * (bend + rng.normal(0, 0.3))
        points = (
            np.array([x, y]) - 3 * normal + longest * rng.uniform(0.2, 1) * (along * way + along**2 * side)
        )
        path = [np.round(points * 8).astype(np.int32)]
        inner = np.clip((np.array([x, y]) - 4 * normal).round(), 0, np.array(alpha.shape)[::-1] - 1)
        colour = foreground[int(inner[1]), int(inner[0])] * float(rng.uniform(0.8, 1.2))
        cv2.polylines(painted, path, False, np.clip(colour, 0, 255).tolist(), 4, cv2.LINE_8, 3)
        strand = np.zeros_like(alpha)
        cv2.polylines(strand, path, False, int(rng.uniform(50, 255)), 1, cv2.LINE_AA, 3)
        np.maximum(grown, strand, out=grown)
    return np.where(alpha[..., None] > 127, foreground, painted), np.maximum(alpha, grown)


def _room_crop(rng: Rng, people: PeopleStore, height: int, width: int) -> Picture:
    """Return a background crop (height, width), magnified by a random factor of up to 2."""
    near = float(rng.uniform(1, 2))
    rows, columns = int(height * near), int(width * near)
    whole = _background(rng, people, rows, columns)
    top, left = int(rng.integers(rows - height + 1)), int(rng.integers(columns - width + 1))
    return np.ascontiguousarray(whole[top : top + height, left : left + width])


def _simulate_sensor(rng: Rng, picture: Picture) -> Picture:
    """Simulate blur, noise and compression of a full-size camera picture, without changes of tone."""
    if rng.random() < 0.2:
        picture = np.asarray(cv2.GaussianBlur(picture, (0, 0), float(rng.uniform(0.3, 0.9))), np.uint8)
    if rng.random() < 0.4:
        noise = rng.normal(0, rng.uniform(1, 7), picture.shape).astype(np.float32)
        if rng.random() < 0.5:
            noise = np.asarray(cv2.blur(noise, (2, 2)), np.float32) * 1.6
        picture = np.clip(picture + noise, 0, 255).astype(np.uint8)
    if rng.random() < 0.4:
        _, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(40, 95))])
        picture = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)
    return picture
