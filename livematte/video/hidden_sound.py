"""Sound at the beginning of a track that players leave out: the priming of an encoder, or what was cut off.

MP4 and MOV say this with an edit list, which their muxer writes for packets before 0. Matroska has
``CodecDelay`` (RFC 9559): the muxer writes it for a stream whose parameters have an initial padding, and
PyAV cannot set that. So the parameters are read from a file in memory that has it.
"""

from __future__ import annotations

import io
import re
import struct
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.error
from av.audio.stream import AudioStream
from av.container.output import OutputContainer
from av.packet import Packet
from av.stream import Discard, Stream

from livematte.video.container import open_container

_PREROLL = Fraction(1, 10)
"""Seconds of hidden sound that are kept, because decoders need them; Opus asks for 80 ms."""

_NAME, _CODEC_DELAY = b"\x53\x6e\x88", b"\x56\xaa\x88"
"""Matroska's elements Name and CodecDelay, each with a size of 8 bytes."""

_PLACEHOLDER = "~~~~~~~~"

_OTHER_DELAY = re.compile(rb"\x56\xaa(?:\x81.|\x82..|\x83...|\x84....)", re.DOTALL)
"""The CodecDelay that the muxer writes itself, for Opus."""


@dataclass(frozen=True)
class HiddenSound:
    """The hidden beginning of a track, without the part that no decoder needs.

    Attributes:
        first: pts of the first packet to keep.
        seconds: of hidden sound from there on.
    """

    first: int
    seconds: Fraction


def hidden_sound(path: str | Path, stream: AudioStream) -> HiddenSound | None:
    """Return what is hidden at the beginning of a track of a file; None if nothing is."""
    base = Fraction(stream.time_base or 1)
    with open_container(path) as container, suppress(av.error.FFmpegError, OSError):
        for other in container.streams:
            if other.index != stream.index:
                other.discard = Discard.all
        heard: Fraction | None = None
        for packet in container.demux(container.streams[stream.index]):
            if packet.pts is None:
                continue
            if heard is None:
                samples = _skipped_samples(packet)
                if not samples:
                    return None
                heard = packet.pts * base + Fraction(samples, stream.rate)
            if packet.pts * base >= heard:
                return None
            if heard - packet.pts * base <= _PREROLL:
                return HiddenSound(packet.pts, heard - packet.pts * base)
    return None


def _skipped_samples(packet: Packet[Any]) -> int:
    """Return the number of samples that a decoder leaves out at the beginning of a packet."""
    if not packet.has_sidedata("skip_samples"):
        return 0
    return int(struct.unpack_from("<I", bytes(packet.get_sidedata("skip_samples")))[0])


def add_delayed(output: OutputContainer, stream: AudioStream, seconds: Fraction) -> Stream:
    """Add a copy of ``stream`` to a Matroska file, of which players leave out the first ``seconds``.

    Raises:
        ValueError, FFmpegError: Matroska cannot store the stream.
    """
    file = io.BytesIO()
    with av.open(file, "w", format="matroska", container_options={"write_crc32": "0"}) as scratch:
        copied = scratch.add_stream_from_template(stream, opaque=True)
        copied.metadata["title"] = _PLACEHOLDER
        packet: Packet[Any] = Packet(bytes(16))
        packet.pts = packet.dts = 0
        packet.time_base, packet.stream, packet.is_keyframe = Fraction(1, 1000), copied, True
        scratch.mux(packet)
    data, name = _OTHER_DELAY.sub(_make_void, file.getvalue()), _NAME + _PLACEHOLDER.encode()
    if data.count(name) != 1:
        raise ValueError("the name of the track was not written")
    delay = _CODEC_DELAY + round(seconds * 1_000_000_000).to_bytes(8, "big")
    with av.open(io.BytesIO(data.replace(name, delay))) as changed:
        added = output.add_stream_from_template(changed.streams.audio[0], opaque=True)
    added.metadata.clear()
    return added


def _make_void(element: re.Match[bytes]) -> bytes:
    """Return an element of the same length without content."""
    length = len(element[0]) - 2
    return b"\xec" + bytes([0x80 | length]) + bytes(length)
