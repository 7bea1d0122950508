"""Options of the encoder of OUT, and of the part of IN that is read.

Do not add ``from __future__ import annotations``: the annotations are evaluated at import.
"""

from typing import Annotated, Literal, TypedDict

from livematte.options.declaration import Form, Option
from livematte.options.groups import ENCODING, FILES


class EncodingOptions(TypedDict, total=False):
    """Options of the video encoder."""

    codec: Annotated[
        str | None,
        Option(
            None,
            "Encoder: [b]x264[/b], [b]x265[/b], [b]svtav1[/b], [b]vp9[/b], [b]prores[/b], [b]ffv1[/b]; on an "
            "NVIDIA GPU [b]h264_nvenc[/b], [b]hevc_nvenc[/b], [b]av1_nvenc[/b]. Default: chosen by the file "
            "extension.",
            "NAME",
            ENCODING,
        ),
    ]
    crf: Annotated[
        int | None,
        Option(
            None, "Constant rate factor: a lower value gives better quality and a larger file.", "N", ENCODING
        ),
    ]
    format: Annotated[
        Literal["matroska", "mkv", "mp4", "mov", "webm"] | None,
        Option(
            None,
            "Container of OUT, if its extension does not tell it: [b]matroska[/b], [b]mp4[/b], [b]mov[/b] or "
            "[b]webm[/b]. Needed for OUT [b]-[/b] (standard output).",
            "NAME",
            ENCODING,
        ),
    ]
    keep_location: Annotated[
        bool,
        Option(
            False,
            "Keep the place of recording (GPS) in the metadata. It is left out otherwise.",
            panel=FILES,
        ),
    ]
    preset: Annotated[
        str | None, Option(None, "Speed preset of the encoder, e.g. [b]veryfast[/b].", "NAME", ENCODING)
    ]


class SdrOption(TypedDict, total=False):
    sdr: Annotated[
        bool,
        Option(
            False,
            "Convert HDR video (HLG, PQ) to SDR, for players and programs that do not show HDR well.",
            panel=ENCODING,
        ),
    ]


class SectionOptions(TypedDict, total=False):
    """Section of a video to read."""

    start: Annotated[
        float | str | None,
        Option(
            None,
            "Start time in the input: [b]90[/b], [b]1:30[/b], [b]0:01:30.5[/b], or with frames "
            "[b]00:00:30:12[/b].",
            "TIME",
            FILES,
            form=Form(lambda value: {"start": value}, str | None, numbers=True),
        ),
    ]
    end: Annotated[
        float | str | None,
        Option(
            None,
            "End time in the input, in the same forms.",
            "TIME",
            FILES,
            form=Form(lambda value: {"end": value}, str | None, numbers=True),
        ),
    ]
