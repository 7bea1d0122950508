"""Camera modes and the choice of one of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from livematte.errors import InputError

DEFAULT_SIZE = (720, 1280)
DEFAULT_RATE = Fraction(30)
"""Size (height, width) and rate that are requested by default."""

_SMOOTH = Fraction(4, 5)
"""A smaller picture is preferred over less than this fraction of the default rate."""

_NTSC = Fraction(99, 100)
"""Tolerance by which 29.97 counts as 30."""

_ALIASES = {"yuyv": "yuyv422", "yuy2": "yuyv422", "uyvy": "uyvy422", "mjpg": "mjpeg", "jpeg": "mjpeg",
            "i420": "yuv420p"}  # fmt: skip

_CHEAP = ("nv12", "yuv420p", "yuyv422", "uyvy422", "yuv422p", "mjpeg")
"""Cheapest first: formats that need no conversion to 4:2:0 planes, then formats to be decoded.

Others rank last.
"""


@dataclass(frozen=True)
class CameraMode:
    """One size and pixel format of a camera."""

    width: int
    height: int
    pixel_format: str
    """FFmpeg's name: 'yuyv422', 'nv12', 'mjpeg'."""
    rates: tuple[Fraction, ...] = ()
    """Frames per second, highest first; empty if the driver does not list them."""

    def __str__(self) -> str:
        """Return e.g. ``1280x720 mjpeg 30 fps``."""
        fastest = f" {float(self.rates[0]):.4g} fps" if self.rates else ""
        return f"{self.width}x{self.height} {self.pixel_format}{fastest}"


@dataclass(frozen=True)
class CameraInfo:
    """A camera of the system."""

    id: str
    """Stable when cameras are plugged in in another order and, with a serial number, at another port."""
    name: str
    """Product name. Two cameras of the same model share it."""
    modes: tuple[CameraMode, ...] = ()
    """Empty if the system does not list them before the camera is opened."""
    address: str = ""
    """Address that FFmpeg opens, such as /dev/video0. May change after a restart."""
    virtual: bool = False
    """True for the output of a program, possibly livematte itself. Used only on request."""
    trouble: str = ""
    """Reason why it cannot be queried or opened, and the command that fixes it."""


@dataclass(frozen=True)
class ModeChoice:
    """A mode, the rate to request, and one line for each request that the camera does not support."""

    mode: CameraMode
    rate: Fraction | None
    notes: tuple[str, ...] = ()


def normalize_pixel_format(name: str) -> str:
    """Return FFmpeg's name of a pixel format that has several names: 'YUYV' becomes 'yuyv422'."""
    name = name.strip().lower()
    return _ALIASES.get(name, name)


def choose_mode(
    modes: Sequence[CameraMode],
    size: tuple[int, int] | None = None,
    rate: Fraction | None = None,
    pixel_format: str | None = None,
) -> ModeChoice:
    """Return the mode nearest to the request.

    A requested size takes precedence over the rate. The default size (1280x720) is replaced by a smaller one
    if only that reaches the rate. Among equal modes, the pixel format that is cheapest to convert wins.

    Args:
        modes: at least one.
        size: (height, width).
        rate: frames per second.
        pixel_format: as :func:`normalize_pixel_format` returns it; must match exactly.

    Raises:
        InputError: the camera does not have ``pixel_format``.
    """
    wanted_rate = rate or DEFAULT_RATE
    height, width = size or DEFAULT_SIZE
    fitting = [mode for mode in modes if pixel_format in (None, mode.pixel_format)]
    if not fitting:
        offered = ", ".join(sorted({mode.pixel_format for mode in modes}))
        raise InputError(f"the camera has no pixel format {pixel_format!r}: it offers {offered}")

    def rank(mode: CameraMode) -> tuple[Fraction | int, ...]:
        got = _nearest_rate(mode, wanted_rate) if mode.rates else wanted_rate
        missing = Fraction(0) if got >= wanted_rate * _NTSC else wanted_rate - got
        away = abs(mode.width - width) + abs(mode.height - height)
        too_slow = missing if missing > (1 - _SMOOTH) * wanted_rate else Fraction(0)
        cost = _CHEAP.index(mode.pixel_format) if mode.pixel_format in _CHEAP else len(_CHEAP)
        first = (away, missing) if size is not None else (too_slow, away, missing)
        return (*first, cost)

    best = min(fitting, key=rank)
    got = _nearest_rate(best, wanted_rate) if best.rates else None
    notes = []
    if size is not None and (best.height, best.width) != size:
        notes.append(f"the camera does not support {width}x{height}: using {best.width}x{best.height}")
    if got is not None and got < wanted_rate * _NTSC and (rate is not None or got < 24):
        notes.append(f"the camera gives {float(got):.4g} fps at {best.width}x{best.height}, not"
                     f" {float(wanted_rate):.4g}")  # fmt: skip
    return ModeChoice(best, got, tuple(notes))


def _nearest_rate(mode: CameraMode, wanted: Fraction) -> Fraction:
    """Return the slowest rate of the mode that is fast enough, or its fastest rate."""
    enough = [rate for rate in mode.rates if rate >= wanted * _NTSC]
    return min(enough) if enough else max(mode.rates)
