"""Options that more than one command takes, and what the shell completes for them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from livematte import registry

BACKDROP, MATTE, MACHINE, OUTPUT, REPORT = (
    "What goes behind",
    "The matte",
    "The machine",
    "The files",
    "What is said",
)

COLOURS = ("green", "white", "black", "gray", "blue", "red")
"""Suggestions for the shell; any colour is allowed."""


def complete_names(group: str) -> Callable[[str], list[str]]:
    """What the shell suggests where a registered name of ``livematte.<group>`` is wanted."""
    return lambda incomplete: [name for name in registry.names(group) if name.startswith(incomplete)]


complete_models, _complete_refiners = complete_names("models"), complete_names("refiners")


def _complete_models_and_refiners(incomplete: str) -> list[str]:
    return [*complete_models(incomplete), *_complete_refiners(incomplete)]


def _complete_refine(incomplete: str) -> list[str]:
    return [*one_of("guided", "none")(incomplete), *_complete_refiners(incomplete)]


def complete_background(incomplete: str) -> list[tuple[str, str]]:
    """What the shell suggests for a background, each with what it is."""
    words = [("transparent", "alpha in the output"), ("blur", "the room, out of focus"), ("blur:40", "more")]
    words += [(colour, "a colour") for colour in COLOURS]
    folder = Path(incomplete).parent if Path(incomplete).name != incomplete else Path()
    with suppress(OSError):
        words += [(str(path), "a file") for path in sorted(folder.iterdir())[:200]]
    return [(word, what) for word, what in words if word.startswith(incomplete)]


def one_of(*words: str) -> Callable[[str], list[str]]:
    """What the shell suggests where one of ``words`` is wanted."""
    return lambda incomplete: [word for word in words if word.startswith(incomplete)]


Background = Annotated[
    str,
    typer.Option(
        "--background",
        "-b",
        metavar="WHAT",
        help="A colour ([b]green[/b], [b]white[/b], [b]#00b140[/b]), a picture, a video (looped), "
        "[b]blur[/b], [b]blur:40[/b], or [b]transparent[/b].",
        autocompletion=complete_background,
        rich_help_panel=BACKDROP,
    ),
]
Fit = Annotated[
    str,
    typer.Option(
        "--fit",
        metavar="HOW",
        help="How a picture or video fills the frame: [b]cover[/b] crops it, [b]contain[/b] shows all of it, "
        "[b]stretch[/b] bends it.",
        autocompletion=one_of("cover", "contain", "stretch"),
        rich_help_panel=BACKDROP,
    ),
]
ModelName = Annotated[
    str,
    typer.Option(
        "--model",
        "-m",
        metavar="NAME",
        help="Which network; [b]livematte models[/b] lists them.",
        autocompletion=complete_models,
        rich_help_panel=MATTE,
    ),
]
ModelOrRefiner = Annotated[
    str,
    typer.Option(
        "--model",
        "-m",
        metavar="NAME",
        help="Which network; [b]livematte models[/b] lists them. With [b]--trimap[/b] one that refines.",
        autocompletion=_complete_models_and_refiners,
        rich_help_panel=MATTE,
    ),
]
Weights = Annotated[
    Path | None,
    typer.Option(
        "--weights",
        metavar="FILE",
        help="Weights of your own training, .safetensors or .onnx.",
        rich_help_panel=MATTE,
    ),
]
Size = Annotated[
    int | None,
    typer.Option(
        "--size",
        metavar="PIXELS",
        help="Long side of the picture the network sees. More is finer and slower.",
        rich_help_panel=MATTE,
    ),
]
Temporal = Annotated[
    str,
    typer.Option(
        "--temporal",
        metavar="HOW",
        help="How the matte is calmed over time: [b]on[/b], [b]strong[/b] or [b]off[/b].",
        autocompletion=one_of("on", "strong", "off"),
        rich_help_panel=MATTE,
    ),
]
KeepIslands = Annotated[
    bool,
    typer.Option(
        "--keep-islands/--no-keep-islands",
        metavar="",
        help="Keep small patches that hang on to nobody; without it they are taken for the room.",
        rich_help_panel=MATTE,
    ),
]
Refine = Annotated[
    str,
    typer.Option(
        "--refine",
        metavar="HOW",
        help="[b]guided[/b] fits the edge to the full-size picture, [b]none[/b] only enlarges it; "
        "the name of a refiner ([b]livematte models[/b]) asks that network where there is doubt.",
        autocompletion=_complete_refine,
        rich_help_panel=MATTE,
    ),
]
RefineWeights = Annotated[
    Path | None,
    typer.Option(
        "--refine-weights",
        metavar="FILE",
        help="Weights of your own training for the refiner.",
        rich_help_panel=MATTE,
    ),
]
RefineSize = Annotated[
    int | None,
    typer.Option(
        "--refine-size",
        metavar="PIXELS",
        help="Long side at which a refiner works; the frame's own, up to 1280.",
        rich_help_panel=MATTE,
    ),
]
RefineBudget = Annotated[
    float | None,
    typer.Option(
        "--refine-budget",
        metavar="MS",
        help="Milliseconds a frame for a refiner; what is left over waits for the next frames. As long as it "
        "takes otherwise.",
        rich_help_panel=MATTE,
    ),
]
RefineTta = Annotated[
    bool,
    typer.Option(
        "--refine-tta/--no-refine-tta",
        metavar="",
        help="Average a refiner over turned, flipped and scaled views, where it can: finer, and many times "
        "slower.",
        rich_help_panel=MATTE,
    ),
]
Trimap = Annotated[
    Path | None,
    typer.Option(
        "--trimap",
        metavar="FILE",
        help="A drawn picture of the same size: black background, grey 128 unknown, white foreground. A "
        "refiner fills in the unknown.",
        rich_help_panel=MATTE,
    ),
]
Foreground = Annotated[
    bool,
    typer.Option(
        "--foreground/--no-foreground",
        metavar="",
        help="Estimate people's own colours, so that the old room does not glow in their hair.",
        rich_help_panel=MATTE,
    ),
]
Device = Annotated[
    str,
    typer.Option(
        "--device",
        metavar="WHERE",
        help="[b]auto[/b], [b]cpu[/b], [b]cuda[/b] or [b]cuda:1[/b]; [b]directml[/b] or [b]coreml[/b].",
        autocompletion=one_of("auto", "cpu", "cuda", "cuda:0", "directml", "coreml"),
        rich_help_panel=MACHINE,
    ),
]
Devices = Annotated[
    str,
    typer.Option(
        "--device",
        metavar="WHERE",
        help="[b]auto[/b], [b]cpu[/b], [b]cuda[/b] or [b]cuda:1[/b]; [b]cuda:0,cuda:1[/b] divide the video.",
        autocompletion=one_of("auto", "cpu", "cuda", "cuda:0", "cuda:0,cuda:1"),
        rich_help_panel=MACHINE,
    ),
]
Hwaccel = Annotated[
    str,
    typer.Option(
        "--hwaccel",
        metavar="WHICH",
        help="What decodes IN: [b]auto[/b] is the NVIDIA GPU where one works on the frames, else the CPU; "
        "or [b]none[/b], [b]cuda[/b], [b]vaapi[/b], [b]qsv[/b], [b]videotoolbox[/b], [b]d3d11va[/b].",
        autocompletion=one_of("auto", "none", "cuda", "vaapi", "qsv", "videotoolbox", "d3d11va"),
        rich_help_panel=MACHINE,
    ),
]
Runtime = Annotated[
    str,
    typer.Option(
        "--runtime",
        metavar="WHICH",
        help="What runs the network: [b]auto[/b], [b]openvino[/b], [b]onnxruntime[/b], [b]torch[/b] or "
        "[b]tensorrt[/b].",
        autocompletion=one_of("auto", "openvino", "onnxruntime", "torch", "tensorrt"),
        rich_help_panel=MACHINE,
    ),
]
Precision = Annotated[
    str,
    typer.Option(
        "--precision",
        metavar="WHICH",
        help="[b]auto[/b], [b]int8[/b], [b]fp32[/b], or on a GPU [b]fp16[/b] or [b]bf16[/b].",
        autocompletion=one_of("auto", "int8", "fp32", "fp16", "bf16"),
        rich_help_panel=MACHINE,
    ),
]
Threads = Annotated[
    int | None,
    typer.Option(
        "--threads",
        metavar="N",
        min=1,
        help="Processor threads for the network.",
        rich_help_panel=MACHINE,
    ),
]
AlphaOut = Annotated[
    Path | None,
    typer.Option(
        "--alpha-out", metavar="FILE", help="Also write the matte, white on black.", rich_help_panel=OUTPUT
    ),
]
ForegroundOut = Annotated[
    Path | None,
    typer.Option(
        "--foreground-out",
        metavar="FILE",
        help="Also write the people's own colours.",
        rich_help_panel=OUTPUT,
    ),
]
DebugView = Annotated[
    Path | None,
    typer.Option(
        "--debug-view",
        metavar="FILE",
        help="Also write what the networks saw and gave, side by side.",
        rich_help_panel=OUTPUT,
    ),
]
Start = Annotated[
    float | None,
    typer.Option(metavar="SECONDS", help="Begin here.", rich_help_panel=OUTPUT),
]
End = Annotated[
    float | None,
    typer.Option(metavar="SECONDS", help="End here.", rich_help_panel=OUTPUT),
]
Overwrite = Annotated[
    bool,
    typer.Option(
        "--overwrite/--no-overwrite",
        metavar="",
        help="May existing files be replaced?",
        rich_help_panel=OUTPUT,
    ),
]
Json = Annotated[
    bool,
    typer.Option(
        "--json", metavar="", help="For programs: one JSON object a line on stdout.", rich_help_panel=REPORT
    ),
]
Quiet = Annotated[
    bool, typer.Option("--quiet", "-q", metavar="", help="Say nothing but errors.", rich_help_panel=REPORT)
]
