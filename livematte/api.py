"""livematte from Python: one call a job. The command line is a thin layer over this file."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

from typing_extensions import Unpack

from livematte.errors import InputError
from livematte.frame import Frame, Matte
from livematte.matting.backgrounds import Color
from livematte.matting.compositor import Compositor, warm_up
from livematte.matting.trimap import DrawnTrimap, read_trimap
from livematte.networks import load_model as load_model
from livematte.offline import engine, parallel
from livematte.offline.report import RenderReport as RenderReport
from livematte.offline.report import abort_outputs, require_moving, run_and_report, write_stills
from livematte.offline.worker import Job
from livematte.options import (
    ImageOptions,
    MattesOptions,
    PathLike,
    RenderOptions,
    SectionOptions,
    TrimapOptions,
)
from livematte.options.declaration import complete, documented, input_files, pick
from livematte.output_paths import (
    check_outputs,
    debug_info,
    is_picture,
    output_paths,
    sink_settings,
)
from livematte.progress import Progress
from livematte.protocols import Background, Model
from livematte.resolve import collect_notes, cuda_index, frame_device, resolve
from livematte.video import trial_decode
from livematte.video.hardware import check_hwaccel
from livematte.video.images import check_image
from livematte.video.reader import open_video
from livematte.video.writer import open_sink

RENDER_STREAMS = 2
"""Pictures that the network works on side by side when a file is rendered: measured 15 % faster than one."""


@documented(RenderOptions)
def render(
    input: PathLike,
    output: PathLike,
    *,
    progress: Callable[[Progress], None] | None = None,
    stop: threading.Event | None = None,
    **options: Unpack[RenderOptions],
) -> RenderReport:
    """Put another background behind the people of a video.

    Sound, subtitles, chapters, metadata and timing come along. ``output`` appears when it is whole.

    Args:
        input: any video that FFmpeg reads, or an image sequence such as ``frames/%04d.png``.
        output: ``.mp4``, ``.mov``, ``.mkv``, ``.webm`` or a PNG sequence such as ``out/%04d.png``.
        progress: called now and then from the calling thread.
        stop: set this event to end early; what was rendered until then is kept.

    Raises:
        LivematteError: with one line that says what is wrong and what to do.
    """
    began = time.monotonic()
    chosen = complete(RenderOptions, options)
    targets = output_paths(output, chosen)
    resolved = resolve(chosen, extras="debug" in targets)
    check_hwaccel(chosen["hwaccel"])
    inputs = {"input": input, **input_files(RenderOptions, chosen)}
    check_outputs(inputs, targets.values(), chosen)
    trial_decode.begin(*inputs.values())
    trial_decode.check(input)
    told: list[str] = []
    if len(devices := resolved.compute.devices) > 1:
        job = Job(os.fspath(input), targets, chosen, RENDER_STREAMS)
        report = parallel.render_file(job, devices, progress=progress, stop=stop)
        if report is not None:
            return report
        resolved = resolved.on(devices[0])
        told = [f"{input} cannot be divided, or is too short for it: {devices[0]} alone did it"]
    place, why = frame_device(resolved.compute)
    gpu, card = None if place is None else place.index, cuda_index(resolved.compute)
    section = pick(SectionOptions, chosen)
    source = open_video(os.fspath(input), hwaccel=chosen["hwaccel"], gpu=gpu, card=card, **section)
    outputs: list[engine.Output] = []
    behind: Background | None = None
    try:
        require_moving(source, input)
        behind = resolved.background()
        warming = threading.Thread(target=warm_up, args=(source.info.format,), daemon=True)
        warming.start()  # Numba's start-up takes as long as the model's: side by side
        network = resolved.model(streams=RENDER_STREAMS)
        resolved = resolved.with_refiner()
        compositor = resolved.compositor()
        refined = resolved.refine.network
        for kind, path in targets.items():
            sink = open_sink(
                path,
                debug_info(source.info, network, refined=refined) if kind == "debug" else source.info,
                **sink_settings(kind, chosen, transparent=behind.transparent),
                copy_streams_from=os.fspath(input) if kind == "picture" else None,
                gpu=gpu,
                card=card,
                **section,
            )
            outputs.append(engine.Output(sink, kind))
    except BaseException:
        abort_outputs(source, behind, outputs)
        raise
    work = partial(
        engine.render, source, network, behind, outputs,
        compositor=compositor, device=place, stop=stop, **resolved.filters(),
    )  # fmt: skip
    report = run_and_report(work, input, source, outputs, began, progress)
    return replace(report, notes=[*told, *why, *collect_notes(network, resolved.refine.how), *report.notes])


@documented(ImageOptions)
def image(input: PathLike, output: PathLike, **options: Unpack[ImageOptions]) -> RenderReport:
    """Cut the people out of one photograph; a PNG with transparency unless a background is given.

    A video's first frame is taken where ``input`` is a video. With a drawn trimap no model looks for people;
    the refiner that ``refine`` or ``model`` names fills in the unknown.
    """
    began = time.monotonic()
    chosen = complete(ImageOptions, options)
    targets, drawn = output_paths(output, chosen), chosen["trimap"]
    resolved = resolve({**chosen, "temporal": "off"}, extras="debug" in targets)
    inputs = {"input": input, **input_files(ImageOptions, chosen)}
    check_outputs(inputs, targets.values(), chosen)
    trial_decode.begin(*inputs.values())
    trial_decode.check(input)
    with open_video(os.fspath(input)) as source:
        frame = next(iter(source), None)
        if frame is None:
            raise InputError(f"{input} has no picture that decodes")
        behind = resolved.background()
        try:
            for kind, path in targets.items():
                check_image(Path(path), alpha=kind == "picture" and behind.transparent)
            network: Model
            if drawn is not None:
                network = DrawnTrimap(read_trimap(drawn, frame.size))
            else:
                network = resolved.model()
            compositor, matting = resolved.compositor(), resolved.matting(network)
            small = matting.shrink(frame)
            matte = matting(frame, small)
            composed = compositor(frame, matte, behind, frozenset(targets), small.planes)
        finally:
            behind.close()
        return write_stills(composed, targets, source, began)


@documented(TrimapOptions)
def trimap(
    input: PathLike,
    output: PathLike,
    *,
    progress: Callable[[Progress], None] | None = None,
    stop: threading.Event | None = None,
    **options: Unpack[TrimapOptions],
) -> RenderReport:
    """Write what a model leaves in doubt: black background, grey 128 unknown, white foreground.

    One picture where ``output`` is one, else a grey video. Arguments as for :func:`render`.
    """
    began = time.monotonic()
    chosen = complete(TrimapOptions, options)
    targets, still = {"trimap": os.fspath(output)}, is_picture(output)
    resolved = resolve({**chosen, "temporal": "off"} if still else chosen, extras=True)
    check_outputs({"input": input, **input_files(TrimapOptions, chosen)}, targets.values(), chosen)
    trial_decode.check(input)
    section = pick(SectionOptions, chosen)
    source = open_video(os.fspath(input), **section)
    outputs: list[engine.Output] = []
    try:
        if not still:
            require_moving(source, input)
        network = resolved.model()
        if not still:
            info = replace(source.info, format="yuv420p")  # three greys need no more than 8 bits
            sink = open_sink(targets["trimap"], info, kind="alpha", **section)
            outputs.append(engine.Output(sink, "trimap"))
    except BaseException:
        abort_outputs(source, None, outputs)
        raise
    if still:
        with source:
            frame = next(iter(source), None)
            if frame is None:
                raise InputError(f"{input} has no picture that decodes")
            matting = resolved.matting(network)
            made = Compositor()(frame, matting(frame, matting.shrink(frame)), _NOTHING, frozenset(targets))
            return write_stills(made, targets, source, began)
    work = partial(engine.render, source, network, _NOTHING, outputs, stop=stop, **resolved.filters())
    return run_and_report(work, input, source, outputs, began, progress)


_NOTHING = Color((0, 0, 0))


@documented(MattesOptions)
def mattes(input: PathLike, **options: Unpack[MattesOptions]) -> Iterator[tuple[Frame, Matte]]:
    """Every frame of a video with its matte, alpha (H, W) float32 in [0, 1], for code of your own.

    ``livematte.kernels.convert.to_rgb(frame)`` gives the picture as (H, W, 3) uint8 RGB. Wrong options and
    a file that is not there are said at once; it is opened for the first frame and closed after the last one.
    """
    chosen = complete(MattesOptions, options)
    resolved = resolve(chosen)
    trial_decode.check(input)
    section = pick(SectionOptions, chosen)
    if not Path(input).is_fifo():  # which can be read once only
        open_video(os.fspath(input), **section).close()  # says at once what is wrong with the file
    network = resolved.model()
    compositor = resolved.compositor()
    place, _ = frame_device(resolved.compute)

    def pairs() -> Iterator[tuple[Frame, Matte]]:
        source = open_video(os.fspath(input), **section)
        yield from engine.mattes(source, network, compositor=compositor, device=place, **resolved.filters())

    return pairs()
