"""Live from Python: one call, and what may be changed while it runs.

with livematte.live(camera="auto", to="virtualcam", background="beach.jpg") as session:
    session.background = "blur:12"
    session.wait()
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from fractions import Fraction
from typing import Any

from livematte.backgrounds import STRONGEST_BLUR, WEAKEST_LIVE_BLUR, Blur, is_blur
from livematte.clock import Clock
from livematte.composite import warm_up
from livematte.defaults import DEFAULT_BACKGROUND, DEFAULT_MODEL
from livematte.errors import InputError, UsageError
from livematte.jobs import Machine, PathLike, background_of, check_model
from livematte.protocols import Background, LiveFormat, LiveSink, Model, Source, TrimapModel
from livematte.streaming.engine import LiveEngine
from livematte.streaming.handed import Shown
from livematte.streaming.memory import keep_arenas_few
from livematte.streaming.outputs import SinkFactory, check_output, factories_of, open_output
from livematte.streaming.parts import PartsMaker, refining_of
from livematte.streaming.stages import LiveOptions
from livematte.streaming.stats import LiveStats
from livematte.temporal import check_mode
from livematte.video import trial
from livematte.video.camera import list_cameras, open_camera, open_stand_in
from livematte.video.devices import find_camera
from livematte.video.standin import is_address

LONGEST_DELAY = 2.0
"""Seconds."""


class Session:
    """A live session that runs. Made by :func:`live`; close it, or use it in a ``with`` block.

    What can be set takes effect within a frame or two, or raises and changes nothing.
    """

    def __init__(
        self,
        engine: LiveEngine,
        maker: Callable[[str | Model], PartsMaker],
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
        return self._engine.format

    @property
    def background(self) -> PathLike | Background:
        """What is behind people, as it was given: a colour, a file, ``blur:N`` ..."""
        return self._background

    @background.setter
    def background(self, spec: PathLike | Background) -> None:
        made = live_background(spec, self._fit)
        try:
            self._engine.set_background(made)
        except BaseException:
            made.close()
            raise
        self._background = spec

    @property
    def blur(self) -> float | None:
        """Standard deviation of the blur in pixels at 720 rows; None where the background is another."""
        made = background_of(self._background, self._fit) if is_blur(self._background) else self._background
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
        levels, parts = maker.best(self._engine.format)  # the old one works on meanwhile
        self._engine.set_model(maker, levels, parts)
        self._model = model

    @property
    def paused(self) -> bool:
        """Whether viewers see the placeholder on request."""
        return self._engine.paused

    @paused.setter
    def paused(self, paused: bool) -> None:
        self._engine.pause(bool(paused))

    @property
    def shown(self) -> Shown | None:
        """What viewers see now, with its matte: the placeholder or a picture; None before the first."""
        return self._engine.shown

    def stats(self) -> LiveStats:
        """How it does; cheap enough for every frame."""
        return self._engine.stats()

    @property
    def running(self) -> bool:
        """Whether it has not ended, by :meth:`close` or because no output is left."""
        return not self._engine.stop.is_set()

    def wait(self, seconds: float | None = None) -> bool:
        """Wait until it ends, or that long; whether it has ended.

        Raises:
            LivematteError: it ended because no output is left; the last one's reason.
        """
        ended = self._engine.stop.wait(seconds)
        if ended and self._engine.failure is not None:
            raise self._engine.failure
        return ended

    def close(self) -> None:
        """End it and let go of camera and outputs. Safe twice, does not hang with what hangs."""
        self._engine.close()

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def live(
    *,
    camera: str | None = None,
    input: PathLike | None = None,
    to: str | SinkFactory | Sequence[str | SinkFactory] = "virtualcam",
    sink_options: Mapping[str, Mapping[str, Any]] | None = None,
    background: PathLike | Background | None = None,
    fit: str = "cover",
    placeholder: PathLike | Background | None = None,
    width: int = 1280,
    height: int = 720,
    rate: Fraction | float = 30,
    pixel_format: str | None = None,
    mirror: bool = False,
    delay: float = 0.0,
    lag_ok: bool = False,
    on_demand: bool = False,
    govern: bool = True,
    model: str | Model = DEFAULT_MODEL,
    weights: PathLike | None = None,
    size: int | None = None,
    device: str = "auto",
    runtime: str = "auto",
    precision: str = "auto",
    threads: int | None = None,
    temporal: str = "on",
    keep_islands: bool = False,
    refine: str | TrimapModel = "guided",
    refine_weights: PathLike | None = None,
    refine_size: int | None = None,
    refine_budget: float | None = None,
    foreground: bool = True,
    clock: Clock | None = None,
) -> Session:
    """Put another background behind the people a camera sees, live, until the session is closed.

    Viewers never see the room because something broke: until the first good matte, and whenever anything that
    can be told is wrong, they get the placeholder. A wrong matte that looks like a person's is shown.

    Args:
        camera: an id or a name as ``livematte devices`` lists them; the first one otherwise.
        input: a file or address played in real time, in place of a camera.
        to: names of outputs (entry points ``livematte.sinks``), or factories of such; ``none`` for a preview
            alone.
        sink_options: further options of an output, by its name.
        background: as for :func:`livematte.render`; transparent by default where every output takes that.
        placeholder: a background too; the background itself, behind nobody, where not given.
        width, height, rate: of the output, in pixels and frames a second; the camera is asked for the same.
        pixel_format: asked of the camera, as FFmpeg names it.
        mirror: left becomes right, of the camera's picture.
        delay: seconds after its capture at which a picture is shown; 0 is as soon as possible.
        lag_ok: composite with the newest matte instead of the frame's own, up to 0.1 s older: quicker, but
            where somebody moves a strip of the room is seen.
        on_demand: let go of the camera while nobody watches.
        govern: less resolution where the machine cannot hold the rate, more when it can again.
        size: long side of the picture that the network sees at best.

    The others are as for :func:`livematte.render`.

    Raises:
        UsageError: what was asked for cannot be meant.
        InputError: no such camera or file.
        OutputError: an output cannot be opened; the line says what mends it.
        ModelError, DeviceError: as for :func:`livematte.load_model`.
    """
    if camera is not None and input is not None:
        raise UsageError("--camera and --input are two sources: give one of them")
    if not 0 <= delay <= LONGEST_DELAY:
        raise UsageError(f"delay {delay:g} is not possible: give seconds, 0 to {LONGEST_DELAY:g}")
    check_mode(temporal)
    factories = factories_of(to)
    for name in set(sink_options or {}) - {each for each, _ in factories}:
        check_output(name)  # one that is not asked for is none of this session's, a wrong one is
    if background is None:
        clear = all(getattr(factory, "wants_alpha", False) for _, factory in factories)
        background = "transparent" if clear else DEFAULT_BACKGROUND
    format = format_of(width, height, rate)
    if isinstance(model, str):
        check_model(model)
    refining = refining_of(format, refine, refine_weights, refine_size, refine_budget, temporal)
    machine = Machine(device, runtime, precision, threads)

    def maker_of(network: str | Model) -> PartsMaker:
        own = weights if network is model or (isinstance(network, str) and network == model) else None
        return PartsMaker(network, machine, own, size, refining, foreground)

    which = camera or "auto"

    def open_source() -> Source:
        nonlocal which
        if input is not None:
            return open_stand_in(os.fspath(input), clock)
        opened = open_camera(
            which,
            size=(format.height, format.width),
            rate=format.rate,
            pixel_format=pixel_format,
            clock=clock,
        )
        which = opened.camera.id  # unplugged, it is waited for: what was asked for may mean another by then
        return opened

    keep_arenas_few()
    trial.begin(background, placeholder, input)
    made, maker = _Opened(), maker_of(model)
    behind = made.keep(live_background(background, fit))
    format = replace(format, alpha=behind.transparent)
    threading.Thread(target=warm_up, name="livematte-warming", daemon=True).start()
    loading = _Aside(lambda: maker.best(format))  # beside the camera, which takes its time too
    try:
        instead = None if placeholder is None else made.keep(_placeholder(placeholder, fit, format))
        source = None if on_demand else made.keep(open_source())
        absent = _absent(which, input) if on_demand else None
        sinks = [
            made.keep(open_output(name, factory, format, (sink_options or {}).get(name, {})))
            for name, factory in factories
        ]
        levels, parts = loading.result()
        engine = LiveEngine(
            open_source,
            maker,
            levels,
            parts,
            behind,
            sinks,
            format,
            LiveOptions(
                mirror=mirror,
                delay=delay,
                lag_ok=lag_ok,
                on_demand=on_demand,
                temporal=temporal,
                keep_islands=keep_islands,
                governed=govern,
            ),
            placeholder=instead,
            source=source,
            clock=clock,
        )
    except BaseException:
        made.close()
        loading.finish()
        raise
    for line in [absent] if absent else getattr(source, "notes", ()):
        engine.meter.note(line)
    return Session(engine, maker_of, model, background, fit, sinks)


def _absent(camera: str, input: PathLike | None) -> str | None:
    """What is wrong with a source that is opened only when somebody looks; a camera may still come.

    Raises:
        InputError: a file that cannot be played.
    """
    if input is not None:
        if not is_address(os.fspath(input)):
            open_stand_in(os.fspath(input)).close()
        return None
    try:
        find_camera(camera, list_cameras())
    except InputError as error:
        return f"waiting for the camera: {error}"
    return None


def _placeholder(spec: PathLike | Background, fit: str, format: LiveFormat) -> Background:
    """What viewers see instead of the room, opened; its errors say that it is meant."""
    try:
        made = background_of(spec, fit)
    except UsageError as error:
        raise UsageError(f"placeholder: {error}") from error
    if made.transparent and not format.alpha:
        raise UsageError(
            "placeholder transparent: the output carries no transparency; give a colour or a picture"
        )
    return made


def live_background(spec: PathLike | Background, fit: str) -> Background:
    """What is behind people, opened. Raises UsageError, also for a blur that would show the room."""
    made = background_of(spec, fit)
    if isinstance(made, Blur) and made.strength < WEAKEST_LIVE_BLUR:
        made.close()
        raise UsageError(
            f"blur {made.strength:g} would show the room: live takes {WEAKEST_LIVE_BLUR:g} to "
            f"{STRONGEST_BLUR:g}"
        )
    return made


def format_of(width: int, height: int, rate: Fraction | float) -> LiveFormat:
    """The output's format, checked. Raises UsageError."""
    if width % 2 or height % 2 or not (64 <= width <= 7680 and 64 <= height <= 4320):
        raise UsageError(
            f"an output of {width}x{height} is not possible: give even numbers, 64x64 to 7680x4320"
        )
    if not 1 <= rate <= 240:
        raise UsageError(f"{float(rate):g} frames a second are not possible: give 1 to 240")
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
