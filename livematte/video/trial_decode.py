"""Trial decoding of a file in a separate process, so that a crash of a decoder does not end the program.

FFmpeg has several hundred decoders, and a bug in one of them can end the process without a message. Therefore
the first pictures of a file are decoded in a child process before the file is opened here. The child imports
only PyAV and takes about 0.2 s. If :func:`begin` is called early, the child runs while the caller imports
modules and loads the model.

Only regular files and numbered pictures are tried: a pipe can be read only once, and a URL should be opened
only once.
"""

from __future__ import annotations

import faulthandler
import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import Any

from livematte.errors import InputError
from livematte.video.pixel_limit import limited_to, pixel_limit

ENTRY = "from livematte.video.trial_decode import main; main()"
"""Code that starts the child. Unlike :mod:`multiprocessing`, it does not run the caller's script again."""

SECONDS = 30.0
"""Time limit for decoding the first pictures of a file."""

PICTURES = 2
"""Number of pictures to decode. A video background decodes one picture ahead."""

_NO_PYTHON = 1
"""Exit code of Python if it cannot start."""

_INSTEAD = "convert it to MP4, PNG or JPEG with another program first"

_MAX_RESULTS = 256
"""Maximum number of stored results."""

_Key = tuple[str, int, int, int]

_lock = threading.Lock()
_trials: dict[_Key, subprocess.Popen[bytes] | None] = {}
"""Running child by file, or None if the file was decoded successfully and has not changed."""


def begin(*paths: object) -> None:
    """Start the trial of each path that is a file, without waiting. :func:`check` waits."""
    for path in paths:
        key = _file_key(path)
        with _lock:
            if key is not None and key not in _trials:
                with suppress(OSError):  # check() tries again and raises the error
                    _store(key, _start(str(path)))


def check(path: str | os.PathLike[str]) -> None:
    """Wait until the first pictures of ``path`` were decoded in a child process.

    Ordinary errors, such as a missing file, are ignored here; opening the file raises them.

    Raises:
        InputError: the decoder crashed or exceeded :data:`SECONDS`, or no child process can be started.
    """
    key = _file_key(path)
    if key is None:
        return
    with _lock:
        if key in _trials and _trials[key] is None:
            return
        child = _trials.pop(key, None)
    try:
        child = child or _start(str(path))
    except OSError as error:
        raise InputError(
            f"{path} is not opened: no process can be started to test it ({error.strerror or error}); "
            "close other programs first"
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
            f"{path} is not opened: {sys.executable} does not start to test it; run livematte doctor"
        )
    if child.returncode != 0:
        raise InputError(
            f"{path}: FFmpeg crashes while decoding it ({_exit_reason(child.returncode)}); {_INSTEAD}"
        )
    with _lock:
        _store(key, None)


def _store(key: _Key, child: subprocess.Popen[bytes] | None) -> None:
    while len(_trials) >= _MAX_RESULTS:
        del _trials[next(iter(_trials))]
    _trials[key] = child


def _file_key(path: object) -> _Key | None:
    """Return a key that changes when the file changes; None if ``path`` is not a file."""
    if not isinstance(path, (str, os.PathLike)) or not sys.executable or getattr(sys, "frozen", False):
        return None  # in a frozen program there is no Python to start
    path = Path(path)
    with suppress(OSError, ValueError):
        if path.is_file():
            found = path.stat()
            return str(path.absolute()), found.st_mtime_ns, found.st_size, pixel_limit()
        if any(sign in path.name for sign in "%#*?") and path.parent.is_dir():
            return str(path.absolute()), path.parent.stat().st_mtime_ns, 0, pixel_limit()
    return None


def _start(path: str) -> subprocess.Popen[bytes]:
    # The same module search path as this process, without the current folder. A separate session, so that
    # Ctrl-C in the terminal does not reach the child.
    code = f"import sys; sys.path[:] = {sys.path!r}; {ENTRY}"
    separate: dict[str, Any] = {"start_new_session": True}
    if sys.platform == "win32":
        separate = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW}
    return subprocess.Popen(
        [sys.executable, "-c", code, path, str(pixel_limit())],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,  # communicate() returns when it is closed
        stderr=subprocess.DEVNULL,
        **separate,
    )


def _exit_reason(code: int) -> str:
    with suppress(ValueError):
        return signal.Signals(-code).name
    return f"status {code & 0xFFFFFFFF:#x}"


def main() -> None:
    """Entry point of the child: decode the first pictures of ``sys.argv[1]``; exit with 0 unless crashed.

    ``sys.argv[2]`` is the limit for their pixels.
    """
    faulthandler.dump_traceback_later(SECONDS + 5, exit=True)  # also if the parent has ended
    if sys.platform == "win32":
        import msvcrt

        msvcrt.SetErrorMode(msvcrt.SEM_FAILCRITICALERRORS | msvcrt.SEM_NOGPFAULTERRORBOX)  # no error dialog
    with suppress(Exception), limited_to(int(sys.argv[2])):  # the parent's opening raises errors again
        decode_beginning(sys.argv[1])
    os._exit(0)


def decode_beginning(path: str) -> None:
    """Decode the first pictures and their side data with the same code as the reader.

    Raises:
        InputError: the file cannot be read.
    """
    import av.error
    from av.sidedata.sidedata import Type

    from livematte.video.container import decoder_for, open_container, video_stream
    from livematte.video.heif import decode_heif, read_heif
    from livematte.video.side_data import read_side_data

    found = 0
    with open_container(path) as container:
        stream = video_stream(container, path)
        if (heif := read_heif(container, path)) is not None and heif.is_composed:
            decode_heif(container, heif, path)
            return
        decoder = decoder_for(stream)
        for packet in chain(container.demux(stream), (None,)):
            if packet is not None and not packet.size:
                continue  # the same picture again; for a decoder it would be the end
            with suppress(av.error.FFmpegError, ValueError):
                for frame in decoder.decode(packet):
                    read_side_data(frame, Type.DISPLAYMATRIX)
                    found += 1
            if found >= PICTURES:
                return
    if not found and path.lower().endswith(".webp"):
        import cv2  # reads WebP files that FFmpeg cannot read, as backgrounds.read_image does
        import numpy as np

        cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR_RGB)
