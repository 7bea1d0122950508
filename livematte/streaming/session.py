"""Live from Python: one call, and what may be changed while it runs.

with livematte.live(camera="auto", to="virtualcam", background="beach.jpg") as session:
    session.background = "blur:12"
    session.wait()
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from fractions import Fraction
from typing import Any

from typing_extensions import Unpack

from livematte.clock import Clock
from livematte.errors import InputError, UsageError
from livematte.matting.backgrounds import STRONGEST_BLUR, WEAKEST_LIVE_BLUR, Blur, is_blur
from livematte.matting.compositor import warm_up
from livematte.networks import check_model
from livematte.options import DEFAULT_BACKGROUND, LiveOptions, PathLike
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
from livematte.streaming.sinks import check_output, open_output, resolve_sinks
from livematte.streaming.stats import LiveStats
from livematte.video import trial_decode
from livematte.video.camera import list_cameras, open_camera, open_file_camera
from livematte.video.camera_devices import find_camera
from livematte.video.file_camera import is_url


class Session:
    """A live session that runs. Made by :func:`live`; close it, or use it in a ``with`` block.

    What can be set takes effect within a frame or two, or raises and changes nothing.
    """

    def __init__(
        self,
        engine: LiveEngine,
        maker: Callable[[str | Model], ModelFactory],
        model: str | Model,
        background: PathLike | Background,
        fit: str,
        sinks: Sequence[LiveSink],
    ) -> None:
        self.sinks = tuple(sinks)
        self._engine, self._maker, self._model = engine, maker, model
        self._background, self._fit = background, fit
        engine.start()

    @property
    def format(self) -> LiveFormat:
        """What the outputs are sent."""
        return self._engine.stages.format

    @property
    def background(self) -> PathLike | Background:
        """What is behind people, as it was given: a colour, a file, ``blur:N`` ..."""
        return self._background

    @background.setter
    def background(self, spec: PathLike | Background) -> None:
        made = live_background(spec, self._fit)
        try:
            self._engine.stages.set_background(made)
        except BaseException:
            made.close()
            raise
        self._background = spec

    @property
    def blur(self) -> float | None:
        """Standard deviation of the blur in pixels at 720 rows; None where the background is another."""
        made = self._background
        if is_blur(made):
            made = resolve_background(made, self._fit)
        return made.strength if isinstance(made, Blur) else None

    @blur.setter
    def blur(self, strength: float) -> None:
        self.background = f"blur:{strength}"

    @property
    def model(self) -> str | Model:
        """The name of the network that works, or the object that was given."""
        return self._model

    @model.setter
    def model(self, model: str | Model) -> None:
        if isinstance(model, str):
            check_model(model)
        maker = self._maker(model)
        # the old one works on meanwhile
        self._engine.set_model(maker.best(self._engine.stages.format))
        self._model = model

    @property
    def paused(self) -> bool:
        """Whether viewers see the placeholder on request."""
        return self._engine.stages.paused

    @paused.setter
    def paused(self, paused: bool) -> None:
        self._engine.stages.pause(bool(paused))

    @property
    def shown(self) -> PreviewFrame | None:
        """What viewers see now, with its matte: the placeholder or a picture; None before the first."""
        return self._engine.stages.shown

    def stats(self) -> LiveStats:
        """How it does; cheap enough for every frame."""
        return self._engine.stages.stats()

    @property
    def running(self) -> bool:
        """Whether it has not ended, by :meth:`close` or because no output is left."""
        return not self._engine.stages.stop.is_set()

    def wait(self, seconds: float | None = None) -> bool:
        """Wait until it ends, or that long; whether it has ended.

        Raises:
            LivematteError: it ended because no output is left; the last one's reason.
        """
        ended = self._engine.stages.stop.wait(seconds)
        if ended and self._engine.stages.failure is not None:
            raise self._engine.stages.failure
        return ended

    def close(self) -> None:
        """End it and let go of camera and outputs. Safe twice, does not hang with what hangs."""
        self._engine.close()

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@documented(LiveOptions)
def live(*, clock: Clock | None = None, **options: Unpack[LiveOptions]) -> Session:
    """Put another background behind the people a camera sees, live, until the session is closed.

    Viewers never see the room because something broke: until the first good matte, and after any fault that
    can be detected, they get the placeholder. A wrong matte that looks like a person is shown. ``to`` also
    takes factories of sinks. Without a background it is transparent where every output takes that. ``delay``
    is in seconds; ``size`` is the best that the governor gives.

    Args:
        clock: tests have one of their own.

    Raises:
        UsageError: what was asked for cannot be meant.
        InputError: no such camera or file.
        OutputError: an output cannot be opened; the line says what mends it.
        ModelError, DeviceError: as for :func:`livematte.load_model`.
    """
    chosen = complete(LiveOptions, options)
    if chosen["camera"] is not None and chosen["input"] is not None:
        raise UsageError("--camera and --input are two sources: give one of them")
    factories, own = resolve_sinks(chosen["to"]), chosen["sink_options"] or {}
    for name in set(own) - {each for each, _ in factories}:
        check_output(name)  # one that is not asked for is none of this session's, a wrong one is
    background, fit = chosen["background"], chosen["fit"]
    if background is None:
        clear = all(getattr(factory, "wants_alpha", False) for _, factory in factories)
        background = "transparent" if clear else DEFAULT_BACKGROUND
    format = live_format(chosen["width"], chosen["height"], chosen["rate"])
    resolved = with_budget(resolve(chosen), format)

    def model_factory(network: str | Model) -> ModelFactory:
        return ModelFactory(resolved.with_model(network))

    keep_arenas_few()
    trial_decode.begin(chosen["background"], chosen["placeholder"], chosen["input"])
    made, maker, reopens = _Opened(), model_factory(chosen["model"]), _Reopens(chosen, format, clock)
    behind = made.keep(live_background(background, fit))
    format = replace(format, alpha=behind.transparent)
    threading.Thread(target=warm_up, name="livematte-warming", daemon=True).start()
    loading = _Aside(lambda: maker.best(format))  # beside the camera, which takes its time too
    behaviour = Behaviour.from_options(chosen, lambda model: LiveMatting(model, **resolved.filters()))
    try:
        placeholder = chosen["placeholder"]
        instead = None if placeholder is None else made.keep(_placeholder(placeholder, fit, format))
        source = made.keep(reopens()) if behaviour.holds_camera else None
        absent = None if behaviour.holds_camera else reopens.absent()
        sinks = [
            made.keep(open_output(name, factory, format, own.get(name, {}))) for name, factory in factories
        ]
        engine = LiveEngine(
            Camera(reopens, source),
            loading.result(),
            Scene(behind, instead),
            sinks,
            format,
            behaviour,
            clock=clock,
        )
    except BaseException:
        made.close()
        loading.finish()
        raise
    for line in [absent] if absent else getattr(source, "notes", ()):
        engine.stages.meter.note(line)
    return Session(engine, model_factory, chosen["model"], background, fit, sinks)


class _Reopens:
    """Opens a session's camera, or the file in its place, whenever it is wanted."""

    def __init__(self, options: LiveOptions, format: LiveFormat, clock: Clock | None) -> None:
        self._options, self._format, self._clock = options, format, clock
        self._which = options["camera"] or "auto"

    def __call__(self) -> Source:
        """Raises InputError where it is not there."""
        if (file := self._options["input"]) is not None:
            return open_file_camera(os.fspath(file), self._clock)
        opened = open_camera(
            self._which,
            size=(self._format.height, self._format.width),
            rate=self._format.rate,
            pixel_format=self._options["pixel_format"],
            clock=self._clock,
        )
        self._which = opened.camera.id  # unplugged, it is waited for, not another one of that name
        return opened

    def absent(self) -> str | None:
        """A line where the camera is not there, which may still come. Raises InputError for a wrong file."""
        if (file := self._options["input"]) is not None:
            if not is_url(os.fspath(file)):
                open_file_camera(os.fspath(file)).close()
            return None
        try:
            find_camera(self._which, list_cameras())
        except InputError as error:
            return f"waiting for the camera: {error}"
        return None


