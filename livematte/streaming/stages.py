"""What the stages of a live session do with a frame; each has a thread of the engine."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

import numpy as np

from livematte.clock import Clock, Pacer
from livematte.contracts import check_part
from livematte.errors import DeviceError, InputError, UsageError
from livematte.frame import Frame
from livematte.protocols import Background, LiveFormat, LiveSink
from livematte.streaming.conform import Conformer, dressed, placeholder_of
from livematte.streaming.gate import NOBODY, Gate, Picture
from livematte.streaming.governor import Governor, Level
from livematte.streaming.handed import Matted, Outgoing, Shot, Shown, lags_little, thumbnail
from livematte.streaming.making import Maker, Making, Spawn
from livematte.streaming.matting import LiveMatting, Parts
from livematte.streaming.slots import Slot, Worker
from livematte.streaming.stats import LiveMeter, LiveStats
from livematte.temporal import TemporalFilter

LONGEST_LAG = 0.1
"""Seconds that a matte may be older than the picture it is used for, with ``lag_ok``: where somebody moved
away meanwhile the room is seen."""

ERRORS_IN_A_ROW = 3
"""Failures of one model before another is made; a lost device needs no second one."""


@dataclass(frozen=True)
class LiveOptions:
    """How a live session behaves; times in seconds.

    Attributes:
        mirror: left becomes right, of the camera's picture only.
        delay: pictures are shown that long after their capture: steadier, in step with delayed sound.
        lag_ok: composite each frame at once with the newest matte instead of with its own, while that is no
            older than :data:`LONGEST_LAG` and of the same shot: a strip of the room shows beside who moves.
        on_demand: let go of the camera while nobody watches.
        temporal, keep_islands: as for :func:`livematte.render`.
        max_age, silence, settle: see :class:`livematte.streaming.gate.Gate`.
        hang: a stage that works longer than this on one frame is given up and made anew.
        retry: between two tries to open a camera that is gone.
        grace: how long nobody must have watched before the camera is let go.
        governed: whether the level follows the load.
    """

    mirror: bool = False
    delay: float = 0.0
    lag_ok: bool = False
    on_demand: bool = False
    temporal: str = "on"
    keep_islands: bool = False
    max_age: float = 1.0
    silence: float = 0.2
    settle: int = 3
    hang: float = 5.0
    retry: float = 0.5
    grace: float = 5.0
    governed: bool = True


class LiveStages:
    """Capture, model, composite and send, one frame at a time. Arguments as for the engine."""

    def __init__(
        self,
        make: Maker,
        levels: Sequence[Level],
        parts: Parts,
        background: Background,
        sinks: Sequence[LiveSink],
        format: LiveFormat,
        options: LiveOptions,
        placeholder: Background | None,
        clock: Clock,
        spawn: Spawn,
    ) -> None:
        self.options, self.format, self.clock, self._spawn = options, format, clock, spawn
        self.stop = threading.Event()
        self.failure: BaseException | None = None
        self.sinks = list(sinks)
        self.levels = list(levels)
        self._all_sinks = tuple(sinks)
        self._own_placeholder: Frame | None = None
        if placeholder is not None:
            self._own_placeholder = self._checked(placeholder)
            placeholder.close()
        self._lock = threading.Lock()
        self._placeholder = self._checked(background)
        self._background, self._old_backgrounds = background, list[Background]()
        self.gate = Gate(
            clock,
            max_age=options.max_age,
            silence=options.silence,
            settle=options.settle,
            delay=options.delay,
        )
        self.meter = LiveMeter(clock)
        self.governor = Governor(self.levels, float(1 / format.rate), clock)
        self.pacer = Pacer(format.rate, clock)
        self.making = Making(make, format, clock, spawn=spawn)
        self.to_model: Slot[Shot] = Slot()
        self.to_composite: Slot[Matted] = Slot()
        self.broken: BaseException | None = None
        self.watched: bool | None = None
        self.shown: Shown | None = None  # newest wins: a reference, which costs nothing where nobody looks
        self._conform = Conformer(format, mirror=options.mirror)
        self._parts, self._matting = parts, self._matting_of(parts)
        self._tell(parts)
        self._row = 0
        self._hung = 0
        self._newest: Matted | None = None  # for lag_ok
        self._lagged = -1  # serial of the last frame that took it
        self._epoch = 0
        self._composed: tuple[int, object] | None = None
        self._raw: tuple[object, ...] = ()
        self._paused = False

    # What a session may change while it runs

    def set_background(self, background: Background) -> None:
        """Another background from the next frame on; the old one is closed later.

        Raises:
            UsageError: a transparent one where the output has no alpha.
            InputError: it cannot be read.
        """
        placeholder = self._checked(background)
        with self._lock:
            self._old_backgrounds.append(self._background)
            self._background, self._placeholder = background, placeholder

    def set_model(self, make: Maker, levels: Sequence[Level], parts: Parts) -> None:
        """Another model, made and warmed for ``levels[0]``; it takes over with the next frame."""
        self.levels = list(levels)
        self.governor = Governor(self.levels, float(1 / self.format.rate), self.clock)
        self.making.offer(make, parts)

    def pause(self, paused: bool) -> None:
        """Show the placeholder until told otherwise."""
        self._paused = paused
        self._epoch += 1
        self.gate.fail("paused" if paused else "starting again")

    @property
    def paused(self) -> bool:
        """Whether the placeholder is shown on request."""
        return self._paused

    def stats(self) -> LiveStats:
        """How it does."""
        return self.meter.stats(
            late=self.pacer.lates,
            skipped=self.pacer.skips,
            level=self.governor.level,
            steps=self.governor.steps,
            size=self._parts.model.input_size(self.format.height, self.format.width),
            watched=self.watched,
            sink_notes=[f"{sink.name}: {note}" for sink in self._all_sinks for note in sink.notes],
        )

    def capture_step(self, frame: Frame, opened: int) -> None:
        """A frame came from the camera, which was opened ``opened`` times. InputError where it is damaged."""
        serial, captured = self.gate.arrived()
        self.meter.count("captured")
        if self._paused:
            return
        fitted = self._conform(frame)
        if (frame.size, opened) != self._raw:
            self._raw, self._epoch = (frame.size, opened), self._epoch + 1
        seen = thumbnail(fitted) if self.options.lag_ok else None
        shot = Shot(fitted, serial, captured, self._epoch, seen)
        if self.to_model.put(shot):
            self.meter.count("dropped")
        newest = self._newest
        good = newest is not None and self.gate.passes(newest.shot.serial, newest.shot.captured)
        if newest is not None and good and lags_little(newest.shot, shot, LONGEST_LAG):
            self._lagged = serial
            if self.to_composite.put(replace(newest, shot=shot, small=None)):
                self.meter.count("dropped")
        self.meter.took("capture", self.clock.now() - captured)

    def model_step(self, shot: Shot, worker: Worker[Shot] | None = None) -> None:
        """Matte a frame; a good one goes on to the compositor."""
        began = self.clock.now()
        self._take_over()
        if self.broken is not None or not self.gate.passes(shot.serial, shot.captured):
            self.meter.count("dropped")
            return
        parts, place, matting = self._parts, self._parts.place, self._matting
        try:
            with place.coming():
                shot = replace(shot, frame=place.up(shot.frame))
                small, matte, verdict = matting.matte(shot.frame, shot.epoch)
                if verdict == NOBODY:
                    matte = replace(matte, alpha=matte.alpha * np.float32(0))
                ready = place.mark()
        except BaseException as error:
            self.broke("the model", error, worker)
            return
        if worker is not None and worker.given_up:
            return  # it hung, and another has its place by now
        took = self.clock.now() - began
        self.meter.took("model", took)
        self.meter.count("matted")
        if not self.gate.passes(shot.serial, shot.captured):  # too late for the compositor, who tells else
            self.governor.took(took)
        if not self.gate.judged(shot.serial, verdict):
            return
        matted = Matted(shot, matte, small.planes, took, parts, ready)
        if self.options.lag_ok:
            self._newest = matted
            if shot.serial <= self._lagged:
                return
        if self.to_composite.put(matted):
            self.meter.count("dropped")

    def composite_step(self, matted: Matted, worker: Worker[Matted] | None = None) -> None:
        """Put the background behind a frame and offer it to the gate."""
        shot, began = matted.shot, self.clock.now()
        with self._lock:
            background, old = self._background, self._old_backgrounds
            self._old_backgrounds = []
        for part in old:
            part.close()
        try:
            if not self.gate.passes(shot.serial, shot.captured):
                self.meter.count("dropped")
                return
            self._check_opaque(background)
            compositor, place, frame = matted.parts.compositor, matted.parts.place, shot.frame
            if self._composed != (shot.epoch, compositor):  # what it remembers is of another shot
                self._composed = shot.epoch, compositor
                frame = replace(frame, keyframe_hint=True)
            with place.working():
                place.after(matted.ready)
                frame = place.up(frame)
                composed = compositor(frame, matted.matte, background, small=matted.small).picture
                assert composed is not None
                picture = composed.with_planes(place.down(composed.planes).result())
            picture = dressed(picture, self.format)
        except BaseException as error:
            self.broke("the compositor", error, worker)
            return
        if worker is not None and worker.given_up:
            return
        self._row = self._hung = 0
        took = self.clock.now() - began
        self.meter.took("composite", took)
        self.governor.took(max(took, matted.took))
        if not self.gate.publish(Picture(picture, shot.serial, shot.captured, matted.matte.alpha)):
            self.meter.count("dropped")

    def send_step(self) -> None:
        """Choose what viewers see now and hand it to every sink. Waits for none of them."""
        choice = self.gate.choose()
        picture = None if self._paused else choice.picture
        frame = (self._own_placeholder or self._placeholder) if picture is None else picture.frame
        frame = replace(frame, pts=max(0, self.pacer.tick), time_base=1 / self.format.rate, duration=1)
        self.shown = Shown(frame, None if picture is None else picture.alpha)
        if picture is None:
            outgoing = Outgoing(frame, None, 0.0)
            self.meter.handed(None, "paused" if self._paused else choice.why)
        else:
            outgoing = Outgoing(frame, picture.serial, picture.captured)
            self.meter.handed(picture.serial, "")
        for sink in tuple(self.sinks):
            self.hand_over(sink, outgoing)

    def hand_over(self, sink: LiveSink, outgoing: Outgoing) -> None:
        """Give a frame to the one who sends to ``sink``; here that is the caller."""
        self.deliver_step(sink, outgoing)

    def deliver_step(
        self, sink: LiveSink, outgoing: Outgoing, worker: Worker[Outgoing] | None = None
    ) -> None:
        """Send one frame to one sink. One that is gone is left out; without any the session ends."""
        began, serial = self.clock.now(), outgoing.serial
        if serial is not None and not self.gate.passes(serial, outgoing.captured):
            return  # something failed while the sink was busy: the placeholder comes next
        try:
            sink.send(outgoing.frame)
        except BaseException as error:
            if worker is not None:
                worker.given_up = True
            self._gone(sink, error)
            return
        self.meter.took("send", self.clock.now() - began)
        if serial is not None:
            self.meter.reached(id(sink), serial, outgoing.captured)

    def _gone(self, sink: LiveSink, error: BaseException) -> None:
        with self._lock:
            if sink not in self.sinks:
                return
            self.sinks.remove(sink)
            last = not self.sinks
        self.meter.note(f"{sink.name} is gone: {error}")
        self._spawn(sink.close)
        if last:
            self.failure = error
            self.stop.set()

    def broke(self, what: str, error: BaseException, worker: Worker[Shot] | Worker[Matted] | None) -> None:
        """Show the placeholder; make new parts where these seem lost."""
        if worker is not None and worker.given_up:
            return
        self.gate.fail(f"{what} failed")
        self.meter.count("errors")
        self.meter.note(f"{what} failed: {type(error).__name__}: {error}")
        if isinstance(error, InputError):  # a background's file: another model would not mend it
            return
        self._row += 1
        self._hung += isinstance(error, TimeoutError)
        if self._row >= ERRORS_IN_A_ROW or isinstance(error, (DeviceError, TimeoutError)):
            self.broken = error

    def _take_over(self) -> None:
        """Let parts that were made meanwhile take over, with the memory of the old ones."""
        if (made := self.making.fetch()) is None:
            return
        parts, level = made
        matting = self._matting_of(parts)
        if self.broken is None:
            with suppress(Exception), self._parts.place.coming():  # what is lost there shows by itself
                matting.take_over(self._matting)
        self._parts, self._matting = parts, matting
        self._tell(parts)
        self.broken, self._row = None, 0
        self.governor.arrived(level)

    def _tell(self, parts: Parts) -> None:
        for line in parts.notes:
            self.meter.note(line)

    def _matting_of(self, parts: Parts) -> LiveMatting:
        temporal = TemporalFilter(self.options.temporal)
        return LiveMatting(parts.model, temporal, keep_islands=self.options.keep_islands)

    def _checked(self, background: Background) -> Frame:
        """The placeholder that ``background`` gives."""
        check_part(background, Background, "background", UsageError)
        self._check_opaque(background)
        return placeholder_of(background, self.format)

    def _check_opaque(self, background: Background) -> None:
        """Raise UsageError for a transparent one where the output has no alpha: the room would be seen."""
        if background.transparent and not self.format.alpha:
            raise UsageError(
                "background transparent: the output carries no transparency; give a colour, a picture, a "
                "video or blur"
            )

    def close_backgrounds(self) -> None:
        """Let go of every background, and of what is on a GPU; nothing composites any more."""
        with self._lock:
            backgrounds, self._old_backgrounds = [*self._old_backgrounds, self._background], []
        for background in backgrounds:
            background.close()
        self._parts.place.close()
