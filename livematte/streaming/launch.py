"""Start of a live session: check the options, open the parts, load the networks."""

from __future__ import annotations

import threading
from dataclasses import replace

from typing_extensions import Unpack

from livematte.clock import Clock, SystemClock
from livematte.matting.compositor import warm_up
from livematte.options import LiveOptions
from livematte.options.declaration import complete, documented, input_files
from livematte.resolve import resolve
from livematte.streaming.behaviour import Behaviour, Scene
from livematte.streaming.capture import Camera
from livematte.streaming.engine import LiveEngine
from livematte.streaming.live_matting import LiveMatting
from livematte.streaming.malloc import keep_arenas_few
from livematte.streaming.model_factory import ModelFactory, with_budget
from livematte.streaming.opening import BackgroundOpener, SourceOpener, live_format
from livematte.streaming.resources import Resources, ThreadResult
from livematte.streaming.session import Session
from livematte.streaming.sinks import check_sink, open_live_sink, resolve_sinks
from livematte.video import trial_decode


@documented(LiveOptions)
def live(*, clock: Clock | None = None, **options: Unpack[LiveOptions]) -> Session:
    """Replace the background of a camera picture in real time, until the session is closed.

    Until the first valid matte, and after any detected fault, viewers see the placeholder, not the room.
    A wrong matte with a plausible shape is not detected and is shown. ``to`` also accepts sink factories. The
    default background is transparent if every sink supports it, else green. ``delay`` is in seconds; ``size``
    is the maximum that the governor uses. Without it, the session begins with a size for video rate.

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
    format = live_format(chosen["width"], chosen["height"], chosen["rate"])
    open_source = SourceOpener(chosen, format, clock)
    factories, own = resolve_sinks(chosen["to"]), chosen["sink_options"] or {}
    for name in set(own) - {each for each, _ in factories}:
        check_sink(name)  # options of an unused sink are ignored, of an unknown sink an error
    transparent = all(getattr(factory, "wants_alpha", False) for _, factory in factories)
    backgrounds = BackgroundOpener(chosen, transparent=transparent)
    resolved = with_budget(resolve(chosen), format)

    behaviour = Behaviour.from_options(
        chosen, lambda model: LiveMatting(model, **resolved.filters()), resolved.edge, resolved.framer().mode
    )
    keep_arenas_few()
    trial_decode.begin(*input_files(LiveOptions, chosen).values())
    factory, opened = ModelFactory(resolved), Resources()
    opened_background = opened.add(backgrounds(backgrounds.spec))
    format = replace(format, alpha=opened_background.transparent)
    threading.Thread(
        target=warm_up, args=(behaviour.camera_format,), name="livematte-warming", daemon=True
    ).start()
    loading = ThreadResult(lambda: factory.prepare(format))  # while the camera opens
    try:
        placeholder = backgrounds.placeholder(format)
        if placeholder is not None:
            opened.add(placeholder)
        source = opened.add(open_source()) if behaviour.holds_camera else None
        missing = None if behaviour.holds_camera else open_source.missing_note()
        sinks = [
            (name, opened.add(open_live_sink(name, sink_factory, format, own.get(name, {}))))
            for name, sink_factory in factories
        ]
        engine = LiveEngine(
            Camera(open_source, source),
            loading.result(),
            Scene(opened_background, placeholder),
            [sink for _, sink in sinks],
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
    return Session(engine, chosen, resolved, open_source, backgrounds, sinks)
