"""Backgrounds: a colour, an image, a video, the blurred room, or nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from difflib import get_close_matches
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from livematte.device.cuda import on_gpu
from livematte.device.transfer import to_gpu
from livematte.errors import InputError, UsageError
from livematte.frame import Array, Frame
from livematte.kernels.blur import blur_background
from livematte.kernels.boxes import FITS, crop, place
from livematte.kernels.color.css import COLORS, parse_color
from livematte.kernels.convert import join_planes, planes_from_rgb, split_planes, to_rgb
from livematte.kernels.hdr import is_hdr, sdr_to_hdr
from livematte.printable import quoted
from livematte.protocols import Background, Source
from livematte.video import trial_decode
from livematte.video.pixel_limit import limited_to, pixel_limit

_IMAGE_NAMES = ".png .jpg .jpeg .jpe .webp .bmp .tif .tiff .ppm .pgm .jp2 .avif .heic .heif .exr .hdr"
IMAGES = frozenset(_IMAGE_NAMES.split())
BLUR_STRENGTH = 20.0
"""Standard deviation of the default blur in pixels of a picture 720 rows high; it grows with the picture."""
STRONGEST_BLUR = 200.0
WEAKEST_LIVE_BLUR = 4.0
"""A weaker blur would show viewers the room; for a file any strength is allowed."""
_ALLOWED = "a colour (#00b140, green, white ...), an image or video file, blur, blur:N or transparent"
_WORKING_SIGMA = 3.0
"""The blur is computed on a picture reduced until its standard deviation is this: fast, and still smooth."""


def parse_background(
    spec: str | Path, *, fit: str = "cover", open_video: Callable[[str], Source] | None = None
) -> Background:
    """The background that ``spec`` names.

    Args:
        spec: ``#rgb``, ``#rrggbb`` or a CSS colour name (``green`` is the green of a green screen, #00b140),
            ``transparent``, ``blur`` or ``blur:N`` (N: standard deviation in pixels at 720 rows, up to 200),
            or the path of an image or video. A file with the name of a colour is given as ``./green`` or as a
            Path.
        fit: ``cover`` fills the frame and crops, ``contain`` shows all on black, ``stretch`` distorts. Pixel
            shapes of background and frame are taken into account.
        open_video: opens a video file; by default livematte's own reader.

    Raises:
        UsageError: none of these, or an unknown fit.
        InputError: a file that cannot be read, or that crashes a decoder; see
            :mod:`livematte.video.trial_decode`.
    """
    if fit not in FITS:
        raise UsageError(f"unknown fit {fit!r}: allowed are {', '.join(FITS)}")
    if isinstance(spec, str):
        named = _named(spec.strip())
        if named is not None:
            return named
    return _from_file(Path(spec), str(spec), fit, open_video)


def is_blur(spec: object) -> bool:
    """True if ``spec`` names the blurred room: ``blur`` or ``blur:N``."""
    return isinstance(spec, str) and spec.strip().lower().partition(":")[0] == "blur"


def _named(spec: str) -> Background | None:
    color = parse_color(spec)
    if color is not None:
        return Color(color)
    word, _, strength = spec.lower().partition(":")
    if word == "transparent" and not strength:
        return Transparent()
    if word != "blur":
        return None
    if ":" not in spec:
        return Blur(BLUR_STRENGTH)
    try:
        sigma = float(strength)
    except ValueError:
        sigma = 0.0
    if not 0 < sigma <= STRONGEST_BLUR:
        raise UsageError(
            f"blur strength {strength!r} is invalid: use a number above 0, up to {STRONGEST_BLUR:g} (blur:20)"
        )
    return Blur(sigma)


def _from_file(path: Path, spec: str, fit: str, open_video: Callable[[str], Source] | None) -> Background:
    from livematte.video.picture_sequence import is_sequence  # PyAV, with the first file only

    try:
        there = path.exists()
    except OSError:  # the name is too long
        there = False
    if there and path.is_dir():
        raise UsageError(f"background {quoted(spec)} is a folder: give a file in it, or {_ALLOWED}")
    if not there and not is_sequence(path):
        looks_like_file = path.suffix or len(path.parts) > 1
        what = "no such file" if looks_like_file else "neither a known colour nor a file"
        hint = "" if looks_like_file else _did_you_mean(spec)
        raise UsageError(f"background {quoted(spec)}: {what}; {hint}allowed are {_ALLOWED}")
    if there and path.suffix.lower() in IMAGES:
        trial_decode.check(path)
        return Image(read_image(path), fit)
    return Video(str(path), fit, open_video or _open_tried)


def _did_you_mean(word: str) -> str:
    close = get_close_matches(word.lower(), (*COLORS, "blur", "transparent"), 1)
    return f"did you mean {close[0]}? " if close else ""


def _open_tried(path: str) -> Source:
    from livematte.video import reader

    trial_decode.check(path)
    return reader.open_video(path, one_size=False)


def read_image(path: Path) -> Array:
    """(H, W, 3) uint8 RGB of an image file in square pixels, upright, with transparent parts on black.

    Of an animated WebP, the first picture is read.

    Raises:
        InputError: the file cannot be read or is no image.
    """
    from livematte.video import reader  # PyAV, with the first file only

    try:
        with reader.open_video(path) as source:
            frame = next(iter(source))
    except InputError:
        # FFmpeg lacks animated WebP.
        data = np.fromfile(path, np.uint8) if path.suffix.lower() == ".webp" else np.empty(0, np.uint8)
        found = cv2.imdecode(data, cv2.IMREAD_COLOR_RGB) if data.size else None
        if found is None:
            raise
        from livematte.video.color_profile import convert_embedded  # Pillow: pictures with a profile only

        return convert_embedded(path, found)
    return fit_picture(_on_black(frame), *frame.display_size, "stretch")


def _on_black(frame: Frame) -> Array:
    """(H, W, 3) uint8 RGB of a frame, with transparent parts on black."""
    rgb = to_rgb(frame)
    if frame.pixel_format.alpha:
        rgb = np.rint(rgb * (frame.planes[3][..., None] / np.float32(frame.pixel_format.maximum)))
    return np.asarray(rgb, np.uint8)


def fit_picture(rgb: Array, height: int, width: int, fit: str, pixel: Fraction = Fraction(1)) -> Array:
    """The picture at another size and shape.

    Args:
        rgb: (h, w, 3) or (h, w), any dtype OpenCV resizes.
        fit: one of :data:`FITS`; the bars of ``contain`` are 0.
        pixel: as for :func:`~livematte.kernels.boxes.place`.

    Returns:
        (height, width, ...) of the same dtype.
    """
    placed = place(rgb.shape[:2], (height, width), fit, pixel)
    top, bottom, left, right = placed.filled
    # Crop first: only the visible part is resized.
    shown = _scaled(crop(rgb, placed.shown), bottom - top, right - left)
    if shown.shape[:2] == (height, width):
        return shown
    out = np.zeros((height, width, *rgb.shape[2:]), rgb.dtype)
    out[top:bottom, left:right] = shown
    return out


def _scaled(rgb: Array, height: int, width: int) -> Array:
    if rgb.shape[:2] == (height, width):
        return rgb
    shrinks = height <= rgb.shape[0] and width <= rgb.shape[1]
    method = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    return cv2.resize(rgb, (width, height), interpolation=method)


class Transparent:
    """No background: the output carries alpha."""

    transparent = True

    def __call__(self, frame: Frame, alpha: Array) -> Frame:
        """The frame itself, without a background."""
        return frame

    def close(self) -> None:
        """Do nothing: there is no resource to release."""


def _planes_for(rgb: Array, frame: Frame) -> tuple[Array, ...]:
    """(h, w, 3) uint8 sRGB as planes of the frame's format and colours; in HDR as diffuse white."""
    if frame.color.icc:
        from livematte.video.color_profile import parse_profile  # Pillow: pictures with a profile only

        rgb = parse_profile(frame.color.icc).from_srgb(rgb)
    codes = sdr_to_hdr(rgb, frame.color) if is_hdr(frame.color) else rgb
    return planes_from_rgb(codes, frame.format, frame.color)


