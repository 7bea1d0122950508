"""A file, picture or URL that is played in real time in a loop, as a replacement for a camera."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import av.error

from livematte.clock import Clock, SystemClock
from livematte.errors import CameraLost, InputError
from livematte.frame import Frame
from livematte.video import trial_decode
from livematte.video.container import require_rereadable, video_stream
from livematte.video.pixel_limit import limited_to, pixel_limit
from livematte.video.reader import FileSource, open_video
from livematte.video.sound_layouts import use_named_layout

STILL_RATE = Fraction(30)
"""Frames per second for a single picture."""

RESYNC_SECONDS = 0.5
"""If playback is later than this, it continues from the current position instead of catching up."""

OPEN_SECONDS, READ_SECONDS = 10.0, 5.0
"""Timeouts for opening a URL and for each read from it."""

_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
_PASSWORD = re.compile(r"(?<=://)[^/@\s]*@")


def open_file_camera(path_or_url: str | Path, clock: Clock | None = None) -> FileCamera:
    """Open a video file, a picture, numbered pictures or a URL that FFmpeg supports (http, rtsp, srt ...).

    Raises:
        InputError: it cannot be opened or has no video.
    """
    return FileCamera(path_or_url, clock or SystemClock())


def is_url(text: str | Path) -> bool:
    """Return True if ``text`` is a network URL."""
    return bool(_ADDRESS.match(str(text))) and not str(text).startswith("file://")


def redact_credentials(address: str) -> str:
    """Return ``address`` without user name and password, safe to print."""
    return _PASSWORD.sub("", address)


def _open(path_or_url: str | Path) -> FileSource:
    if not is_url(path_or_url):
        trial_decode.check(path_or_url)
        return open_video(path_or_url, one_size=False)
    address, shown = str(path_or_url), redact_credentials(str(path_or_url))
    options = {"rtsp_transport": "tcp"} if address.startswith("rtsp") else {}
    try:
        container = av.open(address, "r", options=options, timeout=(OPEN_SECONDS, READ_SECONDS))
    except (av.error.FFmpegError, OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or type(error).__name__
        raise InputError(f"{shown} cannot be opened: {why}") from None  # the cause contains the password
    for stream in container.streams.audio:
        use_named_layout(stream)
    try:
        return FileSource(shown, container, video_stream(container, shown), None, None, one_size=False)
    except BaseException:
        container.close()
        raise


class FileCamera:
    """Frames of a file in real time, restarted at its end (protocols.Source).

    ``pts`` keeps rising across restarts, and the first frame of each loop has ``keyframe_hint``. A single
    picture is repeated thirty times per second.

    Attributes:
        info: properties of the file, without a duration.
        notes: repairs and changes by the reader.
    """

    def __init__(self, path_or_url: str | Path, clock: Clock) -> None:
        self._path_or_url, self._clock = path_or_url, clock
        self._stop, self._limit = threading.Event(), pixel_limit()
        self._source = _open(path_or_url)
        self.notes = self._source.notes
        self._started = False
        info = self._source.info
        self._still = info.average_rate is None
        if self._still:
            info = replace(info, average_rate=STILL_RATE, time_base=1 / STILL_RATE)
        self.info = replace(info, frames=None, seconds=None, name=redact_credentials(info.name))

    def __iter__(self) -> Iterator[Frame]:
        """Yield each frame at its presentation time, until the source is closed.

        Raises:
            CameraLost: a URL failed and cannot be opened again.
            InputError: the file changed or was removed, or the source was already iterated.
        """
        if self._started:
            raise InputError(f"{self.info.name} can be iterated only once: open it again")
        self._started = True
        start: float | None = None
        for frame in self._repeat_still() if self._still else self._loop_video():
            due = float(frame.seconds)
            now = self._clock.now()
            if start is None or now - (start + due) > RESYNC_SECONDS:
                start = now - due
            if not self._clock.sleep_until(start + due, self._stop):
                return
            yield frame

    def _repeat_still(self) -> Iterator[Frame]:
        """Yield one picture forever."""
        picture = next(iter(self._source), None)
        self._source.close()
        if picture is None:
            return
        count = 0
        while True:
            yield replace(picture, pts=count, time_base=self.info.time_base, duration=1)
            count += 1

    def _loop_video(self) -> Iterator[Frame]:
        """Yield the frames of the file in a loop, with times that rise from 0."""
        begins = 0  # start of this loop, in ticks
        while not self._stop.is_set():
            first, ends = None, begins
            for frame in self._source:
                first = frame.pts if first is None else first
                pts = begins + frame.pts - first
                ends = pts + (frame.duration or self._step())
                yield replace(frame, pts=pts, keyframe_hint=frame.keyframe_hint or frame.pts == first)
            self._source.close()
            if self._stop.is_set():
                return
            if first is None:
                raise InputError(f"{self.info.name} has no decodable picture")
            begins = ends
            self._reopen()

    def _step(self) -> int:
        rate = self.info.average_rate or STILL_RATE
        return max(1, round(1 / (rate * self.info.time_base)))

    def _reopen(self) -> None:
        """Open the source again. A failed URL raises CameraLost, like an unplugged camera."""
        require_rereadable(self._path_or_url, "it has ended")
        try:
            with limited_to(self._limit):
                source = _open(self._path_or_url)
        except InputError as error:
            if is_url(self._path_or_url):
                raise CameraLost(f"{redact_credentials(str(self._path_or_url))} failed: {error}") from None
            raise
        self._source = source
        if (source.info.height, source.info.width) != (self.info.height, self.info.width):
            self.notes.append(f"{self.info.name} changed its size")
        if self._stop.is_set():
            source.close()

    def close(self) -> None:
        """Release the source and end the iteration. Can be called twice and from any thread."""
        self._stop.set()
        self._source.close()

    def __enter__(self) -> FileCamera:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
