"""Options for additional output files and for files that exist.

Do not add ``from __future__ import annotations``: the annotations are evaluated at import.
"""

from typing import Annotated, TypedDict

from livematte.options.declaration import Form, Option
from livematte.options.groups import FILES, PathLike


class OutputOptions(TypedDict, total=False):
    """Additional output files."""

    alpha_out: Annotated[
        PathLike | None,
        Option(
            None,
            "Also write alpha, white on black. Of videos, [b].mkv[/b] is lossless (FFV1) and [b].mov[/b] "
            "nearly (ProRes); in [b].mp4[/b] and [b].webm[/b] single values differ by up to 0.02.",
            "FILE",
            FILES,
            path="file",
            output="alpha",
        ),
    ]
    foreground_out: Annotated[
        PathLike | None,
        Option(
            None,
            "Also write the foreground colours, in the same codecs.",
            "FILE",
            FILES,
            path="file",
            output="foreground",
        ),
    ]
    debug_view: Annotated[
        PathLike | None,
        Option(
            None,
            "Also write the inputs and outputs of the networks, side by side.",
            "FILE",
            FILES,
            path="file",
            output="debug",
        ),
    ]


class VideoOutputOptions(OutputOptions, total=False):
    """Additional output files of videos."""

    report: Annotated[
        PathLike | None,
        Option(
            None,
            "Also write the most doubtful moments with their times: [b].html[/b] with pictures, or "
            "[b].json[/b].",
            "FILE",
            FILES,
            path="file",
            output="report",
        ),
    ]


class OverwriteOption(TypedDict, total=False):
    overwrite: Annotated[
        bool | None,
        Option(
            True,
            "Replace existing files. Default on the command line: replace files that livematte wrote, and "
            "ask before it replaces another one; of many videos, the one that would replace it fails.",
            panel=FILES,
            form=Form(lambda value: {"overwrite": value}, bool | None),
        ),
    ]
