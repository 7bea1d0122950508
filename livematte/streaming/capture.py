"""The camera's thread: opens and reads the camera, waits for its return, closes it while nobody watches."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from livematte.clock import Clock
from livematte.errors import InputError
from livematte.frame import Frame
from livematte.protocols import Source
from livematte.streaming.gate import Gate
from livematte.streaming.stats import LiveMeter


@dataclass(frozen=True)
class Camera:
    """A camera that can be opened again.

    Attributes:
        open: opens it, by its stable id, from a thread; raises InputError while it is not there.
        source: the camera, where it is open already.
    """

    open: Callable[[], Source]
    source: Source | None = None


class Capture:
    """Reads one camera until the session stops or this reader is replaced.

    Args:
        step: called with each frame and the number of times that the camera was opened.
        retry: seconds between two attempts to open it.

    Attributes:
        opened: the number of times that the camera was opened.
        step: see above.
        wanted: set while the camera is to be kept open.
    """

    def __init__(
        self,
        camera: Camera,
        step: Callable[[Frame, int], None],
        gate: Gate,
        meter: LiveMeter,
        clock: Clock,
        stop: threading.Event,
        *,
        retry: float = 0.5,
    ) -> None:
        self.source = camera.source
        self.given_up = False
        self.opened = int(camera.source is not None)
        self.wanted = threading.Event()
        self._camera, self.step = camera, step
        self._gate, self._meter, self._clock, self._retry = gate, meter, clock, retry
        self._stop = stop
        self._reading_since: float | None = None

    def successor(self, camera: Camera | None = None) -> Capture:
        """A new reader of the same or another camera; frames that this one still gets are ignored."""
        self.given_up = True
        new = Capture(
            camera or Camera(self._camera.open),
            self.step,
            self._gate,
            self._meter,
            self._clock,
            self._stop,
            retry=self._retry,
        )
        new.wanted, new.opened = self.wanted, self.opened + new.opened
        return new

    def silence(self) -> float:
        """Seconds since the open camera gave its last frame; 0 while it is closed."""
        since = self._reading_since
        return 0.0 if since is None else self._clock.now() - since

    def run(self) -> None:
        """Read until stopped. The gate learns at once that the camera has ended."""
        try:
            while self._on():
                if not self.wanted.is_set():
                    self._let_go("nobody watches")
                    self.wanted.wait()
                elif self.source is not None or self._open():
                    reason = self._read()
                    if self._on():
                        self._let_go(reason)
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
            source = self._camera.open()
        except BaseException as error:
            self._meter.note(f"waiting for the camera: {error}")
            return False
        if not self._on():  # it took so long that the session has ended
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
        """Pass frames on until there are no more; returns the reason."""
        assert self.source is not None
        self._reading_since = self._clock.now()
        try:
            for frame in self.source:
                if not self._on() or not self.wanted.is_set():
                    return "nobody watches"
                self._reading_since = self._clock.now()
                try:
                    self.step(frame, self.opened)
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

    def _let_go(self, reason: str) -> None:
        self._gate.camera_gone(reason)
        self._close()

    def _close(self) -> None:
        source, self.source = self.source, None
        if source is not None:
            with suppress(Exception):
                source.close()
