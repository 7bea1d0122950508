"""The live loop: capture, model, composite and send, each in a thread, with latest-value hand-over between
them.

The sender keeps the output's rate whatever the other threads do. It sends the newest frame that
:class:`livematte.streaming.gate.Gate` lets pass, the same one again if there is no newer, or the placeholder.
Each sink has a thread of its own: a sink that blocks misses frames and delays no other sink. Every other
thread may hang in C code for ever; it is then replaced, and closing does not wait for it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import suppress

from livematte.clock import Clock, Pacer, SystemClock
from livematte.protocols import LiveFormat, LiveSink
from livematte.streaming.behaviour import Behaviour, Scene
from livematte.streaming.capture import Camera, Capture
from livematte.streaming.frames import CapturedFrame, MattedFrame, OutputFrame
from livematte.streaming.latest_value import LatestValue, StageThread
from livematte.streaming.model_loader import PreparedModels, Spawn, in_a_thread
from livematte.streaming.stages import LiveStages

CHECK_INTERVAL = 0.25
"""Seconds between two checks for hanging threads, viewers and the level."""

PREPARE_AFTER = 3.0
"""Seconds after the first frames at which the next level is loaded in advance, and then the one below."""
SINK_PATIENCE = 12.0
"""Seconds that a sink may take to close."""


class LiveEngine:
    """A camera to sinks, live: runs :class:`~livematte.streaming.stages.LiveStages` in threads.

    It owns the camera's source, background, placeholder and sinks, and closes them. Tests call the ``*_step``
    methods of :attr:`stages` and :meth:`check_step` without threads.

    Args:
        camera: opened again, in a thread, whenever it is gone.
        spawn: runs work that must not delay the other threads; tests run it at once.
    """

    def __init__(
        self,
        camera: Camera,
        models: PreparedModels,
        scene: Scene,
        sinks: Sequence[LiveSink],
        format: LiveFormat,
        options: Behaviour | None = None,
        *,
        clock: Clock | None = None,
        spawn: Spawn = in_a_thread,
    ) -> None:
        options, clock = options or Behaviour(), clock or SystemClock()
        self.stages = stages = LiveStages(models, scene, sinks, format, options, clock, spawn)
        stages.hand_over = self._hand_over
        self._options, self._clock, self._spawn = options, clock, spawn
        self.capture = Capture(
            camera,
            stages.capture_step,
            stages.gate,
            stages.meter,
            clock,
            stages.stop,
            retry=options.retry,
        )
        if options.holds_camera:
            self.capture.wanted.set()
        self._last_watched = self._next_check = clock.now()
        self._prepared, self._prepare_at = 0, clock.now() + PREPARE_AFTER
        self._modelling = self.model_worker()
        self._compositing = self._composite_worker()
        self._senders = {id(sink): self._sender(sink) for sink in sinks}
        self._sending = threading.Thread(target=self._send, name="livematte-send", daemon=True)
        self._capturing: threading.Thread | None = None
        self._closing, self._ended = threading.RLock(), False
        self.wanted_background: str | None = None
        """The background that a sink's program asks for."""
        self.follow: Callable[[str | None], None] = lambda wanted: None
        """Called in a thread when :attr:`wanted_background` has changed."""

    def set_model(self, models: PreparedModels) -> None:
        """See :meth:`LiveStages.set_model`."""
        self.stages.set_model(models)
        self._prepared, self._prepare_at = 0, self._clock.now() + PREPARE_AFTER

    def check_step(self) -> None:
        """Check for hanging threads, viewers and the level that fits the load. Never blocks."""
        now = self._clock.now()
        if now < self._next_check:
            return
        self._next_check = now + CHECK_INTERVAL
        self._check_hangs()
        self._check_watchers(now)
        self._check_wanted_background()
        stages, loader, governed = self.stages, self.stages.loader, self._options.govern
        if not loader.free:
            return
        if stages.broken is not None:
            if loader.error is not None:
                stages.meter.note(f"no other model yet: {loader.error}")
            level = stages.governor.level
            if governed and stages.hangs > 1:  # twice in a row: this level is too slow
                level = min(level + 1, len(stages.levels) - 1)
            loader.request(stages.levels[level], level, stages.broken)
        elif governed and (wanted := stages.governor.advise()) is not None:
            loader.request(stages.levels[wanted], wanted, None)
        elif governed and self._prepared + 1 < len(stages.levels) and now >= self._prepare_at:
            self._prepared += 1  # while there is time: under load it would take long
            self._prepare_at = now + PREPARE_AFTER
            loader.request(stages.levels[self._prepared], None, None)

    def _check_hangs(self) -> None:
        stages, hang = self.stages, self._options.hang
        if self._modelling.busy() > hang:
            self._modelling.given_up = True
            stages.report_failure("the model", TimeoutError(f"no answer for {hang:g} s"), None)
            self._modelling = self.model_worker()
            self._modelling.thread.start()
        if self._compositing.busy() > hang:
            self._compositing.given_up = True
            stages.report_failure("the compositor", TimeoutError(f"no answer for {hang:g} s"), None)
            self._compositing = self._composite_worker()
            self._compositing.thread.start()
        if self.capture.silence() > hang and self.capture.wanted.is_set():
            stages.meter.note(f"the camera sends nothing for {hang:g} s: opening it again")
            hung, self.capture = self.capture, self.capture.successor()
            if hung.source is not None:
                self._spawn(hung.source.close)
            self._start_capture()
        for sink in tuple(stages.sinks):
            sender = self._senders.get(id(sink))
            if sender is not None and sender[1].busy() > hang:  # it continues with the newest frame
                stages.meter.note(f"{sink.name} has not taken a picture for {hang:g} s")

    def _check_watchers(self, now: float) -> None:
        answers = [_watched(sink) for sink in self.stages.sinks]
        watched = True if True in answers else (None if None in answers else False)
        self.stages.watched = watched
        if watched is not False:
            self._last_watched = now
        if self._options.holds_camera:
            return
        if watched is not False:
            self.capture.wanted.set()
        elif now - self._last_watched > self._options.grace:
            self.capture.wanted.clear()

    def _check_wanted_background(self) -> None:
        answers = [_wanted_background(sink) for sink in self.stages.sinks]
        wanted = next((answer for answer in answers if answer is not None), None)
        if wanted != self.wanted_background:
            self.wanted_background = wanted
            self._spawn(lambda: self.follow(wanted))

    def _hand_over(self, sink: LiveSink, outgoing: OutputFrame) -> None:
        """Leave a frame for the sink's thread, in the place of an older one."""
        sender = self._senders.get(id(sink))
        if sender is None or sender[1].thread.ident is None:  # not started: deliver in this thread
            self.stages.deliver_step(sink, outgoing)
        else:
            sender[0].put(outgoing)

    def start(self) -> None:
        """Start every thread; returns at once."""
        self.stages.pacer = Pacer(self.stages.format.rate, self._clock)
        for _, sender in self._senders.values():
            sender.thread.start()
        self._modelling.thread.start()
        self._compositing.thread.start()
        self._start_capture()
        self._sending.start()

    def run(self) -> None:
        """Work until :attr:`LiveStages.stop` is set, then close. Raises the last sink's error."""
        self.start()
        try:
            self.stages.stop.wait()
        finally:
            self.close()
        if self.stages.failure is not None:
            raise self.stages.failure

    def close(self, patience: float = 2.0) -> None:
        """End the session. Waits at most ``patience`` seconds for each thread that hangs. Safe to call twice,
        and
        from two threads: the second waits for the first.
        """
        self.stages.stop.set()
        with self._closing:
            if not self._ended:
                self._close(patience)
                self._ended = True

    def _close(self, patience: float) -> None:
        stages = self.stages
        self.capture.wanted.set()
        stages.to_model.close()
        stages.to_composite.close()
        if self._capturing is None or not _joined(self._capturing, 0.2):
            source = self.capture.source
            if source is not None:  # frees a reader that waits for a frame
                _within(patience, source.close)
        _joined(self._sending, patience)
        for inbox, _ in self._senders.values():
            inbox.close()
        senders = [sender.thread for _, sender in self._senders.values()]
        for thread in (*senders, self._compositing.thread, self._modelling.thread):
            _joined(thread, patience)
        if self._capturing is not None:
            _joined(self._capturing, patience)
        stages.loader.finish(SINK_PATIENCE)
        for sink in stages.all_sinks:  # some reset settings in another program first
            _within(SINK_PATIENCE, sink.close)
        if not self._compositing.thread.is_alive():
            _within(patience, stages.close_backgrounds)

    def _send(self) -> None:
        stages = self.stages
        while stages.pacer.wait(stages.stop):
            stages.send_step()
            try:
                self.check_step()
            except Exception as error:  # whatever it is: viewers are still served
                stages.meter.note(f"this is a bug in livematte: {type(error).__name__}: {error}")

    def model_worker(self) -> StageThread[CapturedFrame]:
        """A new thread for the model's stage, not started."""
        return StageThread("model", self.stages.to_model, self.stages.model_step, self._clock)

    def _composite_worker(self) -> StageThread[MattedFrame]:
        return StageThread("composite", self.stages.to_composite, self.stages.composite_step, self._clock)

    def _sender(self, sink: LiveSink) -> tuple[LatestValue[OutputFrame], StageThread[OutputFrame]]:
        def deliver(outgoing: OutputFrame, worker: StageThread[OutputFrame]) -> None:
            self.stages.deliver_step(sink, outgoing, worker)

        inbox: LatestValue[OutputFrame] = LatestValue()
        return inbox, StageThread(f"send-{sink.name}", inbox, deliver, self._clock)

    def _start_capture(self) -> None:
        self._capturing = threading.Thread(target=self.capture.run, name="livematte-capture", daemon=True)
        self._capturing.start()


def _watched(sink: LiveSink) -> bool | None:
    with suppress(Exception):
        return sink.watched
    return None


def _wanted_background(sink: LiveSink) -> str | None:
    with suppress(Exception):
        wanted = getattr(sink, "wanted_background", None)
        return wanted if isinstance(wanted, str) else None
    return None


def _joined(thread: threading.Thread, patience: float) -> bool:
    """Wait for a thread at most ``patience`` seconds; True if it has ended or never began."""
    if thread.ident is not None and thread is not threading.current_thread():
        thread.join(patience)
    return not thread.is_alive()


def _within(patience: float, work: Callable[[], None]) -> None:
    """Do ``work``, but wait for it at most ``patience`` seconds."""

    def quietly() -> None:
        with suppress(Exception):
            work()

    thread = threading.Thread(target=quietly, name="livematte-closing", daemon=True)
    thread.start()
    thread.join(patience)
