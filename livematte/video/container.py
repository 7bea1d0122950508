"""Open a file for reading and select its video stream."""

from __future__ import annotations

import errno
import re
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Any

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
from livematte.video.heif import HeifPicture, read_heif
from livematte.video.picture_sequence import DEFAULT_FPS, find_sequence, is_sequence
from livematte.video.pixel_limit import MAX_SIDE, check_size, pixel_limit, stated_size, too_large
from livematte.video.sound_layouts import use_named_layout

_PYAV = int(av.__version__.split(".")[0])

_THREADS = "AUTO" if _PYAV >= 18 else "SLICE"
"""With frame threading, PyAV 17 drops good frames that are returned together with a broken one."""

_decoder = {"threads": 0}
"""Threads of a decoder; 0 is FFmpeg's default, one for each core."""


def set_decoder_threads(count: int) -> None:
    """Set the threads of the decoders that this process opens from now on; 0 is one for each core."""
    _decoder["threads"] = count


_NOT_VIDEO = {"tty", "bin", "xbin", "adf", "idf", "lrc", "srt", "webvtt", "ass", "ffmetadata", "concat"}
"""Demuxers for text and text art. FFmpeg would decode notes.txt as a video."""


_TOLERANT: dict[str, Any] = {} if _PYAV >= 19 else {"metadata_errors": "replace"}
"""Text that is not UTF-8 is no reason to refuse a file; PyAV 19 never does, and lacks the argument."""


_ALIGNMENT = 80
"""Pixels by which FFmpeg counts a side longer than it is."""


def _budget() -> dict[str, str]:
    """Return the option with which FFmpeg's decoders refuse a picture before they take memory for it."""
    return {"max_pixels": str(pixel_limit() + _ALIGNMENT * MAX_SIDE)}


def exists(path: str | Path) -> bool:
    """Return True if there is a file or folder ``path``; False also if the name is too long for one."""
    try:
        return Path(path).exists()
    except OSError:
        return False


def is_pipe(path: str | Path) -> bool:
    """Return True if ``path`` can be read once only: ``-`` (standard input) or a named pipe."""
    if str(path) == "-" and not exists(path):
        return True
    with suppress(OSError):
        return Path(path).is_fifo()
    return False


def require_rereadable(path: str | Path, why: str) -> None:
    """Raise InputError if ``path`` is a pipe. A second opening of one would wait for ever.

    Args:
        why: what it is read again for.
    """
    if is_pipe(path):
        raise InputError(f"{path} is a pipe, which can be read only once, and {why}: save it as a file first")


def ffmpeg_name(path: str | Path) -> str:
    """The name of a file as FFmpeg must be given it.

    FFmpeg takes a name such as ``10:30.mkv``, ``tcp:127.0.0.1:80`` or ``pipe:0`` for an address.
    After ``file:`` everything is the name of a file.
    """
    path = Path(path)
    return f"file:{path.parent.absolute() / path.name}"


def open_container(
    path: str | Path, hwaccel: HWAccel | None = None, fps: Fraction = DEFAULT_FPS, named_layouts: bool = True
) -> InputContainer:
    """Open a file, with hardware decoders if ``hwaccel`` is given and supports the codec.

    Of a sequence of pictures, it is the first picture, with the time base of the sequence.

    Args:
        fps: pictures a second of a sequence.
        named_layouts: False if the caller calls :func:`livematte.video.sound_layouts.use_named_layout`.

    Raises:
        InputError: it is missing, a directory, empty, not readable or not a media file.
    """
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]+://", str(path)):
        raise InputError(f"{path} is a URL: download it first, livematte reads files")
    path = Path(path)
    if str(path) == "-" and not exists(path):
        raise InputError("- (standard input) cannot be read: save it as a file first")
    # av.open decodes the first pictures to find their format. A file may be called 50%d.png.
    options = {**_budget(), "pattern_type": "none"}
    format = None
    if is_sequence(path):
        format, path = "image2", find_sequence(path).files[0]
        options["framerate"] = str(fps)
    if not exists(path):
        raise InputError(f"{path}: no such file")
    if path.is_char_device() or path.is_socket():
        raise InputError(f"{path} is a device or a socket: name a file")
    if path.is_file() and path.stat().st_size == 0:
        raise InputError(f"{path} is empty (0 bytes)")
    try:
        container: InputContainer = av.open(
            ffmpeg_name(path), "r", format=format, options=options, hwaccel=hwaccel, **_TOLERANT
        )
    except (av.error.FFmpegError, ValueError, OSError) as error:
        raise InputError(_why_not_opened(path, error)) from error
    for stream in container.streams.audio if named_layouts else ():
        use_named_layout(stream)
    if container.format.name in _NOT_VIDEO:
        container.close()
        raise InputError(f"{path} is not a media file (FFmpeg detects {container.format.name})")
    return container


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


