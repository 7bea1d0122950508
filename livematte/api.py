"""livematte from Python: one call a job. The command line is a thin layer over this file."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

from livematte import engine, segments
from livematte.backgrounds import Color
from livematte.composite import Compositor, warm_up
from livematte.defaults import DEFAULT_BACKGROUND, DEFAULT_MODEL
from livematte.errors import InputError
from livematte.frame import Frame, Matte
from livematte.jobs import (
    Machine,
    PathLike,
    Refining,
    background_of,
    card_of,
    check_model,
    check_targets,
    debug_info,
    format_of,
    frames_on,
    is_picture,
    network_of,
    notes_of,
    taker_of_trimap,
    targets_of,
)
from livematte.jobs import load_model as load_model
from livematte.progress import Progress
from livematte.protocols import Background, Model, TrimapModel
from livematte.running import RenderReport as RenderReport
from livematte.running import done, give_up, require_moving, written
from livematte.segments import devices_of
from livematte.temporal import TemporalFilter
from livematte.trimap import DrawnTrimap, read_trimap
from livematte.video import trial
from livematte.video.hardware import check_hwaccel
from livematte.video.images import check_image
from livematte.video.reader import open_video
from livematte.video.writer import open_sink
from livematte.worker import Job

RENDER_STREAMS = 2
"""Pictures that the network works on side by side when a file is rendered: measured 15 % faster than one."""


def render(
    input: PathLike,
    output: PathLike,
    *,
    background: PathLike | Background = DEFAULT_BACKGROUND,
    fit: str = "cover",
    model: str | Model = DEFAULT_MODEL,
    weights: PathLike | None = None,
    size: int | None = None,
    device: str = "auto",
    runtime: str = "auto",
    precision: str = "auto",
    threads: int | None = None,
    hwaccel: str = "auto",
    temporal: str = "on",
    keep_islands: bool = False,
    refine: str | TrimapModel = "guided",
    refine_weights: PathLike | None = None,
    refine_size: int | None = None,
    refine_budget: float | None = None,
    refine_tta: bool = False,
    foreground: bool = True,
    alpha_out: PathLike | None = None,
    foreground_out: PathLike | None = None,
    debug_view: PathLike | None = None,
    codec: str | None = None,
    crf: int | None = None,
    preset: str | None = None,
    start: float | None = None,
    end: float | None = None,
    overwrite: bool = True,
    progress: Callable[[Progress], None] | None = None,
    stop: threading.Event | None = None,
) -> RenderReport:
    """Put another background behind the people of a video.

    Sound, subtitles, chapters, metadata and timing come along. ``output`` appears when it is whole.

    Args:
        input: any video that FFmpeg reads, or an image sequence such as ``frames/%04d.png``.
        output: ``.mp4``, ``.mov``, ``.mkv``, ``.webm`` or a PNG sequence such as ``out/%04d.png``.
        background: a colour, an image, a video, ``blur``, ``blur:N`` or ``transparent``.
        fit: how an image or video background fills the picture: ``cover``, ``contain`` or ``stretch``.
        model, weights, size, device, runtime, precision, threads: see :func:`load_model`. Several devices,
            ``cuda:0,cuda:1``, divide the video between them; models and backgrounds then come by name.
        hwaccel: what decodes the input: ``auto`` is the NVIDIA GPU where one works on the frames, else the
            CPU; ``none``, ``cuda``, ``vaapi``, ``qsv``, ``videotoolbox`` or ``d3d11va`` it is or an error.
        temporal: ``on``, ``strong`` or ``off``: how the matte is calmed over time.
        keep_islands: keep small faint patches that are not connected to a person.
        refine: ``guided`` sharpens the matte by the full-size picture, ``none`` only enlarges it; the name of
            a refiner asks that network where the matte is in doubt, and hears it the more the softer it is.
        refine_weights, refine_size, refine_budget: of a refiner: a file of one's own training, the long side
            at which it works (the frame's own, up to 1280) and the milliseconds a frame it may take (all
            that it needs).
        refine_tta: a refiner's test-time augmentation, where it has any: finer, and many times slower.
        foreground: estimate the people's own colours, so that the old background does not glow in hair.
        alpha_out, foreground_out: also write the matte, and the people over black, as videos.
        debug_view: also write a video of what the networks saw and gave, side by side.
        codec, crf, preset: of ``output``, see :func:`livematte.video.writer.open_sink`; the other files take
            what their ending suggests.
        start, end: seconds; only this part of the input.
        overwrite: False refuses to replace existing outputs.
        progress: called now and then from the calling thread.
        stop: set this event to end early; what was rendered until then is kept.

    Raises:
        LivematteError: with one line that says what is wrong and what to do.
    """
    began = time.monotonic()
    targets = targets_of(picture=output, alpha=alpha_out, foreground=foreground_out, debug=debug_view)
    refining = Refining(refine, refine_weights, refine_size, refine_budget, refine_tta, temporal)
    machine, smoother = Machine(device, runtime, precision, threads), TemporalFilter(temporal)
    check_hwaccel(hwaccel)
    if isinstance(model, str):
        check_model(model)
    check_targets({"input": input, "background": background}, targets.values(), overwrite=overwrite)
    trial.begin(input, background)
    trial.check(input)
    told: list[str] = []
    if len(devices := devices_of(device)) > 1:
        job = Job(
            os.fspath(input), targets, background, fit, model, weights, size, machine, refining, temporal,
            keep_islands, foreground, codec, crf, preset, start, end, hwaccel, RENDER_STREAMS,
        )  # fmt: skip
        report = segments.render_file(job, devices, progress=progress, stop=stop)
        if report is not None:
            return report
        machine = replace(machine, device=devices[0])
        told = [f"{input} cannot be divided, or is too short for it: {devices[0]} alone did it"]
    place, why = frames_on(machine)
    gpu, card = None if place is None else place.index, card_of(machine)
    source = open_video(os.fspath(input), start=start, end=end, hwaccel=hwaccel, gpu=gpu, card=card)
    outputs: list[engine.Output] = []
    behind: Background | None = None
    try:
        require_moving(source, input)
        behind = background_of(background, fit)
        streams = min(threads or os.cpu_count() or 1, RENDER_STREAMS)
        warming = threading.Thread(target=warm_up, args=(source.info.format,), daemon=True)
        warming.start()  # Numba's start-up takes as long as the model's: side by side
        extras = refining.network or debug_view is not None
        network = network_of(model, machine, weights, size, streams=streams, extras=extras)
        refining = refining.loaded(machine)
        compositor = refining.compositor(machine, foreground=foreground)
        for kind, path in targets.items():
            sink = open_sink(
                path,
                debug_info(source.info, network, refining) if kind == "debug" else source.info,
                **format_of(kind, transparent=behind.transparent, codec=codec, crf=crf, preset=preset),
                copy_streams_from=os.fspath(input) if kind == "picture" else None,
                start=start,
                end=end,
                gpu=gpu,
                card=card,
            )
            outputs.append(engine.Output(sink, kind))
    except BaseException:
        give_up(source, behind, outputs)
        raise
    work = partial(
        engine.render,
        source,
        network,
        behind,
        outputs,
        compositor=compositor,
        temporal=smoother,
        keep_islands=keep_islands,
        device=place,
        stop=stop,
    )
    report = done(work, input, source, outputs, began, progress)
    return replace(report, notes=[*told, *why, *notes_of(network, refining.how), *report.notes])


def image(
    input: PathLike,
    output: PathLike,
    *,
    background: PathLike | Background = "transparent",
    fit: str = "cover",
    model: str | Model = DEFAULT_MODEL,
    weights: PathLike | None = None,
    size: int | None = None,
    device: str = "auto",
    runtime: str = "auto",
    precision: str = "auto",
    threads: int | None = None,
    trimap: PathLike | None = None,
    keep_islands: bool = False,
    refine: str | TrimapModel = "guided",
    refine_weights: PathLike | None = None,
    refine_size: int | None = None,
    refine_tta: bool = False,
    foreground: bool = True,
    alpha_out: PathLike | None = None,
    foreground_out: PathLike | None = None,
    debug_view: PathLike | None = None,
    overwrite: bool = True,
) -> RenderReport:
    """Cut the people out of one photograph; a PNG with transparency unless a background is given.

    A video's first frame is taken where ``input`` is a video. Options as for :func:`render`.

    Args:
        trimap: a drawn picture of the same size: black background, grey 128 unknown, white foreground. Then
            no model looks for people; the refiner that ``refine`` or ``model`` names fills in the unknown.
    """
    began = time.monotonic()
    targets = targets_of(picture=output, alpha=alpha_out, foreground=foreground_out, debug=debug_view)
    if trimap is not None:
        refine = taker_of_trimap(model, refine)
        refine_weights = weights if refine is model and weights is not None else refine_weights
    elif isinstance(model, str):
        check_model(model)
    drawn = trimap is not None
    refining = Refining(refine, refine_weights, refine_size, augment=refine_tta, alone=drawn)
    machine = Machine(device, runtime, precision, threads)
    inputs = {"input": input, "background": background, "trimap": trimap}
    check_targets(inputs, targets.values(), overwrite=overwrite)
    trial.begin(*inputs.values())
    trial.check(input)
    with open_video(os.fspath(input)) as source:
        frame = next(iter(source), None)
        if frame is None:
            raise InputError(f"{input} has no picture that decodes")
        behind = background_of(background, fit)
        try:
            for kind, path in targets.items():
                check_image(Path(path), alpha=kind == "picture" and behind.transparent)
            network: Model
            if trimap is not None:
                network = DrawnTrimap(read_trimap(trimap, frame.size))
            else:
                extras = refining.network or debug_view is not None
                network = network_of(model, machine, weights, size, extras=extras)
            compositor = refining.compositor(machine, foreground=foreground)
            islands = keep_islands or trimap is not None
            matting = engine.Matting(network, TemporalFilter("off"), keep_islands=islands)
            small = matting.shrink(frame)
            matte = matting(frame, small)
            composed = compositor(frame, matte, behind, frozenset(targets), small.planes)
        finally:
            behind.close()
        return written(composed, targets, source, began)


def trimap(
    input: PathLike,
    output: PathLike,
    *,
    model: str | Model = DEFAULT_MODEL,
    weights: PathLike | None = None,
    size: int | None = None,
    device: str = "auto",
    runtime: str = "auto",
    precision: str = "auto",
    threads: int | None = None,
    temporal: str = "on",
    keep_islands: bool = False,
    start: float | None = None,
    end: float | None = None,
    overwrite: bool = True,
    progress: Callable[[Progress], None] | None = None,
    stop: threading.Event | None = None,
) -> RenderReport:
    """Write what a model leaves in doubt: black background, grey 128 unknown, white foreground.

    One picture where ``output`` is one, else a grey video. Options as for :func:`render`.
    """
    began = time.monotonic()
    targets = targets_of(trimap=output)
    machine, smoother = Machine(device, runtime, precision, threads), TemporalFilter(temporal)
    if isinstance(model, str):
        check_model(model)
    check_targets({"input": input}, targets.values(), overwrite=overwrite)
    trial.check(input)
    still = is_picture(output)
    source = open_video(os.fspath(input), start=start, end=end)
    outputs: list[engine.Output] = []
    try:
        if not still:
            require_moving(source, input)
        network = network_of(model, machine, weights, size, extras=True)
        if not still:
            info = replace(source.info, format="yuv420p")  # three greys need no more than 8 bits
            sink = open_sink(targets["trimap"], info, kind="alpha", start=start, end=end)
            outputs.append(engine.Output(sink, "trimap"))
    except BaseException:
        give_up(source, None, outputs)
        raise
    if still:
        with source:
            frame = next(iter(source), None)
            if frame is None:
                raise InputError(f"{input} has no picture that decodes")
            matting = engine.Matting(network, TemporalFilter("off"), keep_islands=keep_islands)
            made = Compositor()(frame, matting(frame, matting.shrink(frame)), _NOTHING, frozenset(targets))
            return written(made, targets, source, began)
    work = partial(
        engine.render,
        source,
        network,
        _NOTHING,
        outputs,
        temporal=smoother,
        keep_islands=keep_islands,
        stop=stop,
    )
    return done(work, input, source, outputs, began, progress)


_NOTHING = Color((0, 0, 0))


def mattes(
    input: PathLike,
    *,
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
    refine_tta: bool = False,
    start: float | None = None,
    end: float | None = None,
) -> Iterator[tuple[Frame, Matte]]:
    """Every frame of a video with its matte, alpha (H, W) float32 in [0, 1], for code of your own.

    ``livematte.kernels.cpu.to_rgb(frame)`` gives the picture as (H, W, 3) uint8 RGB. Wrong options and a file
    that is not there are said at once; it is opened for the first frame and closed after the last one.
    """
    refining = Refining(refine, refine_weights, refine_size, refine_budget, refine_tta, temporal)
    machine, smoother = Machine(device, runtime, precision, threads), TemporalFilter(temporal)
    trial.check(input)
    if not Path(input).is_fifo():  # which can be read once only
        open_video(os.fspath(input), start=start, end=end).close()  # says at once what is wrong with the file
    network = network_of(model, machine, weights, size, extras=refining.network)
    compositor = refining.compositor(machine, foreground=True)
    place, _ = frames_on(machine)

    def pairs() -> Iterator[tuple[Frame, Matte]]:
        source = open_video(os.fspath(input), start=start, end=end)
        yield from engine.mattes(
            source,
            network,
            compositor=compositor,
            temporal=smoother,
            keep_islands=keep_islands,
            device=place,
        )

    return pairs()