def _placeholder(spec: PathLike | Background, fit: str, format: LiveFormat) -> Background:
    """What viewers see instead of the room, opened; its errors say that it is meant."""
    try:
        made = resolve_background(spec, fit)
    except UsageError as error:
        raise UsageError(f"placeholder: {error}") from error
    if made.transparent and not format.alpha:
        raise UsageError(
            "placeholder transparent: the output carries no transparency; give a colour or a picture"
        )
    return made


def live_background(spec: PathLike | Background, fit: str) -> Background:
    """What is behind people, opened. Raises UsageError, also for a blur that would show the room."""
    made = resolve_background(spec, fit)
    if isinstance(made, Blur) and made.strength < WEAKEST_LIVE_BLUR:
        made.close()
        raise UsageError(
            f"blur {made.strength:g} would show the room: live takes {WEAKEST_LIVE_BLUR:g} to "
            f"{STRONGEST_BLUR:g}"
        )
    return made


def live_format(width: int, height: int, rate: Fraction | float) -> LiveFormat:
    """The output's format, checked. Raises UsageError."""
    if width % 2 or height % 2 or not (64 <= width <= 7680 and 64 <= height <= 4320):
        raise UsageError(
            f"an output of {width}x{height} is not possible: give even numbers, 64x64 to 7680x4320"
        )
    return LiveFormat(width, height, Fraction(rate).limit_denominator(1001))


class _Opened:
    """What was opened for a session that may not begin."""

    def __init__(self) -> None:
        self._parts: list[Any] = []

    def keep(self, part: Any) -> Any:
        self._parts.append(part)
        return part

    def close(self) -> None:
        for part in reversed(self._parts):
            with suppress(Exception):  # why the session does not begin is what the user hears
                part.close()


class _Aside:
    """A result that is made in a thread."""

    def __init__(self, work: Callable[[], Any]) -> None:
        self._made: Any = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._body, args=(work,), daemon=True)
        self._thread.start()

    def _body(self, work: Callable[[], Any]) -> None:
        try:
            self._made = work()
        except BaseException as error:
            self._error = error

    def finish(self, patience: float = 30.0) -> None:
        """Wait for it: a thread that comes back from C++ code while Python ends takes the process down."""
        self._thread.join(patience)

    def result(self) -> Any:
        self._thread.join()
        if self._error is not None:
            raise self._error
        return self._made
