"""What a camera offers, and which of it is taken."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from livematte.errors import InputError

DEFAULT_SIZE = (720, 1280)
DEFAULT_RATE = Fraction(30)
"""What is asked of a camera where nobody says otherwise."""

_SMOOTH = Fraction(4, 5)
"""A smaller picture is better than less than this share of the default rate."""

_NTSC = Fraction(99, 100)
"""29.97 counts as 30."""

_ALIASES = {"yuyv": "yuyv422", "yuy2": "yuyv422", "uyvy": "uyvy422", "mjpg": "mjpeg", "jpeg": "mjpeg",
            "i420": "yuv420p"}  # fmt: skip

_CHEAP = ("nv12", "yuv420p", "yuyv422", "uyvy422", "yuv422p", "mjpeg")
"""Best first: what costs nothing to turn into 4:2:0 planes, then what has to be decoded; others last."""


@dataclass(frozen=True)
class CameraMode:
    """One size and pixel format that a camera gives."""

    width: int
    height: int
    pixel_format: str
    """FFmpeg's name: 'yuyv422', 'nv12', 'mjpeg'."""
    rates: tuple[Fraction, ...] = ()
    """Frames a second, highest first; empty where the driver does not say."""

    def __str__(self) -> str:
        """``1280x720 mjpeg 30 fps``."""
        fastest = f" {float(self.rates[0]):.4g} fps" if self.rates else ""
        return f"{self.width}x{self.height} {self.pixel_format}{fastest}"


@dataclass(frozen=True)
class CameraInfo:
    """A camera that the system shows."""

    id: str
    """Stays the same when cameras are plugged in another order and, with a serial number, in another port."""
    name: str
    """What people call it; two of the same make share it."""
    modes: tuple[CameraMode, ...] = ()
    """Empty where the system does not say before the camera is opened."""
    address: str = ""
    """What FFmpeg opens, such as /dev/video0; may be another one after the next start."""
    virtual: bool = False
    """A program's picture, perhaps our own: never taken unless it is asked for."""
    trouble: str = ""
    """Why it cannot be asked or opened, and the command that mends it."""


@dataclass(frozen=True)
class Choice:
    """A mode, the rate to ask for, and one line for each wish that the camera does not grant."""

    mode: CameraMode
    rate: Fraction | None
    notes: tuple[str, ...] = ()


def format_named(name: str) -> str:
    """FFmpeg's name of a pixel format that users may call otherwise: 'YUYV' is 'yuyv422'."""
    name = name.strip().lower()
    return _ALIASES.get(name, name)


def choose_mode(
    modes: Sequence[CameraMode],
    size: tuple[int, int] | None = None,
    rate: Fraction | None = None,
    pixel_format: str | None = None,
) -> Choice:
    """The mode that is nearest to what is wanted.

    A size that was asked for is kept before the rate; the default size (1280x720) gives way to a smaller one
    where only that reaches the rate. Of equals the one that costs least to take in wins.

    Args:
        modes: at least one.
        size: (height, width).
        rate: frames a second.
        pixel_format: as :func:`format_named` takes it; the only wish that is never bent.

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
        got = _rate_of(mode, wanted_rate) if mode.rates else wanted_rate
        missing = Fraction(0) if got >= wanted_rate * _NTSC else wanted_rate - got
        away = abs(mode.width - width) + abs(mode.height - height)
        too_slow = missing if missing > (1 - _SMOOTH) * wanted_rate else Fraction(0)
        cost = _CHEAP.index(mode.pixel_format) if mode.pixel_format in _CHEAP else len(_CHEAP)
        first = (away, missing) if size is not None else (too_slow, away, missing)
        return (*first, cost)

    best = min(fitting, key=rank)
    got = _rate_of(best, wanted_rate) if best.rates else None
    notes = []
    if size is not None and (best.height, best.width) != size:
        notes.append(f"the camera has no {width}x{height}: taken at {best.width}x{best.height}")
    if got is not None and got < wanted_rate * _NTSC and (rate is not None or got < 24):
        notes.append(f"the camera gives {float(got):.4g} fps at {best.width}x{best.height}, not"
                     f" {float(wanted_rate):.4g}")  # fmt: skip
    return Choice(best, got, tuple(notes))


def _rate_of(mode: CameraMode, wanted: Fraction) -> Fraction:
    """The slowest of the mode's rates that is fast enough, or its fastest."""
    enough = [rate for rate in mode.rates if rate >= wanted * _NTSC]
    return min(enough) if enough else max(mode.rates)
