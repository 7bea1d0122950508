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

from typing_extensions import Unpack

from livematte.clock import Clock
from livematte.errors import InputError, UsageError
from livematte.matting.backgrounds import Blur, is_blur
from livematte.matting.compositor import warm_up
from livematte.options import DEFAULT_BACKGROUND, LiveOptions, PathLike
from livematte.options.declaration import complete, documented
from livematte.protocols import Background, LiveFormat, LiveSink, Model, Source, TrimapModel
from livematte.resolve import Resolved, resolve, resolve_background
from livematte.streaming.behaviour import Behaviour, Scene
from livematte.streaming.capture import Camera
from livematte.streaming.engine import LiveEngine
from livematte.streaming.frames import PreviewFrame
from livematte.streaming.live_matting import LiveMatting
from livematte.streaming.malloc import keep_arenas_few
from livematte.streaming.model_factory import ModelFactory, with_budget
from livematte.streaming.opening import (
    Resources,
    ThreadResult,
    live_format,
    open_live_background,
    open_placeholder,
)
from livematte.streaming.sinks import SinkFactory, check_sink, open_live_sink, resolve_sinks
from livematte.streaming.stats import LiveStats
from livematte.video import trial_decode
from livematte.video.camera import list_cameras, open_camera, open_file_camera
from livematte.video.camera_devices import find_camera
from livematte.video.file_camera import is_url


class Session:
    """A running live session, returned by :func:`live`. Close it, or use it in a ``with`` block.

    Setting an attribute takes effect within two frames, or raises an error and changes nothing.
    """

    def __init__(
        self,
        engine: LiveEngine,
        options: LiveOptions,
        resolved: Resolved,
        opener: _SourceOpener,
        sinks: Sequence[tuple[str, LiveSink]],
    ) -> None:
        self._engine, self._options, self._resolved, self._opener = engine, options, resolved, opener
        self._sinks = list(sinks)
        self._changing = threading.RLock()
        """Held while parts are exchanged, which may take long: one change of the model or sinks at a time."""
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
        background = self._options["background"]
        assert background is not None
        return background

    @background.setter
    def background(self, spec: PathLike | Background) -> None:
        opened = open_live_background(spec, self._options["fit"])
        try:
            self._engine.stages.set_background(opened)
        except BaseException:
            opened.close()
            raise
        self._options["background"] = spec

    @property
    def blur(self) -> float | None:
        """Standard deviation of the blur in pixels for a height of 720; None for other backgrounds."""
        background = self.background
        if is_blur(background):
            background = resolve_background(background, self._options["fit"])
        return background.strength if isinstance(background, Blur) else None

    @blur.setter
    def blur(self, strength: float) -> None:
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

    def _set_options(self, changes: dict[str, Any]) -> None:
        options: Any = self._options
        options.update(changes)

    def _change_model(self, **changes: Any) -> None:
        """Load other networks; the present ones are used until the new ones are ready."""
        with self._changing:
            options: Any = {**self._options, **changes}
            complete(LiveOptions, options)
            resolved = self._resolved.changed(options["model"], options["size"], options["refine"])
            factory = ModelFactory(with_budget(resolved, self.format))
            self._engine.set_model(factory.best(self.format))
            self._set_options(changes)

    @property
    def mirror(self) -> bool:
        """True if the picture of the camera is mirrored left to right."""
        return self._options["mirror"]

    @mirror.setter
    def mirror(self, mirror: bool) -> None:
        self._engine.stages.set_mirror(bool(mirror))
        self._options["mirror"] = bool(mirror)

    @property
    def delay(self) -> float:
        """Seconds from capture to display. A longer delay is reached in slow motion."""
        return self._options["delay"]

    @delay.setter
    def delay(self, delay: float) -> None:
        complete(LiveOptions, {"delay": delay})
        self._engine.stages.gate.set_delay(delay)
        self._options["delay"] = delay

    @property
    def camera(self) -> str | None:
        """Camera as it was given; None for the first one, and if a file replaces it."""
        return self._options["camera"]

    @camera.setter
    def camera(self, camera: str | None) -> None:
        with self._changing:
            options: Any = {**self._options, "camera": camera, "input": None}
            if self._options["input"] is None and camera == self._options["camera"]:
                return
            opener = self._opener.changed(options)
            source = opener() if not options["on_demand"] else None
            if source is None and (missing := opener.missing_note()):
                raise InputError(missing)
            self._engine.set_camera(Camera(opener, source))
            self._set_options({"camera": camera, "input": None})
            self._opener = opener

    @property
    def to(self) -> list[str]:
        """Names of the sinks."""
        return [name for name, _ in self._sinks]

    @to.setter
    def to(self, to: str | SinkFactory | Sequence[str | SinkFactory]) -> None:
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
    def paused(self) -> bool:
        """True if viewers see the placeholder because the user paused the session."""
        return self._engine.stages.paused

    @paused.setter
    def paused(self, paused: bool) -> None:
        self._engine.stages.pause(bool(paused))

    @property
    def frozen(self) -> bool:
        """True if viewers keep seeing the picture that they saw when the user froze it."""
        return self._engine.stages.frozen

    @frozen.setter
    def frozen(self, frozen: bool) -> None:
        self._engine.stages.freeze(bool(frozen))

    @property
    def shown(self) -> PreviewFrame | None:
        """Newest output frame with its matte, a picture or the placeholder; None before the first."""
        return self._engine.stages.shown

    def stats(self) -> LiveStats:
        """Return the statistics of the session; fast enough to call for every frame."""
        return self._engine.stages.stats()

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


