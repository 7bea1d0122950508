"""Options of each command: those of its Python call, and those that only the command line has.

:mod:`livematte.options` declares the options of Python calls in the same way.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, TypedDict

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
    PixelLimitOption,
    TrimapOptions,
)
from livematte.options.declaration import REQUIRED, Option
from livematte.options.many import PlanOptions, RenderManyOptions, WatchOptions

EVALUATION, REPORT = "Evaluation", "Reports"
"""Panel titles of the help pages."""


class JsonOption(TypedDict, total=False):
    """Output format of commands that print their results."""

    json: Annotated[
        bool,
        Option(
            False, "Print one JSON object per line on stdout, for programs.", panel=REPORT, flags=("--json",)
        ),
    ]


class _ReportOptions(JsonOption, total=False):
    quiet: Annotated[bool, Option(False, "Print errors only.", panel=REPORT, flags=("--quiet", "-q"))]


class ShowOptions(TypedDict, total=False):
    """Options of the command ``live`` that its Python call does not have."""

    seconds: Annotated[
        float | None, Option(None, "End the session after this time.", "SECONDS", BEHAVIOUR, above=0)
    ]
    name: Annotated[
        str,
        Option(
            "",
            "Name of this session for [b]livematte ctl --session NAME[/b], if several sessions run.",
            "NAME",
            BEHAVIOUR,
        ),
    ]
    preview: Annotated[
        Literal["auto", "window", "terminal"] | None,
        Option(
            None,
            "Show the output picture and its matte, in a window if there is a display, otherwise in the "
            "terminal. The hot key [b]h[/b] lists all hot keys.",
            "[auto|window|terminal]",
            REPORT,
            bare="auto",
        ),
    ]
    preview_backgrounds: Annotated[
        list[str] | None,
        Option(
            None,
            "Backgrounds for the hot key [b]b[/b] of the preview. Default: the placeholder, [b]blur[/b] and "
            "[b]green[/b].",
            "BACKGROUND,...",
            REPORT,
            path="background",
        ),
    ]
    stats: Annotated[
        bool,
        Option(
            False,
            "Print frame rate, latency, dropped and repeated frames every second.",
            panel=REPORT,
        ),
    ]


class _SessionOption(TypedDict, total=False):
    session: Annotated[
        str | None,
        Option(None, "[b]--name[/b] or process ID of the session, if several run.", "SESSION", flags=("-s",)),
    ]


class _FolderOption(TypedDict, total=False):
    folder: Annotated[
        PathLike, Option(Path("demo"), "Folder for the results.", "FOLDER", flags=("-o",), path="file")
    ]


class _EvaluationOptions(TypedDict, total=False):
    data: Annotated[
        PathLike,
        Option(
            REQUIRED,
            "Test data: folders [b]image/[/b] and [b]alpha/[/b] with files of the same names, one folder "
            "with both per clip, or a training data set (people and backgrounds).",
            "FOLDER",
            EVALUATION,
            path="file",
        ),
    ]
    out: Annotated[
        PathLike | None,
        Option(None, "Write all scores and the worst results to this folder.", "FOLDER", FILES, path="file"),
    ]
    count: Annotated[
        int | None,
        Option(None, "Use at most N cases, evenly spread over the data.", "N", EVALUATION, least=1),
    ]
    moving: Annotated[
        bool,
        Option(
            False,
            "Evaluate short clips of moving people. Only for a training data set.",
            panel=EVALUATION,
            flags=("--moving",),
        ),
    ]
    band: Annotated[
        bool,
        Option(
            False,
            "Score only the unknown region of the trimap, not the whole picture.",
            panel=EVALUATION,
            flags=("--band",),
        ),
    ]
    full: Annotated[
        bool,
        Option(
            True,
            "Evaluate the full pipeline, or with --alone only the network, its alpha enlarged.",
            panel=EVALUATION,
            flags=("--full/--alone",),
        ),
    ]


class EvalOptions(_EvaluationOptions, MatteOptions, DeviceOptions, total=False):
    """Options of ``livematte eval``."""


class RenderCommand(RenderManyOptions, PlanOptions, _ReportOptions, total=False):
    """Options of ``livematte render``."""


class WatchCommand(WatchOptions, _ReportOptions, total=False):
    """Options of ``livematte watch``."""


class FarmOptions(TypedDict, total=False):
    """Options that every command of ``livematte farm`` passes on: none."""


class FarmCommand(FarmOptions, _ReportOptions, total=False):
    """Options of every command of ``livematte farm``."""


class ImageCommand(ImageOptions, _ReportOptions, total=False):
    """Options of ``livematte image``."""


class TrimapCommand(TrimapOptions, _ReportOptions, total=False):
    """Options of ``livematte trimap``."""


class LiveCommand(LiveOptions, ShowOptions, _ReportOptions, total=False):
    """Options of ``livematte live``."""


class EvalCommand(EvalOptions, _ReportOptions, total=False):
    """Options of ``livematte eval``."""


class BenchCommand(BenchOptions, JsonOption, total=False):
    """Options of ``livematte bench``."""


class DoctorCommand(ModelOption, JsonOption, total=False):
    """Options of ``livematte doctor``."""


class TrainOptions(TypedDict, total=False):
    """Options of ``livematte train``."""

    data: Annotated[
        list[Path],
        Option(
            REQUIRED,
            "Training data: people with alpha, and backgrounds; repeatable. See docs/training.md.",
            "FOLDER",
        ),
    ]
    layout: Annotated[
        list[str] | None,
        Option(
            None,
            "Layout of the data folder, if it cannot be detected: once for all folders, or once per --data.",
            "NAME",
        ),
    ]
    backgrounds: Annotated[
        Path | None,
        Option(None, "Backgrounds without people. Default: the folder backgrounds/ in --data.", "FOLDER"),
    ]
    long_side: Annotated[
        int | None,
        Option(
            None,
            "Maximum long side of packed pictures. Default: 576, enough for live sizes.",
            "PIXELS",
            least=64,
        ),
    ]
    clip_frames: Annotated[
        int | None, Option(None, "Maximum number of frames packed per clip. Default: 16.", "N", least=1)
    ]
    foregrounds: Annotated[
        str | None,
        Option(
            None,
            "Foreground estimation for pictures: push-pull, multilevel, or closed-form (best and slowest).",
            "METHOD",
        ),
    ]
    out: Annotated[Path | None, Option(None, "Folder of this run. Default: runs/RECIPE.", "FOLDER")]
    config: Annotated[Path | None, Option(None, "TOML file that changes the plan of the recipe.", "FILE")]
    resume: Annotated[bool, Option(False, "Continue the run in --out.", "<bool>", flags=("--resume",))]
    start_from: Annotated[
        Path | None, Option(None, "Initial weights; used where names and shapes match.", "FILE")
    ]
    crops_seen: Annotated[
        int | None,
        Option(
            None,
            "Number of crops that the --start-from weights were trained on, if the file does not state it.",
            "N",
            least=0,
        ),
    ]
    step: Annotated[list[str] | None, Option(None, "Run only this step of the plan; repeatable.", "NAME")]
    scale: Annotated[
        float, Option(1.0, "Multiply the number of iterations of every step by X.", "X", least=0.0001)
    ]
    seed: Annotated[int, Option(1, "Random seed of the run.", "N", least=0)]
    cache: Annotated[
        Path | None, Option(None, "Folder for the packed data. Default: beside --out.", "FOLDER")
    ]
    device: Annotated[
        str, Option("auto", "Device of the training: [b]auto[/b], cpu, cuda or cuda:N.", "DEVICE")
    ]
    precision: Annotated[
        str,
        Option(
            "auto",
            "Precision: fp32, bf16 or, on a GPU, fp16; [b]auto[/b] is bf16 on a CPU with hardware support.",
            "PRECISION",
        ),
    ]
    workers: Annotated[
        int | None, Option(None, "Number of training processes. Default: one per core or GPU.", "N", least=1)
    ]


class TrainCommand(TrainOptions, _ReportOptions, total=False):
    """Options of ``livematte train``."""


class ModelsCommand(JsonOption, total=False):
    """Options of ``livematte models``."""

    long: Annotated[bool, Option(False, "Also print papers and licences.", flags=("--long",))]


class DemoCommand(_FolderOption, _ReportOptions, total=False):
    """Options of ``livematte demo``."""


class PanelOptions(TypedDict, total=False):
    """Options of ``livematte panel``."""

    port: Annotated[
        int, Option(8717, "Port of the panel at 127.0.0.1.", "N", between=(1024, 65535), flags=("-p",))
    ]
    profiles: Annotated[
        Path | None,
        Option(
            None,
            "Folder with the profiles that the panel may start, and where it saves new ones. Default: "
            "[b]panel/profiles[/b] in the user's configuration folder of livematte.",
            "FOLDER",
        ),
    ]
    backgrounds: Annotated[
        list[Path] | None,
        Option(
            None,
            "Folder with pictures and videos for the background; repeatable.",
            "FOLDER",
        ),
    ]
    files: Annotated[
        list[Path] | None,
        Option(
            None,
            "Folder with videos that the panel may render; results are written beside them. Repeatable.",
            "FOLDER",
        ),
    ]
    open: Annotated[bool, Option(False, "Open the panel in the browser.", flags=("--open",))]
    token_file: Annotated[
        bool,
        Option(
            False,
            "Print the path of the file with the token, for hardware keys, and end.",
            flags=("--token-file",),
        ),
    ]


class PanelCommand(PanelOptions, _ReportOptions, total=False):
    """Options of ``livematte panel``, for reports too."""


class ProbeCommand(PixelLimitOption, JsonOption, total=False):
    """Options of ``livematte probe``."""


class ControlCommand(_SessionOption, _ReportOptions, total=False):
    """Options of every command of ``livematte ctl``."""


COMMANDS: Mapping[str, type] = {
    "render": RenderCommand, "watch": WatchCommand, "live": LiveCommand, "image": ImageCommand,
    "trimap": TrimapCommand, "demo": DemoCommand, "doctor": DoctorCommand, "devices": JsonOption,
    "models": ModelsCommand, "probe": ProbeCommand, "bench": BenchCommand, "eval": EvalCommand,
    "train": TrainCommand, "ctl": ControlCommand, "panel": PanelCommand, "farm": FarmCommand,
}  # fmt: skip
"""The options of each command."""

PROFILES = ("live", "render")
"""Commands that take ``--profile``."""