class _Converted:
    """Planes that are made once, on the frames' device, while size, format and colour stay the same."""

    def __init__(self) -> None:
        self._key: Any = None
        self._planes: tuple[Array, ...] = ()

    def get(self, frame: Frame, source: Any, make: Callable[[], tuple[Array, ...]]) -> Frame:
        there = on_gpu(frame.planes[0])
        key = (frame.size, frame.sample_aspect, frame.format, frame.color, source, there)
        if key != self._key:
            made = make()
            self._planes, self._key = tuple(map(to_gpu, made)) if there else made, key
        return frame.with_planes(self._planes)


class Color:
    """One colour everywhere."""

    transparent = False

    def __init__(self, rgb: tuple[int, int, int]) -> None:
        """Take the colour, each of red, green and blue 0..255."""
        self.rgb = rgb
        self._converted = _Converted()

    def __call__(self, frame: Frame, alpha: Array) -> Frame:
        """See :class:`~livematte.protocols.Background`."""
        return self._converted.get(frame, None, lambda: self._planes(frame))

    def _planes(self, frame: Frame) -> tuple[Array, ...]:
        codes = _planes_for(np.array([[self.rgb]], np.uint8), frame)
        return tuple(np.full(p.shape, c[0, 0], p.dtype) for p, c in zip(frame.planes, codes, strict=True))

    def close(self) -> None:
        """Do nothing: there is no resource to release."""


