"""What models and plug-ins give, held against what was agreed, once, where it comes in.

Compiled loops trust shapes and types: a plane that is too small would be read past its end, a transposed
alpha would show the room. Shapes and types cost microseconds at any size; values are looked at where they are
small, and on a GPU not waited for. Every line names who gave it, what came, and what is expected.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np

from livematte.errors import InputError, LivematteError, ModelError
from livematte.frame import PIXEL_FORMATS, Array, Frame, Matte
from livematte.kernels import cuda_regions
from livematte.kernels.cuda_launch import on_gpu
from livematte.protocols import Background, Model, Source, State, TrimapModel

ROUNDING = 1e-2
"""How far a network's numbers may leave [0, 1]: what half precision and resizing do."""


def title(kind: str, part: object) -> str:
    """How an error calls a part: its kind, and its card's name or its class."""
    name = getattr(getattr(part, "card", None), "name", None) or getattr(part, "__name__", None)
    return f"the {kind} {name if isinstance(name, str) else type(part).__name__}"


def told(value: object) -> str:
    """A value in a few words: an array by its shape and type, whatever is in it."""
    if is_array(value):
        return f"an array {value.shape} of {value.dtype}"  # type: ignore[attr-defined]
    if value is None or isinstance(value, (bool, int, float, str)):
        return repr(value)[:60]
    if isinstance(value, tuple) and len(value) < 5:
        return f"({', '.join(map(told, value))})"
    return f"a {type(value).__name__}"


def is_array(value: object) -> bool:
    """Whether it is NumPy's, or on a GPU CuPy's."""
    return isinstance(value, np.ndarray) or on_gpu(value)


def check_part(part: object, protocol: type, kind: str, error: type[LivematteError]) -> None:
    """Raise ``error`` unless ``part`` has what ``protocol``, one of :mod:`livematte.protocols`, asks for."""
    if isinstance(part, type):
        raise error(f"{title(kind, part)} is a class: give an object of it")
    wanted = [*inspect.get_annotations(protocol), *vars(protocol)]
    names = [n for n in wanted if n in ("__call__", "__iter__") or not n.startswith("_")]
    lacking = [name for name in dict.fromkeys(names) if not _has(part, name)]
    if lacking:
        raise error(
            f"{title(kind, part)} lacks {', '.join(lacking)}: expected is an object as "
            f"livematte.protocols.{protocol.__name__} says"
        )


def _has(part: object, name: str) -> bool:
    try:
        inspect.getattr_static(part, name)  # a property is not asked
    except AttributeError:
        return hasattr(part, name)
    return True


def input_size(model: Model, height: int, width: int) -> tuple[int, int]:
    """The size that ``model`` wants a frame in. ModelError unless it is two whole numbers from 1 on."""
    given: Any = model.input_size(height, width)
    whole = isinstance(given, (tuple, list)) and len(given) == 2
    if not (whole and all(isinstance(n, (int, np.integer)) and n >= 1 for n in given)):
        raise ModelError(
            f"{title('model', model)} gave {told(given)} as its input size for {width}x{height}, expected "
            "are (height, width), whole numbers from 1 on"
        )
    return int(given[0]), int(given[1])


def answer(model: Model, given: object) -> tuple[Matte, State]:
    """The two parts of what a model's call gave. ModelError where these are not there."""
    if not (isinstance(given, tuple) and len(given) == 2):
        raise ModelError(f"{title('model', model)} gave {told(given)}, expected are a Matte and a state")
    return given


def check_matte(model: Model | TrimapModel, kind: str, matte: object, height: int, width: int) -> None:
    """Raise ModelError unless ``matte`` is one of a picture of that size; values are not looked at."""
    if not isinstance(matte, Matte):
        raise ModelError(f"{title(kind, model)} gave {told(matte)}, expected is a Matte")
    _check_map(model, kind, "alpha", matte.alpha, (height, width))
    if matte.foreground is not None:
        _check_map(model, kind, "foreground", matte.foreground, (height, width, 3))
    if not isinstance(matte.extras, Mapping):
        raise ModelError(f"{title(kind, model)} gave {told(matte.extras)} as extras, expected is a mapping")
    for name, values in matte.extras.items():
        flat = is_array(values) and values.ndim in (2, 3) and values.size > 0
        if not flat or (name == "trimap" and values.ndim == 3 and len(values) != 3):
            raise ModelError(
                f"{title(kind, model)} gave {told(values)} as its map {name!r}, expected is (h, w) or, for a "
                "trimap, (3, h, w)"
            )


