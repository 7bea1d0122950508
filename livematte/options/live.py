"""The options of a live session, with their forms on the command line."""

from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Annotated, Any, TypedDict

from livematte.errors import UsageError
from livematte.options.declaration import Form, Option, declared
from livematte.options.files import DeviceOptions
from livematte.options.groups import (
    BACKDROP,
    BACKGROUND_OPTION,
    BEHAVIOUR,
    CAMERA,
    OUTPUT,
    BudgetOption,
    FitOption,
    ForegroundOption,
    IslandsOption,
    ModelOption,
    PathLike,
    RefinerOptions,
    SizeOption,
    TemporalOption,
    WeightsOption,
)

if TYPE_CHECKING:
    from livematte.protocols import Background, LiveSink
else:
    Background = LiveSink = object  # any object: checked where it is used

LONGEST_DELAY = 2.0
"""Seconds."""


def read_size(text: str) -> dict[str, int]:
    """``1280x720`` as width and height. Raises UsageError."""
    width, cross, height = text.lower().partition("x")
    if not (cross and width.isdecimal() and height.isdecimal()):
        raise UsageError(f"resolution {text!r}: give width and height, like 1280x720")
    return {"width": int(width), "height": int(height)}


def read_sink_options(given: list[str]) -> dict[str, dict[str, dict[str, str]]]:
    """``NAME.OPTION=VALUE`` each, as options by name, with ``_`` for ``-``. Raises UsageError."""
    parsed: dict[str, dict[str, str]] = {}
    for text in given:
        key, equals, value = text.partition("=")
        name, dot, option = key.partition(".")
        if not (equals and dot and name and option):
            raise UsageError(f"sink-option {text!r}: give NAME.OPTION=VALUE")
        parsed.setdefault(name, {})[option.replace("-", "_")] = value
    return {"sink_options": parsed}


def _read_delay(milliseconds: float) -> dict[str, float]:
    longest = 1000 * LONGEST_DELAY
    if not 0 <= milliseconds <= longest:
        raise UsageError(f"delay {milliseconds:g} is not possible: give milliseconds, 0 to {longest:g}")
    return {"delay": milliseconds / 1000}


def _read_outputs(given: list[str]) -> dict[str, list[str]]:
    """Each may name several, between commas."""
    return {"to": [name for each in given for name in each.split(",") if name]} if given else {}


class CameraOptions(TypedDict, total=False):
    camera: Annotated[
        str | None,
        Option(
            None,
            "Its id or name; [b]livematte devices[/b] lists them. The first one otherwise.",
            "WHICH",
            CAMERA,
        ),
    ]
    input: Annotated[
        PathLike | None,
        Option(
            None,
            "A video or address played in real time, in place of a camera.",
            "FILE",
            CAMERA,
            path="address",
        ),
    ]
    pixel_format: Annotated[
        str | None, Option(None, "Ask the camera for [b]mjpeg[/b], [b]yuyv422[/b] ...", "NAME", CAMERA)
    ]
    mirror: Annotated[bool, Option(False, "Left becomes right.", panel=CAMERA)]


class SinkOptions(TypedDict, total=False):
    to: Annotated[
        str | Callable[..., LiveSink] | Sequence[str | Callable[..., LiveSink]],
        Option(
            "virtualcam",
            "Where pictures go: {outputs}, or [b]none[/b] for a preview alone. May be given more "
            "than once; [b]virtualcam[/b] otherwise.",
            "NAME",
            OUTPUT,
            names=("sinks",),
            form=Form(_read_outputs, list[str] | None),
        ),
    ]
    sink_options: Annotated[
        Mapping[str, Mapping[str, Any]] | None,
        Option(
            None,
            "An output's own option, e.g. [b]virtualcam.device=/dev/video10[/b].",
            "NAME.OPTION=VALUE",
            OUTPUT,
            form=Form(read_sink_options, list[str] | None, None, "sink_option", tables=True),
        ),
    ]
    width: Annotated[
        int,
        Option(
            1280,
            "Of the output; asked of the camera, too.",
            "WIDTHxHEIGHT",
            OUTPUT,
            form=Form(read_size, str, "1280x720", "resolution"),
        ),
    ]
    height: Annotated[int, Option(720, "Of the output; asked of the camera, too.", command=False)]
    rate: Annotated[
        Fraction | float,
        Option(
            30.0,
            "Frames a second.",
            "FPS",
            OUTPUT,
            between=(1, 240),
            wrong="{} frames a second are not possible",
        ),
    ]


class LiveBackgroundOption(TypedDict, total=False):
    background: Annotated[
        PathLike | Background | None,
        BACKGROUND_OPTION.but(
            default=None,
            help="A colour, a picture, a video (looped), [b]blur[/b], [b]blur:40[/b], or "
            "[b]transparent[/b] where the output can.",
        ),
    ]


class PlaceholderOption(TypedDict, total=False):
    placeholder: Annotated[
        PathLike | Background | None,
        Option(
            None,
            "What viewers see while there is no good matte: a background too. Otherwise the background.",
            "WHAT",
            BACKDROP,
            path="background",
        ),
    ]


class BehaviourOptions(TypedDict, total=False):
    on_demand: Annotated[bool, Option(False, "Let go of the camera while nobody watches.", panel=BEHAVIOUR)]
    delay: Annotated[
        float,
        Option(
            0.0,
            "Show each picture that long after its capture: steadier, or in step with delayed sound.",
            "MS",
            BEHAVIOUR,
            between=(0, LONGEST_DELAY),
            unit="seconds",
            form=Form(_read_delay, float, 0.0),
        ),
    ]
    lag_ok: Annotated[
        bool,
        Option(
            False,
            "Composite with the newest matte instead of the frame's own: quicker, but edges lag behind.",
            panel=BEHAVIOUR,
        ),
    ]
    govern: Annotated[
        bool, Option(True, "May resolution be less where the machine cannot hold the rate?", panel=BEHAVIOUR)
    ]


class LiveOptions(
    CameraOptions,
    SinkOptions,
    LiveBackgroundOption,
    FitOption,
    PlaceholderOption,
    BehaviourOptions,
    ModelOption,
    WeightsOption,
    SizeOption,
    TemporalOption,
    IslandsOption,
    RefinerOptions,
    BudgetOption,
    ForegroundOption,
    DeviceOptions,
    total=False,
):
    """``livematte.live``."""


CHANGES = {each.name: each for each in declared(LiveOptions) if each.option.change is not None}
"""The options that a live session may change while it runs."""
