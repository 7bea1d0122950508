"""Checks of all values that models and plug-ins return, once, where they enter livematte.

Compiled loops trust shapes and types: a plane that is too small would be read past its end, a transposed
alpha would show the room. Shapes and types are checked in microseconds at any size; values are checked at the
small size, and on a GPU without waiting. Every message names the part, the value it returned and the expected
one.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from fractions import Fraction
from functools import lru_cache
from types import ModuleType
from typing import Any

import numpy as np

from livematte.device.cuda import on_gpu
from livematte.device.transfer import to_host
from livematte.errors import InputError, LivematteError, ModelError
from livematte.frame import PIXEL_FORMATS, Array, ColorInfo, Frame, Matte
from livematte.kernels.statistics import clip_with_limits
from livematte.options.values import has_member, short
from livematte.parts import named_errors, title
from livematte.protocols import Background, Model, Source, SourceInfo, State, TrimapModel

ROUNDING = 1e-2
"""Largest distance of a network's values from [0, 1]: rounding by half precision and resizing."""
LARGEST_SIDE = 1 << 16
"""Largest side of a source's pictures: no codec has a larger one."""
LARGEST_INPUT = 8192
"""Largest side of a network's input: its picture then takes 1.5 GB."""


def describe(value: object) -> str:
    """A short description of a value: of an array its shape and type."""
    if is_array(value):
        return f"an array {value.shape} of {value.dtype}"  # type: ignore[attr-defined]
    if value is None or isinstance(value, (bool, int, float, str)):
        return short(value)
    if isinstance(value, tuple) and len(value) < 5:
        return f"({', '.join(map(describe, value))})"
    return f"a {type(value).__name__}"


def is_array(value: object) -> bool:
    """True for an array of NumPy, or of CuPy."""
    return isinstance(value, np.ndarray) or on_gpu(value)


def check_part(part: object, protocol: type, kind: str, error: type[LivematteError]) -> None:
    """Raise ``error`` unless ``part`` has all members of ``protocol``, one of :mod:`livematte.protocols`."""
    if isinstance(part, (type, ModuleType)):
        what = "a class: give an object of it" if isinstance(part, type) else "a module: give an object"
        raise error(f"{title(kind, part)} is {what}")
    wanted = [*inspect.get_annotations(protocol), *vars(protocol)]
    names = [n for n in wanted if n in ("__call__", "__iter__") or not n.startswith("_")]
    lacking = [name for name in dict.fromkeys(names) if not _has(part, name)]
    like = f"expected an object like livematte.protocols.{protocol.__name__}"
    if lacking:
        raise error(f"{title(kind, part)} lacks {', '.join(lacking)}: {like}")
    for name in names:
        if inspect.isfunction(vars(protocol).get(name)) and not callable(member := getattr(part, name)):
            raise error(f"{title(kind, part)} has {describe(member)} as {name}, expected a method; {like}")


def check_source(source: object) -> None:
    """Raise InputError unless ``source`` has all members of a Source, and a SourceInfo of valid values."""
    check_part(source, Source, "source", InputError)
    with named_errors("source", source, InputError):
        info: Any = source.info  # type: ignore[attr-defined]
    who = title("source", source)
    if not isinstance(info, SourceInfo):
        raise InputError(f"{who} has {describe(info)} as info, expected a SourceInfo")
    rate = info.average_rate
    valid: dict[str, tuple[bool, str]] = {
        "name": (isinstance(info.name, str), "text"),
        "height": (_whole(info.height, 1, LARGEST_SIDE), f"a whole number, 1 to {LARGEST_SIDE}"),
        "width": (_whole(info.width, 1, LARGEST_SIDE), f"a whole number, 1 to {LARGEST_SIDE}"),
        "format": (_is_format(info.format), "a key of livematte.frame.PIXEL_FORMATS"),
        "time_base": (_positive(info.time_base), "a Fraction above 0"),
        "average_rate": (rate is None or _positive(rate), "a Fraction above 0, or None"),
        "frames": (info.frames is None or _whole(info.frames, 0), "a whole number, or None"),
        "color": (isinstance(info.color, ColorInfo), "a ColorInfo"),
        "sample_aspect": (_positive(info.sample_aspect), "a Fraction above 0"),
        "details": (isinstance(info.details, Mapping), "a mapping"),
    }
    for name, (good, wanted) in valid.items():
        if not good:
            raise InputError(f"{who} has {describe(getattr(info, name))} as info.{name}, expected {wanted}")


