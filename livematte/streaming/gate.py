"""What viewers may see: fail closed. Pure policy; the engine's threads tell it what happened.

A picture passes only where its own frame was matted well, no failure came after that frame was captured, and
it is young enough. In every other case there is no picture, and the engine sends the placeholder.
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass

import numpy as np

from livematte.clock import Clock
from livematte.frame import Array, Frame
from livematte.kernels.copies import to_host
from livematte.kernels.cuda_launch import on_gpu
from livematte.regions import CORE, SMALLEST

PERSON, NOBODY, UNSURE = "person", "nobody", "unsure"

MOST_FOREGROUND = 0.97
"""Share of the picture above which "all of it is a person" is not believed: it would show the room."""
DOUBT = 0.1, 0.9
"""Alpha between these is neither person nor room."""
MOST_DOUBT = 0.3
"""Share of the picture that may be neither person nor room."""
SOFT_TO_CORE = 1.5
"""How much larger than the certain part of a person its uncertain part may be, above a twentieth of the
picture."""


def judge(alpha: Array) -> str:
    """Whether a matte can be trusted with a room: ``person``, ``nobody`` or ``unsure``.

    Args:
        alpha: (h, w) float32 in [0, 1], at the network's size, islands dropped; on a GPU this waits for it.
    """
    core, soft = (float(count) / alpha.size for count in _certainty(alpha))
    if core > MOST_FOREGROUND or soft > MOST_DOUBT or (soft > 0.05 and soft > SOFT_TO_CORE * core):
        return UNSURE
    return PERSON if core >= SMALLEST else NOBODY


def _certainty(alpha: Array) -> tuple[int, int]:
    """How many pixels are surely of a person, and how many may be either."""
    if on_gpu(alpha):
        from livematte.kernels import cuda_regions

        counts = to_host(cuda_regions.certainty(alpha, CORE, *DOUBT))
        return int(counts[0]), int(counts[1])
    low, high = DOUBT
    sure, doubtful = alpha > CORE, (alpha > low) & (alpha < high)
    return int(np.count_nonzero(sure)), int(np.count_nonzero(doubtful))


@dataclass(frozen=True)
class Picture:
    """A composed frame on its way out, in the computer's memory.

    Attributes:
        serial: counts the frames that were captured.
        captured: when, on the clock.
        alpha: (h, w) float32 in [0, 1] at the network's size, which it was composed with, where it was.
    """

    frame: Frame
    serial: int
    captured: float
    alpha: Array | None = None


@dataclass(frozen=True)
class Choice:
    """What to send: a picture, or the placeholder and why."""

    picture: Picture | None
    why: str = ""


class Gate:
    """Decides for every frame time what is sent. Any thread may call it.

    Args:
        max_age: seconds from capture after which a picture is not shown any more, beyond ``delay``.
        silence: seconds without a frame from the camera after which it counts as gone; three frame times of
            a slow camera if that is longer.
        settle: good mattes in a row that are asked for after a failure; one is enough at the start, and
            after what was only late.
        delay: seconds after its capture at which a picture is shown; 0 is at once.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        max_age: float = 1.0,
        silence: float = 0.2,
        settle: int = 3,
        delay: float = 0.0,
    ) -> None:
        self._clock, self._lock = clock, threading.Lock()
        self._max_age, self._silence, self._settle, self._delay = max_age, silence, settle, delay
        self._pictures: deque[Picture] = deque()
        self._serial = self._barrier = -1
        self._arrived: float | None = None
        self._interval = 0.0
        self._good = self._wanted_good = 0
        self._wanted_good = 1
        self._person = False
        self._why = "starting"

    def arrived(self) -> tuple[int, float]:
        """A frame was captured: its serial and the time."""
        now = self._clock.now()
        with self._lock:
            if self._arrived is not None:  # mean over some ten frames, a pause left out
                gap = min(now - self._arrived, 1.0)
                self._interval += (gap - self._interval) * (0.1 if self._interval else 1.0)
            self._arrived = now
            self._serial += 1
            return self._serial, now

    def fail(self, why: str) -> None:
        """Something went wrong: nothing that was captured until now is shown, nor what comes next until
        enough of it is good again.
        """
        with self._lock:
            self._fail(why)

    def gone(self, why: str) -> None:
        """The same, and frames are not expected for a while."""
        with self._lock:
            self._fail(why)
            self._arrived, self._interval = None, 0.0

    def judged(self, serial: int, verdict: str) -> bool:
        """A matte is there; whether to go on with its frame."""
        with self._lock:
            if serial <= self._barrier:
                return False
            if verdict == UNSURE:
                self._fail("the matte is not to be trusted")
                return False
            self._person |= verdict == PERSON
            if not self._person:  # an empty matte may as well be a broken model
                self._why = "nobody is seen yet"
                return False
            self._good += 1
            return self._good >= self._wanted_good

    def passes(self, serial: int, captured: float) -> bool:
        """Whether a frame with that serial may still be shown."""
        with self._lock:
            return self._passes(serial, captured, self._clock.now())

    def publish(self, picture: Picture) -> bool:
        """Offer a composed picture; False where it comes too late."""
        with self._lock:
            now = self._clock.now()
            newest = self._pictures[-1].serial if self._pictures else -1
            if picture.serial <= newest or not self._passes(picture.serial, picture.captured, now):
                return False
            self._pictures.append(picture)
            while len(self._pictures) > 1 and self._due(self._pictures[1], now):
                self._pictures.popleft()
            return True

    def choose(self) -> Choice:
        """What to send now."""
        with self._lock:
            now = self._clock.now()
            silent = self._arrived is not None and now - self._arrived > max(
                self._silence, 3 * self._interval
            )
            if silent:
                self._pictures.clear()
                self._why = "the camera sends nothing"
            while len(self._pictures) > 1 and self._due(self._pictures[1], now):
                self._pictures.popleft()
            if not self._pictures or not self._due(self._pictures[0], now):
                return Choice(None, self._why)
            shown = self._pictures[0]
            if not self._passes(shown.serial, shown.captured, now):
                self._pictures.clear()
                self._why = "the model is too slow or hangs"
                return Choice(None, self._why)
            return Choice(shown)

    def _due(self, picture: Picture, now: float) -> bool:
        return picture.captured + self._delay <= now + 1e-6

    def _passes(self, serial: int, captured: float, now: float) -> bool:
        return serial > self._barrier and now - captured <= self._max_age + self._delay

    def _fail(self, why: str) -> None:
        self._barrier = self._serial
        self._good, self._wanted_good, self._person = 0, self._settle, False
        self._pictures.clear()
        self._why = why
