"""Pictures that Python programs hold (arrays, PIL images, tensors, encoded bytes) as frames."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from tempfile import mkstemp
from typing import TYPE_CHECKING, Any, cast

import cv2
import numpy as np

from livematte.device.cuda import on_gpu
from livematte.device.transfer import to_host
from livematte.errors import InputError, OptionError
from livematte.frame import Array, Channels, ColorInfo, Frame
from livematte.kernels.convert import to_rgb
from livematte.options.values import has_member, is_like, path_text, short
from livematte.parts import named_errors
from livematte.protocols import Source, SourceInfo
from livematte.registry import reason
from livematte.video import trial_decode
from livematte.video.camera import open_camera
from livematte.video.pixel_limit import check_size
from livematte.video.reader import FileSource, open_video

if TYPE_CHECKING:
    from livematte.frame import Picture

_END: Any = object()
_CAMERAS = 10_000
"""No camera has a higher number."""
TICK = Fraction(1, 30)
"""Time base of pictures that come without a time: one tick each."""
ROUNDING = 1e-2
"""Largest distance of a float picture's values from [0, 1]."""
_WANTED = (
    "use a (height, width, 3) array of uint8 or float, a PIL image, a torch tensor or the bytes of a "
    "picture file"
)
_PIL_MODES = frozenset({"1", "L", "P", "RGB", "RGBX", "CMYK", "YCbCr", "HSV", "LAB"})
_PIL_ALPHA_MODES = frozenset({"LA", "La", "PA", "RGBA", "RGBa"})


def picture_frame(picture: Picture, channels: Channels = "rgb", count: int = 0) -> Frame:
    """Return a picture as a frame. The planes of an array, a PIL image or a tensor are copies.

    Args:
        picture: (h, w, 3) or (h, w, 4), uint8 or float in [0, 1]; a PIL image, as its pixels are stored; the
            bytes or the path of a picture file, turned upright as its EXIF data says; or a frame.
        channels: order of the channels of an array or a tensor.
        count: number of pictures before it; its presentation time is ``count`` / 30 seconds.

    Raises:
        OptionError: another type.
        InputError: another shape, values out of range, or a file that cannot be decoded.
    """
    if isinstance(picture, Frame):
        return picture
    if isinstance(picture, (str, os.PathLike)):
        return replace(_decode(path_text("picture", picture)), pts=count, time_base=TICK)
    if isinstance(picture, (bytes, bytearray, memoryview)):
        return replace(_decode_bytes(bytes(picture)), pts=count, time_base=TICK)
    if is_pil(picture):
        return _frame(_pil_array(picture), "rgb", count)
    return _frame(_array(picture), channels, count)


def is_pil(value: object) -> bool:
    """Return True for a PIL image, without importing PIL."""
    module = sys.modules.get("PIL.Image")
    return module is not None and isinstance(value, module.Image)


def is_array_like(value: object) -> bool:
    """Return True for an array or a tensor of any library."""
    return on_gpu(value) or has_member(value, "__array__")


def is_picture(value: object) -> bool:
    """Return True for a picture in memory: an array, a tensor, a PIL image, a frame or bytes."""
    in_memory = isinstance(value, (bytes, bytearray, memoryview, Frame))
    return in_memory or is_pil(value) or is_array_like(value)


def _array(picture: Any) -> Array:
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(picture, torch.Tensor):
        tensor = picture.detach().cpu()
        return (tensor.float() if tensor.is_floating_point() else tensor).numpy()
    if on_gpu(picture):
        return to_host(picture)
    if not is_array_like(picture):
        raise OptionError(f"a picture cannot be a {type(picture).__name__}: {_WANTED}")
    try:
        return np.asarray(picture)
    except Exception as error:  # of an object that only claims to be an array
        raise InputError(f"a {type(picture).__name__} gives no array: {reason(error)}") from error


def _pil_array(image: Any) -> Array:
    if image.mode in _PIL_ALPHA_MODES or (image.mode in _PIL_MODES and "transparency" in image.info):
        return np.asarray(image.convert("RGBA"))
    if image.mode not in _PIL_MODES:
        raise InputError(f"a PIL image of mode {image.mode} has no colours of 8 bits: convert it to RGB")
    return np.asarray(image.convert("RGB"))


def _frame(array: Array, channels: Channels, count: int) -> Frame:
    """(h, w, 3) or (h, w, 4) as planes in FFmpeg's order G, B, R, A."""
    if array.ndim != 3 or array.shape[2] not in (3, 4) or min(array.shape) < 1:
        hint = ""
        if array.ndim == 3 and array.shape[0] in (3, 4):
            hint = "; the channels come last: picture.permute(1, 2, 0) or numpy.moveaxis(picture, 0, 2)"
        elif array.ndim == 4:
            hint = "; for several pictures, use livematte.mattes"
        raise InputError(
            f"a picture of shape {tuple(array.shape)} is invalid: use (height, width, 3), or 4 with "
            f"alpha{hint}"
        )
    check_size(array.shape[1], array.shape[0], "the picture")
    first, green, third, *alpha = (
        np.ascontiguousarray(plane) for plane in cv2.split(np.ascontiguousarray(_bytes(array)))
    )
    red, blue = (first, third) if channels == "rgb" else (third, first)
    return Frame(
        (green, blue, red, *alpha),
        "gbrap" if alpha else "gbrp",
        count,
        TICK,
        1,
        ColorInfo("rgb", full_range=True, matrix_tag=0, range_tag=2),
    )


