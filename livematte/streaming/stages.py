"""The stages of a live session, one method each for one frame; the engine runs each in a thread."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace

import numpy as np

from livematte.clock import Clock, Pacer
from livematte.errors import DeviceError, InputError, OutputError, UsageError
from livematte.frame import Frame
from livematte.matting.contracts import check_part
from livematte.matting.framing import Framer
from livematte.matting.people import PeopleFilter
from livematte.parts import named_errors
from livematte.protocols import Background, LiveFormat, LiveSink
from livematte.streaming.behaviour import LONGEST_LAG, Behaviour, Scene
from livematte.streaming.frame_normalizer import FrameNormalizer, render_placeholder, with_opaque_alpha
from livematte.streaming.frames import (
    CapturedFrame,
    MattedFrame,
    OutputFrame,
    PreviewFrame,
    can_reuse_matte,
    luma_thumbnail,
)
from livematte.streaming.gate import NOBODY, ComposedFrame, Gate
from livematte.streaming.governor import Governor
from livematte.streaming.latest_value import LatestValue, StageThread
from livematte.streaming.live_matting import ModelBundle
from livematte.streaming.model_loader import ModelLoader, PreparedModels, Spawn
from livematte.streaming.stats import FROZEN, LiveMeter, LiveStats

ERRORS_IN_A_ROW = 3
"""Failures of one model before another is loaded; one failure is enough for a lost device."""


class LiveStages:
    """Capture, model, composite and send, one frame at a time.

    ``hand_over`` passes a frame to a sink: :meth:`deliver_step` in the caller's thread, unless it is set to
    something else. The other arguments are as for :class:`livematte.streaming.engine.LiveEngine`.
    """

    def __init__(
        self,
        models: PreparedModels,
        scene: Scene,
        sinks: Sequence[LiveSink],
        format: LiveFormat,
        options: Behaviour,
        clock: Clock,
        spawn: Spawn,
    ) -> None:
        self.options, self.format, self.clock, self._spawn = options, format, clock, spawn
        self.stop = threading.Event()
        self.failure: BaseException | None = None
        self.hand_over: Callable[[LiveSink, OutputFrame], None] = self.deliver_step
        self.sinks = list(sinks)
        self.levels = list(models.levels)
        self.all_sinks = tuple(sinks)
        self._own_placeholder: Frame | None = None
        if scene.placeholder is not None:
            self._own_placeholder = self._checked(scene.placeholder)
            scene.placeholder.close()
        self._lock = threading.Lock()
        self._placeholder = self._checked(scene.background)
        self._background, self._old_backgrounds = scene.background, list[Background]()
        self.gate = Gate(
            clock, max_age=options.max_age, hold=options.hold, silence=options.silence,
            settle=options.settle, delay=options.delay,
        )  # fmt: skip
        self.meter = LiveMeter(clock)
        self.governor = Governor(self.levels, float(1 / format.rate), clock, models.level, models.first)
        self.pacer = Pacer(format.rate, clock)
        self.loader = ModelLoader(models.make, format, clock, spawn=spawn)
        self.to_model: LatestValue[CapturedFrame] = LatestValue()
        self.to_composite: LatestValue[MattedFrame] = LatestValue()
        self.broken: BaseException | None = None
        self.edge, self.framer = options.edge, Framer(options.framing)
        self.hangs = 0
        """Stages given up since the last composed frame."""
        self.watched: bool | None = None
        self.shown: PreviewFrame | None = None
        """The newest frame for a preview: a reference, which costs nothing where nobody reads it."""
        self._normalize = self._normalizer(options.mirror)
        self._bundle, self._matting = models.bundle, options.matting(models.bundle.model)
        self._add_notes(models.bundle)
        self._failures = 0  # since the last composed frame
        self._newest: MattedFrame | None = None  # for lag_ok
        self._lagged = -1  # serial of the last frame composited with an older matte
        self._epoch = 0
        self._composed: tuple[int, object] | None = None
        self._camera: tuple[object, ...] = ()
        self._paused = False
        self._frozen: ComposedFrame | None = None

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

    def set_model(self, models: PreparedModels) -> None:
        """Another model; it takes over with the next frame, at the level of ``models``."""
        self.levels = list(models.levels)
        self.governor = self.governor.successor(self.levels, models.level, models.first)
        self.loader.offer(models)

    @property
    def people(self) -> PeopleFilter:
        """The filter that keeps only some people."""
        return self._matting.frame_matting.people

    def pause(self, paused: bool) -> None:
        """Show the placeholder (True), or pictures again (False). A frozen picture ends."""
        self._paused, self._frozen = paused, None
        self._epoch += 1
        self.gate.fail("paused" if paused else "starting again")

    @property
    def paused(self) -> bool:
        """True while the placeholder is shown on request."""
        return self._paused

    def freeze(self, frozen: bool) -> None:
        """Keep the picture that viewers see now (True), whatever happens, or go on (False).

        Raises:
            UsageError: viewers see the placeholder.
        """
        if not frozen:
            self._frozen = None
        elif self._frozen is None:
            choice = self.gate.choose()
            if self._paused or choice.picture is None:
                reason = "paused" if self._paused else choice.reason
                raise UsageError(f"there is no picture to freeze, viewers see the placeholder: {reason}")
            self._frozen = choice.picture

    @property
    def frozen(self) -> bool:
        """True while a picture is kept."""
        return self._frozen is not None

    def set_mirror(self, mirror: bool) -> None:
        """Swap left and right in the next frames, or not."""
        self._normalize = self._normalizer(mirror)
        self.people.mirror()
        self._epoch += 1

    def _normalizer(self, mirror: bool) -> FrameNormalizer:
        return FrameNormalizer(self.format, mirror=mirror, fit=self.options.fit_camera, note=self.meter.note)

    def add_sink(self, sink: LiveSink) -> None:
        """Send the next frames to one more sink."""
        with self._lock:
            self.sinks.append(sink)
            self.all_sinks = (*self.all_sinks, sink)

    def drop_sink(self, sink: LiveSink) -> None:
        """Send no more frames to a sink, and forget it. It is not closed."""
        with self._lock:
            self.all_sinks = tuple(each for each in self.all_sinks if each is not sink)
            if sink in self.sinks:
                self.sinks.remove(sink)

    def stats(self) -> LiveStats:
        """Measurements of the last seconds."""
        return self.meter.stats(
            late=self.pacer.lates,
            skipped=self.pacer.skips,
            level=self.governor.level,
            steps=self.governor.steps,
            size=self._bundle.model.input_size(self.format.height, self.format.width),
            watched=self.watched,
            sink_notes=[f"{sink.name}: {note}" for sink in self.all_sinks for note in sink.notes],
        )

    def capture_step(self, frame: Frame, opened: int) -> None:
        """Take a frame from the camera, which was opened ``opened`` times. InputError for a damaged frame."""
        serial, captured_at = self.gate.register_frame()
        self.meter.count("captured")
        if self._paused:
            return
        normal = self._normalize(frame)
        camera = (frame.size, frame.sample_aspect, opened)
        if camera != self._camera:
            self._camera, self._epoch = camera, self._epoch + 1
        thumbnail = luma_thumbnail(normal) if self.options.lag_ok else None
        captured = CapturedFrame(normal, serial, captured_at, self._epoch, thumbnail)
        if self.to_model.put(captured):
            self.meter.count("dropped")
        newest = self._newest
        good = newest is not None and self._passes(newest.captured)
        if newest is not None and good and can_reuse_matte(newest.captured, captured, LONGEST_LAG):
            self._lagged = serial
            if self.to_composite.put(replace(newest, captured=captured, small=None)):
                self.meter.count("dropped")
        self.meter.took("capture", self.clock.now() - captured_at)

    def _passes(self, captured: CapturedFrame) -> bool:
        return self.gate.passes(captured.serial, captured.captured_at)

    def model_step(self, captured: CapturedFrame, worker: StageThread[CapturedFrame] | None = None) -> None:
        """Matte a frame; pass it to the compositor if the matte is good."""
        began = self.clock.now()
        self._take_over_loaded()
        if self.broken is not None or not self._passes(captured):
            self.meter.count("dropped")
            return
        bundle, place, matting = self._bundle, self._bundle.place, self._matting
        try:
            with place.upload_stream():
                captured = replace(captured, frame=place.upload(captured.frame))
                small, matte, verdict = matting.matte(captured.frame, captured.epoch)
                if verdict == NOBODY:
                    matte = replace(matte, alpha=matte.alpha * np.float32(0))
                ready = place.record_event()
        except BaseException as error:
            self.report_failure("the model", error, worker)
            return
        if worker is not None and worker.given_up:
            return  # it hung, and another thread has replaced it
        seconds = self.clock.now() - began
        self.meter.took("model", seconds)
        self.meter.count("matted")
        if not self._passes(captured):  # too late to be composited: the compositor would report the time
            self.governor.add_frame(seconds)
        if not self.gate.accept_matte(captured.serial, verdict):
            return
        matted = MattedFrame(captured, matte, small.planes, seconds, bundle, ready, matting.shot)
        if self.options.lag_ok:
            self._newest = matted
            if captured.serial <= self._lagged:
                return
        if self.to_composite.put(matted):
            self.meter.count("dropped")

    def composite_step(self, matted: MattedFrame, worker: StageThread[MattedFrame] | None = None) -> None:
        """Put the background behind a frame and offer it to the gate."""
        captured, began = matted.captured, self.clock.now()
        with self._lock:
            background, old = self._background, self._old_backgrounds
            self._old_backgrounds = []
        for part in old:
            part.close()
        try:
            if not self._passes(captured):
                self.meter.count("dropped")
                return
            self._check_opaque(background)
            compositor, place, frame = matted.bundle.compositor, matted.bundle.place, captured.frame
            new_shot = self._composed is None or self._composed[0] != matted.shot
            if self._composed != (matted.shot, compositor):  # the refiner's memory is of another shot
                self._composed = matted.shot, compositor
                frame = replace(frame, keyframe_hint=True)
            with place.compute_stream():
                place.wait_event(matted.ready)
                frame, matte, small = place.upload(frame), matted.matte, matted.small
                if self.framer.active:
                    frame, matte = self.framer(frame, matte, new_shot)
                    small = None
                composed = compositor(frame, matte, background, small=small, edge=self.edge).picture
                assert composed is not None
                picture = composed.with_planes(place.download(composed.planes).result())
            picture = with_opaque_alpha(picture, self.format)
        except BaseException as error:
            self.report_failure("the compositor", error, worker)
            return
        if worker is not None and worker.given_up:
            return
        self._failures = self.hangs = 0
        seconds = self.clock.now() - began
        self.meter.took("composite", seconds)
        self.governor.add_frame(max(seconds, matted.seconds))
        composed_frame = ComposedFrame(picture, captured.serial, captured.captured_at, matte.alpha)
        if not self.gate.publish(composed_frame):
            self.meter.count("dropped")

    def send_step(self) -> None:
        """Choose the frame that viewers see now and hand it to every sink, without waiting for any."""
        choice = self.gate.choose()
        frozen = self._frozen
        picture = None if self._paused else frozen or choice.picture
        frame = (self._own_placeholder or self._placeholder) if picture is None else picture.frame
        frame = replace(frame, pts=max(0, self.pacer.tick), time_base=1 / self.format.rate, duration=1)
        self.shown = PreviewFrame(frame, None if picture is None else picture.alpha)
        if picture is None:
            outgoing = OutputFrame(frame, None, 0.0)
            self.meter.handed(None, "paused" if self._paused else choice.reason)
        elif frozen is not None:  # viewers have had it: no later failure makes it worse
            outgoing = OutputFrame(frame, None, 0.0)
            self.meter.handed(frozen.serial, FROZEN)
        else:
            outgoing = OutputFrame(frame, picture.serial, picture.captured_at)
            self.meter.handed(picture.serial, "")
        for sink in tuple(self.sinks):
            self.hand_over(sink, outgoing)

    def deliver_step(
        self, sink: LiveSink, outgoing: OutputFrame, worker: StageThread[OutputFrame] | None = None
    ) -> None:
        """Send one frame to one sink. A sink that fails is removed; without any sink the session ends."""
        began, serial = self.clock.now(), outgoing.serial
        if serial is not None and not self.gate.may_send(serial, outgoing.captured_at):
            return  # something failed while the sink was busy: the placeholder comes next
        try:
            with named_errors("output", sink, OutputError):
                sink.send(outgoing.frame)
        except BaseException as error:
            if worker is not None:
                worker.given_up = True
            self._remove(sink, error)
            return
        self.meter.took("send", self.clock.now() - began)
        if serial is not None:
            self.meter.reached(id(sink), serial, outgoing.captured_at)

    def _remove(self, sink: LiveSink, error: BaseException) -> None:
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

    def report_failure(
        self,
        what: str,
        error: BaseException,
        worker: StageThread[CapturedFrame] | StageThread[MattedFrame] | None,
    ) -> None:
        """Show the placeholder; ask for another model where this one seems lost."""
        if worker is not None and worker.given_up:
            return
        self.gate.fail(f"{what} failed")
        self.meter.count("errors")
        self.meter.note(f"{what} failed: {type(error).__name__}: {error}")
        if isinstance(error, InputError):  # a background's file: another model would not help
            return
        self._failures += 1
        self.hangs += isinstance(error, TimeoutError)
        if self._failures >= ERRORS_IN_A_ROW or isinstance(error, (DeviceError, TimeoutError)):
            self.broken = error

    def _take_over_loaded(self) -> None:
        """Change to a model that was loaded meanwhile, with the memory of the old one."""
        if (loaded := self.loader.fetch()) is None:
            return
        bundle, level = loaded
        matting = self.options.matting(bundle.model)
        matting.frame_matting.people = self.people
        if self.broken is None:
            # A lost device shows in the next frame.
            with suppress(Exception), self._bundle.place.upload_stream():
                matting.take_over(self._matting)
        self._bundle, self._matting = bundle, matting
        self._add_notes(bundle)
        self.broken, self._failures = None, 0
        self.governor.set_level(level)

    def _add_notes(self, bundle: ModelBundle) -> None:
        for line in bundle.notes:
            self.meter.note(line)

    def _checked(self, background: Background) -> Frame:
        """The placeholder made of ``background``."""
        check_part(background, Background, "background", UsageError)
        self._check_opaque(background)
        return render_placeholder(background, self.format)

    def _check_opaque(self, background: Background) -> None:
        """Raise UsageError for a transparent background without alpha in the output: the room would show."""
        if background.transparent and not self.format.alpha:
            raise UsageError(
                "background transparent: the output carries no transparency; give a colour, a picture, a "
                "video or blur"
            )

    def close_backgrounds(self) -> None:
        """Close every background, and end GPU transfers; nothing is composited any more."""
        with self._lock:
            backgrounds, self._old_backgrounds = [*self._old_backgrounds, self._background], []
        for background in backgrounds:
            background.close()
        self._bundle.place.close()
