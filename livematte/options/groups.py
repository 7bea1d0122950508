"""Options that more than one call takes, in groups: name, type, default, help, range.

A new option is a field here and the code that uses it. The order in a group is the order on the help page.
Annotations are evaluated at once: no ``from __future__ import annotations`` here.
"""

import os
from typing import TYPE_CHECKING, Annotated, TypedDict

from livematte.options.declaration import Change, Option

if TYPE_CHECKING:
    from livematte.protocols import Background, Model, TrimapModel
else:
    Background = Model = TrimapModel = object  # any object: checked where it is used

PathLike = str | os.PathLike[str]

DEFAULT_MODEL = "late-fusion-live"
"""The one place where ``livematte`` knows a model by name."""
DEFAULT_BACKGROUND = "green"

BACKDROP, MATTE, MACHINE, FILES, ENCODING, CAMERA, OUTPUT, BEHAVIOUR = (
    "What goes behind", "The matte", "The machine", "The files", "The encoding", "The camera", "The output",
    "How it behaves",
)  # fmt: skip
"""Boxes of the help pages."""


BACKGROUND_OPTION = Option(
    DEFAULT_BACKGROUND,
    "A colour ([b]green[/b], [b]white[/b], [b]#00b140[/b]), a picture, a video (looped), [b]blur[/b], "
    "[b]blur:40[/b], or [b]transparent[/b].",
    "WHAT",
    BACKDROP,
    flags=("-b",),
    path="background",
    change=Change(
        "Put something else behind people.",
        "A colour, a picture, a video (looped), [b]blur[/b], [b]blur:40[/b] or [b]transparent[/b].",
    ),
)
MODEL_OPTION = Option(
    DEFAULT_MODEL,
    "Which network; [b]livematte models[/b] lists them.",
    "NAME",
    MATTE,
    flags=("-m",),
    names=("models",),
    change=Change(
        "Let another network work; the old one goes on until it is ready.", "One of [b]livematte models[/b]."
    ),
)
DEVICE_OPTION = Option(
    "auto",
    "[b]auto[/b], [b]cpu[/b], [b]cuda[/b] or [b]cuda:1[/b]; [b]directml[/b] or [b]coreml[/b].",
    "WHERE",
    MACHINE,
    examples=("auto", "cpu", "cuda", "cuda:0", "directml", "coreml"),
)


class BackgroundOption(TypedDict, total=False):
    background: Annotated[PathLike | Background, BACKGROUND_OPTION]


class ImageBackgroundOption(TypedDict, total=False):
    background: Annotated[PathLike | Background, BACKGROUND_OPTION.but(default="transparent")]


class FitOption(TypedDict, total=False):
    fit: Annotated[
        str,
        Option(
            "cover",
            "How a picture or video fills the frame: [b]cover[/b] crops it, [b]contain[/b] shows all of "
            "it, [b]stretch[/b] bends it.",
            "HOW",
            BACKDROP,
            choices=("cover", "contain", "stretch"),
        ),
    ]


class ModelOption(TypedDict, total=False):
    """The network."""

    model: Annotated[str | Model, MODEL_OPTION]


class ModelOrRefinerOption(TypedDict, total=False):
    model: Annotated[
        str | Model,
        MODEL_OPTION.but(
            help="Which network; [b]livematte models[/b] lists them. With [b]--trimap[/b] one that refines.",
            names=("models", "refiners"),
        ),
    ]


class WeightsOption(TypedDict, total=False):
    weights: Annotated[
        PathLike | None,
        Option(None, "Weights of your own training, .safetensors or .onnx.", "FILE", MATTE, path="file"),
    ]


class SizeOption(TypedDict, total=False):
    size: Annotated[
        int | None,
        Option(
            None,
            "Long side of the picture the network sees. More is finer and slower.",
            "PIXELS",
            MATTE,
            between=(32, 4096),
            unit="the long side in pixels",
        ),
    ]


class TrimapOption(TypedDict, total=False):
    trimap: Annotated[
        PathLike | None,
        Option(
            None,
            "A drawn picture of the same size: black background, grey 128 unknown, white foreground. A "
            "refiner fills in the unknown.",
            "FILE",
            MATTE,
            path="file",
        ),
    ]


class TemporalOption(TypedDict, total=False):
    temporal: Annotated[
        str,
        Option(
            "on",
            "How the matte is calmed over time: [b]on[/b], [b]strong[/b] or [b]off[/b].",
            "HOW",
            MATTE,
            choices=("on", "strong", "off"),
        ),
    ]


class IslandsOption(TypedDict, total=False):
    keep_islands: Annotated[
        bool,
        Option(
            False,
            "Keep small patches that hang on to nobody; without it they are taken for the room.",
            panel=MATTE,
        ),
    ]


