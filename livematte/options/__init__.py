"""Declarations of all options: name, type, default, help, range, command-line form, calls that take them.

:mod:`livematte.options.declaration` derives the command line, profiles, Python keywords, worker jobs and
``docs/options.md`` from them. Options that only the command line has are in
:mod:`livematte.options.commands`.
"""

from livematte.options.changes import CHANGES, read_change, show_change
from livematte.options.encoding import EncodingOptions, SdrOption, SectionOptions
from livematte.options.files import (
    BenchOptions,
    DeviceOptions,
    ImageOptions,
    LoadOptions,
    MatteOptions,
    MatterOptions,
    MattesOptions,
    RefinerLoadOptions,
    RenderOptions,
    TrimapOptions,
)
from livematte.options.groups import (
    BEHAVIOUR,
    DEFAULT_BACKGROUND,
    DEFAULT_MODEL,
    FILES,
    DecoderOption,
    FitOption,
    ModelOption,
    PathLike,
    Runtime,
    SequenceOption,
)
from livematte.options.live import LiveOptions, read_sink_options, read_size
from livematte.options.outputs import VideoOutputOptions
from livematte.options.reading import PixelLimitOption

__all__ = [
    "BEHAVIOUR",
    "BenchOptions",
    "CHANGES",
    "DEFAULT_BACKGROUND",
    "DEFAULT_MODEL",
    "DecoderOption",
    "DeviceOptions",
    "EncodingOptions",
    "FILES",
    "FitOption",
    "ImageOptions",
    "LiveOptions",
    "LoadOptions",
    "MatteOptions",
    "MatterOptions",
    "MattesOptions",
    "ModelOption",
    "VideoOutputOptions",
    "PathLike",
    "PixelLimitOption",
    "RefinerLoadOptions",
    "RenderOptions",
    "Runtime",
    "SdrOption",
    "SectionOptions",
    "SequenceOption",
    "TrimapOptions",
    "read_change",
    "read_sink_options",
    "read_size",
    "show_change",
]
