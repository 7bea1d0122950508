"""Codec of a sound track in each container, and the settings that its encoder accepts."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatch

import av.error
from av.audio.codeccontext import AudioCodecContext
from av.audio.stream import AudioStream
from av.codec.codec import Codec
from av.codec.context import CodecContext

from livematte.video.sound_layouts import LAYOUTS, named_layout, nearest_layouts, same_channels

COPY = "copy"
_LOSSLESS = ("flac", "truehd", "mlp", "wavpack", "tta", "ape", "tak", "alac")

_LOSSY = (COPY, "aac")

STORED_AS: dict[str, tuple[tuple[str, tuple[str, ...]], ...]] = {
    "mp4": (
        # Players other than FFmpeg do not read PCM and Vorbis in MP4, and most have no decoder for DTS.
        ("pcm_*", ("alac", "aac")),
        ("vorbis", ("aac",)),
        ("dts", ("aac",)),
        *((codec, ("alac", "aac")) for codec in ("truehd", "mlp")),
        *((codec, (COPY, "alac", "aac")) for codec in _LOSSLESS),
        ("*", _LOSSY),
    ),
    "mov": (
        ("dts", ("aac",)),
        *((codec, (COPY, "alac", "aac")) for codec in _LOSSLESS),
        ("*", _LOSSY),
    ),
    "matroska": (("*", (COPY, "opus")),),
    "webm": (("*", (COPY, "opus")),),
}
"""By muxer: for the first pattern that matches the codec, what is tried in turn. What the container does not
take is passed over (see :mod:`livematte.video.trial_mux`); a track for which nothing is left is dropped.
ALAC is passed over for samples in floating point, and for a channel layout that it does not have.
"""

_NOT_EVERYWHERE = {"mp4": {"flac": "QuickTime", "opus": "QuickTime", "mp2": "browsers and QuickTime"}}
"""By muxer: codecs that are copied although players that many people have do not read them there."""

_ENCODERS = {"aac": "aac", "opus": "libopus", "alac": "alac", "flac": "flac"}


@dataclass(frozen=True)
class AudioSettings:
    """Settings that an encoder accepts: FFmpeg's names of encoder, sample format and layout; rate in Hz."""

    codec: str
    encoder: str
    format: str
    layout: str
    rate: int


def ways_to_store(codec: str, muxer: str) -> tuple[str, ...]:
    """Return what to try for a codec in a container: COPY, or a codec to encode to."""
    return next(ways for pattern, ways in STORED_AS[muxer] if fnmatch(codec, pattern))


def limited_players(codec: str, muxer: str) -> str | None:
    """Return the players that do not read a codec which is copied; None if all usual ones do."""
    return _NOT_EVERYWHERE.get(muxer, {}).get(codec)


def choose_audio_settings(codec: str, source: AudioStream) -> AudioSettings:
    """Return the settings of ``codec`` that are nearest to ``source``: the encoder is asked.

    Raises:
        ValueError: it accepts none.
    """
    encoder = _ENCODERS[codec]
    known = Codec(encoder, "w")
    rates = known.audio_rates
    if codec == "opus":
        rate = 48000  # the only rate that Opus has inside
    else:
        rate = min(rates, key=lambda each: abs(each - source.rate)) if rates else source.rate
    formats = [format.name for format in known.audio_formats or ()]
    sample = source.format.name
    format = formats[0]
    if codec in ("alac", "flac"):
        if sample.startswith(("flt", "dbl")):
            raise ValueError(f"{codec} has no samples in floating point")
        short = sample.startswith(("s16", "u8"))
        format = ("s16" if short else "s32") + "p" * (codec == "alac")
    name = named_layout(source)
    layouts = nearest_layouts(name, LAYOUTS[codec])
    if codec in ("alac", "flac"):
        layouts = [layout for layout in layouts if same_channels(name, layout)]
    for layout in layouts:
        settings = AudioSettings(codec, encoder, format, layout, rate)
        context = CodecContext.create(encoder, "w")
        assert isinstance(context, AudioCodecContext)
        try:
            configure(context, settings)
            context.open()
        except (av.error.FFmpegError, ValueError):
            continue
        return settings
    raise ValueError(f"{codec} has no layout for {source.layout.name}")


def configure(context: AudioCodecContext, settings: AudioSettings) -> None:
    """Apply ``settings`` to an encoder that is not open."""
    context.sample_rate, context.format = settings.rate, settings.format
    context.layout = settings.layout
    if settings.codec not in ("alac", "flac"):
        context.bit_rate = 96_000 * context.layout.nb_channels
