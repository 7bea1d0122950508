"""Options of calls for files: ``livematte.render``, ``image``, ``trimap``, ``mattes``, ``bench``."""

from typing import Annotated, TypedDict

from livematte.options.declaration import Option
from livematte.options.encoding import EncodingOptions, SdrOption, SectionOptions
from livematte.options.groups import (
    BACKGROUND_OPTION,
    AugmentOption,
    BackgroundOption,
    BudgetOption,
    ChannelsOption,
    DecoderOption,
    DeviceOption,
    DevicesOption,
    FitOption,
    ForegroundOption,
    ImageBackgroundOption,
    IslandsOption,
    ModelOption,
    ModelOrRefinerOption,
    PathLike,
    RefinerOptions,
    RegionsOption,
    RuntimeOptions,
    SequenceOption,
    SizeOption,
    TemporalOption,
    TrimapOption,
    WeightsOption,
)
from livematte.options.outputs import OutputOptions, OverwriteOption, VideoOutputOptions
from livematte.options.picture import EdgeOptions, FramingOption, PeopleOption
from livematte.options.reading import PixelLimitOption


class DeviceOptions(DeviceOption, RuntimeOptions, total=False):
    """Options for device, runtime, precision and threads of a network."""


class RefinerLoadOptions(WeightsOption, DeviceOptions, total=False):
    """Options of ``livematte.networks.load_refiner``."""


class LoadOptions(WeightsOption, SizeOption, DeviceOptions, total=False):
    """Options of ``livematte.load_model``."""


class FrameMattingOptions(
    ModelOption,
    WeightsOption,
    SizeOption,
    TemporalOption,
    IslandsOption,
    PeopleOption,
    RegionsOption,
    RefinerOptions,
    BudgetOption,
    total=False,
):
    """Options for the matte of successive frames, of a file or live."""


class MatteOptions(FrameMattingOptions, AugmentOption, total=False):
    """Options for the matte of a video."""


class MattesOptions(
    MatteOptions,
    EdgeOptions,
    SectionOptions,
    SequenceOption,
    PixelLimitOption,
    DeviceOptions,
    ChannelsOption,
    total=False,
):
    """Options of ``livematte.mattes``."""


class MatterOptions(
    MatteOptions, ForegroundOption, PixelLimitOption, DeviceOptions, ChannelsOption, total=False
):
    """Options of ``livematte.Matter``."""


class RenderOptions(
    BackgroundOption,
    FitOption,
    MatteOptions,
    ForegroundOption,
    EdgeOptions,
    FramingOption,
    VideoOutputOptions,
    OverwriteOption,
    EncodingOptions,
    SdrOption,
    SectionOptions,
    SequenceOption,
    PixelLimitOption,
    DevicesOption,
    DecoderOption,
    RuntimeOptions,
    total=False,
):
    """Options of ``livematte.render``."""


class ImageOptions(
    ImageBackgroundOption,
    FitOption,
    ModelOrRefinerOption,
    WeightsOption,
    SizeOption,
    TrimapOption,
    IslandsOption,
    PeopleOption,
    RegionsOption,
    RefinerOptions,
    AugmentOption,
    ForegroundOption,
    EdgeOptions,
    OutputOptions,
    OverwriteOption,
    PixelLimitOption,
    DeviceOptions,
    ChannelsOption,
    total=False,
):
    """Options of ``livematte.image``."""


class TrimapOptions(
    ModelOption,
    WeightsOption,
    SizeOption,
    TemporalOption,
    IslandsOption,
    RegionsOption,
    OverwriteOption,
    SectionOptions,
    SequenceOption,
    PixelLimitOption,
    DeviceOptions,
    total=False,
):
    """Options of ``livematte.api.trimap``."""


class BenchBackgroundOption(TypedDict, total=False):
    background: Annotated[
        PathLike | None,
        BACKGROUND_OPTION.with_changes(
            default=None, help="As for [b]livematte render[/b]. Default: a bundled picture.", panel=None
        ),
    ]
    frames: Annotated[int, Option(200, "Number of frames to measure.", "N", least=20)]


class BenchOptions(BenchBackgroundOption, ModelOption, SizeOption, DeviceOptions, total=False):
    """Options of ``livematte bench``."""
