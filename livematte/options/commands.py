"""The options of each command: those of its call, and those that only the command line has.

As :mod:`livematte.options`, which declares the options that calls of Python take.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, TypedDict

from livematte.options import (
    BEHAVIOUR,
    FILES,
    BenchOptions,
    DeviceOptions,
    ImageOptions,
    LiveOptions,
    MatteOptions,
    ModelOption,
    PathLike,
    RenderOptions,
    TrimapOptions,
)
from livematte.options.declaration import REQUIRED, Option

JUDGED, REPORT = "What is judged", "What is said"
"""Boxes of the help pages."""


class JsonOption(TypedDict, total=False):
    """Commands that only print."""

    json: Annotated[
        bool,
        Option(False, "For programs: one JSON object a line on stdout.", panel=REPORT, flags=("--json",)),
    ]


class _ReportOptions(JsonOption, total=False):
    quiet: Annotated[bool, Option(False, "Say nothing but errors.", panel=REPORT, flags=("--quiet", "-q"))]


class ShowOptions(TypedDict, total=False):
    """Options that only the command ``live`` has."""

    seconds: Annotated[float | None, Option(None, "End after that long.", "SECONDS", BEHAVIOUR, above=0)]
    name: Annotated[
        str,
        Option("", "What [b]livematte ctl --session[/b] may call it, where several run.", "NAME", BEHAVIOUR),
    ]
    preview: Annotated[
        str | None,
        Option(
            None,
            "Show what viewers see and the matte, with hot keys ([b]h[/b] lists them): in a window where "
            "there is a display, in the terminal otherwise.",
            "[auto|window|terminal]",
            REPORT,
            choices=("auto", "window", "terminal"),
            bare="auto",
        ),
    ]
    preview_backgrounds: Annotated[
        list[str] | None,
        Option(
            None,
            "What the hot key [b]b[/b] goes through; otherwise the placeholder, [b]blur[/b] and "
            "[b]green[/b].",
            "WHAT,...",
            REPORT,
            path="background",
        ),
    ]
    stats: Annotated[
        bool, Option(False, "Say every second how it goes: rate, latency, drops, repeats.", panel=REPORT)
    ]


class _SessionOption(TypedDict, total=False):
    session: Annotated[
        str | None,
        Option(None, "Its [b]--name[/b] or process number, where several run.", "WHICH", flags=("-s",)),
    ]


class _FolderOption(TypedDict, total=False):
    folder: Annotated[
        PathLike, Option(Path("demo"), "Where the results go.", "FOLDER", flags=("-o",), path="file")
    ]


class _JudgedOptions(TypedDict, total=False):
    data: Annotated[
        PathLike,
        Option(
            REQUIRED,
            "[b]image/[/b] and [b]alpha/[/b] with files of the same names, a folder with both for each "
            "clip, or people and rooms as trained on.",
            "FOLDER",
            JUDGED,
            path="file",
        ),
    ]
    out: Annotated[
        PathLike | None,
        Option(None, "Write every figure and the worst pictures there.", "FOLDER", FILES, path="file"),
    ]
    count: Annotated[int | None, Option(None, "Only so many, evenly spread.", "N", JUDGED, least=1)]
    moving: Annotated[
        bool,
        Option(
            False,
            "Short clips of people walking, where the data is people and rooms.",
            panel=JUDGED,
            flags=("--moving",),
        ),
    ]
    band: Annotated[
        bool,
        Option(
            False,
            "Count only where a trimap would say unknown, not the whole picture.",
            panel=JUDGED,
            flags=("--band",),
        ),
    ]
    full: Annotated[
        bool,
        Option(
            True,
            "The whole way a rendered frame goes, or the network alone, its alpha enlarged.",
            panel=JUDGED,
            flags=("--full/--alone",),
        ),
    ]


class EvalOptions(_JudgedOptions, MatteOptions, DeviceOptions, total=False):
    """``livematte eval``."""


class RenderCommand(RenderOptions, _ReportOptions, total=False):
    """``livematte render``."""


class ImageCommand(ImageOptions, _ReportOptions, total=False):
    """``livematte image``."""


class TrimapCommand(TrimapOptions, _ReportOptions, total=False):
    """``livematte trimap``."""


class LiveCommand(LiveOptions, ShowOptions, _ReportOptions, total=False):
    """``livematte live``."""


class EvalCommand(EvalOptions, _ReportOptions, total=False):
    """``livematte eval``."""


class BenchCommand(BenchOptions, JsonOption, total=False):
    """``livematte bench``."""


class DoctorCommand(ModelOption, JsonOption, total=False):
    """``livematte doctor``."""


class TrainOptions(TypedDict, total=False):
    """``livematte train``."""

    data: Annotated[
        list[Path],
        Option(REQUIRED, "People with alpha, and rooms; repeatable. See docs/training.md.", "FOLDER"),
    ]
    layout: Annotated[
        list[str] | None,
        Option(
            None,
            "How a folder lies on disk, where that cannot be told: once for all, or for each --data.",
            "NAME",
        ),
    ]
    backgrounds: Annotated[
        Path | None,
        Option(None, "Rooms without people; otherwise the folder of that name in --data.", "FOLDER"),
    ]
    long_side: Annotated[
        int | None,
        Option(None, "Longer pictures are packed at this size; 576, for live sizes.", "PIXELS", least=64),
    ]
    clip_frames: Annotated[
        int | None, Option(None, "At most so many frames of a clip are packed; 16 otherwise.", "N", least=1)
    ]
    foregrounds: Annotated[
        str | None,
        Option(
            None,
            "Colours of photographed people: push-pull, multilevel, or closed-form, finest and slowest.",
            "HOW",
        ),
    ]
    out: Annotated[Path | None, Option(None, "Of this run; runs/RECIPE otherwise.", "FOLDER")]
    config: Annotated[Path | None, Option(None, "TOML that changes the recipe's plan.", "FILE")]
    resume: Annotated[bool, Option(False, "Go on with the run in --out.", "<bool>", flags=("--resume",))]
    start_from: Annotated[
        Path | None, Option(None, "Weights to begin with, where names and shapes fit.", "FILE")
    ]
    crops_seen: Annotated[
        int | None,
        Option(
            None,
            "Crops that the weights of --start-from have seen, where their file does not say.",
            "N",
            least=0,
        ),
    ]
    step: Annotated[list[str] | None, Option(None, "Only this step of the plan; repeatable.", "NAME")]
    scale: Annotated[float, Option(1.0, "Multiplies the iterations of every step.", "X", least=0.0001)]
    seed: Annotated[int, Option(1, "Of the whole run.", "N", least=0)]
    cache: Annotated[Path | None, Option(None, "Where the data is packed; beside --out otherwise.", "FOLDER")]
    device: Annotated[str, Option("auto", "[b]auto[/b], cpu, cuda or cuda:N.", "WHERE")]
    precision: Annotated[
        str,
        Option(
            "auto",
            "fp32, bf16 or, on a GPU, fp16; [b]auto[/b] is bf16 on a CPU that has it in hardware.",
            "KIND",
        ),
    ]
    workers: Annotated[
        int | None, Option(None, "Processes; one for each core or GPU otherwise.", "N", least=1)
    ]


class TrainCommand(TrainOptions, _ReportOptions, total=False):
    """``livematte train``."""


class DemoCommand(_FolderOption, _ReportOptions, total=False):
    """``livematte demo``."""


class SteerCommand(_SessionOption, _ReportOptions, total=False):
    """Each command of ``livematte ctl``."""


COMMANDS: Mapping[str, type] = {
    "render": RenderCommand, "live": LiveCommand, "image": ImageCommand, "trimap": TrimapCommand,
    "demo": DemoCommand, "doctor": DoctorCommand, "devices": JsonOption, "models": JsonOption,
    "probe": JsonOption, "bench": BenchCommand, "eval": EvalCommand, "train": TrainCommand,
    "ctl": SteerCommand,
}  # fmt: skip
"""The options of each command."""

PROFILES = ("live", "render")
"""Commands that take ``--profile``."""