@documented(LiveOptions)
def live(*, clock: Clock | None = None, **options: Unpack[LiveOptions]) -> Session:
    """Replace the background of a camera picture in real time, until the session is closed.

    Until the first valid matte, and after any detected fault, viewers see the placeholder, not the room.
    A wrong matte with a plausible shape is not detected and is shown. ``to`` also accepts sink factories. The
    default background is transparent if every sink supports it, else green. ``delay`` is in seconds; ``size``
    is the maximum that the governor uses.

    Args:
        clock: clock of the session; tests pass their own.

    Raises:
        UsageError: an option is invalid.
        InputError: the camera or file does not exist.
        OutputError: a sink cannot be opened; the message states a fix.
        ModelError, DeviceError: as for :func:`livematte.load_model`.
    """
    chosen = complete(LiveOptions, options)
    if chosen["camera"] is not None and chosen["input"] is not None:
        raise UsageError("--camera and --input are two sources: use only one")
    factories, own = resolve_sinks(chosen["to"]), chosen["sink_options"] or {}
    for name in set(own) - {each for each, _ in factories}:
        check_sink(name)  # options of an unused sink are ignored, of an unknown sink an error
    background, fit = chosen["background"], chosen["fit"]
    if background is None:
        transparent = all(getattr(factory, "wants_alpha", False) for _, factory in factories)
        background = "transparent" if transparent else DEFAULT_BACKGROUND
        chosen["background"] = background
    format = live_format(chosen["width"], chosen["height"], chosen["rate"])
    resolved = with_budget(resolve(chosen), format)

    behaviour = Behaviour.from_options(chosen, lambda model: LiveMatting(model, **resolved.filters()))
    keep_arenas_few()
    trial_decode.begin(chosen["background"], chosen["placeholder"], chosen["input"])
    factory, open_source = ModelFactory(resolved), _SourceOpener(chosen, format, clock)
    opened = Resources()
    opened_background = opened.add(open_live_background(background, fit))
    format = replace(format, alpha=opened_background.transparent)
    threading.Thread(
        target=warm_up, args=(behaviour.camera_format,), name="livematte-warming", daemon=True
    ).start()
    loading = ThreadResult(lambda: factory.best(format))  # while the camera opens
    try:
        placeholder = chosen["placeholder"]
        opened_placeholder = (
            None if placeholder is None else opened.add(open_placeholder(placeholder, fit, format))
        )
        source = opened.add(open_source()) if behaviour.holds_camera else None
        missing = None if behaviour.holds_camera else open_source.missing_note()
        sinks = [
            (name, opened.add(open_live_sink(name, sink_factory, format, own.get(name, {}))))
            for name, sink_factory in factories
        ]
        engine = LiveEngine(
            Camera(open_source, source),
            loading.result(),
            Scene(opened_background, opened_placeholder),
            [sink for _, sink in sinks],
            format,
            behaviour,
            clock=clock,
        )
    except BaseException:
        opened.close()
        loading.join()
        raise
    for line in [missing] if missing else getattr(source, "notes", ()):
        engine.stages.meter.note(line)
    return Session(engine, chosen, resolved, open_source, sinks)


class _SourceOpener:
    """Opens the camera of a session, or the file that replaces it; may be called repeatedly."""

    def __init__(self, options: LiveOptions, format: LiveFormat, clock: Clock | None) -> None:
        self._options, self._format, self._clock = options, format, clock
        self._camera = options["camera"] or "auto"

    def changed(self, options: LiveOptions) -> _SourceOpener:
        """Return an opener for other options."""
        return _SourceOpener(options, self._format, self._clock)

    def __call__(self) -> Source:
        """Open the source. Raises InputError if it is not available."""
        if (file := self._options["input"]) is not None:
            return open_file_camera(os.fspath(file), self._clock)
        opened = open_camera(
            self._camera,
            size=(self._format.height, self._format.width),
            rate=self._format.rate,
            pixel_format=self._options["pixel_format"],
            clock=self._clock,
        )
        self._camera = opened.camera.id  # after unplugging, wait for this camera, not one of the same name
        return opened

    def missing_note(self) -> str | None:
        """Return a note if the camera is missing; it may be connected later. Raises InputError for a file."""
        if (file := self._options["input"]) is not None:
            if not is_url(os.fspath(file)):
                open_file_camera(os.fspath(file)).close()
            return None
        try:
            find_camera(self._camera, list_cameras())
        except InputError as error:
            return f"waiting for the camera: {error}"
        return None
