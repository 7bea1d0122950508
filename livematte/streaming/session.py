"""Live sessions in Python: start a session and change its options while it runs.

::

    with livematte.live(camera="auto", to="virtualcam", background="beach.jpg") as session:
        session.background = "blur:12"
        session.wait()
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction

from typing_extensions import Unpack

from livematte.clock import Clock, SystemClock
from livematte.errors import InputError, LivematteError, UsageError
from livematte.matting.backgrounds import STRONGEST_BLUR, WEAKEST_LIVE_BLUR, Blur, is_blur
from livematte.matting.compositor import warm_up
from livematte.matting.framing import check_framing
from livematte.matting.people import ALL, parse_people
from livematte.networks import check_model
from livematte.options import CHANGES, DEFAULT_BACKGROUND, LiveOptions, PathLike
from livematte.options.declaration import complete, documented
from livematte.protocols import Background, LiveFormat, LiveSink, Model, Source
from livematte.resolve import resolve, resolve_background
from livematte.streaming.behaviour import Behaviour, Scene
from livematte.streaming.capture import Camera
from livematte.streaming.engine import LiveEngine
from livematte.streaming.frames import PreviewFrame
from livematte.streaming.live_matting import LiveMatting
from livematte.streaming.malloc import keep_arenas_few
from livematte.streaming.model_factory import ModelFactory, with_budget
from livematte.streaming.resources import Resources, ThreadResult
from livematte.streaming.sinks import check_sink, open_live_sink, resolve_sinks
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
        model_factory: Callable[[str | Model], ModelFactory],
        model: str | Model,
        background: PathLike | Background,
        fit: str,
        sinks: Sequence[LiveSink],
    ) -> None:
        self.sinks = tuple(sinks)
        self._engine, self._model_factory, self._model = engine, model_factory, model
        self._background, self._fit = background, fit
        self._following = threading.Lock()
        engine.follow = self._follow_program
        engine.start()

    @property
    def format(self) -> LiveFormat:
        """Format of the frames that the sinks receive."""
        return self._engine.stages.format

    @property
    def background(self) -> PathLike | Background:
        """Background as it was given: a colour, a file, ``blur:N`` ..."""
        return self._background

    @background.setter
    def background(self, spec: PathLike | Background) -> None:
        opened = open_live_background(spec, self._fit)
        try:
            self._engine.stages.set_background(opened)
        except BaseException:
            opened.close()
            raise
        self._background = spec

    def _follow_program(self, wanted: str | None) -> None:
        """Use the background that a sink's program asks for, or again that of the session."""
        spec = self._background if wanted is None else wanted
        with self._following:
            if wanted != self._engine.wanted_background:
                return  # another one has been asked for meanwhile
            try:
                if not isinstance(spec, (str, os.PathLike)):
                    raise UsageError("a background object cannot be opened again")
                opened = open_live_background(spec, self._fit)
                try:
                    self._engine.stages.set_background(opened)
                except BaseException:
                    opened.close()
                    raise
            except LivematteError as error:
                self._engine.stages.meter.note(f"the background does not follow the scene: {error}")

    @property
    def blur(self) -> float | None:
        """Standard deviation of the blur in pixels for a height of 720; None for other backgrounds."""
        background = self._background
        if is_blur(background):
            background = resolve_background(background, self._fit)
        return background.strength if isinstance(background, Blur) else None

    @blur.setter
    def blur(self, strength: float) -> None:
        self.background = f"blur:{strength}"

    @property
    def model(self) -> str | Model:
        """Name of the matting network, or the model object that was given."""
        return self._model

    @model.setter
    def model(self, model: str | Model) -> None:
        if isinstance(model, str):
            check_model(model)
        factory = self._model_factory(model)
        # The old model is used until the new one is loaded. The load is the same: so is the level.
        stages = self._engine.stages
        self._engine.set_model(factory.prepare(stages.format, stages.governor.level))
        self._model = model

    @property
    def keep(self) -> str:
        """People who are kept: ``all``, or their number as text."""
        count = self._engine.stages.people
        return ALL if count is None else str(count)

    @keep.setter
    def keep(self, people: str) -> None:
        self._engine.stages.set_people(parse_people(people))

    @property
    def frame(self) -> str:
        """Auto-framing: ``off``, ``head`` or ``body``."""
        return self._engine.stages.framer.mode

    @frame.setter
    def frame(self, mode: str) -> None:
        self._engine.stages.framer.mode = check_framing(mode)

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
        self._engine.stages.pause(bool(paused))

    @property
    def frozen(self) -> bool:
        """True if viewers see one picture until this is False again; the camera goes on.

        Setting it to True raises UsageError while viewers see the placeholder. A pause ends it.
        """
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
    called = (clock or SystemClock()).now()
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
    format = live_format(chosen["width"], chosen["height"], chosen["rate"])
    resolved = with_budget(resolve(chosen), format)

    def model_factory(network: str | Model) -> ModelFactory:
        return ModelFactory(resolved.with_model(network))

    behaviour = Behaviour.from_options(
        chosen, lambda model: LiveMatting(model, **resolved.filters()), resolved.edge, resolved.framer().mode
    )
    keep_arenas_few()
    trial_decode.begin(chosen["background"], chosen["placeholder"], chosen["input"])
    factory, open_source = model_factory(chosen["model"]), _SourceOpener(chosen, format, clock)
    opened = Resources()
    opened_background = opened.add(open_live_background(background, fit))
    format = replace(format, alpha=opened_background.transparent)
    threading.Thread(
        target=warm_up, args=(behaviour.camera_format,), name="livematte-warming", daemon=True
    ).start()
    loading = ThreadResult(lambda: factory.prepare(format))  # while the camera opens
    try:
        placeholder = chosen["placeholder"]
        opened_placeholder = (
            None if placeholder is None else opened.add(_open_placeholder(placeholder, fit, format))
        )
        source = opened.add(open_source()) if behaviour.holds_camera else None
        missing = None if behaviour.holds_camera else open_source.missing_note()
        sinks = [
            opened.add(open_live_sink(name, sink_factory, format, own.get(name, {})))
            for name, sink_factory in factories
        ]
        engine = LiveEngine(
            Camera(open_source, source),
            loading.result(),
            Scene(opened_background, opened_placeholder),
            sinks,
            format,
            behaviour,
            clock=clock,
        )
    except BaseException:
        opened.close()
        loading.join()
        raise
    engine.stages.meter.count_from(called)
    for line in [missing] if missing else getattr(source, "notes", ()):
        engine.stages.meter.note(line)
    return Session(engine, model_factory, chosen["model"], background, fit, sinks)


