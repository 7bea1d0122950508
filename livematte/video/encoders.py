"""Supported encoders, their options, and the choice of their pixel format."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from fractions import Fraction

import av.error
from av.codec.codec import Codec
from av.codec.context import CodecContext

from livematte.device import driver_gpus
from livematte.errors import OutputError, UsageError
from livematte.frame import PIXEL_FORMATS, ColorInfo, PixelFormat, display_size
from livematte.protocols import SourceInfo
from livematte.video.alpha_video import grey_color, grey_format
from livematte.video.color import as_yuv, with_tags
from livematte.video.priority import kept_priority

CONTAINERS = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska", ".webm": "webm"}
"""FFmpeg muxer by file extension."""

FORMATS = {"mp4": "mp4", "mov": "mov", "matroska": "matroska", "mkv": "matroska", "webm": "webm"}
"""FFmpeg muxer by name of a container."""


@dataclass(frozen=True)
class Encoder:
    """An encoder selectable with ``--codec``.

    The default ``crf`` is visually lossless at normal viewing distance: the output is a second generation, so
    its loss should not be visible, and a higher value saves little.
    """

    library: str
    containers: tuple[str, ...]
    crf: int | None = None
    best_worst_crf: tuple[int, int] = (0, 51)
    preset: str | None = None
    presets: tuple[str, ...] = ()
    options: Mapping[str, str] = field(default_factory=dict)
    even_size: bool = False
    stores_pixel_shape: bool = False
    """True if width and height must be even where chroma is subsampled."""
    rgb_chroma: tuple[int, int] | None = (1, 1)
    """Chroma subsampling for RGB pictures; None if the encoder stores RGB."""
    signals_full_range: bool = True
    """True if the codec can signal full range."""
    alpha_containers: tuple[str, ...] = ()
    """Muxers in which it carries alpha."""
    quality_option: str = "crf"
    """FFmpeg option that receives ``crf``."""
    pixel_formats: tuple[str, ...] = ()
    """Usable pixel formats among those that FFmpeg lists; all if empty."""
    codec_tag: str = ""
    """Codec tag in MP4 and MOV, if it is not FFmpeg's default."""
    max_rate: int | None = None
    """Highest frame rate that it accepts, in frames per second."""
    matte_crf: int | None = None
    """Default ``crf`` for alpha: an error that nobody sees in a picture shows where a matte is used."""
    fallback: str = ""
    """For a GPU encoder: the equivalent software encoder."""


_X26X = (
    "ultrafast",
    "superfast",
    "veryfast",
    "faster",
    "fast",
    "medium",
    "slow",
    "slower",
    "veryslow",
    "placebo",
)

_NVENC = tuple(f"p{step}" for step in range(1, 8))
_APPLE = "hvc1"
"""HEVC codec tag that Apple's players require."""
_CONSTANT_QUALITY = {"rc": "vbr", "b": "0"}

