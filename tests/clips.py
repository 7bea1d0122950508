"""Clips synthesised by code, so that what is in them is known.

Ground truth of every picture, by its number ``i`` of ``frames`` (see :func:`luma`):

* the ground is dark grey, luma 40 (of 255; at 10 bits 4 x 40 + 1, which 8 bits cannot hold);
* a disc of luma 220 and radius height / 6 stands with its centre at :func:`centre`: it goes from the left to
  the right in a straight line at 60 % of the height;
* the upper left corner holds ``i`` in binary: 12 squares of 8 x 8 pixels, lowest bit first, white
  235, black 16.
  Their place tells which way up the picture is, too;
* chroma is neutral but for the disc, which is reddish: V 200, U 90.

Sound of stream ``k`` is a sine of 440 x (k + 1) Hz at 48 kHz, as long as the pictures. Subtitle ``j`` says
``line j`` from second j to j + 0.8. Chapters are ``first`` and ``second``, halves of the clip.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.subtitles.subtitle import SubtitleSet

from livematte.video.priority import kept_priority

BITS = 12
CELL = 8
ASS_HEADER = (
    b"[Script Info]\r\nScriptType: v4.00+\r\n\r\n[V4+ Styles]\r\nFormat: Name, Fontname, Fontsize\r\n"
    b"Style: Default,Arial,16\r\n\r\n[Events]\r\nFormat: Layer, Start, End, Style, Name, MarginL, MarginR,"
    b" MarginV, Effect, Text\r\n"
)


def centre(i: int, frames: int, size: tuple[int, int]) -> tuple[float, float]:
    """Where the disc of picture ``i`` is, as (x, y) in pixels."""
    height, width = size
    return width * (0.2 + 0.6 * i / max(1, frames - 1)), height * 0.6


def _disc(i: int, frames: int, size: tuple[int, int]) -> np.ndarray:
    x, y = centre(i, frames, size)
    rows, columns = np.ogrid[: size[0], : size[1]]
    return (columns + 0.5 - x) ** 2 + (rows + 0.5 - y) ** 2 <= (size[0] / 6) ** 2


def luma(i: int, frames: int, size: tuple[int, int], depth: int = 8) -> np.ndarray:
    """(h, w) uint8 or uint16: the picture's grey values."""
    picture = np.full(size, 40, np.uint16)
    picture[_disc(i, frames, size)] = 220
    picture[:CELL, : CELL * BITS] = 16
    for bit in range(BITS):
        if i >> bit & 1:
            picture[:CELL, CELL * bit : CELL * (bit + 1)] = 235
    if depth == 8:
        return picture.astype(np.uint8)
    return (picture << (depth - 8)) + (1 if depth > 8 else 0)


def number(picture: np.ndarray, depth: int = 8) -> int:
    """The number that an upright luma plane (h, w) carries."""
    middle = CELL // 2
    cells = [int(picture[middle, CELL * bit + middle]) >> (depth - 8) for bit in range(BITS)]
    return sum(1 << bit for bit, value in enumerate(cells) if value > 125)


def found_centre(picture: np.ndarray, depth: int = 8) -> tuple[float, float]:
    """The middle of the bright disc in a luma plane (h, w), as (x, y), without the number's rows."""
    bright = (picture >> (depth - 8)) > 130
    bright[: CELL + 2] = False
    rows, columns = np.nonzero(bright)
    return float(columns.mean() + 0.5), float(rows.mean() + 0.5)


def video_frame(i: int, frames: int, size: tuple[int, int], format: str = "yuv420p") -> av.VideoFrame:
    """Picture ``i`` in FFmpeg's hands; alpha, where the format has it, is 255 in the disc and 64 outside."""
    out = av.VideoFrame(size[1], size[0], format)
    depth = max(component.bits for component in out.format.components)
    disc = _disc(i, frames, size)
    grey = luma(i, frames, size, depth)
    for index, plane in enumerate(out.planes):
        dtype = np.uint8 if depth == 8 else np.uint16
        rows = np.frombuffer(plane, dtype).reshape(plane.height, -1)[:, : plane.width]
        alpha = index == 3 or (format.startswith("ya") and format != "yuva" and index == 1)
        if alpha and format.endswith(("p", "le")):
            rows[...] = np.where(disc, (1 << depth) - 1, 64 << (depth - 8))
        elif index == 0 or format.startswith("gbr"):
            rows[...] = grey
        else:
            step_y, step_x = size[0] // plane.height or 1, size[1] // plane.width or 1
            shrunk = disc[::step_y, ::step_x][: plane.height, : plane.width]
            rows[...] = 128 << (depth - 8)
            rows[: shrunk.shape[0], : shrunk.shape[1]][shrunk] = (90 if index == 1 else 200) << (depth - 8)
    return out