def _whole(value: object, least: int, most: int = 1 << 62) -> bool:
    whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    return whole and least <= value <= most  # type: ignore[operator]


def _positive(value: object) -> bool:
    return isinstance(value, Fraction) and value > 0


def _is_format(value: object) -> bool:
    return isinstance(value, str) and value in PIXEL_FORMATS


def _has(part: object, name: str) -> bool:
    try:
        inspect.getattr_static(part, name)  # without calling a property
    except AttributeError:
        return has_member(part, name)
    return True


def input_size(model: Model, height: int, width: int) -> tuple[int, int]:
    """The size of ``model``'s input. ModelError unless it is two whole numbers, 1 to 8192."""
    with named_errors("model", model, ModelError):
        given: Any = model.input_size(height, width)
    pair = isinstance(given, (tuple, list)) and len(given) == 2
    if not (pair and all(_whole(n, 1, LARGEST_INPUT) for n in given)):
        raise ModelError(
            f"{title('model', model)} gave {describe(given)} as its input size for {width}x{height}, "
            f"expected (height, width), whole numbers from 1 to {LARGEST_INPUT}"
        )
    return int(given[0]), int(given[1])


def run_model(model: Model, rgb: Array, state: State) -> tuple[Matte, State]:
    """The matte and the state that a model returns for a picture. ModelError for anything else."""
    with named_errors("model", model, ModelError):
        given: object = model(rgb, state)
    if not (isinstance(given, tuple) and len(given) == 2):
        raise ModelError(f"{title('model', model)} gave {describe(given)}, expected a Matte and a state")
    return given


def check_matte(model: Model | TrimapModel, kind: str, matte: object, height: int, width: int) -> None:
    """Raise ModelError unless ``matte`` is a Matte of that size; values are not checked."""
    if not isinstance(matte, Matte):
        raise ModelError(f"{title(kind, model)} gave {describe(matte)}, expected a Matte")
    _check_map(model, kind, "alpha", matte.alpha, (height, width))
    if matte.foreground is not None:
        _check_map(model, kind, "foreground", matte.foreground, (height, width, 3))
    if not isinstance(matte.extras, Mapping):
        raise ModelError(f"{title(kind, model)} gave {describe(matte.extras)} as extras, expected a mapping")
    for name, values in matte.extras.items():
        flat = is_array(values) and values.ndim in (2, 3) and values.size > 0
        if not flat or (name == "trimap" and values.ndim == 3 and len(values) != 3):
            raise ModelError(
                f"{title(kind, model)} gave {describe(values)} as its map {name!r}, expected (h, w) or, "
                "for a trimap, (3, h, w)"
            )


def _check_map(part: object, kind: str, what: str, values: object, shape: tuple[int, ...]) -> None:
    if not is_array(values) or values.shape != shape or values.dtype != np.float32:  # type: ignore[attr-defined]
        raise ModelError(
            f"{title(kind, part)} gave {describe(values)} as {what}, expected an array {shape} of float32"
        )


Limits = Mapping[str, Array]
"""Lowest and highest value of alpha and foreground, (2,) float32 each, on a GPU."""


def clip_matte(matte: Matte, frame: Frame) -> tuple[Matte, Limits]:
    """Clip alpha and foreground to [0, 1]. ModelError for values further outside, and for NaN.

    On a GPU their limits are returned, to be checked when they are known.
    """
    made: dict[str, Array] = {}
    limits: dict[str, Array] = {}
    for what in ("alpha", "foreground"):
        if (values := getattr(matte, what)) is None:
            continue
        if on_gpu(values):
            made[what], limits[what] = clip_with_limits(values)
            continue
        low, high = float(values.min()), float(values.max())  # both NaN if anything is
        check_limits(what, (low, high), frame)
        if low < 0 or high > 1:
            made[what] = values.clip(0, 1)
    return (replace(matte, **made) if made else matte), limits


def check_all_limits(limits: Limits, frame: Frame) -> None:
    """:func:`check_limits` for every map in ``limits``; waits for the GPU where they are there."""
    for what, pair in limits.items():
        check_limits(what, to_host(pair), frame)


def check_limits(what: str, limits: Iterable[float], frame: Frame) -> None:
    """Raise ModelError if the lowest or highest value of a matte is outside [0, 1]."""
    low, high = map(float, limits)
    check_range(f"the model's {what} at {float(frame.seconds):.2f} s", low, high)


