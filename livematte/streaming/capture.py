"""The camera's thread: opens it, reads it, waits for it to come back, lets go of it when nobody watches."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress

from livematte.clock import Clock
from livematte.errors import InputError
from livematte.frame import Frame
from livematte.protocols import Source
from livematte.streaming.gate import Gate
from livematte.streaming.stats import LiveMeter


class Capture:
    """Reads one camera until it is stopped or given up.

    Args:
        open_source: opens the camera, by its stable id; raises InputError while it is not there.
        step: takes each frame, and how often the camera was opened.
        source: the camera, where it is open already.
        retry: seconds between two tries to open it.

    Attributes:
        opened: how often it was opened.
        wanted: set while the camera is to be held open.
    """

    def __init__(
        self,
        open_source: Callable[[], Source],
        step: Callable[[Frame, int], None],
        gate: Gate,
        meter: LiveMeter,
        clock: Clock,
        stop: threading.Event,
        *,
        source: Source | None = None,
        retry: float = 0.5,
    ) -> None:
        self.source = source
        self.given_up = False
        self.opened = int(source is not None)
        self.wanted = threading.Event()
        self._open_source, self._step = open_source, step
        self._gate, self._meter, self._clock, self._retry = gate, meter, clock, retry
        self._stop = stop
        self._reading_since: float | None = None

    def successor(self) -> Capture:
        """Another one for the same camera; this one is given up, and whatever it still gives is ignored."""
        self.given_up = True
        new = Capture(
            self._open_source,
            self._step,
            self._gate,
            self._meter,
            self._clock,
            self._stop,
            retry=self._retry,
        )
        new.wanted, new.opened = self.wanted, self.opened
        return new

    def hangs(self) -> float:
        """Seconds since an open camera gave its last frame; 0 while none is open."""
        since = self._reading_since
        return 0.0 if since is None else self._clock.now() - since

    def run(self) -> None:
        """Read until stopped. Every end of the camera is told to the gate at once."""
        try:
            while self._on():
                if not self.wanted.is_set():
                    self._let_go("nobody watches")
                    self.wanted.wait()
                elif self.source is not None or self._open():
                    why = self._read()
                    if self._on():
                        self._let_go(why)
                        if self.wanted.is_set():
                            self._pause()
                else:
                    self._pause()
        finally:
            if not self.given_up:
                self._close()

    def _pause(self) -> None:
        self._clock.sleep_until(self._clock.now() + self._retry, self._stop)

    def _on(self) -> bool:
        return not (self._stop.is_set() or self.given_up)

    def _open(self) -> bool:
        try:
            source = self._open_source()
        except BaseException as error:
            self._meter.note(f"waiting for the camera: {error}")
            return False
        if not self._on():  # took so long that nobody wants it any more
            source.close()
            return False
        self.source = source
        for line in getattr(source, "notes", ()):
            self._meter.note(line)
        if self.opened:
            self._meter.count("reconnects")
        self.opened += 1
        return True

    def _read(self) -> str:
        """Pass frames on; why no more come."""
        assert self.source is not None
        self._reading_since = self._clock.now()
        try:
            for frame in self.source:
                if not self._on() or not self.wanted.is_set():
                    return "nobody watches"
                self._reading_since = self._clock.now()
                try:
                    self._step(frame, self.opened)
                except InputError as error:  # one damaged picture
                    self._meter.count("errors")
                    self._meter.note(str(error))
                    self._gate.fail("the camera sends damaged pictures")
        except BaseException as error:
            if self._on():
                self._meter.count("errors")
                self._meter.note(f"the camera is gone: {error}")
            return "the camera is gone"
        finally:
            self._reading_since = None
        return "the input has ended"

    def _let_go(self, why: str) -> None:
        self._gate.gone(why)
        self._close()

    def _close(self) -> None:
        source, self.source = self.source, None
        if source is not None:
            with suppress(Exception):
                source.close()
