"""A file, picture or address played in real time, again and again: a stand-in for a camera."""

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
from livematte.video import trial
from livematte.video.opening import video_stream
from livematte.video.reader import FileSource, open_video

STILL_RATE = Fraction(30)
"""Frames a second that a single picture is shown at."""

BEHIND_SECONDS = 0.5
"""Who is later than this does not hurry to catch up: the play goes on from where it is."""

OPEN_SECONDS, READ_SECONDS = 10.0, 5.0
"""How long an address may take to answer, and then to send more."""

_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
_PASSWORD = re.compile(r"(?<=://)[^/@\s]*@")


def open_stand_in(path_or_url: str | Path, clock: Clock | None = None) -> StandIn:
    """Open a video file, a picture, numbered pictures or an address that FFmpeg reads (http, rtsp, srt ...).

    Raises:
        InputError: it cannot be opened or has no picture.
    """
    return StandIn(path_or_url, clock or SystemClock())


def is_address(text: str | Path) -> bool:
    """``text`` names something on a network."""
    return bool(_ADDRESS.match(str(text))) and not str(text).startswith("file://")


def without_password(address: str) -> str:
    """``address`` with its user and password left out: fit to print."""
    return _PASSWORD.sub("", address)


def _open(path_or_url: str | Path) -> FileSource:
    if not is_address(path_or_url):
        trial.check(path_or_url)
        return open_video(path_or_url)
    address, shown = str(path_or_url), without_password(str(path_or_url))
    options = {"rtsp_transport": "tcp"} if address.startswith("rtsp") else {}
    try:
        container = av.open(address, "r", options=options, timeout=(OPEN_SECONDS, READ_SECONDS))
    except (av.error.FFmpegError, OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or type(error).__name__
        raise InputError(f"{shown} cannot be opened: {why}") from None  # the cause holds the password
    try:
        return FileSource(shown, container, video_stream(container, shown), None, None)
    except BaseException:
        container.close()
        raise


class StandIn:
    """Frames of a file at the pace of their own times, begun again at its end (protocols.Source).

    ``pts`` goes on rising when it begins again, and the first frame of each round has ``keyframe_hint``.
    A picture is shown thirty times a second.

    Attributes:
        info: the file's, without an end.
        notes: what the reader repaired or changed.
    """

    def __init__(self, path_or_url: str | Path, clock: Clock) -> None:
        self._what, self._clock = path_or_url, clock
        self._stop = threading.Event()
        self._source = _open(path_or_url)
        self.notes = self._source.notes
        self._started = False
        info = self._source.info
        self._still = info.average_rate is None
        if self._still:
            info = replace(info, average_rate=STILL_RATE, time_base=1 / STILL_RATE)
        self.info = replace(info, frames=None, seconds=None, name=without_password(info.name))

    def __iter__(self) -> Iterator[Frame]:
        """Frames when they are due; ends when it is closed.

        Raises:
            CameraLost: an address broke off and cannot be opened again.
            InputError: the file changed or went away, or iterated a second time.
        """
        if self._started:
            raise InputError(f"{self.info.name} is played once only: open it again")
        self._started = True
        start: float | None = None
        for frame in self._shown() if self._still else self._rounds():
            due = float(frame.seconds)
            now = self._clock.now()
            if start is None or now - (start + due) > BEHIND_SECONDS:
                start = now - due
            if not self._clock.sleep_until(start + due, self._stop):
                return
            yield frame

    def _shown(self) -> Iterator[Frame]:
        """One picture for ever."""
        picture = next(iter(self._source), None)
        self._source.close()
        if picture is None:
            return
        count = 0
        while True:
            yield replace(picture, pts=count, time_base=self.info.time_base, duration=1)
            count += 1

    def _rounds(self) -> Iterator[Frame]:
        """The file from beginning to end, again and again, at times that rise from 0."""
        begins = 0  # of this round, in ticks
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
                raise InputError(f"{self.info.name} has no picture that decodes")
            begins = ends
            self._again()

    def _step(self) -> int:
        rate = self.info.average_rate or STILL_RATE
        return max(1, round(1 / (rate * self.info.time_base)))

    def _again(self) -> None:
        """Open it anew; a network stream that is gone is like a camera unplugged."""
        try:
            source = _open(self._what)
        except InputError as error:
            if is_address(self._what):
                raise CameraLost(f"{without_password(str(self._what))} broke off: {error}") from None
            raise
        self._source = source
        if (source.info.height, source.info.width) != (self.info.height, self.info.width):
            self.notes.append(f"{self.info.name} has another size now")
        if self._stop.is_set():
            source.close()

    def close(self) -> None:
        """Let go of it. Twice and from any thread is fine; iteration then ends."""
        self._stop.set()
        self._source.close()

    def __enter__(self) -> StandIn:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
