"""Loads another model in a thread while the present one works: for another level, or after a failure."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from livematte.clock import Clock
from livematte.protocols import LiveFormat
from livematte.streaming.governor import Level
from livematte.streaming.live_matting import ModelBundle

BundleMaker = Callable[[Level, BaseException | None], ModelBundle]
"""Makes the model and compositor of a level. The second argument is the error of the last model, or None for
a mere change of level.
"""


@dataclass(frozen=True)
class PreparedModels:
    """A model that is ready to take over.

    Attributes:
        make: makes the model and compositor of a level; called in threads too.
        levels: best first; see :func:`livematte.streaming.governor.ladder`.
        bundle: the model and compositor of one level, warmed up.
        level: number of that level in ``levels``.
        first: number of the level to keep if the machine has time; the governor tries better ones with care.
    """

    make: BundleMaker
    levels: Sequence[Level]
    bundle: ModelBundle
    level: int = 0
    first: int = 0


Spawn = Callable[[Callable[[], None]], None]
"""Runs a function without waiting for it."""


def in_a_thread(body: Callable[[], None]) -> None:
    """Run ``body`` in a thread that does not keep the process alive."""
    threading.Thread(target=body, name="livematte-aside", daemon=True).start()


class ModelLoader:
    """Loads at most one model at a time, and warms it up before it is fetched.

    Args:
        pause: seconds before another attempt after a failure.
        patience: seconds after which an attempt that hangs is abandoned.
        spawn: runs the work; tests run it at once.

    Attributes:
        error: of the last attempt; None after a success.
    """

    def __init__(
        self,
        make: BundleMaker,
        format: LiveFormat,
        clock: Clock,
        *,
        pause: float = 2.0,
        patience: float = 60.0,
        spawn: Spawn = in_a_thread,
    ) -> None:
        self._make, self._format, self._clock = make, format, clock
        self._pause, self._patience, self._spawn = pause, patience, spawn
        self._lock = threading.Condition()
        self._running = 0
        self._attempt = 0
        self._since: float | None = None
        self._not_before = clock.now()
        self._loaded: tuple[ModelBundle, int] | None = None
        self.error: BaseException | None = None

    @property
    def free(self) -> bool:
        """True if :meth:`request` may be called."""
        with self._lock:
            now = self._clock.now()
            if self._since is not None and now - self._since > self._patience:
                self._since, self._attempt = None, self._attempt + 1
            return self._since is None and self._loaded is None and now >= self._not_before

    def request(self, level: Level, index: int | None, error: BaseException | None) -> None:
        """Begin to load ``level``, number ``index`` of the ladder.

        Args:
            index: None loads the level in advance only, for a ``make`` that keeps its results.
            error: of the last model; None for a mere change of level.
        """
        with self._lock:
            self._attempt += 1
            attempt, self._since = self._attempt, self._clock.now()
            make = self._make
            self._running += 1

        def body() -> None:
            bundle, failure = None, None
            try:
                bundle = make(level, error)
                bundle.warm(self._format)
            except BaseException as raised:
                failure = raised
            with self._lock:
                self._running -= 1
                self._lock.notify_all()
                if attempt != self._attempt:
                    return
                self._since, self.error = None, failure
                if failure is not None or bundle is None:
                    self._not_before = self._clock.now() + self._pause
                elif index is not None:
                    self._loaded = bundle, index

        self._spawn(body)

    def offer(self, models: PreparedModels) -> None:
        """Take a bundle made elsewhere, and the maker of the other levels."""
        with self._lock:
            self._attempt += 1
            self._make, self._since, self._loaded = models.make, None, (models.bundle, models.level)

    def fetch(self) -> tuple[ModelBundle, int] | None:
        """The loaded bundle and its number on the ladder, once; None if there is none."""
        with self._lock:
            loaded, self._loaded = self._loaded, None
            return loaded

    def finish(self, patience: float) -> None:
        """Wait for running attempts, at most ``patience`` seconds.

        A thread that returns from C++ code while Python ends crashes the whole process.
        """
        with self._lock:
            self._lock.wait_for(lambda: self._running == 0, patience)