@kept_priority()
def make_clip(
    path: Path,
    *,
    frames: int = 24,
    size: tuple[int, int] = (120, 160),
    rate: Fraction | int = 25,
    pts: Sequence[int] | None = None,
    time_base: Fraction | None = None,
    format: str = "yuv420p",
    codec: str = "libx264",
    options: dict[str, str] | None = None,
    rotation: int = 0,
    hflip: bool = False,
    interlaced: bool = False,
    tags: tuple[int, int, int, int] | None = None,
    aspect: Fraction | None = None,
    audio: int = 0,
    audio_codec: str = "aac",
    subtitles: str | None = None,
    chapters: bool = False,
    metadata: dict[str, str] | None = None,
    attachment: bool = False,
    muxer: str | None = None,
) -> Path:
    """Write a clip of ``frames`` pictures and give its path back.

    Args:
        pts: a time for each picture in ``time_base`` ticks; by default i at 1 / ``rate``.
        rotation, hflip: of the display matrix, counter-clockwise degrees; the stored pictures are not turned.
        interlaced: coded in fields, top first; even rows show picture i and odd rows picture i + 1.
        tags: FFmpeg's numbers of (matrix, primaries, transfer, range).
        subtitles: FFmpeg's name of a text encoder.
    """
    base = time_base or 1 / Fraction(rate)
    times = list(pts) if pts is not None else list(range(frames))
    own_tags = {"movflags": "use_metadata_tags"} if path.suffix in (".mp4", ".mov") and metadata else {}
    with av.open(str(path), "w", format=muxer, container_options=own_tags) as out:
        out.metadata.update(metadata or {})
        stream: Any = out.add_stream(codec, rate=Fraction(rate), options=options or _quick(codec))
        context = stream.codec_context
        context.width, context.height, context.pix_fmt = size[1], size[0], format
        context.time_base = stream.time_base = base
        if tags:
            context.colorspace, context.color_primaries, context.color_trc, context.color_range = tags
        if aspect:
            context.sample_aspect_ratio = aspect
        if interlaced:
            context.flags |= 1 << 18 | 1 << 29
            context.options["x264-params"] = "tff=1"
        if rotation or hflip:
            stream.set_display_rotation(rotation, hflip=hflip)
        voices = [out.add_stream(audio_codec, rate=48000) for _ in range(audio)]
        for k, voice in enumerate(voices):
            voice.metadata["language"] = ("eng", "deu", "fra")[k % 3]
        text: Any = None
        if subtitles:
            text = out.add_stream(subtitles)
            text.time_base = Fraction(1, 1000)
            text.codec_context.time_base = Fraction(1, 1000)
            text.codec_context.subtitle_header = ASS_HEADER
        if attachment:
            out.add_attachment("notes.txt", "text/plain", b"kept")
        length = (times[-1] - times[0] + 1) * base
        if chapters:
            half = int(length * 500)
            out.set_chapters([
                {"id": 1, "start": 0, "end": half, "time_base": Fraction(1, 1000),
                 "metadata": {"title": "first"}},
                {"id": 2, "start": half, "end": 2 * half, "time_base": Fraction(1, 1000),
                 "metadata": {"title": "second"}},
            ])  # fmt: skip
        for k, voice in enumerate(voices):
            _sing(out, voice, 440 * (k + 1), float(length))
        if text is not None:
            for j in range(int(length)):
                line = SubtitleSet.create(f"{j},0,Default,,0,0,0,,line {j}".encode(), 0, 800, pts=0)
                packet = text.codec_context.encode_subtitle(line)
                packet.pts = packet.dts = j * 1000
                packet.duration = 800
                packet.time_base, packet.stream = Fraction(1, 1000), text
                out.mux(packet)
        for i, time in enumerate(times):
            picture = video_frame(i, frames, size, format)
            if interlaced:
                _weave(picture, video_frame(min(i + 1, frames - 1), frames, size, format))
            picture.pts, picture.time_base = time, base
            out.mux(stream.encode(picture))
        out.mux(stream.encode(None))
    return path


def _quick(codec: str) -> dict[str, str]:
    return {
        "libx264": {"preset": "ultrafast", "crf": "12", "bf": "2"},
        "libx265": {"preset": "ultrafast", "crf": "12", "x265-params": "log-level=error"},
        "libsvtav1": {"preset": "12", "crf": "20"},
        "libvpx-vp9": {"cpu-used": "8", "deadline": "realtime", "crf": "15", "b": "0"},
        "mpeg4": {"qscale": "2"},
    }.get(codec, {})


def _weave(picture: av.VideoFrame, later: av.VideoFrame) -> None:
    for plane, other in zip(picture.planes, later.planes, strict=True):
        rows = np.frombuffer(plane, np.uint8).reshape(plane.height, -1)
        rows[1::2] = np.frombuffer(other, np.uint8).reshape(other.height, -1)[1::2]


