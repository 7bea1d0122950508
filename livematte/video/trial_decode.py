"""A user's file is tried in a process of its own first: what a decoder dies of ends that one, not a call.

FFmpeg has a few hundred decoders, most of them hardly used, and an error in one of them ends its process
without a word. So the first pictures of a file are decoded where that does no harm, and only then here. That
process imports PyAV and nothing else that is large: it takes two tenths of a second, most of them beside
what the caller imports or loads, where :func:`begin` was called before.

Only what is a file is tried: a pipe can be read once, an address is asked once.
"""

from __future__ import annotations

import faulthandler
import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

from livematte.errors import InputError

ENTRY = "from livematte.video.trial_decode import main; main()"
"""What Python is started with: unlike :mod:`multiprocessing` it does not run the caller's script again."""

SECONDS = 30.0
"""How long the first pictures of a file may take."""

PICTURES = 2
"""What a background decodes before it is shown: a video holds the one that comes next."""

_NO_PYTHON = 1
"""What Python itself ends with where it cannot start."""

_INSTEAD = "convert it to MP4, PNG or JPEG with another program first"

_REMEMBERED = 256

_Key = tuple[str, int, int]

_lock = threading.Lock()
_tried: dict[_Key, subprocess.Popen[bytes] | None] = {}
"""Files on trial, and None for those that are through and have not changed since."""


def begin(*paths: object) -> None:
    """Start trying those of ``paths`` that are files, and do not wait: :func:`check` does."""
    for path in paths:
        key = _key_of(path)
        with _lock:
            if key is not None and key not in _tried:
                with suppress(OSError):  # check() tries again and says it
                    _remember(key, _start(str(path)))


def check(path: str | os.PathLike[str]) -> None:
    """Wait until the first pictures of ``path`` were decoded in a process of its own.

    What is merely wrong with it, such as a missing picture, is left to who opens it next.

    Raises:
        InputError: the decoder died, or did not come to an end; or there can be no other process.
    """
    key = _key_of(path)
    if key is None:
        return
    with _lock:
        if key in _tried and _tried[key] is None:
            return
        child = _tried.pop(key, None)
    try:
        child = child or _start(str(path))
    except OSError as error:
        raise InputError(
            f"{path} is not opened: no process can be started to try it in ({error.strerror or error}); "
            "end other programs first"
        ) from error
    try:
        child.communicate(timeout=SECONDS)
    except subprocess.TimeoutExpired:
        raise InputError(
            f"{path}: its first picture was not decoded within {SECONDS:g} seconds; {_INSTEAD}"
        ) from None
    finally:
        if child.poll() is None:
            child.kill()
            child.communicate()
    if child.returncode == _NO_PYTHON:
        raise InputError(
            f"{path} is not opened: {sys.executable} does not start to try it in a process of its own; "
            "livematte doctor says what is broken"
        )
    if child.returncode != 0:
        raise InputError(
            f"{path}: FFmpeg crashes where it decodes it ({_cache_name(child.returncode)}); {_INSTEAD}"
        )
    with _lock:
        _remember(key, None)


def _remember(key: _Key, child: subprocess.Popen[bytes] | None) -> None:
    while len(_tried) >= _REMEMBERED:
        del _tried[next(iter(_tried))]
    _tried[key] = child


def _key_of(path: object) -> _Key | None:
    """What tells a file from another, or from itself when it was written again; None for what is no file."""
    if not isinstance(path, (str, os.PathLike)) or not sys.executable or getattr(sys, "frozen", False):
        return None  # without a Python beside this program there is nothing to start
    path = Path(path)
    with suppress(OSError, ValueError):
        if path.is_file():
            found = path.stat()
            return str(path.absolute()), found.st_mtime_ns, found.st_size
        if "%" in path.name and path.parent.is_dir():  # numbered pictures
            return str(path.absolute()), path.parent.stat().st_mtime_ns, 0
    return None


def _start(path: str) -> subprocess.Popen[bytes]:
    # Where this process finds its modules, and not in the folder that it happens to be in. A terminal's
    # Ctrl-C is for this process, not for that one.
    code = f"import sys; sys.path[:] = {sys.path!r}; {ENTRY}"
    apart: dict[str, Any] = {"start_new_session": True}
    if sys.platform == "win32":
        apart = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW}
    return subprocess.Popen(
        [sys.executable, "-c", code, path],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,  # its end is noticed at once
        stderr=subprocess.DEVNULL,
        **apart,
    )


def _cache_name(code: int) -> str:
    with suppress(ValueError):
        return signal.Signals(-code).name
    return f"status {code & 0xFFFFFFFF:#x}"


def main() -> None:
    """That process: decode the first pictures of the file its argument names; it ends with 0 if it lives."""
    faulthandler.dump_traceback_later(SECONDS + 5, exit=True)  # also where nobody is left who would end it
    if sys.platform == "win32":
        import msvcrt

        msvcrt.SetErrorMode(msvcrt.SEM_FAILCRITICALERRORS | msvcrt.SEM_NOGPFAULTERRORBOX)  # no window
    with suppress(Exception):  # is met again, and said, by who opens it
        decode_beginning(sys.argv[1])
    os._exit(0)


def decode_beginning(path: str) -> None:
    """Decode the first pictures, and what is beside them, as who opens the file will do.

    Raises:
        InputError: it cannot be read.
    """
    import av.error
    from av.sidedata.sidedata import Type

    from livematte.video.container import decoder_for, open_container, video_stream
    from livematte.video.side_data import read_side_data

    found = 0
    with open_container(path) as container:
        stream = video_stream(container, path)
        decoder = decoder_for(stream)
        for packet in container.demux(stream):
            with suppress(av.error.FFmpegError, ValueError):
                for frame in decoder.decode(packet if packet.size else None):
                    read_side_data(frame, Type.DISPLAYMATRIX)
                    found += 1
            if found >= PICTURES:
                return
    if not found and path.lower().endswith(".webp"):
        import cv2  # reads those that FFmpeg does not: backgrounds.read_image
        import numpy as np

        cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR_RGB)
