"""The policy that decides which frames viewers may see. It fails closed.

A frame passes only if its own matte is good, nothing has failed since it was captured, and it is recent
enough. While the next frame is only late, the last one stays for a while: viewers have seen it already, so
nothing new is shown. In every other case the engine sends the placeholder.
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass

import numpy as np

from livematte.clock import Clock
from livematte.device.cuda import on_gpu
from livematte.device.transfer import to_host
from livematte.frame import Array, Frame
from livematte.matting.components import CORE, SMALLEST

PERSON, NOBODY, UNSURE = "person", "nobody", "unsure"

LATE = MODEL_SLOW, CAMERA_SILENT = "the model is too slow or hangs", "the camera sends nothing"
"""Reasons for a placeholder where the last good picture has been held as long as it may be."""

MOST_FOREGROUND = 0.97
"""Share of the picture; a larger person is not trusted, since that would show the whole room."""
DOUBT = 0.1, 0.9
"""Alpha between these is neither person nor room."""
MOST_DOUBT = 0.3
"""Share of the picture that may be neither person nor room."""
DELAY_PACE = 0.5
"""Seconds per second by which a delay that was changed grows."""
SOFT_TO_CORE = 1.5
"""Largest ratio of a person's uncertain area to its certain area, where the former exceeds a twentieth of the
picture."""


def judge(alpha: Array) -> str:
    """Judge whether a matte hides the room: ``person``, ``nobody`` or ``unsure``.

    Args:
        alpha: (h, w) float32 in [0, 1], at the network's size, small components removed; a GPU is waited for.
    """
    core, soft = (float(count) / alpha.size for count in _certainty(alpha))
    if core > MOST_FOREGROUND or soft > MOST_DOUBT or (soft > 0.05 and soft > SOFT_TO_CORE * core):
        return UNSURE
    return PERSON if core >= SMALLEST else NOBODY


def _certainty(alpha: Array) -> tuple[int, int]:
    """The number of pixels that are certainly a person, and of those that may be either."""
    if on_gpu(alpha):
        from livematte.kernels.statistics import count_opacity

        counts = to_host(count_opacity(alpha, CORE, *DOUBT))
        return int(counts[0]), int(counts[1])
    low, high = DOUBT
    sure, doubtful = alpha > CORE, (alpha > low) & (alpha < high)
    return int(np.count_nonzero(sure)), int(np.count_nonzero(doubtful))


@dataclass(frozen=True)
class ComposedFrame:
    """A composed frame, in the computer's memory.

    Attributes:
        serial: number of frames captured before it.
        captured_at: time on the session's clock.
        alpha: (h, w) float32 in [0, 1] at the network's size, with which it was composed; it may be on a GPU.
    """

    frame: Frame
    serial: int
    captured_at: float
    alpha: Array | None = None


@dataclass(frozen=True)
class GateDecision:
    """The frame to send, or None for the placeholder and the reason for it."""

    picture: ComposedFrame | None
    reason: str = ""


class Gate:
    """Chooses the frame for every tick of the output. Any thread may call it.

    Args:
        max_age: seconds from capture, beyond ``delay``, after which a frame is too late to be shown.
        hold: seconds for which a frame stays while no newer one comes, because the camera, the model or the
            computer is late. A failure ends it at once.
        silence: seconds without a frame from the camera after which the camera is the reason; three frame
            times of a slow camera if that is longer.
        settle: good mattes in a row that are required after a failure; one is enough at the start, and after
            a frame that was only late.
        delay: seconds from capture to display; 0 is at once.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        max_age: float = 1.0,
        hold: float = 1.0,
        silence: float = 0.2,
        settle: int = 3,
        delay: float = 0.0,
    ) -> None:
        self._clock, self._lock = clock, threading.Lock()
        self._max_age, self._hold, self._silence = max_age, hold, silence
        self._settle, self._delay = settle, delay
        self._pictures: deque[ComposedFrame] = deque()
        self._serial = self._barrier = -1
        self._last_frame_at: float | None = None
        self._interval = 0.0
        self._good = self._wanted_good = 0
        self._wanted_good = 1
        self._person = False
        self._reason = "starting"
        self._shown = -1
        self._shown_since = 0.0
        self._wanted_delay, self._stepped_at = delay, clock.now()

    def set_delay(self, delay: float) -> None:
        """Change the delay. A longer one is reached in slow motion, so that viewers see no placeholder."""
        with self._lock:
            self._wanted_delay, self._stepped_at = delay, self._clock.now()
            self._delay = min(self._delay, delay)

    def _step_delay(self, now: float) -> None:
        passed, self._stepped_at = now - self._stepped_at, now
        self._delay = min(self._wanted_delay, self._delay + DELAY_PACE * passed)

    def register_frame(self) -> tuple[int, float]:
        """Register a captured frame; returns its serial number and the time."""
        now = self._clock.now()
        with self._lock:
            if self._last_frame_at is not None:  # mean over some ten frames, a pause left out
                gap = min(now - self._last_frame_at, 1.0)
                self._interval += (gap - self._interval) * (0.1 if self._interval else 1.0)
            self._last_frame_at = now
            self._serial += 1
            return self._serial, now

    def fail(self, reason: str) -> None:
        """Report a failure: no frame captured until now is shown, and no later one before enough mattes are
        good again.
        """
        with self._lock:
            self._fail(reason)

    def camera_gone(self, reason: str) -> None:
        """As :meth:`fail`; in addition no frame is expected for a while."""
        with self._lock:
            self._fail(reason)
            self._last_frame_at, self._interval = None, 0.0

    def accept_matte(self, serial: int, verdict: str) -> bool:
        """Register the verdict of :func:`judge`; True if the frame is to be composited."""
        with self._lock:
            if serial <= self._barrier:
                return False
            if verdict == UNSURE:
                self._fail("the matte is not to be trusted")
                return False
            self._person |= verdict == PERSON
            if not self._person:  # an empty matte may as well be a broken model
                self._reason = "nobody is seen yet"
                return False
            self._good += 1
            return self._good >= self._wanted_good

    def passes(self, serial: int, captured_at: float) -> bool:
        """True if a frame with that serial number may still be shown."""
        with self._lock:
            return self._passes(serial, captured_at, self._clock.now())

    def publish(self, picture: ComposedFrame) -> bool:
        """Offer a composed frame; False if it comes too late."""
        with self._lock:
            now = self._clock.now()
            self._step_delay(now)
            newest = self._pictures[-1].serial if self._pictures else -1
            if picture.serial <= newest or not self._passes(picture.serial, picture.captured_at, now):
                return False
            self._pictures.append(picture)
            while len(self._pictures) > 1 and self._due(self._pictures[1], now):
                self._pictures.popleft()
            return True

    def choose(self) -> GateDecision:
        """Choose the frame to send now."""
        with self._lock:
            now = self._clock.now()
            self._step_delay(now)
            while len(self._pictures) > 1 and self._due(self._pictures[1], now):
                self._pictures.popleft()
            if not self._pictures or not self._due(self._pictures[0], now):
                return GateDecision(None, self._reason)
            shown = self._pictures[0]
            if shown.serial != self._shown:
                if not self._passes(shown.serial, shown.captured_at, now):  # nobody asked for it in time
                    return self._too_late(now)
                self._shown, self._shown_since = shown.serial, now
            if not self._holds(shown.serial, now):
                return self._too_late(now)
            return GateDecision(shown)

    def may_send(self, serial: int, captured_at: float) -> bool:
        """True if a frame that :meth:`choose` gave may still be sent: nothing has failed meanwhile."""
        with self._lock:
            now = self._clock.now()
            return self._holds(serial, now) or self._passes(serial, captured_at, now)

    def _holds(self, serial: int, now: float) -> bool:
        """True if viewers have that frame and may keep it."""
        return self._barrier < serial == self._shown and now - self._shown_since <= self._hold

    def _too_late(self, now: float) -> GateDecision:
        since, limit = self._last_frame_at, max(self._silence, 3 * self._interval)
        silent = since is not None and now - since > limit
        self._pictures.clear()
        self._reason = CAMERA_SILENT if silent else MODEL_SLOW
        return GateDecision(None, self._reason)

    def _due(self, picture: ComposedFrame, now: float) -> bool:
        return picture.captured_at + self._delay <= now + 1e-6

    def _passes(self, serial: int, captured_at: float, now: float) -> bool:
        return serial > self._barrier and now - captured_at <= self._max_age + self._delay

    def _fail(self, reason: str) -> None:
        self._barrier = self._serial
        self._good, self._wanted_good, self._person = 0, self._settle, False
        self._pictures.clear()
        self._reason = reason