ENCODERS: Mapping[str, Encoder] = {
    # crf 18 of x264 is considered visually lossless; 720p costs 12 ms veryfast, 31 medium (DESIGN.md).
    "x264": Encoder(
        "libx264", ("mp4", "mov", "matroska"), 18, (0, 51), "veryfast", _X26X, even_size=True,
        stores_pixel_shape=True, matte_crf=4,
    ),
    "x265": Encoder(
        "libx265", ("mp4", "mov", "matroska"), 20, (0, 51), "fast", _X26X,
        {"x265-params": "log-level=error"}, even_size=True, codec_tag=_APPLE, stores_pixel_shape=True,
    ),
    "svt-av1": Encoder(
        "libsvtav1", ("mp4", "matroska", "webm"), 24, (1, 63), "8", tuple(map(str, range(14))),
        even_size=True, max_rate=240,
    ),
    "vp9": Encoder(
        "libvpx-vp9", ("webm", "matroska", "mp4"), 24, (0, 63), "5", tuple(map(str, range(9))),
        {"b": "0", "row-mt": "1", "deadline": "good"}, alpha_containers=("webm", "matroska"), matte_crf=8,
    ),
    "prores": Encoder(
        "prores_ks", ("mov", "matroska"), None, (0, 0), "hq",
        ("proxy", "lt", "standard", "hq", "4444", "4444xq"),
        {"vendor": "apl0"}, rgb_chroma=(0, 0), signals_full_range=False,
        alpha_containers=("mov", "matroska"),
    ),
    "ffv1": Encoder(
        "ffv1", ("matroska",), options={"level": "3", "slices": "16", "slicecrc": "1"}, rgb_chroma=None,
        alpha_containers=("matroska",),
    ),
    # NVENC: constant quality is rc=vbr with cq and no bit rate; p4 is FFmpeg's default. FFmpeg lists the same
    # formats for all GPUs; these are supported by the oldest GPU that has the codec.
    "h264_nvenc": Encoder(
        "h264_nvenc", ("mp4", "mov", "matroska"), 19, (1, 51), "p4", _NVENC, _CONSTANT_QUALITY,
        even_size=True, quality_option="cq", pixel_formats=("yuv420p", "nv12", "yuv444p"), fallback="x264",
        stores_pixel_shape=True,
    ),
    "hevc_nvenc": Encoder(
        "hevc_nvenc", ("mp4", "mov", "matroska"), 21, (1, 51), "p4", _NVENC, _CONSTANT_QUALITY,
        even_size=True, quality_option="cq",
        pixel_formats=("yuv420p", "nv12", "p010le", "yuv444p", "yuv444p16le"), codec_tag=_APPLE,
        fallback="x265", stores_pixel_shape=True,
    ),
    "av1_nvenc": Encoder(
        "av1_nvenc", ("mp4", "matroska", "webm"), 26, (1, 63), "p4", _NVENC, _CONSTANT_QUALITY,
        even_size=True, quality_option="cq", pixel_formats=("yuv420p", "nv12", "p010le"), fallback="svt-av1",
    ),
}  # fmt: skip
"""Encoders by their ``--codec`` name."""

_ALIASES = {"h264": "x264", "libx264": "x264", "avc": "x264", "h265": "x265", "hevc": "x265",
            "libx265": "x265",
            "av1": "svt-av1", "svtav1": "svt-av1", "libsvtav1": "svt-av1", "libvpx-vp9": "vp9",
            "prores_ks": "prores", "nvenc": "h264_nvenc", "h265_nvenc": "hevc_nvenc"}  # fmt: skip
_MSB_FORMATS = (PixelFormat("p010le", (1, 1), 10), PixelFormat("yuv444p16le", (0, 0), 10))
"""Formats with samples in the high bits, required by some encoders. NVENC uses 10 of the 16 bits."""
_STORED = {**PIXEL_FORMATS, **{each.name: each for each in _MSB_FORMATS}}
_ALPHA_CONTAINERS = ("mov", "webm", "matroska")
ALPHA_ADVICE = "use .mov (ProRes 4444), .webm (VP9), .mkv (FFV1) or a folder of PNG (frames/%06d.png)"


def choose_encoder(codec: str, muxer: str, *, alpha: bool) -> str:
    """Return the key in ENCODERS of ``codec``, which may be an alias, for a container.

    Raises:
        UsageError: the codec is unknown, or does not support the container or alpha in it.
        OutputError: this build of FFmpeg lacks it, or it needs a GPU that was not found.
    """
    if alpha and muxer not in _ALPHA_CONTAINERS:
        raise UsageError(f".mp4 cannot carry transparency: {ALPHA_ADVICE}")
    name = _ALIASES.get(codec, codec)
    if name not in ENCODERS:
        close = get_close_matches(name, [*ENCODERS, *_ALIASES], 1)
        hint = f"did you mean {close[0]!r}? " if close else ""
        raise UsageError(f"unknown codec {codec!r}: {hint}allowed are {', '.join(ENCODERS)}")
    encoder = ENCODERS[name]
    if alpha and muxer not in encoder.alpha_containers:
        raise UsageError(f"{name} in {muxer} cannot carry transparency: {ALPHA_ADVICE}")
    if muxer not in encoder.containers:
        fits = ", ".join(key for key, value in ENCODERS.items() if muxer in value.containers)
        raise UsageError(f"{name} is invalid in {muxer}: use {fits}")
    try:
        Codec(encoder.library, "w")
    except (ValueError, av.error.FFmpegError) as error:
        raise OutputError(
            f"this FFmpeg was built without {encoder.library}: choose another --codec"
        ) from error
    if encoder.fallback and not driver_gpus():
        raise OutputError(
            f"--codec {name}: no NVIDIA GPU or driver was found; use --codec {encoder.fallback} instead"
        )
    return name