class RefinerOptions(TypedDict, total=False):
    refine: Annotated[
        str | TrimapModel,
        Option(
            "guided",
            "[b]guided[/b] fits the edge to the full-size picture, [b]none[/b] only enlarges it; "
            "the name of a refiner ([b]livematte models[/b]) asks that network where there is doubt.",
            "HOW",
            MATTE,
            examples=("guided", "none"),
            names=("refiners",),
        ),
    ]
    refine_weights: Annotated[
        PathLike | None,
        Option(None, "Weights of your own training for the refiner.", "FILE", MATTE, path="file"),
    ]
    refine_size: Annotated[
        int | None,
        Option(
            None,
            "Long side at which a refiner works; the frame's own, up to 1280.",
            "PIXELS",
            MATTE,
            between=(64, 8192),
            unit="the long side in pixels",
        ),
    ]


class BudgetOption(TypedDict, total=False):
    refine_budget: Annotated[
        float | None,
        Option(
            None,
            "Milliseconds a frame for a refiner; what is left over waits for the next frames. As long as "
            "it takes otherwise.",
            "MS",
            MATTE,
            above=0,
            unit="milliseconds",
        ),
    ]


class AugmentOption(TypedDict, total=False):
    refine_tta: Annotated[
        bool,
        Option(
            False,
            "Average a refiner over turned, flipped and scaled views, where it can: finer, and many times "
            "slower.",
            panel=MATTE,
        ),
    ]


class ForegroundOption(TypedDict, total=False):
    foreground: Annotated[
        bool,
        Option(
            True,
            "Estimate people's own colours, so that the old room does not glow in their hair.",
            panel=MATTE,
        ),
    ]


class OutputOptions(TypedDict, total=False):
    """Further outputs beside the picture."""

    alpha_out: Annotated[
        PathLike | None,
        Option(None, "Also write the matte, white on black.", "FILE", FILES, path="file", output="alpha"),
    ]
    foreground_out: Annotated[
        PathLike | None,
        Option(None, "Also write the people's own colours.", "FILE", FILES, path="file", output="foreground"),
    ]
    debug_view: Annotated[
        PathLike | None,
        Option(
            None,
            "Also write what the networks saw and gave, side by side.",
            "FILE",
            FILES,
            path="file",
            output="debug",
        ),
    ]


class OverwriteOption(TypedDict, total=False):
    overwrite: Annotated[bool, Option(True, "May existing files be replaced?", panel=FILES)]


class EncodingOptions(TypedDict, total=False):
    """The encoder of a video."""

    codec: Annotated[
        str | None,
        Option(
            None,
            "[b]x264[/b], [b]x265[/b], [b]svtav1[/b], [b]vp9[/b], [b]prores[/b], [b]ffv1[/b]; on an "
            "NVIDIA GPU [b]h264_nvenc[/b], [b]hevc_nvenc[/b], [b]av1_nvenc[/b]; by default what the file's "
            "ending suggests.",
            "NAME",
            ENCODING,
        ),
    ]
    crf: Annotated[int | None, Option(None, "Constant quality; lower is better and larger.", "N", ENCODING)]
    preset: Annotated[
        str | None, Option(None, "The encoder's own speed, e.g. [b]veryfast[/b].", "NAME", ENCODING)
    ]


class SectionOptions(TypedDict, total=False):
    """The part of a video that is read."""

    start: Annotated[float | None, Option(None, "Begin here.", "SECONDS", FILES)]
    end: Annotated[float | None, Option(None, "End here.", "SECONDS", FILES)]


class DeviceOption(TypedDict, total=False):
    device: Annotated[str, DEVICE_OPTION]


class DevicesOption(TypedDict, total=False):
    device: Annotated[
        str,
        DEVICE_OPTION.but(
            help="[b]auto[/b], [b]cpu[/b], [b]cuda[/b] or [b]cuda:1[/b]; "
            "[b]cuda:0,cuda:1[/b] divide the video.",
            examples=("auto", "cpu", "cuda", "cuda:0", "cuda:0,cuda:1"),
        ),
    ]


class DecoderOption(TypedDict, total=False):
    hwaccel: Annotated[
        str,
        Option(
            "auto",
            "What decodes IN: [b]auto[/b] is the NVIDIA GPU where one works on the frames, else the CPU; "
            "or [b]none[/b], [b]cuda[/b], [b]vaapi[/b], [b]qsv[/b], [b]videotoolbox[/b], [b]d3d11va[/b].",
            "WHICH",
            MACHINE,
            choices=("auto", "none", "cuda", "vaapi", "qsv", "videotoolbox", "d3d11va"),
        ),
    ]


class RuntimeOptions(TypedDict, total=False):
    runtime: Annotated[
        str,
        Option(
            "auto",
            "What runs the network: [b]auto[/b], [b]openvino[/b], [b]onnxruntime[/b], [b]torch[/b] or "
            "[b]tensorrt[/b].",
            "WHICH",
            MACHINE,
            choices=("auto", "openvino", "onnxruntime", "torch", "tensorrt"),
        ),
    ]
    precision: Annotated[
        str,
        Option(
            "auto",
            "[b]auto[/b], [b]int8[/b], [b]fp32[/b], or on a GPU [b]fp16[/b] or [b]bf16[/b].",
            "WHICH",
            MACHINE,
            choices=("auto", "int8", "fp32", "fp16", "bf16"),
        ),
    ]
    threads: Annotated[int | None, Option(None, "Processor threads for the network.", "N", MACHINE, least=1)]
