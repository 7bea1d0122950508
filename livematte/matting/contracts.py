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
from functools import lru_cache
from typing import Any

import numpy as np

from livematte.device.cuda import on_gpu
from livematte.device.transfer import to_host
from livematte.errors import InputError, LivematteError, ModelError
from livematte.frame import PIXEL_FORMATS, Array, Frame, Matte
from livematte.kernels.statistics import clip_with_limits
from livematte.protocols import Background, Model, Source, SourceInfo, State, TrimapModel

ROUNDING = 1e-2
"""Largest distance of a network's values from [0, 1]: rounding by half precision and resizing."""


def title(kind: str, part: object) -> str:
    """The name of a part in an error message: its kind, and its card's name or its class."""
    name = getattr(getattr(part, "card", None), "name", None) or getattr(part, "__name__", None)
    return f"the {kind} {name if isinstance(name, str) else type(part).__name__}"


def describe(value: object) -> str:
    """A short description of a value: of an array its shape and type."""
    if is_array(value):
        return f"an array {value.shape} of {value.dtype}"  # type: ignore[attr-defined]
    if value is None or isinstance(value, (bool, int, float, str)):
        return repr(value)[:60]
    if isinstance(value, tuple) and len(value) < 5:
        return f"({', '.join(map(describe, value))})"
    return f"a {type(value).__name__}"


def is_array(value: object) -> bool:
    """True for an array of NumPy, or of CuPy."""
    return isinstance(value, np.ndarray) or on_gpu(value)


def check_part(part: object, protocol: type, kind: str, error: type[LivematteError]) -> None:
    """Raise ``error`` unless ``part`` has all members of ``protocol``, one of :mod:`livematte.protocols`."""
    if isinstance(part, type):
        raise error(f"{title(kind, part)} is a class: give an object of it")
    wanted = [*inspect.get_annotations(protocol), *vars(protocol)]
    names = [n for n in wanted if n in ("__call__", "__iter__") or not n.startswith("_")]
    lacking = [name for name in dict.fromkeys(names) if not _has(part, name)]
    if lacking:
        raise error(
            f"{title(kind, part)} lacks {', '.join(lacking)}: expected an object like "
            f"livematte.protocols.{protocol.__name__}"
        )


def check_source(source: object) -> None:
    """Raise InputError unless ``source`` has all members of a Source, and a SourceInfo."""
    check_part(source, Source, "source", InputError)
    if not isinstance(info := source.info, SourceInfo):  # type: ignore[attr-defined]
        raise InputError(f"{title('source', source)} has {describe(info)} as info, expected a SourceInfo")


def _has(part: object, name: str) -> bool:
    try:
        inspect.getattr_static(part, name)  # without calling a property
    except AttributeError:
        return hasattr(part, name)
    return True


def input_size(model: Model, height: int, width: int) -> tuple[int, int]:
    """The size of ``model``'s input. ModelError unless it is two whole numbers from 1 on."""
    given: Any = model.input_size(height, width)
    whole = isinstance(given, (tuple, list)) and len(given) == 2
    if not (whole and all(isinstance(n, (int, np.integer)) and n >= 1 for n in given)):
        raise ModelError(
            f"{title('model', model)} gave {describe(given)} as its input size for {width}x{height}, "
            "expected (height, width), whole numbers from 1 on"
        )
    return int(given[0]), int(given[1])


def check_answer(model: Model, given: object) -> tuple[Matte, State]:
    """The matte and the state that a model returned. ModelError for anything else."""
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
    if not (isinstance(frame.format, str) and frame.format in PIXEL_FORMATS and isinstance(planes, tuple)):
        return False
    if not (planes and all(map(is_array, planes)) and planes[0].ndim == 2):
        return False
    return tuple((p.shape, p.dtype) for p in planes) == _layout(frame.format, *planes[0].shape)


def checked_frames(source: Source) -> Iterator[Frame]:
    """The frames of ``source``. InputError for an invalid one."""
    who = f"{title('source', source)} gave"
    for frame in source:
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


def check_background_frame(background: Background, made: object, frame: Frame) -> Frame:
    """Return the frame that a background made.

    Raises:
        InputError: its size, format or colour differs from ``frame``, or it is ``frame`` itself.
    """
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