class _SourceOpener:
    """Opens the camera of a session, or the file that replaces it; may be called repeatedly."""

    def __init__(self, options: LiveOptions, format: LiveFormat, clock: Clock | None) -> None:
        self._options, self._format, self._clock = options, format, clock
        self._camera = options["camera"] or "auto"

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


def _open_placeholder(spec: PathLike | Background, fit: str, format: LiveFormat) -> Background:
    """Open the placeholder. Raises UsageError with a message that begins with ``placeholder``."""
    try:
        placeholder = resolve_background(spec, fit)
    except UsageError as error:
        raise UsageError(f"placeholder: {error}") from error
    if placeholder.transparent and not format.alpha:
        raise UsageError("placeholder transparent: the output has no transparency; use a colour or a picture")
    return placeholder


def open_live_background(spec: PathLike | Background, fit: str) -> Background:
    """Open the background. Raises UsageError, also for a blur so weak that the room would be recognisable."""
    background = resolve_background(spec, fit)
    if isinstance(background, Blur) and background.strength < WEAKEST_LIVE_BLUR:
        background.close()
        raise UsageError(
            f"blur {background.strength:g} would show the room: use {WEAKEST_LIVE_BLUR:g} to "
            f"{STRONGEST_BLUR:g}"
        )
    return background


def live_format(width: int, height: int, rate: Fraction | float) -> LiveFormat:
    """Check the output format. Raises UsageError."""
    if width % 2 or height % 2 or not (64 <= width <= 7680 and 64 <= height <= 4320):
        raise UsageError(f"resolution {width}x{height} is invalid: use even numbers, 64x64 to 7680x4320")
    return LiveFormat(width, height, Fraction(rate).limit_denominator(1001))
