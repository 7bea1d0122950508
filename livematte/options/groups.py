"""Options that several calls share, in groups: name, type, default, help, range.

A new option needs a field here and the code that uses it. The order in a group is the order on the help page.
Do not add ``from __future__ import annotations``: the annotations are evaluated at import.
"""

import os
from typing import TYPE_CHECKING, Annotated, Literal, TypedDict

from livematte.frame import Channels
from livematte.options.declaration import Change, Option

if TYPE_CHECKING:
    from livematte.frame import Picture
    from livematte.protocols import Background, Model, TrimapModel
else:
    Background = Model = Picture = TrimapModel = object  # any object: checked where it is used

PathLike = str | os.PathLike[str]

Runtime = Literal["auto", "openvino", "onnxruntime", "torch", "tensorrt"]

DEFAULT_MODEL = "late-fusion-live"
"""Name of the default model. No other module refers to a model by name."""
DEFAULT_BACKGROUND = "green"

BACKGROUND, MATTE, COMPUTE, FILES, ENCODING, CAMERA, OUTPUT, BEHAVIOUR = (
    "Background", "Matte", "Compute", "Files", "Encoding", "Camera", "Output", "Behaviour",
)  # fmt: skip
"""Panel titles of the help pages."""


BACKGROUND_OPTION = Option(
    DEFAULT_BACKGROUND,
    "New background: a colour ([b]green[/b], [b]white[/b], [b]#00b140[/b]), a picture, a video (looped), "
    "[b]blur[/b] or [b]blur:40[/b] (the original background, blurred), or [b]transparent[/b].",
    "BACKGROUND",
    BACKGROUND,
    flags=("-b",),
    path="background",
    change=Change(
        "Change the background.",
        "A colour, a picture, a video (looped), [b]blur[/b], [b]blur:40[/b] or [b]transparent[/b].",
    ),
)
MODEL_OPTION = Option(
    DEFAULT_MODEL,
    "Name of the matting network; [b]livematte models[/b] lists them.",
    "NAME",
    MATTE,
    flags=("-m",),
    names=("models",),
    change=Change(
        "Change the matting network. The old network is used until the new one is ready.",
        "A name that [b]livematte models[/b] lists.",
    ),
)
DEVICE_OPTION = Option(
    "auto",
    "Device of the network: [b]auto[/b], [b]cpu[/b], [b]cuda[/b], [b]cuda:1[/b], [b]directml[/b] or "
    "[b]coreml[/b].",
    "DEVICE",
    COMPUTE,
    examples=("auto", "cpu", "cuda", "cuda:0", "directml", "coreml"),
)


class BackgroundOption(TypedDict, total=False):
    background: Annotated[PathLike | Picture | tuple[int, int, int] | Background, BACKGROUND_OPTION]


class ImageBackgroundOption(TypedDict, total=False):
    background: Annotated[
        PathLike | Picture | tuple[int, int, int] | Background,
        BACKGROUND_OPTION.with_changes(default="transparent"),
    ]


class FitOption(TypedDict, total=False):
    fit: Annotated[
        Literal["cover", "contain", "stretch"],
        Option(
            "cover",
            "Scaling of a background picture or video: [b]cover[/b] fills the frame and crops, "
            "[b]contain[/b] shows the whole picture with bars, [b]stretch[/b] changes the aspect ratio.",
            "FIT",
            BACKGROUND,
        ),
    ]


class ModelOption(TypedDict, total=False):
    """Name of the network."""

    model: Annotated[str | Model, MODEL_OPTION]


class ModelOrRefinerOption(TypedDict, total=False):
    model: Annotated[
        str | Model,
        MODEL_OPTION.with_changes(
            help="Name of the matting network; [b]livematte models[/b] lists them. With [b]--trimap[/b]: "
            "name of a refiner.",
            names=("models", "refiners"),
        ),
    ]


class WeightsOption(TypedDict, total=False):
    weights: Annotated[
        PathLike | None,
        Option(None, "Your own weights for the network, .safetensors or .onnx.", "FILE", MATTE, path="file"),
    ]


class SizeOption(TypedDict, total=False):
    size: Annotated[
        int | None,
        Option(
            None,
            "Long side of the network input in pixels, at most that of the frame. A larger size gives finer "
            "edges; the time per frame grows with the square of the size. Default: set by the model; live, "
            "one for video rate, which grows to that of the model if half of the time is spare.",
            "PIXELS",
            MATTE,
            between=(32, 4096),
            unit="pixels",
            change=Change(
                "Change the size of the network input.",
                "Long side in pixels, or [b]default[/b] for the size set by the model.",
                optional=True,
            ),
        ),
    ]


class TrimapOption(TypedDict, total=False):
    trimap: Annotated[
        PathLike | None,
        Option(
            None,
            "Trimap of the same size as IN: black (0) background, grey (128) unknown, white (255) "
            "foreground. A refiner computes the unknown region.",
            "FILE",
            MATTE,
            path="file",
        ),
    ]


class TemporalOption(TypedDict, total=False):
    temporal: Annotated[
        Literal["on", "strong", "off"],
        Option(
            "on",
            "Temporal smoothing of the matte, which reduces flicker: [b]on[/b], [b]strong[/b] or [b]off[/b].",
            "MODE",
            MATTE,
        ),
    ]