def open_context(context: CodecContext) -> None:
    """Open an encoder with its settings; the priority of the process stays as it is."""
    with kept_priority():
        context.open()


def encoder_options(name: str, crf: int | None, preset: str | None, format: str) -> dict[str, str]:
    """Return the FFmpeg options for a quality and a preset.

    Raises:
        UsageError: the encoder does not support the value.
    """
    encoder = ENCODERS[name]
    options = dict(encoder.options)
    best, worst = encoder.best_worst_crf
    if crf is not None and (encoder.crf is None or not best <= crf <= worst):
        allowed = f"use {best} (best) to {worst}" if encoder.crf is not None else "it has no crf"
        raise UsageError(f"crf {crf} is invalid for {name}: {allowed}")
    if preset is not None and preset not in encoder.presets:
        allowed = f"use {', '.join(encoder.presets)}" if encoder.presets else "it has no presets"
        raise UsageError(f"preset {preset!r} is invalid for {name}: {allowed}")
    if encoder.crf is not None:
        options[encoder.quality_option] = str(encoder.crf if crf is None else crf)
    chosen = preset or encoder.preset
    if name == "prores":
        full = "444" in format
        options["profile"] = chosen if preset and chosen else "4444" if full else "hq"
        if format.startswith("yuva"):
            options["alpha_bits"] = "16"
    elif name == "vp9" and chosen:
        options["cpu-used"] = chosen
    elif chosen:
        options["preset"] = chosen
    return options


def choose_format(name: str, source: PixelFormat, height: int, width: int, *, alpha: bool) -> str:
    """Return the encoder's pixel format that is nearest to ``source``.

    This is the same format if supported, else the one that loses least. For an odd size in an encoder that
    requires even sizes it is 4:4:4, which keeps every row and column. Padding cannot be used: cropping is
    signalled in units of two and cannot express an odd size.

    Raises:
        OutputError: no supported format is suitable.
    """
    encoder = ENCODERS[name]
    supported = [format.name for format in Codec(encoder.library, "w").video_formats or ()]
    want = replace(source, alpha=alpha, interleaved=source.interleaved and not alpha)
    if source.gray:
        want = replace(want, gray=False, chroma=(1, 1))
    if source.rgb and encoder.rgb_chroma is not None:
        want = replace(want, rgb=False, chroma=encoder.rgb_chroma)
    if name == "vp9" and alpha:
        return "yuva420p"  # the only alpha format that browsers decode
    if want.rgb and want.depth == 8 and "bgra" in supported:
        return "bgra" if alpha else "bgr0"
    v, h = want.chroma
    if encoder.even_size and ((h and width % 2) or (v and height % 2)):
        want = replace(want, chroma=(0, 0), interleaved=False)
    usable = [name for name in supported if name in (encoder.pixel_formats or PIXEL_FORMATS)]
    best = min(_candidates(usable, want), key=lambda each: _distance(each, want), default=None)
    if best is None:
        raise OutputError(f"{name} supports no pixel format for {source.name}" + (" with alpha" * alpha))
    return best.name


