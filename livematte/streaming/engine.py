"""The live loop: capture, model, composite and send as threads with one-slot, newest-wins hand-over.

The sender keeps the output's pace whatever the others do: it hands over the newest picture that
:class:`livematte.streaming.gate.Gate` lets pass, the same again where there is no newer one, or the
placeholder. Each sink takes it in a thread of its own: one that stalls misses pictures and delays nobody.
Every other thread may hang in C code for ever; it is then given up and replaced, and closing does not wait.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import suppress

from livematte.clock import Clock, Pacer, SystemClock
from livematte.protocols import Background, LiveFormat, LiveSink, Source
from livematte.streaming.capture import Capture
from livematte.streaming.governor import Level
from livematte.streaming.handed import Matted, Outgoing, Shot
from livematte.streaming.making import Maker, Spawn, in_a_thread
from livematte.streaming.matting import Parts
from livematte.streaming.slots import Slot, Worker
from livematte.streaming.stages import LiveOptions, LiveStages

CHECKS = 0.25
"""Seconds between two looks at whether anybody watches, and whether the level still fits."""

PREPARE = 3.0
"""Seconds between the first pictures and making the next level ready, and then the one below."""
SINK_PATIENCE = 12.0
"""Seconds that a sink may take to close."""


class LiveEngine(LiveStages):
    """A camera to sinks, live. The ``*_step`` methods are what its threads repeat; tests call them alone.

    Takes over ``source``, background, placeholder and sinks, and closes them.

    Args:
        open_source: opens the camera; called again, from a thread, whenever it is gone.
        make: makes model and compositor for a level; called from threads too.
        levels: best first; see :func:`livematte.streaming.governor.ladder`.
        parts: what ``make`` gave for the first level, warmed.
        placeholder: shown while no picture is good; the background, behind nobody, where not given.
        source: the camera, where it is open already.
        spawn: runs what must not hold up the others; tests run it at once.
    """

    def __init__(
        self,
        open_source: Callable[[], Source],
        make: Maker,
        levels: Sequence[Level],
        parts: Parts,
        background: Background,
        sinks: Sequence[LiveSink],
        format: LiveFormat,
        options: LiveOptions | None = None,
        *,
        placeholder: Background | None = None,
        source: Source | None = None,
        clock: Clock | None = None,
        spawn: Spawn = in_a_thread,
    ) -> None:
        options, clock = options or LiveOptions(), clock or SystemClock()
        super().__init__(make, levels, parts, background, sinks, format, options, placeholder, clock, spawn)
        self.capture = Capture(
            open_source,
            self.capture_step,
            self.gate,
            self.meter,
            clock,
            self.stop,
            source=source,
            retry=options.retry,
        )
        if not options.on_demand:
            self.capture.wanted.set()
        self._last_watched = self._next_check = clock.now()
        self._prepared, self._prepare_at = 0, clock.now() + PREPARE
        self._modelling = self._model_worker()
        self._compositing = self._composite_worker()
        self._outlets = {id(sink): self._outlet(sink) for sink in sinks}
        self._sending = threading.Thread(target=self._send, name="livematte-send", daemon=True)
        self._capturing: threading.Thread | None = None
        self._closing, self._ended = threading.RLock(), False

    def set_model(self, make: Maker, levels: Sequence[Level], parts: Parts) -> None:
        """See :meth:`LiveStages.set_model`."""
        super().set_model(make, levels, parts)
        self._prepared, self._prepare_at = 0, self.clock.now() + PREPARE

    def check_step(self) -> None:
        """Look after the others: who hangs, who watches, which level fits. Never blocks."""
        now = self.clock.now()
        if now < self._next_check:
            return
        self._next_check = now + CHECKS
        self._check_hangs()
        self._check_watchers(now)
        if not self.making.free:
            return
        if self.broken is not None:
            if self.making.error is not None:
                self.meter.note(f"no other model yet: {self.making.error}")
            level = self.governor.level
            if self.options.governed and self._hung > 1:  # twice in a row: this level is too much
                level = min(level + 1, len(self.levels) - 1)
            self.making.ask(self.levels[level], level, self.broken)
        elif self.options.governed and (wanted := self.governor.advise()) is not None:
            self.making.ask(self.levels[wanted], wanted, None)
        elif self.options.governed and self._prepared + 1 < len(self.levels) and now >= self._prepare_at:
            self._prepared += 1  # while there is time: under load it would take long
            self._prepare_at = now + PREPARE
            self.making.ask(self.levels[self._prepared], None, None)

    def _check_hangs(self) -> None:
        hang = self.options.hang
        if self._modelling.busy() > hang:
            self._modelling.given_up = True
            self.broke("the model", TimeoutError(f"no answer for {hang:g} s"), None)
            self._modelling = self._model_worker()
            self._modelling.thread.start()
        if self._compositing.busy() > hang:
            self._compositing.given_up = True
            self.broke("the compositor", TimeoutError(f"no answer for {hang:g} s"), None)
            self._compositing = self._composite_worker()
            self._compositing.thread.start()
        if self.capture.hangs() > hang and self.capture.wanted.is_set():
            self.meter.note(f"the camera sends nothing for {hang:g} s: opening it again")
            hung, self.capture = self.capture, self.capture.successor()
            if hung.source is not None:
                self._spawn(hung.source.close)
            self._start_capture()
        for sink in tuple(self.sinks):
            outlet = self._outlets.get(id(sink))
            if outlet is not None and outlet[1].busy() > hang:  # it goes on with the newest picture
                self.meter.note(f"{sink.name} has not taken a picture for {hang:g} s")

    def _check_watchers(self, now: float) -> None:
        answers = [_watched(sink) for sink in self.sinks]
        self.watched = True if True in answers else (None if None in answers else False)
        if self.watched is not False:
            self._last_watched = now
        if not self.options.on_demand:
            return
        if self.watched is not False:
            self.capture.wanted.set()
        elif now - self._last_watched > self.options.grace:
            self.capture.wanted.clear()

    def hand_over(self, sink: LiveSink, outgoing: Outgoing) -> None:
        """Leave a frame for the sink's own thread; a newer one takes its place."""
        outlet = self._outlets.get(id(sink))
        if outlet is None or outlet[1].thread.ident is None:  # not started: nobody waits
            super().hand_over(sink, outgoing)
        else:
            outlet[0].put(outgoing)

    def start(self) -> None:
        """Start every thread; returns at once."""
        self.pacer = Pacer(self.format.rate, self.clock)
        for _, outlet in self._outlets.values():
            outlet.thread.start()
        self._modelling.thread.start()
        self._compositing.thread.start()
        self._start_capture()
        self._sending.start()

    def run(self) -> None:
        """Work until :attr:`stop` is set, then close. Raises what the last sink died of."""
        self.start()
        try:
            self.stop.wait()
        finally:
            self.close()
        if self.failure is not None:
            raise self.failure

    def close(self, patience: float = 2.0) -> None:
        """End it. Waits for anything that hangs no longer than ``patience`` seconds; safe twice, and from two
        threads: the second waits for the first.
        """
        self.stop.set()
        with self._closing:
            if not self._ended:
                self._close(patience)
                self._ended = True

    def _close(self, patience: float) -> None:
        self.capture.wanted.set()
        self.to_model.close()
        self.to_composite.close()
        if self._capturing is None or not _joined(self._capturing, 0.2):
            source = self.capture.source
            if source is not None:  # frees a reader that waits for a frame
                _within(patience, source.close)
        _joined(self._sending, patience)
        for inbox, _ in self._outlets.values():
            inbox.close()
        outlets = [outlet.thread for _, outlet in self._outlets.values()]
        for thread in (*outlets, self._compositing.thread, self._modelling.thread):
            _joined(thread, patience)
        if self._capturing is not None:
            _joined(self._capturing, patience)
        self.making.finish(SINK_PATIENCE)
        for sink in self._all_sinks:  # some tidy up in another program first
            _within(SINK_PATIENCE, sink.close)
        if not self._compositing.thread.is_alive():
            _within(patience, self.close_backgrounds)

    def _send(self) -> None:
        while self.pacer.wait(self.stop):
            self.send_step()
            try:
                self.check_step()
            except Exception as error:  # whatever it is: viewers are still served
                self.meter.note(f"this is a bug in livematte: {type(error).__name__}: {error}")

    def _model_worker(self) -> Worker[Shot]:
        return Worker("model", self.to_model, self.model_step, self.clock)

    def _composite_worker(self) -> Worker[Matted]:
        return Worker("composite", self.to_composite, self.composite_step, self.clock)

    def _outlet(self, sink: LiveSink) -> tuple[Slot[Outgoing], Worker[Outgoing]]:
        def deliver(outgoing: Outgoing, worker: Worker[Outgoing]) -> None:
            self.deliver_step(sink, outgoing, worker)

        inbox: Slot[Outgoing] = Slot()
        return inbox, Worker(f"send-{sink.name}", inbox, deliver, self.clock)

    def _start_capture(self) -> None:
        self._capturing = threading.Thread(target=self.capture.run, name="livematte-capture", daemon=True)
        self._capturing.start()


def _watched(sink: LiveSink) -> bool | None:
    with suppress(Exception):
        return sink.watched
    return None


def _joined(thread: threading.Thread, patience: float) -> bool:
    """Whether a thread has ended within ``patience`` seconds; one that never began has."""
    if thread.ident is not None and thread is not threading.current_thread():
        thread.join(patience)
    return not thread.is_alive()


def _within(patience: float, work: Callable[[], None]) -> None:
    """Do ``work``, but do not wait for it longer than that."""

    def quietly() -> None:
        with suppress(Exception):
            work()

    thread = threading.Thread(target=quietly, name="livematte-closing", daemon=True)
    thread.start()
    thread.join(patience)
