"""Options of a live session, with their forms on the command line."""

from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypedDict

from livematte.errors import UsageError
from livematte.options.declaration import Change, Form, Option
from livematte.options.files import DeviceOptions, FrameMattingOptions
from livematte.options.groups import (
    BACKGROUND,
    BACKGROUND_OPTION,
    BEHAVIOUR,
    CAMERA,
    OUTPUT,
    FitOption,
    ForegroundOption,
    PathLike,
)
from livematte.options.picture import EdgeOptions, FramingOption
from livematte.options.reading import PixelLimitOption

if TYPE_CHECKING:
    from livematte.protocols import Background, LiveSink
else:
    Background = LiveSink = object  # any object: checked where it is used

LONGEST_DELAY = 2.0
"""Maximum of ``delay`` in seconds."""


def read_size(text: str) -> dict[str, int]:
    """Parse ``1280x720`` to width and height. Raises UsageError."""
    width, cross, height = text.lower().partition("x")
    if not (cross and all(side.isdecimal() and len(side) <= 6 for side in (width, height))):
        raise UsageError(f"resolution {text!r} is invalid: use WIDTHxHEIGHT, such as 1280x720")
    return {"width": int(width), "height": int(height)}


def read_sink_options(given: list[str]) -> dict[str, dict[str, dict[str, str]]]:
    """Parse texts ``NAME.OPTION=VALUE`` to options by sink name, with ``_`` for ``-``. Raises UsageError."""
    parsed: dict[str, dict[str, str]] = {}
    for text in given:
        key, equals, value = text.partition("=")
        name, dot, option = key.partition(".")
        if not (equals and dot and name and option):
            raise UsageError(f"sink-option {text!r} is invalid: use NAME.OPTION=VALUE")
        parsed.setdefault(name, {})[option.replace("-", "_")] = value
    return {"sink_options": parsed}


def _read_delay(milliseconds: float) -> dict[str, float]:
    longest = 1000 * LONGEST_DELAY
    if not 0 <= milliseconds <= longest:
        raise UsageError(f"delay {milliseconds:g} is invalid: use 0 to {longest:g} milliseconds")
    return {"delay": milliseconds / 1000}


def _read_outputs(given: list[str]) -> dict[str, list[str]]:
    """Parse sink names; each text may contain several names, separated by commas."""
    return {"to": [name for each in given for name in each.split(",") if name]} if given else {}


def _show_outputs(to: Any) -> list[str]:
    listed = [to] if isinstance(to, str) or callable(to) else list(to)
    return [each if isinstance(each, str) else getattr(each, "__name__", "sink") for each in listed]


class CameraOptions(TypedDict, total=False):
    camera: Annotated[
        str | None,
        Option(
            None,
            "Camera by ID or name; [b]livematte devices[/b] lists them. Default: the first camera.",
            "CAMERA",
            CAMERA,
            change=Change(
                "Change the camera. The old camera is used until the new one is open.",
                "ID or name; [b]livematte devices[/b] lists them. [b]default[/b]: the first camera.",
                optional=True,
            ),
        ),
    ]
    input: Annotated[
        PathLike | None,
        Option(
            None,
            "Video file or URL, played in real time instead of a camera.",
            "FILE",
            CAMERA,
            path="address",
        ),
    ]
    pixel_format: Annotated[
        str | None,
        Option(None, "Pixel format of the camera: [b]mjpeg[/b], [b]yuyv422[/b] ...", "NAME", CAMERA),
    ]
    mirror: Annotated[
        bool,
        Option(
            False,
            "Mirror the picture left to right.",
            panel=CAMERA,
            change=Change("Mirror the picture left to right, or not.", "[b]on[/b] or [b]off[/b]."),
        ),
    ]
    fit_camera: Annotated[
        Literal["crop", "pad"],
        Option(
            "crop",
            "Camera picture with another aspect ratio than the output: [b]crop[/b] fills the output and cuts "
            "off the rest, [b]pad[/b] shows the whole picture with the background at its sides.",
            "FIT",
            CAMERA,
        ),
    ]