def choose_output_format(
    name: str, info: SourceInfo, *, grey: bool, alpha: bool, common_depth: int | None = None
) -> tuple[str, ColorInfo, list[str]]:
    """Return the pixel format, the colour interpretation and notes on changes for storing frames of ``info``.

    Args:
        name: a key of ENCODERS.
        info: properties of the frames.
        grey: True to store a grey picture of their alpha.
        alpha: True to store them with alpha.
        common_depth: store at most this many bits, in 4:2:0, because most players read no more; None stores
            what the encoder can.
    """
    stored_layout = source = PIXEL_FORMATS[info.format]
    if common_depth is not None:
        chroma = source.chroma if source.rgb else (1, 1)
        stored_layout = replace(source, depth=min(source.depth, common_depth), chroma=chroma)
    if grey:
        layout, color = grey_format(stored_layout), with_tags(grey_color(info.color), info.height)
        return choose_format(name, layout, info.height, info.width, alpha=False), color, []
    format = choose_format(name, stored_layout, info.height, info.width, alpha=alpha)
    color, notes = info.color, []
    stored = _STORED.get(format)
    if stored is not None and (stored.rgb, stored.depth, stored.chroma) != (
        source.rgb,
        source.depth,
        source.chroma,
    ):
        odd = ENCODERS[name].even_size and (info.width % 2 or info.height % 2)
        why = f"the nearest one that {name} supports"
        if odd:
            why = f"an odd size in {name} needs 4:4:4"
        elif stored_layout != source and not source.rgb:
            why = f"most players of {name} read no other; --codec or .mkv keeps more"
        notes.append(f"pixel format {info.format} becomes {format}: {why}")
    if stored is not None and source.rgb and not stored.rgb:
        color = as_yuv(color, info.height, info.width)
    if color.full_range and color.matrix != "rgb" and not ENCODERS[name].signals_full_range:
        color = replace(color, full_range=False, range_tag=1)
        notes.append(f"full range becomes limited: players always read {name} as limited")
    return format, with_tags(color, info.height), notes


def _candidates(supported: Iterable[str], want: PixelFormat) -> list[PixelFormat]:
    found = [_STORED[name] for name in supported]
    return [
        each for each in found if each.alpha == want.alpha and each.rgb == want.rgb and not each.gray
        and (not each.interleaved or want.interleaved)
    ]  # fmt: skip


def _distance(have: PixelFormat, want: PixelFormat) -> tuple[int, ...]:
    lost_chroma = sum(max(0, a - b) for a, b in zip(have.chroma, want.chroma, strict=True))
    spare_chroma = sum(max(0, b - a) for a, b in zip(have.chroma, want.chroma, strict=True))
    lost_bits, spare_bits = max(0, want.depth - have.depth), max(0, have.depth - want.depth)
    return lost_chroma, lost_bits, spare_chroma, spare_bits, int(have.interleaved != want.interleaved)


def unsupported_format(encoder: str, info: SourceInfo, format: str, error: Exception) -> str:
    """Return the line for an encoder that refused a size or pixel format, and the option that helps."""
    reason = getattr(error, "strerror", None) or error
    fallback = ENCODERS[encoder].fallback
    advice = (
        f" (this GPU or its driver may not support it: use --codec {fallback} instead)" if fallback else ""
    )
    return f"{encoder} does not support {info.width}x{info.height} {format}: {reason}{advice}"


def with_storable_pixels(info: SourceInfo, muxer: str, encoder: str, notes: list[str]) -> SourceInfo:
    """Return ``info``, or with a note the same picture in square pixels if the file can store no others.

    PyAV cannot set the pixel shape of a Matroska track, and only H.264 and HEVC store one that players use.
    """
    stores = muxer not in ("matroska", "webm") or ENCODERS[encoder].stores_pixel_shape
    if stores or info.sample_aspect == 1:
        return info
    height, width = display_size((info.height, info.width), info.sample_aspect)
    notes.append(
        f"{info.width}x{info.height} becomes {width}x{height}, with square pixels: "
        f"{muxer} with {encoder} stores no other pixel shape"
    )
    return replace(info, height=height, width=width, sample_aspect=Fraction(1))
