"""Every option once: name, type, default, help, range, form on the command line, and the calls that take it.

The command line, profiles, Python's keywords, a worker's job and ``docs/options.md`` are derived from these
declarations by :mod:`livematte.options.declaration`. Options of one command only are in
:mod:`livematte.options.commands`.
"""

from livematte.options.files import (
    BenchOptions,
    DeviceOptions,
    ImageOptions,
    LoadOptions,
    MatteOptions,
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
    EncodingOptions,
    ModelOption,
    OutputOptions,
    PathLike,
    SectionOptions,
)
from livematte.options.live import CHANGES, LiveOptions, read_sink_options, read_size

__all__ = [
    "BEHAVIOUR",
    "BenchOptions",
    "CHANGES",
    "DEFAULT_BACKGROUND",
    "DEFAULT_MODEL",
    "DeviceOptions",
    "EncodingOptions",
    "FILES",
    "ImageOptions",
    "LiveOptions",
    "LoadOptions",
    "MatteOptions",
    "MattesOptions",
    "ModelOption",
    "OutputOptions",
    "PathLike",
    "RefinerLoadOptions",
    "RenderOptions",
    "SectionOptions",
    "TrimapOptions",
    "read_sink_options",
    "read_size",
]