class Image:
    """A still picture."""

    transparent = False

    def __init__(self, rgb: Array, fit: str = "cover") -> None:
        """Take (H, W, 3) uint8 RGB, in square pixels."""
        self._rgb, self._fit = rgb, fit
        self._converted = _Converted()

    def __call__(self, frame: Frame, alpha: Array) -> Frame:
        """See :class:`~livematte.protocols.Background`."""
        return self._converted.get(frame, None, lambda: self._planes(frame))

    def _planes(self, frame: Frame) -> tuple[Array, ...]:
        return _planes_for(fit_picture(self._rgb, *frame.size, self._fit, 1 / frame.sample_aspect), frame)

    def close(self) -> None:
        """Release the picture's planes."""
        self._converted = _Converted()


class Video:
    """A video that plays at its own speed and starts again when it ends. Its transparent parts are black.

    At time t of the output it shows the file at t modulo its length, counted from its first frame. It is
    decoded while it plays: two frames are kept, whatever its length.
    """

    transparent = False

    def __init__(self, path: str, fit: str, open_video: Callable[[str], Source]) -> None:
        """Open the file.

        Raises:
            InputError: the file cannot be read or has no frame.
        """
        self._path, self._fit, self._open_video = path, fit, open_video
        self._limit = pixel_limit()
        self._converted = _Converted()
        self._source: Source | None = None
        self._length: Fraction | None = None
        self._shown = 0
        self._rewind(Fraction(0))
        if not self._still and Path(path).is_fifo():
            self.close()
            raise InputError(
                f"background {quoted(path)} is a pipe, which cannot be played again: save it as a file first"
            )

    def _rewind(self, origin: Fraction) -> None:
        """Restart at the first frame, which is shown at ``origin``."""
        self.close()
        with limited_to(self._limit):  # it is played again in another thread
            source = self._open_video(self._path)
        self._source = source
        self._frames: Iterator[Frame] = iter(source)
        first = next(self._frames, None)
        if first is None:
            raise InputError(f"background {quoted(self._path)} shows not a single frame")
        self._origin, self._start = origin, first.seconds
        self._current, self._next = first, next(self._frames, None)
        self._still = self._next is None
        self._shown += 1

    def _at(self, seconds: Fraction) -> Frame:
        if self._still:
            return self._current
        if seconds < self._origin or (self._length and seconds >= self._origin + 2 * self._length):
            # A jump: back in time, or so far ahead that decoding all frames between would be slow.
            length = self._length
            self._rewind(length * (seconds // length) if length else min(seconds, Fraction(0)))
        while True:
            due = seconds - self._origin + self._start
            while self._next is not None and self._next.seconds <= due:
                self._current, self._next = self._next, next(self._frames, None)
                self._shown += 1
            if self._next is not None:
                return self._current
            if self._length is None:
                self._length = self._current.seconds - self._start + self._last_duration()
            if due - self._start < self._length:
                return self._current
            self._rewind(self._origin + self._length * ((seconds - self._origin) // self._length))

    def _last_duration(self) -> Fraction:
        if self._current.duration > 0:
            return self._current.duration * self._current.time_base
        rate = self._source.info.average_rate if self._source is not None else None
        return 1 / rate if rate else Fraction(1, 25)

    def __call__(self, frame: Frame, alpha: Array) -> Frame:
        """See :class:`~livematte.protocols.Background`."""
        current = self._at(frame.seconds)
        return self._converted.get(frame, self._shown, lambda: self._planes(current, frame))

    def _planes(self, behind: Frame, frame: Frame) -> tuple[Array, ...]:
        ours, theirs = behind.color, frame.color
        brighter = is_hdr(theirs) and not is_hdr(ours)
        alike = (ours.matrix, ours.full_range) == (theirs.matrix, theirs.full_range) and not brighter
        pixel = behind.sample_aspect / frame.sample_aspect
        opaque = not behind.pixel_format.alpha and not theirs.icc
        if behind.format == frame.format and alike and opaque and self._fit != "contain":
            # The planes have the same meaning: resize them directly, ten times faster than through RGB.
            chroma = frame.pixel_format.chroma_size(*frame.size)
            sizes = (frame.size, chroma, chroma)
            planes = zip(split_planes(behind), sizes, strict=True)
            made = tuple(fit_picture(plane, *size, self._fit, pixel) for plane, size in planes)
            return join_planes(made, frame.pixel_format)
        rgb = fit_picture(_on_black(behind), *frame.size, self._fit, pixel)
        return (
            _planes_for(rgb, frame) if brighter or theirs.icc else planes_from_rgb(rgb, frame.format, theirs)
        )

    def close(self) -> None:
        """Close the file."""
        if self._source is not None:
            self._source.close()
            self._source = None


class Blur:
    """The room itself, blurred, without the people.

    Only background pixels are averaged (each weighted by 1 - alpha, the sum divided by the sum of the
    weights), so that no person's colour spreads, and no dark or bright rim surrounds a person.
    """

    transparent = False

    def __init__(self, strength: float = BLUR_STRENGTH) -> None:
        """Take the standard deviation in pixels of a picture 720 rows high."""
        self.strength = strength

    def __call__(self, frame: Frame, alpha: Array) -> Frame:
        """See :class:`~livematte.protocols.Background`."""
        height, width = frame.display_size  # as wide as high for the viewer
        sigma = self.strength * height / 720
        scale = min(1.0, _WORKING_SIGMA / sigma)
        h, w = max(1, round(height * scale)), max(1, round(width * scale))
        return frame.with_planes(blur_background(frame, alpha, (h, w), min(sigma, _WORKING_SIGMA)))

    def close(self) -> None:
        """Do nothing: there is no resource to release."""


ON_GPU = (Transparent, Color, Image, Video, Blur)
"""Backgrounds that work on a GPU. All others get and return frames in the computer's memory."""