def _sing(out: Any, voice: Any, pitch: int, seconds: float) -> None:
    samples = np.arange(int(seconds * 48000)) / 48000
    wave = (0.2 * np.sin(2 * np.pi * pitch * samples)).astype(np.float32)
    step = 1024 if voice.codec_context.name == "aac" else 960
    wanted = voice.codec_context.format.name
    resampler = av.AudioResampler(wanted, "stereo", 48000)
    for begin in range(0, len(wave), step):
        part = wave[begin : begin + step]
        frame = av.AudioFrame.from_ndarray(np.stack([part, part]), "fltp", "stereo")
        frame.sample_rate, frame.pts, frame.time_base = 48000, begin, Fraction(1, 48000)
        for ready in resampler.resample(frame):
            out.mux(voice.encode(ready))
    out.mux(voice.encode(None))


@kept_priority()
def make_long_clip(path: Path, seconds: int, *, size: tuple[int, int] = (720, 1280), rate: int = 30) -> Path:
    """A long clip in little time: two seconds are encoded, and their packets muxed again and again.

    Picture ``i`` looks as picture ``i % (2 * rate)`` of a clip of ``2 * rate`` frames. No sound.
    """
    loop = 2 * rate
    with av.open(str(path), "w") as out:
        stream: Any = out.add_stream(
            "libx264", rate=rate, options={"preset": "ultrafast", "crf": "28", "bf": "0"}
        )
        stream.width, stream.height = size[1], size[0]
        stream.codec_context.time_base = stream.time_base = Fraction(1, rate)
        packets = []
        for i in range(loop):
            picture = video_frame(i, loop, size)
            picture.pts, picture.time_base = i, Fraction(1, rate)
            packets += stream.encode(picture)
        packets += stream.encode(None)
        kept = [(bytes(packet), packet.pts, packet.is_keyframe) for packet in packets]
        for turn in range(0, seconds * rate, loop):
            for data, time, key in kept:
                if turn + time >= seconds * rate:
                    break
                packet = av.Packet(data)
                packet.pts = packet.dts = turn + time
                packet.duration, packet.is_keyframe = 1, key
                packet.time_base, packet.stream = Fraction(1, rate), stream
                out.mux(packet)
    return path


def make_pictures(
    folder: Path, *, frames: int = 5, size: tuple[int, int] = (120, 160), first: int = 1
) -> Path:
    """``0001.png`` … grey RGB pictures from :func:`luma`; gives the pattern ``folder/%04d.png``."""
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(frames):
        picture = video_frame(i, frames, size, "gbrp").reformat(format="rgb24")
        picture.save(str(folder / f"{i + first:04d}.png"))  # PyAV 17 takes no Path
    return folder / "%04d.png"


def make_gif(path: Path, *, frames: int = 6, size: tuple[int, int] = (120, 160)) -> Path:
    """An animated GIF, 10 pictures a second, in greys that GIF holds well enough to read the number."""
    with av.open(str(path), "w") as out:
        stream: Any = out.add_stream("gif", rate=10)
        stream.width, stream.height, stream.pix_fmt = size[1], size[0], "gray"
        for i in range(frames):
            picture = video_frame(i, frames, size).reformat(format="gray")
            picture.pts, picture.time_base = i, Fraction(1, 10)
            out.mux(stream.encode(picture))
        out.mux(stream.encode(None))
    return path


def make_jpeg(path: Path, *, orientation: int = 1, size: tuple[int, int] = (120, 160)) -> Path:
    """Picture 5 of 10, stored as a camera with that EXIF orientation would: turned back, it is upright."""
    upright = luma(5, 10, size)
    stored = {
        1: upright, 2: upright[:, ::-1], 3: upright[::-1, ::-1], 4: upright[::-1],
        5: upright.T, 6: upright.T[::-1], 7: upright.T[::-1, ::-1], 8: upright.T[:, ::-1],
    }[orientation]  # fmt: skip
    context: Any = av.CodecContext.create("mjpeg", "w")
    context.width, context.height = stored.shape[1], stored.shape[0]
    context.pix_fmt, context.time_base = "yuvj444p", Fraction(1, 25)
    context.thread_count = 1
    picture = av.VideoFrame(stored.shape[1], stored.shape[0], "yuvj444p")
    for index, plane in enumerate(picture.planes):
        rows = np.frombuffer(plane, np.uint8).reshape(plane.height, -1)[:, : plane.width]
        rows[...] = stored if index == 0 else 128
    (packet,) = context.encode(picture)
    data = bytes(packet)
    tiff = b"MM\0*\0\0\0\x08" + struct.pack(">HHHIHHI", 1, 0x0112, 3, 1, orientation, 0, 0)
    exif = b"Exif\0\0" + tiff
    path.write_bytes(data[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + data[2:])
    return path


def packets(path: Path, kind: str = "audio", index: int = 0) -> list[tuple[Fraction, bytes]]:
    """(time in seconds, data) of each packet of one stream, as FFmpeg hands them out."""
    with av.open(str(path)) as container:
        stream = getattr(container.streams, {"subtitle": "subtitles"}.get(kind, kind))[index]
        return [
            (packet.pts * packet.time_base, bytes(packet))
            for packet in container.demux(stream)
            if packet.size and packet.pts is not None
        ]