def is_cover(stream: Stream) -> bool:
    """Return True if the stream is a cover picture, not a video."""
    return bool(stream.disposition & Disposition.attached_pic)


def video_stream(container: InputContainer, path: str | Path) -> VideoStream:
    """Return the stream that a player would show: the default or best one, never a cover picture.

    Raises:
        InputError: there is none, FFmpeg cannot decode it, or it is too large.
    """
    videos = [stream for stream in container.streams.video if not is_cover(stream)]
    if (heif := read_heif(container, path)) is not None:
        return _heif_stream(videos, heif, path)
    if not videos:
        kinds = sorted({str(stream.type) for stream in container.streams})
        if container.streams.video:
            raise InputError(f"{path} has no video, only audio with a cover picture")
        if not kinds:
            raise InputError(f"{path} is not a media file, or its content is not recognised")
        raise InputError(f"{path} has no video stream, only {' and '.join(kinds)}")
    best: Stream | None = container.streams.best("video")
    chosen = next((stream for stream in videos if best is not None and stream.index == best.index), videos[0])
    defaults = [stream for stream in videos if stream.disposition & Disposition.default]
    if len(defaults) == 1:
        chosen = defaults[0]
    if chosen.codec_context is None:
        raise InputError(f"{path}: FFmpeg has no decoder for its video codec")
    check_size(chosen.codec_context.width, chosen.codec_context.height, path)
    if not chosen.codec_context.width and re.search("image2|_pipe$", container.format.name):
        if (stated := stated_size(find_sequence(path).files[0] if is_sequence(path) else path)) is not None:
            check_size(*stated, path)
        why = too_large(pixel_limit())
        raise InputError(f"{path}: the picture is damaged, or {why}; scale it down first")
    return chosen


def _heif_stream(videos: list[VideoStream], heif: HeifPicture, path: str | Path) -> VideoStream:
    """Return the stream of the first item of a HEIF picture. Raises InputError as :func:`video_stream`."""
    chosen = next((stream for stream in videos if stream.id == heif.color.items[0]), None)
    if chosen is None or chosen.codec_context is None:
        raise InputError(f"{path}: FFmpeg cannot read its picture: convert it to JPEG or PNG")
    if heif.color.size is not None:
        check_size(*heif.color.size[::-1], path)
    check_size(chosen.codec_context.width, chosen.codec_context.height, path)
    return chosen


def decoder_for(stream: VideoStream) -> VideoCodecContext:
    """Return a multi-threaded decoder; libvpx if the stream has alpha, which FFmpeg's own decoders drop."""
    context = stream.codec_context
    library = {"vp9": "libvpx-vp9", "vp8": "libvpx"}.get(context.codec.canonical_name)
    tags = {key.lower(): value for key, value in stream.metadata.items()}
    if library and tags.get("alpha_mode") == "1":
        with_alpha = CodecContext.create(library, "r")
        assert isinstance(with_alpha, VideoCodecContext)
        with_alpha.extradata = context.extradata
        with_alpha.options = _budget()
        return with_alpha
    context.thread_type = _THREADS
    context.thread_count = _decoder["threads"]
    context.options = {**context.options, **_budget()}
    return context


def first_frame(path: str | Path, index: int) -> VideoFrame:
    """Return the first frame of stream ``index``, decoded on the CPU.

    Raises:
        InputError: the file cannot be read or has no decodable frame.
    """
    with open_container(path) as container:
        stream = container.streams[index]
        assert isinstance(stream, VideoStream)
        try:
            return next(container.decode(stream))
        except (av.error.FFmpegError, StopIteration):
            raise InputError(f"{path}: no frame of its video could be decoded") from None
