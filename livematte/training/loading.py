"""Load a sample of a data set as arrays: photograph, straight foreground and alpha."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from livematte.errors import InputError
from livematte.training.cutouts import luma, without_bars
from livematte.training.data import Person, Picture
from livematte.training.datasets import VIDEOS, Sample
from livematte.training.foregrounds import Estimator, blur_fusion, extend_colors, push_pull

if TYPE_CHECKING:
    import av

GREY = 128
"""Grey level of the background of foregrounds without one."""


def load(
    sample: Sample,
    *,
    long_side: int | None = None,
    estimate: Estimator | None = None,
    background: Picture | None = None,
) -> Person:
    """Load a sample: photograph, straight foreground of all pixels, and alpha; uint8 with equal sizes.

    Args:
        long_side: larger pictures are resized to this long side, in pixels.
        estimate: foreground estimator for photographs; default is :func:`blur_fusion` for ``livematte``
            folders and :func:`push_pull` for others. Foregrounds from the data set are only extended to
            pixels with alpha 0 (FBA sec. 3.5).
        background: (h, w, 3) RGB, on which a foreground from the data set is composited; the top left part is
            used, after enlargement if it is too small (as in the script of Composition-1k). Default is grey.

    Raises:
        InputError: a file is missing or cannot be read, or sizes differ. The message names the sample.
    """
    if sample.alpha is None:
        raise InputError(f"{sample.layout} {sample.name}: there is no alpha for {sample.picture}")
    picture = to_rgb(read(sample.picture, sample.frame))
    if sample.layout == "livematte" and sample.frame is not None:
        alpha = without_bars(luma(_frame(sample.alpha, sample.frame)))
    else:
        alpha = _alpha(read(sample.alpha, sample.frame))
    if picture.shape[:2] != alpha.shape:
        sizes = [f"{a.shape[1]}x{a.shape[0]}" for a in (picture, alpha)]
        raise InputError(
            f"{sample.layout} {sample.name}: the picture is {sizes[0]} but {sample.alpha} is {sizes[1]}"
        )
    scale = min(1.0, (long_side or max(alpha.shape)) / max(alpha.shape))
    size = max(1, round(alpha.shape[1] * scale)), max(1, round(alpha.shape[0] * scale))
    if sample.image is not None:
        estimate = estimate or (blur_fusion if sample.layout == "livematte" else push_pull)
        image, alpha = shrink(picture, size), shrink(alpha, size)
        return Person(sample.name, image, estimate(image, alpha), alpha, scale)
    foreground, alpha = _shrink_matte(picture, alpha, size)
    foreground = extend_colors(foreground, alpha)
    behind = np.full_like(foreground, GREY) if background is None else crop_to_cover(background, size)
    a = alpha[..., None].astype(np.float32) / 255
    image = (behind + a * (foreground.astype(np.float32) - behind) + 0.5).astype(np.uint8)
    return Person(sample.name, image, foreground, alpha, scale)


def read(file: Path, frame: int | None = None) -> NDArray[Any]:
    """Read a picture file as (H, W) grey or (H, W, 3 or 4) BGR(A) uint8, or a video frame as BGR.

    Raises:
        InputError: the file cannot be read.
    """
    if file.suffix.lower() in VIDEOS:
        return np.asarray(_frame(file, frame or 0).to_ndarray(format="bgr24"))
    try:
        data = np.fromfile(file, np.uint8)  # imread fails for some file names on Windows
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror}") from error
    array = cv2.imdecode(data, cv2.IMREAD_UNCHANGED) if data.size else None
    if array is None:
        raise InputError(f"{file} is not a picture in a supported format")
    return np.asarray(array // 257 if array.dtype == np.uint16 else array)


def _frame(video: Path, number: int) -> av.VideoFrame:
    """Decode frame ``number`` (from 0) of a video, starting at the key frame before it."""
    import av

    from livematte.video.container import ffmpeg_name

    try:
        with av.open(ffmpeg_name(video)) as container:
            stream = container.streams.video[0]
            rate, base = stream.average_rate, stream.time_base
            start = stream.start_time or 0
            wanted = start + round(number / (rate * base)) if rate and base else 0
            container.seek(wanted, stream=stream)
            last = None
            for last in container.decode(stream):
                if last.pts is None or last.pts >= wanted:
                    break
            if last is None:
                raise InputError(f"{video} has no frame {number}")
            return last
    except (av.FFmpegError, IndexError) as error:
        raise InputError(f"{video} is not a readable video: {error}") from error


def to_rgb(array: NDArray[Any]) -> Picture:
    """Convert a result of :func:`read` to (H, W, 3) RGB uint8."""
    if array.ndim == 2:
        return np.asarray(cv2.cvtColor(array, cv2.COLOR_GRAY2RGB), np.uint8)
    return np.ascontiguousarray(array[..., 2::-1], np.uint8)


def _alpha(array: NDArray[Any]) -> Picture:
    """Return the alpha channel if it is not 255 everywhere, otherwise the grey value, as (H, W) uint8."""
    if array.ndim == 3 and array.shape[2] == 4 and array[..., 3].min() < 255:
        array = array[..., 3]
    return np.ascontiguousarray(array if array.ndim == 2 else array[..., 1], np.uint8)


def shrink(picture: Picture, size: tuple[int, int]) -> Picture:
    """Resize to (width, height) ``size`` with area averaging."""
    if (picture.shape[1], picture.shape[0]) == size:
        return picture
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)


def _shrink_matte(foreground: Picture, alpha: Picture, size: tuple[int, int]) -> tuple[Picture, Picture]:
    """Resize straight foreground and alpha; colours are weighted by alpha."""
    if (alpha.shape[1], alpha.shape[0]) == size:
        return foreground, alpha
    weight = alpha.astype(np.float32)[..., None]
    sums = cv2.resize(foreground * weight, size, interpolation=cv2.INTER_AREA)
    weights = cv2.resize(weight, size, interpolation=cv2.INTER_AREA)
    colours = sums / np.maximum(weights, 1e-3)[..., None]
    return np.clip(colours + 0.5, 0, 255).astype(np.uint8), (weights + 0.5).astype(np.uint8)


def crop_to_cover(background: Picture, size: tuple[int, int]) -> Picture:
    """Return the top left (width, height) ``size`` of a background, which is enlarged first if too small."""
    width, height = size
    scale = max(1.0, height / background.shape[0], width / background.shape[1])
    if scale > 1:
        whole = math.ceil(background.shape[1] * scale), math.ceil(background.shape[0] * scale)
        background = np.asarray(cv2.resize(background, whole, interpolation=cv2.INTER_CUBIC), np.uint8)
    return background[:height, :width]
