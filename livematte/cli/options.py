"""Options that more than one command takes, and what the shell completes for them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from livematte import registry

_BACKDROP, _MATTE, _MACHINE, _OUTPUT, _REPORT = (
    "What goes behind",
    "The matte",
    "The machine",
    "The files",
    "What is said",
)

COLOURS = ("green", "white", "black", "gray", "blue", "red")
"""Suggestions for the shell; any colour is allowed."""


def _complete_models(incomplete: str) -> list[str]:
    return [name for name in registry.names("models") if name.startswith(incomplete)]


def _complete_background(incomplete: str) -> list[tuple[str, str]]:
    words = [("transparent", "alpha in the output"), ("blur", "the room, out of focus"), ("blur:40", "more")]
    words += [(colour, "a colour") for colour in COLOURS]
    folder = Path(incomplete).parent if Path(incomplete).name != incomplete else Path()
    with suppress(OSError):
        words += [(str(path), "a file") for path in sorted(folder.iterdir())[:200]]
    return [(word, what) for word, what in words if word.startswith(incomplete)]


def _one_of(*words: str) -> Callable[[str], list[str]]:
    return lambda incomplete: [word for word in words if word.startswith(incomplete)]


Background = Annotated[
    str,
    typer.Option(
        "--background",
        "-b",
        metavar="WHAT",
        help="A colour ([b]green[/b], [b]white[/b], [b]#00b140[/b]), a picture, a video (looped), "
        "[b]blur[/b], [b]blur:40[/b], or [b]transparent[/b].",
        autocompletion=_complete_background,
        rich_help_panel=_BACKDROP,
    ),
]
Fit = Annotated[
    str,
    typer.Option(
        "--fit",
        metavar="HOW",
        help="How a picture or video fills the frame: [b]cover[/b] crops it, [b]contain[/b] shows all of it, "
        "[b]stretch[/b] bends it.",
        autocompletion=_one_of("cover", "contain", "stretch"),
        rich_help_panel=_BACKDROP,
    ),
]
ModelName = Annotated[
    str,
    typer.Option(
        "--model",
        "-m",
        metavar="NAME",
        help="Which network; [b]livematte models[/b] lists them.",
        autocompletion=_complete_models,
        rich_help_panel=_MATTE,
    ),
]
Weights = Annotated[
    Path | None,
    typer.Option(
        "--weights",
        metavar="FILE",
        help="Weights of your own training, .safetensors or .onnx.",
        rich_help_panel=_MATTE,
    ),
]
Size = Annotated[
    int | None,
    typer.Option(
        "--size",
        metavar="PIXELS",
        help="Long side of the picture the network sees. More is finer and slower.",
        rich_help_panel=_MATTE,
    ),
]
Temporal = Annotated[
    str,
    typer.Option(
        "--temporal",
        metavar="HOW",
        help="How the matte is calmed over time: [b]on[/b], [b]strong[/b] or [b]off[/b].",
        autocompletion=_one_of("on", "strong", "off"),
        rich_help_panel=_MATTE,
    ),
]
KeepIslands = Annotated[
    bool,
    typer.Option(
        "--keep-islands",
        metavar="",
        help="Keep small patches that hang on to nobody; without it they are taken for the room.",
        rich_help_panel=_MATTE,
    ),
]
Refine = Annotated[
    str,
    typer.Option(
        "--refine",
        metavar="HOW",
        help="[b]guided[/b] fits the edge to the full-size picture, [b]none[/b] only enlarges it.",
        autocompletion=_one_of("guided", "none"),
        rich_help_panel=_MATTE,
    ),
]
Foreground = Annotated[
    bool,
    typer.Option(
        "--foreground/--no-foreground",
        metavar="",
        help="Estimate people's own colours, so that the old room does not glow in their hair.",
        rich_help_panel=_MATTE,
    ),
]
Device = Annotated[
    str,
    typer.Option(
        "--device",
        metavar="WHERE",
        help="[b]auto[/b], [b]cpu[/b], [b]cuda[/b] or [b]cuda:1[/b].",
        autocompletion=_one_of("auto", "cpu", "cuda", "cuda:0"),
        rich_help_panel=_MACHINE,
    ),
]
Runtime = Annotated[
    str,
    typer.Option(
        "--runtime",
        metavar="WHICH",
        help="What runs the network: [b]auto[/b], [b]openvino[/b], [b]onnxruntime[/b] or [b]torch[/b].",
        autocompletion=_one_of("auto", "openvino", "onnxruntime", "torch"),
        rich_help_panel=_MACHINE,
    ),
]
Precision = Annotated[
    str,
    typer.Option(
        "--precision",
        metavar="WHICH",
        help="[b]auto[/b], [b]int8[/b] or [b]fp32[/b].",
        autocompletion=_one_of("auto", "int8", "fp32"),
        rich_help_panel=_MACHINE,
    ),
]
Threads = Annotated[
    int | None,
    typer.Option(
        "--threads",
        metavar="N",
        min=1,
        help="Processor threads for the network.",
        rich_help_panel=_MACHINE,
    ),
]
AlphaOut = Annotated[
    Path | None,
    typer.Option(
        "--alpha-out", metavar="FILE", help="Also write the matte, white on black.", rich_help_panel=_OUTPUT
    ),
]
ForegroundOut = Annotated[
    Path | None,
    typer.Option(
        "--foreground-out",
        metavar="FILE",
        help="Also write the people's own colours.",
        rich_help_panel=_OUTPUT,
    ),
]
Overwrite = Annotated[
    bool,
    typer.Option(
        "--overwrite/--no-overwrite",
        metavar="",
        help="May existing files be replaced?",
        rich_help_panel=_OUTPUT,
    ),
]
Json = Annotated[
    bool,
    typer.Option(
        "--json", metavar="", help="For programs: one JSON object a line on stdout.", rich_help_panel=_REPORT
    ),
]
Quiet = Annotated[
    bool, typer.Option("--quiet", "-q", metavar="", help="Say nothing but errors.", rich_help_panel=_REPORT)
]