def _check_map(part: object, kind: str, what: str, values: object, shape: tuple[int, ...]) -> None:
    if not is_array(values) or values.shape != shape or values.dtype != np.float32:  # type: ignore[attr-defined]
        raise ModelError(
            f"{title(kind, part)} gave {told(values)} as {what}, expected is an array {shape} of float32"
        )


Limits = Mapping[str, Array]
"""Lowest and highest value of alpha and foreground, (2,) float32 each, that only the GPU has seen."""


def clipped(matte: Matte, frame: Frame) -> tuple[Matte, Limits]:
    """Alpha and foreground clipped to [0, 1]; ModelError where that is no rounding: one NaN would spread.

    On a GPU what they were is told, to be looked at when it is known.
    """
    made: dict[str, Array] = {}
    limits: dict[str, Array] = {}
    for what in ("alpha", "foreground"):
        if (values := getattr(matte, what)) is None:
            continue
        if on_gpu(values):
            made[what], limits[what] = cuda_regions.clipped(values)
            continue
        low, high = float(values.min()), float(values.max())  # both NaN if anything is
        check_limits(what, (low, high), frame)
        if low < 0 or high > 1:
            made[what] = values.clip(0, 1)
    return (replace(matte, **made) if made else matte), limits


def check_limits(what: str, limits: Iterable[float], frame: Frame) -> None:
    """Raise ModelError where the lowest and highest value of a matte leave [0, 1]."""
    low, high = map(float, limits)
    check_range(f"the model's {what} at {float(frame.seconds):.2f} s", low, high)


def check_range(whose: str, low: float, high: float) -> None:
    """Raise ModelError where values from ``low`` to ``high``, both NaN if any is, leave [0, 1] by more than
    :data:`ROUNDING`.

    Args:
        whose: begins the line: ``the model's alpha at 0.50 s``.
    """
    if not (low >= -ROUNDING and high <= 1 + ROUNDING):
        odd = high if high > 1 + ROUNDING else low
        raise ModelError(
            f"{whose} has a value of {odd:.4g}, allowed is 0 to 1: try another --runtime or --precision"
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
    return f"planes {', '.join(map(told, frame.planes))} as {frame.format}"


def _whole(frame: Frame) -> bool:
    """Whether planes are what the format says."""
    planes = frame.planes
    if not (isinstance(frame.format, str) and frame.format in PIXEL_FORMATS and isinstance(planes, tuple)):
        return False
    if not (planes and all(map(is_array, planes)) and planes[0].ndim == 2):
        return False
    return tuple((p.shape, p.dtype) for p in planes) == _layout(frame.format, *planes[0].shape)


def frames_of(source: Source) -> Iterator[Frame]:
    """The frames of ``source``; InputError at what is none."""
    who = f"{title('source', source)} gave"
    for frame in source:
        check_frame(frame, who)
        yield frame


def check_frame(frame: object, who: str) -> None:
    """Raise InputError unless ``frame`` is one with the planes that its format says: drivers send odd things.

    Args:
        who: begins the line: ``the camera sent``.
    """
    if not isinstance(frame, Frame):
        raise InputError(f"{who} {told(frame)}, expected is a Frame")
    odd = not _whole(frame) or frame.pixel_format.gray or min(frame.size) < 1
    if odd:
        planes = _planes(frame) if isinstance(frame.planes, tuple) else told(frame.planes)
        raise InputError(f"{who} a damaged picture: {planes}; expected are the whole planes of a format")


def check_behind(background: Background, made: object, frame: Frame) -> Frame:
    """What a background gave for ``frame``. InputError unless it is of that size, format and colour, and not
    the picture itself, which is the room.
    """
    who = title("background", background)
    if not isinstance(made, Frame):
        raise InputError(f"{who} gave {told(made)}, expected is a Frame")
    height, width = frame.size
    alike = made.format == frame.format and _whole(made) and made.size == frame.size
    if not alike:
        planes = _planes(made) if isinstance(made.planes, tuple) else told(made.planes)
        raise InputError(
            f"{who} gave {planes}, expected is {frame.format} of {width}x{height} as the frame is"
        )
    if made.color != frame.color:
        raise InputError(f"{who} gave {made.color}, expected is the frame's own {frame.color}")
    if made.planes[0] is frame.planes[0]:
        raise InputError(f"{who} gave the frame itself, expected is what goes behind people")
    return made