def _bytes(array: Array) -> Array:
    if array.dtype == np.uint8:
        return array
    if not np.issubdtype(array.dtype, np.floating):
        raise InputError(
            f"a picture of {array.dtype} is invalid: use uint8 with 0 to 255, or float with 0 to 1"
        )
    low, high = float(array.min()), float(array.max())  # both NaN if anything is
    if not (low >= -ROUNDING and high <= 1 + ROUNDING):
        outside = high if high > 1 + ROUNDING else low
        raise InputError(
            f"a float picture with a value of {outside:.4g} is invalid: use 0 to 1, or uint8 with 0 to 255"
        )
    return np.rint(array.clip(0, 1).astype(np.float32) * 255).astype(np.uint8)


def _decode(path: str | os.PathLike[str]) -> Frame:
    trial_decode.check(path)
    with open_video(os.fspath(path)) as source:
        return first_picture(source, path)


def first_picture(source: FileSource, path: str | os.PathLike[str]) -> Frame:
    """Return the first frame of a file. Raises InputError if there is none."""
    frame = next(iter(source), None)
    if frame is None:
        raise InputError(f"{os.fspath(path)} contains no picture that can be decoded")
    return frame


def _decode_bytes(data: bytes) -> Frame:
    """Decode a picture file in memory through a temporary file, so that a crash of a decoder is caught."""
    if not data:
        raise InputError("the picture has no bytes (0 bytes)")
    handle, name = mkstemp(prefix="livematte-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        return _decode(name)
    except InputError as error:
        raise InputError(str(error).replace(str(Path(name)), f"the picture of {len(data)} bytes")) from None
    finally:
        with suppress(OSError):
            os.unlink(name)


def picture_array(frame: Frame, channels: Channels = "rgb") -> Array:
    """Return a frame as (h, w, 3) uint8, or (h, w, 4) with straight alpha if its format has alpha."""
    rgb = to_rgb(frame) if channels == "rgb" else to_rgb(frame)[..., ::-1]
    if not frame.pixel_format.alpha:
        return np.ascontiguousarray(rgb)
    alpha = frame.planes[-1] * (255 / frame.pixel_format.maximum)
    return np.dstack([rgb, np.rint(alpha).astype(np.uint8)])


class PictureSource:
    """Pictures of any iterable as a source of frames (protocols.Source), 30 per second.

    Attributes:
        info: properties of the first picture.
        notes: always empty.
    """

    def __init__(self, pictures: Iterable[Picture], channels: Channels = "rgb") -> None:
        """Take the first picture. Raises InputError if there is none, and as :func:`picture_frame`."""
        self._given, self._channels = pictures, channels
        self.notes: list[str] = []
        with named_errors("iterable", pictures, InputError):
            self._pictures = iter(pictures)
        first = self._next()
        if first is _END:
            raise InputError("there is no picture: give at least one")
        self._first = picture_frame(first, channels)
        self.info = SourceInfo(
            "pictures",
            *self._first.size,
            self._first.format,
            self._first.time_base,
            1 / TICK,
            color=self._first.color,
        )
        self._started = False

    def __iter__(self) -> Iterator[Frame]:
        """Yield the pictures as frames, in order, once. Raises as :func:`picture_frame`."""
        if self._started:
            raise InputError("the pictures can be iterated only once: make the iterator again")
        self._started = True
        yield self._first
        count = 1
        while (picture := self._next()) is not _END:
            yield picture_frame(picture, self._channels, count)
            count += 1

    def _next(self) -> Any:
        with named_errors("iterable", self._given, InputError):
            return next(self._pictures, _END)

    def close(self) -> None:
        """Close a generator; other iterables need nothing."""
        close = getattr(self._pictures, "close", None)
        if close is not None:
            with suppress(ValueError):  # it is running
                close()


def open_pictures(given: Source | Iterable[Picture] | int, channels: Channels = "rgb") -> Source:
    """Return a source of frames: itself, the camera with this number, or the pictures of an iterable.

    Raises:
        OptionError: none of these.
        InputError: there is no such camera, or no first picture.
    """
    if isinstance(given, int) and not isinstance(given, bool):
        if not 0 <= given < _CAMERAS:
            raise OptionError(f"input {short(given)} is invalid: cameras are numbered from 0, the first one")
        return open_camera(str(given))
    if is_like(given, Source) and not isinstance(given, type):
        return cast(Source, given)
    if is_picture(given) and getattr(given, "ndim", 0) != 4:
        raise OptionError("this is one picture, several are needed: use livematte.image or livematte.Matter")
    if not is_like(given, Iterable) or isinstance(given, (type, Mapping)):
        raise OptionError(
            f"input {short(given)} is invalid: use a path, the number of a camera, pictures in a list or "
            "another iterable, or an object with the methods of livematte.protocols.Source"
        )
    return PictureSource(cast("Iterable[Picture]", given), channels)
