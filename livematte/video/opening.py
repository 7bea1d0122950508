"""Opening a file for reading: what it may be, which stream is the video, what is said when there is none."""

from __future__ import annotations

import errno
import re
from pathlib import Path

import av
import av.error
from av.codec.context import CodecContext
from av.codec.hwaccel import HWAccel
from av.container.input import InputContainer
from av.stream import Disposition, Stream
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from livematte.errors import InputError

MAX_SIDE = 16384
MAX_PIXELS = 1 << 27
"""Larger pictures are refused: a header can claim any size, and each frame is held several times."""

PATTERN = re.compile(r"%0?\d*d")
"""A numbered image sequence, ``frames/%04d.png``."""

_THREADS = "AUTO" if int(av.__version__.split(".")[0]) >= 18 else "SLICE"
"""PyAV 17 forgets good frames that a decoder of several frames at a time gives together with a broken one."""

_NOT_VIDEO = {"tty", "bin", "xbin", "adf", "idf", "lrc", "srt", "webvtt", "ass", "ffmetadata", "concat"}
"""Demuxers for text and text art: FFmpeg would 'show' notes.txt as a video."""


def is_sequence(path: str | Path) -> bool:
    """``path`` names numbered pictures, and is no file of that very name."""
    return bool(PATTERN.search(Path(path).name)) and not Path(path).exists()


def open_container(path: str | Path, hwaccel: HWAccel | None = None) -> InputContainer:
    """The opened file, its decoders on hardware where ``hwaccel`` is given and it can.

    Raises:
        InputError: it is missing, a directory, empty, not readable or not a media file.
    """
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]+://", str(path)):
        raise InputError(f"{path} is an address: download it first, livematte reads files")
    path = Path(path)
    options: dict[str, str] = {}
    format = None
    if is_sequence(path):
        format = "image2"
        options = {"start_number": str(_first_number(path))}
    elif not path.exists():
        raise InputError(f"{path}: no such file")
    elif path.is_dir():
        raise InputError(
            f"{path} is a directory: name a video file, or numbered pictures as {path / '%04d.png'}"
        )
    elif path.is_file() and path.stat().st_size == 0:
        raise InputError(f"{path} is empty (0 bytes)")
    try:
        container = av.open(
            str(path), "r", format=format, options=options, metadata_errors="replace", hwaccel=hwaccel
        )
    except (av.error.FFmpegError, ValueError, OSError) as error:
        raise InputError(_why_not_opened(path, error)) from error
    if container.format.name in _NOT_VIDEO:
        container.close()
        raise InputError(f"{path} is not a media file (FFmpeg takes it for {container.format.name})")
    return container


def _first_number(pattern: Path) -> int:
    name = PATTERN.sub("\0", pattern.name, count=1)
    before, after = (re.escape(part.replace("%%", "%")) for part in name.split("\0"))
    numbered = re.compile(before + r"(\d+)" + after + "$")
    if not pattern.parent.is_dir():
        raise InputError(f"{pattern.parent}: no such folder")
    numbers = [int(hit[1]) for entry in pattern.parent.iterdir() if (hit := numbered.match(entry.name))]
    # The width of the pattern decides: 1.png is not found by %04d.png.
    fitting = [number for number in numbers if (pattern.parent / (pattern.name % number)).exists()]
    if not fitting:
        raise InputError(f"{pattern}: no picture has such a name in {pattern.parent}")
    return min(fitting)


def _why_not_opened(path: Path, error: Exception) -> str:
    number = getattr(error, "errno", None)
    if number in (errno.EACCES, errno.EPERM):
        return f"{path}: no permission to read it"
    if isinstance(error, av.error.InvalidDataError) and path.is_file():
        with path.open("rb") as file:
            head = file.read(64)
        if head[4:8] in (b"ftyp", b"mdat", b"wide"):
            return f"{path} is cut off: an MP4/MOV without its index ('moov') cannot be played; copy it again"
    if isinstance(error, av.error.InvalidDataError):
        return f"{path} is not a media file, or its beginning is damaged"
    return f"{path} cannot be opened: {getattr(error, 'strerror', None) or error}"


def video_stream(container: InputContainer, path: str | Path) -> VideoStream:
    """The stream a player would show: the default or best one, never an audio file's cover picture.

    Raises:
        InputError: there is none, FFmpeg cannot decode it, or it is larger than MAX_SIDE or MAX_PIXELS.
    """
    videos = [
        stream for stream in container.streams.video if not stream.disposition & Disposition.attached_pic
    ]
    if not videos:
        kinds = sorted({str(stream.type) for stream in container.streams})
        if container.streams.video:
            raise InputError(f"{path} has no video, only sound with a cover picture")
        if not kinds:
            raise InputError(f"{path} is not a media file, or nothing in it could be recognised")
        raise InputError(f"{path} has no video stream, only {' and '.join(kinds)}")
    best: Stream | None = container.streams.best("video")
    chosen = next((stream for stream in videos if best is not None and stream.index == best.index), videos[0])
    defaults = [stream for stream in videos if stream.disposition & Disposition.default]
    if len(defaults) == 1:
        chosen = defaults[0]
    if chosen.codec_context is None:
        raise InputError(f"{path}: FFmpeg knows no decoder for its video codec")
    check_size(chosen.codec_context.width, chosen.codec_context.height, path)
    return chosen


def check_size(width: int, height: int, path: str | Path) -> None:
    """Raises InputError for a picture too large to work with."""
    if width > MAX_SIDE or height > MAX_SIDE or width * height > MAX_PIXELS:
        raise InputError(
            f"{path} is {width}x{height}: at most {MAX_SIDE} a side and {MAX_PIXELS // 1_000_000} megapixels;"
            " scale it down first"
        )


def decoder_for(stream: VideoStream) -> VideoCodecContext:
    """The decoder, multi-threaded; libvpx where the stream has alpha, which FFmpeg's own decoders drop."""
    context = stream.codec_context
    library = {"vp9": "libvpx-vp9", "vp8": "libvpx"}.get(context.codec.canonical_name)
    tags = {key.lower(): value for key, value in stream.metadata.items()}
    if library and tags.get("alpha_mode") == "1":
        with_alpha = CodecContext.create(library, "r")
        assert isinstance(with_alpha, VideoCodecContext)
        with_alpha.extradata = context.extradata
        return with_alpha
    context.thread_type = _THREADS
    return context


def first_frame(path: str | Path, index: int) -> VideoFrame:
    """The first frame of stream ``index``, as the CPU decodes it.

    Raises:
        InputError: the file cannot be read or has none.
    """
    with open_container(path) as container:
        stream = container.streams[index]
        assert isinstance(stream, VideoStream)
        try:
            return next(container.decode(stream))
        except (av.error.FFmpegError, StopIteration):
            raise InputError(f"{path}: not one frame of its video could be decoded") from None