def check_range(whose: str, low: float, high: float) -> None:
    """Raise ModelError if ``low`` or ``high`` is outside [0, 1] by more than :data:`ROUNDING`, or NaN.

    Args:
        whose: begins the line: ``the model's alpha at 0.50 s``.
    """
    if not (low >= -ROUNDING and high <= 1 + ROUNDING):
        outside = high if high > 1 + ROUNDING else low
        raise ModelError(
            f"{whose} has a value of {outside:.4g}, allowed is 0 to 1: try another --runtime or --precision"
        )


@lru_cache(maxsize=64)
def _layout(format: str, height: int, width: int) -> tuple[tuple[tuple[int, ...], np.dtype[Any]], ...]:
    """Shape and type of each plane."""
    layout = PIXEL_FORMATS[format]
    small = layout.chroma_size(height, width)
    sizes: list[tuple[int, ...]] = [(height, width)]
    sizes += [(*small, 2)] if layout.interleaved else [small] * (0 if layout.gray else 2)
    sizes += [(height, width)] * layout.alpha
    return tuple((size, np.dtype(np.uint8 if layout.depth == 8 else np.uint16)) for size in sizes)


def _planes(frame: Frame) -> str:
    return f"planes {', '.join(map(describe, frame.planes))} as {frame.format}"


def _planes_match(frame: Frame) -> bool:
    """True if the planes match the format."""
    planes = frame.planes
    if not (_is_format(frame.format) and isinstance(planes, tuple)):
        return False
    if not (planes and all(map(is_array, planes)) and planes[0].ndim == 2):
        return False
    return tuple((p.shape, p.dtype) for p in planes) == _layout(frame.format, *planes[0].shape)


def checked_frames(source: Source) -> Iterator[Frame]:
    """The frames of ``source``. InputError for an invalid one."""
    who, ended = f"{title('source', source)} gave", object()
    with named_errors("source", source, InputError):
        frames = iter(source)
    while True:
        with named_errors("source", source, InputError):
            frame: Any = next(frames, ended)
        if frame is ended:
            return
        check_frame(frame, who)
        yield frame


def check_frame(frame: object, who: str) -> None:
    """Raise InputError unless ``frame`` is a Frame whose planes match its format, since drivers can fail.

    Args:
        who: start of the error message, such as ``the camera sent``.
    """
    if not isinstance(frame, Frame):
        raise InputError(f"{who} {describe(frame)}, expected a Frame")
    damaged = not _planes_match(frame) or frame.pixel_format.gray or min(frame.size) < 1
    if damaged:
        planes = _planes(frame) if isinstance(frame.planes, tuple) else describe(frame.planes)
        raise InputError(f"{who} a damaged picture: {planes}; expected the whole planes of a format")
    times: tuple[object, ...] = (frame.pts, frame.duration)
    if not all(isinstance(ticks, (int, np.integer)) for ticks in times):
        raise InputError(f"{who} a picture with pts and duration {describe(times)}, expected whole numbers")
    if not (_positive(frame.time_base) and _positive(frame.sample_aspect)):
        base, aspect = frame.time_base, frame.sample_aspect
        raise InputError(
            f"{who} a picture with time_base {short(base)} and sample_aspect {short(aspect)}, "
            "expected a Fraction above 0"
        )
    if not isinstance(frame.color, ColorInfo):
        raise InputError(f"{who} a picture with {describe(frame.color)} as color, expected a ColorInfo")


def background_frame(background: Background, frame: Frame, alpha: Array) -> Frame:
    """Return what ``background`` makes for ``frame``.

    Raises:
        InputError: its size, format or colour differs from ``frame``, it is ``frame`` itself, or the
            background fails.
    """
    with named_errors("background", background, InputError):
        made: object = background(frame, alpha)
    who = title("background", background)
    if not isinstance(made, Frame):
        raise InputError(f"{who} gave {describe(made)}, expected a Frame")
    height, width = frame.size
    alike = made.format == frame.format and _planes_match(made) and made.size == frame.size
    if not alike:
        planes = _planes(made) if isinstance(made.planes, tuple) else describe(made.planes)
        raise InputError(f"{who} gave {planes}, expected {frame.format} of {width}x{height}, like the frame")
    if made.color != frame.color:
        raise InputError(f"{who} gave {made.color}, expected the frame's own {frame.color}")
    if made.planes[0] is frame.planes[0]:
        raise InputError(f"{who} gave the frame itself, expected the background")
    return made