class IslandsOption(TypedDict, total=False):
    keep_islands: Annotated[
        bool,
        Option(
            False,
            "Keep small foreground regions that are not connected to a person. They are removed otherwise.",
            panel=MATTE,
        ),
    ]


class RegionsOption(TypedDict, total=False):
    regions: Annotated[
        Literal["auto", "off"],
        Option(
            "off",
            "Show the network an enlarged region round small people, for finer edges at the same cost: "
            "[b]auto[/b], or [b]off[/b] (always the whole frame). Off if frames are on a GPU.",
            "MODE",
            MATTE,
        ),
    ]


class RefinerOptions(TypedDict, total=False):
    refine: Annotated[
        str | TrimapModel,
        Option(
            "guided",
            "Upsampling of alpha to the frame size: [b]guided[/b] (guided filter), [b]none[/b] (plain "
            "interpolation), or the name of a refiner, a network for uncertain regions "
            "([b]livematte models[/b] lists them).",
            "METHOD",
            MATTE,
            examples=("guided", "none"),
            names=("refiners",),
            change=Change(
                "Change the upsampling of alpha to the frame size.",
                "[b]guided[/b], [b]none[/b], or the name of a refiner.",
            ),
        ),
    ]
    refine_weights: Annotated[
        PathLike | None,
        Option(None, "Your own weights for the refiner.", "FILE", MATTE, path="file"),
    ]
    refine_size: Annotated[
        int | None,
        Option(
            None,
            "Long side of the refiner input in pixels. Default: the frame size, at most 1280.",
            "PIXELS",
            MATTE,
            between=(64, 8192),
            unit="pixels",
        ),
    ]


class BudgetOption(TypedDict, total=False):
    refine_budget: Annotated[
        float | None,
        Option(
            None,
            "Maximum time of the refiner per frame in milliseconds; the remaining regions are refined in the "
            "next frames. Default: no limit.",
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
            "Test-time augmentation of a refiner that supports it: average over rotated, flipped and scaled "
            "copies. Finer, and many times slower.",
            panel=MATTE,
        ),
    ]


class ForegroundOption(TypedDict, total=False):
    foreground: Annotated[
        bool,
        Option(
            True,
            "Estimate the foreground colours, so that the old background does not show in hair and at edges.",
            panel=MATTE,
        ),
    ]


class ChannelsOption(TypedDict, total=False):
    """Order of the channels of pictures that are arrays. Only Python calls have it."""

    channels: Annotated[
        Channels,
        Option(
            "rgb",
            "Order of the channels of arrays and tensors, given and returned: [b]rgb[/b], or [b]bgr[/b] as "
            "in OpenCV.",
            command=False,
        ),
    ]


class SequenceOption(TypedDict, total=False):
    """Rate of a sequence of pictures."""

    fps: Annotated[
        float | None,
        Option(
            None,
            "Frames per second, if IN is a sequence of pictures. Default: 25.",
            "RATE",
            FILES,
            between=(0.001, 1000),
            unit="frames per second",
        ),
    ]


class DeviceOption(TypedDict, total=False):
    device: Annotated[str, DEVICE_OPTION]


class DevicesOption(TypedDict, total=False):
    device: Annotated[
        str,
        DEVICE_OPTION.with_changes(
            help="Device of the network: [b]auto[/b], [b]cpu[/b], [b]cuda[/b] or [b]cuda:1[/b]; "
            "[b]cuda:0,cuda:1[/b] renders segments of the video in parallel.",
            examples=("auto", "cpu", "cuda", "cuda:0", "cuda:0,cuda:1"),
        ),
    ]


class DecoderOption(TypedDict, total=False):
    hwaccel: Annotated[
        Literal["auto", "none", "cuda", "vaapi", "qsv", "videotoolbox", "d3d11va"],
        Option(
            "auto",
            "Hardware decoder for IN: [b]auto[/b] (the NVIDIA GPU if it processes the frames, else the CPU), "
            "[b]none[/b], [b]cuda[/b], [b]vaapi[/b], [b]qsv[/b], [b]videotoolbox[/b], [b]d3d11va[/b].",
            "DECODER",
            COMPUTE,
        ),
    ]


class RuntimeOptions(TypedDict, total=False):
    runtime: Annotated[
        Runtime,
        Option(
            "auto",
            "Inference runtime: [b]auto[/b], [b]openvino[/b], [b]onnxruntime[/b], [b]torch[/b] or "
            "[b]tensorrt[/b].",
            "RUNTIME",
            COMPUTE,
        ),
    ]
    precision: Annotated[
        Literal["auto", "int8", "fp32", "fp16", "bf16"],
        Option(
            "auto",
            "Precision of the network: [b]auto[/b], [b]int8[/b], [b]fp32[/b], or on a GPU [b]fp16[/b] or "
            "[b]bf16[/b].",
            "PRECISION",
            COMPUTE,
        ),
    ]
    threads: Annotated[
        int | None, Option(None, "Number of CPU threads for the network.", "N", COMPUTE, least=1)
    ]
