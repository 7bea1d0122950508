"""Live sessions in Python: start a session and change its options while it runs.

::

    with livematte.live(camera="auto", to="virtualcam", background="beach.jpg") as session:
        session.background = "blur:12"
        session.wait()
"""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from livematte.errors import InputError, LivematteError, UsageError
from livematte.matting.people import format_people, parse_people
from livematte.networks import check_model
from livematte.options import CHANGES, LiveOptions, PathLike
from livematte.options.declaration import complete
from livematte.options.values import check_bool, check_number
from livematte.protocols import Background, LiveFormat, LiveSink, Model, TrimapModel
from livematte.resolve import Resolved
from livematte.streaming.capture import Camera
from livematte.streaming.engine import LiveEngine
from livematte.streaming.frames import PreviewFrame
from livematte.streaming.model_factory import ModelFactory, with_budget
from livematte.streaming.opening import BackgroundOpener, SourceOpener
from livematte.streaming.resources import Resources
from livematte.streaming.sinks import SinkFactory, open_live_sink, resolve_sinks
from livematte.streaming.stats import LiveStats


class Session:
    """A running live session, returned by :func:`live`. Close it, or use it in a ``with`` block.

    Setting an attribute takes effect within two frames, or raises an error and changes nothing.
    """

    def __init__(
        self,
        engine: LiveEngine,
        options: LiveOptions,
        resolved: Resolved,
        opener: SourceOpener,
        backgrounds: BackgroundOpener,
        sinks: Sequence[tuple[str, LiveSink]],
    ) -> None:
        self._engine, self._options, self._resolved = engine, options, resolved
        self._opener, self._backgrounds = opener, backgrounds
        self._sinks = list(sinks)
        self._changing = threading.RLock()
        """Held while parts are exchanged, which may take long: one change of the model or sinks at a time."""
        self._following = threading.Lock()
        engine.follow = self._follow_program
        engine.start()

    @property
    def sinks(self) -> tuple[LiveSink, ...]:
        """The sinks, in the order of :attr:`to`."""
        return tuple(sink for _, sink in self._sinks)

    @property
    def format(self) -> LiveFormat:
        """Format of the frames that the sinks receive."""
        return self._engine.stages.format

    @property
    def background(self) -> PathLike | Background:
        """Background as it was given: a colour, a file, ``blur:N`` ..."""
        return self._backgrounds.spec

    @background.setter
    def background(self, spec: PathLike | Background) -> None:
        self._show_background(spec)
        self._backgrounds.spec = spec

    def _show_background(self, spec: PathLike | Background) -> None:
        opened = self._backgrounds(spec)
        try:
            self._engine.stages.set_background(opened)
        except BaseException:
            opened.close()
            raise

    def _follow_program(self, wanted: str | None) -> None:
        """Use the background that a sink's program asks for, or again that of the session."""
        spec = self.background if wanted is None else wanted
        with self._following:
            if wanted != self._engine.wanted_background:
                return  # another one has been asked for meanwhile
            try:
                if not isinstance(spec, (str, os.PathLike)):
                    raise UsageError("a background object cannot be opened again")
                self._show_background(spec)
            except LivematteError as error:
                self._engine.stages.meter.note(f"the background does not follow the scene: {error}")

    @property
    def blur(self) -> float | None:
        """Standard deviation of the blur in pixels for a height of 720; None for other backgrounds."""
        return self._backgrounds.blur

    @blur.setter
    def blur(self, strength: float) -> None:
        check_number("blur", strength)
        self.background = f"blur:{strength}"

    @property
    def model(self) -> str | Model:
        """Name of the matting network, or the model object that was given."""
        return self._options["model"]

    @model.setter
    def model(self, model: str | Model) -> None:
        self._change_model(model=model)

    @property
    def size(self) -> int | None:
        """Long side of the network input in pixels; None: set by the model."""
        return self._options["size"]

    @size.setter
    def size(self, size: int | None) -> None:
        self._change_model(size=size)

    @property
    def refine(self) -> str | TrimapModel:
        """Upsampling of alpha: ``guided``, ``none``, the name of a refiner or a refiner object."""
        return self._options["refine"]

    @refine.setter
    def refine(self, refine: str | TrimapModel) -> None:
        self._change_model(refine=refine)

    def _change_model(self, **changes: Any) -> None:
        """Load other networks; the present ones are used until the new ones are ready."""
        with self._changing:
            options: Any = {**self._options, **changes}
            complete(LiveOptions, options)
            if isinstance(options["model"], str):
                check_model(options["model"])
            resolved = self._resolved.changed(options["model"], options["size"], options["refine"])
            factory = ModelFactory(with_budget(resolved, self.format))
            # The load is the same, so the new networks begin at most at a lower level in use.
            self._engine.set_model(factory.prepare(self.format, self._engine.stages.governor.lowered))
            present: Any = self._options  # others may have changed meanwhile
            present.update(changes)

    @property
    def mirror(self) -> bool:
        """True if the picture of the camera is mirrored left to right."""
        return self._options["mirror"]

    @mirror.setter
    def mirror(self, mirror: bool) -> None:
        CHANGES["mirror"].check(mirror)
        if mirror != self._options["mirror"]:
            self._engine.stages.set_mirror(mirror)
            self._options["mirror"] = mirror

    @property
    def delay(self) -> float:
        """Seconds from capture to display. A longer delay is reached in slow motion."""
        return self._options["delay"]

    @delay.setter
    def delay(self, delay: float) -> None:
        CHANGES["delay"].check(delay)
        self._engine.stages.gate.set_delay(delay)
        self._options["delay"] = delay

    @property
    def camera(self) -> str | None:
        """Camera as it was given; None for the first one, and if a file replaces it."""
        return self._opener.given

    @camera.setter
    def camera(self, camera: str | None) -> None:
        CHANGES["camera"].check(camera)
        with self._changing:
            opener = self._opener.with_camera(camera)
            if opener is self._opener:
                return
            source = opener() if not self._options["on_demand"] else None
            if source is None and (missing := opener.missing_note()):
                raise InputError(missing)
            self._engine.set_camera(Camera(opener, source))
            self._opener = opener

    @property
    def to(self) -> list[str]:
        """Names of the sinks."""
        return [name for name, _ in self._sinks]

    @to.setter
    def to(self, to: str | SinkFactory | Sequence[str | SinkFactory]) -> None:
        CHANGES["to"].check(to)
        with self._changing:
            factories, present = resolve_sinks(to), list(self._sinks)
            own, stages = self._options["sink_options"] or {}, self._engine.stages
            working = {name: sink for name, sink in present if sink in stages.sinks}
            wanted: list[tuple[str, LiveSink]] = []
            opened = Resources()
            try:
                for name, factory in factories:
                    sink = working.pop(name, None)
                    if sink is None:
                        sink = opened.add(open_live_sink(name, factory, self.format, own.get(name, {})))
                    wanted.append((name, sink))
            except BaseException:
                opened.close()
                raise
            kept = [sink for _, sink in wanted]
            for sink in kept:
                if not any(sink is other for _, other in present):
                    self._engine.add_sink(sink)
            for _, sink in present:
                if not any(sink is other for other in kept):
                    self._engine.drop_sink(sink)
            self._sinks = wanted

    @property
    def keep(self) -> str:
        """People who are kept: ``all``, their number as text, or a point.

        A point such as ``0.5,0.4`` keeps the person who is there in the picture that viewers see when it is
        set: shares of the width and the height. UsageError where nobody is.
        """
        return format_people(self._engine.stages.people.people)

    @keep.setter
    def keep(self, people: str) -> None:
        CHANGES["keep"].check(people)
        stages, chosen = self._engine.stages, parse_people(people)
        stages.people.choose(stages.framer.place(chosen) if isinstance(chosen, tuple) else chosen)

    @property
    def frame(self) -> str:
        """Auto-framing: ``off``, ``head`` or ``body``."""
        return self._engine.stages.framer.mode

    @frame.setter
    def frame(self, mode: str) -> None:
        CHANGES["frame"].check(mode)
        self._engine.stages.framer.mode = mode

    @property
    def choke(self) -> float:
        """Pixels for a height of 720 by which people shrink; negative where they grow."""
        return self._engine.stages.edge.inset

    @choke.setter
    def choke(self, pixels: float) -> None:
        CHANGES["choke"].check(pixels)
        self._engine.stages.edge = replace(self._engine.stages.edge, inset=float(pixels))

    @property
    def feather(self) -> float:
        """Softness of the edge, in pixels for a height of 720."""
        return self._engine.stages.edge.softness

    @feather.setter
    def feather(self, pixels: float) -> None:
        CHANGES["feather"].check(pixels)
        self._engine.stages.edge = replace(self._engine.stages.edge, softness=float(pixels))

    @property
    def paused(self) -> bool:
        """True if viewers see the placeholder because the user paused the session."""
        return self._engine.stages.paused

    @paused.setter
    def paused(self, paused: bool) -> None:
        check_bool("paused", paused)
        self._engine.stages.pause(paused)

    @property
    def frozen(self) -> bool:
        """True if viewers see one picture until this is False again; the camera goes on.

        Setting it to True raises UsageError while viewers see the placeholder. A pause ends it.
        """
        return self._engine.stages.frozen

    @frozen.setter
    def frozen(self, frozen: bool) -> None:
        check_bool("frozen", frozen)
        self._engine.stages.freeze(frozen)

    @property
    def shown(self) -> PreviewFrame | None:
        """Newest output frame with its matte, a picture or the placeholder; None before the first."""
        return self._engine.stages.shown

    def stats(self) -> LiveStats:
        """Return the statistics of the session; fast enough to call for every frame."""
        return self._engine.stages.stats()

    def count_from(self, began: float) -> None:
        """Count the seconds in the statistics from ``began``, an earlier time of the session's clock."""
        self._engine.stages.meter.count_from(began)

    @property
    def running(self) -> bool:
        """False after :meth:`close`, or after all sinks failed."""
        return not self._engine.stages.stop.is_set()

    def wait(self, seconds: float | None = None) -> bool:
        """Wait until the session ends, or for ``seconds``; return True if it has ended.

        Raises:
            LivematteError: the session ended because all sinks failed; the error of the last sink.
        """
        ended = self._engine.stages.stop.wait(seconds)
        if ended and self._engine.stages.failure is not None:
            raise self._engine.stages.failure
        return ended

    def close(self) -> None:
        """End the session, release camera and sinks. Safe to call twice; does not wait for hanging sinks."""
        self._engine.close()

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