class SinkOptions(TypedDict, total=False):
    to: Annotated[
        str | Callable[..., LiveSink] | Sequence[str | Callable[..., LiveSink]],
        Option(
            "virtualcam",
            "Sink for the output frames: {outputs}, or [b]none[/b] for only a preview. Repeatable. "
            "Default: [b]virtualcam[/b].",
            "NAME",
            OUTPUT,
            names=("sinks",),
            form=Form(_read_outputs, list[str] | None, show=_show_outputs),
            change=Change(
                "Change the sinks. Sinks that stay selected are not interrupted.",
                "Name of a sink, or several separated by commas.",
            ),
        ),
    ]
    sink_options: Annotated[
        Mapping[str, Mapping[str, Any]] | None,
        Option(
            None,
            "Option of a sink, e.g. [b]virtualcam.device=/dev/video10[/b]; repeatable.",
            "NAME.OPTION=VALUE",
            OUTPUT,
            form=Form(read_sink_options, list[str] | None, None, "sink_option", tables=True),
        ),
    ]
    width: Annotated[
        int,
        Option(
            1280,
            "Size of the output; also requested from the camera.",
            "WIDTHxHEIGHT",
            OUTPUT,
            form=Form(read_size, str, "1280x720", "resolution"),
        ),
    ]
    height: Annotated[int, Option(720, "Size of the output; also requested from the camera.", command=False)]
    rate: Annotated[
        Fraction | float,
        Option(
            30.0,
            "Frame rate of the output, in frames per second.",
            "FPS",
            OUTPUT,
            between=(1, 240),
            unit="frames per second",
        ),
    ]


class LiveBackgroundOption(TypedDict, total=False):
    background: Annotated[
        PathLike | Background | None,
        BACKGROUND_OPTION.with_changes(
            default=None,
            help="New background: a colour, a picture, a video (looped), [b]blur[/b] or [b]blur:40[/b] (the "
            "room, blurred), or [b]transparent[/b] if every sink supports it.",
        ),
    ]


class PlaceholderOption(TypedDict, total=False):
    placeholder: Annotated[
        PathLike | Background | None,
        Option(
            None,
            "Background that viewers see instead of the picture while there is no valid matte. Default: the "
            "value of [b]--background[/b].",
            "BACKGROUND",
            BACKGROUND,
            path="background",
        ),
    ]


class BehaviourOptions(TypedDict, total=False):
    on_demand: Annotated[
        bool, Option(False, "Release the camera while no program reads the output.", panel=BEHAVIOUR)
    ]
    delay: Annotated[
        float,
        Option(
            0.0,
            "Show each frame this time after its capture, for even timing or to match delayed sound.",
            "MS",
            BEHAVIOUR,
            between=(0, LONGEST_DELAY),
            unit="seconds",
            form=Form(_read_delay, float, 0.0, show=lambda seconds: round(1000 * seconds)),
            change=Change("Change the delay.", "Milliseconds from capture to display."),
        ),
    ]
    lag_ok: Annotated[
        bool,
        Option(
            False,
            "Composite each frame with the newest available matte. Lower latency, but the matte lags behind "
            "movement: a strip of the room is visible beside a moving person.",
            panel=BEHAVIOUR,
        ),
    ]
    govern: Annotated[
        bool,
        Option(
            True,
            "Reduce the network size and the refinement if the machine is too slow for the frame rate.",
            panel=BEHAVIOUR,
        ),
    ]


class LiveOptions(
    CameraOptions,
    SinkOptions,
    LiveBackgroundOption,
    FitOption,
    PlaceholderOption,
    BehaviourOptions,
    FrameMattingOptions,
    ForegroundOption,
    EdgeOptions,
    FramingOption,
    PixelLimitOption,
    DeviceOptions,
    total=False,
):
    """Options of ``livematte.live``."""
