"""Codec of a sound track in each container, and the settings that its encoder accepts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatch

import av.error
from av.audio.codeccontext import AudioCodecContext
from av.audio.stream import AudioStream
from av.codec.codec import Codec
from av.codec.context import CodecContext

COPY = "copy"
_LOSSLESS = ("flac", "truehd", "mlp", "wavpack", "tta", "ape", "tak", "alac")

STORED_AS: dict[str, tuple[tuple[str, tuple[str, ...]], ...]] = {
    # Players other than FFmpeg do not read PCM in MP4.
    "mp4": (
        ("pcm_*", ("alac", "aac")),
        *((codec, (COPY, "alac", "aac")) for codec in _LOSSLESS),
        ("*", (COPY, "aac")),
    ),
    "mov": (*((codec, (COPY, "alac", "aac")) for codec in _LOSSLESS), ("*", (COPY, "aac"))),
    "matroska": (("*", (COPY, "opus")),),
    "webm": (("*", (COPY, "opus")),),
}
"""By muxer: for the first pattern that matches the codec, what is tried in turn. What the container does not
take is passed over (see :mod:`livematte.video.trial_mux`); a track for which nothing is left is dropped.
ALAC is passed over for samples in floating point, and for a channel layout that it does not have.
"""

_ENCODERS = {"aac": "aac", "opus": "libopus", "alac": "alac"}
_BY_COUNT = ("mono", "stereo", "3.0", "quad", "5.0", "5.1", "6.1", "7.1")
"""Layouts for 1 to 8 channels that are not named in the file, as the encoders order them."""
_WITHOUT_SIDES = {"5.0(side)": "5.0", "5.1(side)": "5.1"}
"""The same channels under the name that the encoders and their players have: surround behind, not beside."""


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


def named_layout(source: AudioStream) -> str:
    """Return the channel layout of a track, or the usual one for its number of channels if it has none."""
    name, count = source.layout.name, source.channels
    if name.endswith(("channels", "channel")):  # FFmpeg's name of an unspecified layout
        return _BY_COUNT[count - 1] if 1 <= count <= len(_BY_COUNT) else name
    return str(name)


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
    if codec == "alac":
        if sample.startswith(("flt", "dbl")):
            raise ValueError("ALAC has no samples in floating point")
        format = "s16p" if sample.startswith(("s16", "u8")) else "s32p"
    for layout in _layouts(named_layout(source), source.channels, exact=codec == "alac"):
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
    if settings.codec != "alac":
        context.bit_rate = 96_000 * context.layout.nb_channels


def _layouts(name: str, channels: int, *, exact: bool) -> Iterator[str]:
    """Yield layouts from the nearest on: the same channels, then more, then fewer."""
    if name in _WITHOUT_SIDES:
        yield _WITHOUT_SIDES[name]
    yield name
    if not exact:
        yield from _BY_COUNT[max(0, channels - 1) :]
        yield from reversed(_BY_COUNT[: max(0, channels - 1)])
