"""Python API: one function per task. The command line is a thin layer over this module."""

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
from livematte.options.groups import DecoderOption
from livematte.output_paths import (
    check_outputs,
    debug_info,
    is_picture,
    output_paths,
    sink_settings,
    with_printf_pattern,
)
from livematte.progress import Progress
from livematte.protocols import Background, Model
from livematte.resolve import collect_notes, cuda_index, frame_device, resolve, resolve_render
from livematte.video import trial_decode
from livematte.video.container import is_pipe, require_rereadable
from livematte.video.encoders import CONTAINERS
from livematte.video.images import can_keep_profile, check_image
from livematte.video.picture_sequence import is_sequence
from livematte.video.reader import open_video
from livematte.video.writer import open_sink

RENDER_STREAMS = 2
"""Number of frames that the network processes in parallel when a file is rendered; 15 % faster than one."""


@documented(RenderOptions)
def render(
    input: PathLike,
    output: PathLike,
    *,
    progress: Callable[[Progress], None] | None = None,
    stop: threading.Event | None = None,
    **options: Unpack[RenderOptions],
) -> RenderReport:
    """Replace the background of a video.

    Sound, subtitles, chapters, metadata and timing are kept. ``output`` appears when the render is complete.

    Args:
        input: any video that FFmpeg can read, or pictures: a folder, ``*.png``, ``%04d.png`` or ``####.png``.
        output: ``.mp4``, ``.mov``, ``.mkv``, ``.webm`` or numbered pictures such as ``out/%04d.png`` or
            ``out/%04d.exr``, which keep the numbers of an input sequence.
        progress: called regularly from the calling thread.
        stop: set this event to stop early; the frames rendered so far are kept.

    Raises:
        LivematteError: with a one-line message that states the problem and a fix.
    """
    began = time.monotonic()
    chosen = complete(RenderOptions, options)
    targets = output_paths(output, chosen)
    resolved = resolve_render(chosen, extras="debug" in targets)
    inputs = {"input": input, **input_files(RenderOptions, chosen)}
    check_outputs(inputs, targets.values(), chosen)
    if Path(targets["picture"]).suffix.lower() in CONTAINERS or len(resolved.compute.devices) > 1:
        require_rereadable(os.fspath(input), "audio and subtitles are read beside the video")
    trial_decode.begin(*inputs.values())
    trial_decode.check(input)
    segment_notes: list[str] = []
    devices = resolved.compute.devices
    if len(devices) > 1 and not is_sequence(os.fspath(input)):
        job = Job(os.fspath(input), targets, chosen, RENDER_STREAMS)
        report = parallel.render_file(job, devices, progress=progress, stop=stop)
        if report is not None:
            return report
    if len(devices) > 1:
        resolved = resolved.on(devices[0])
        segment_notes = [f"{input} was rendered on {devices[0]} only: it is too short or cannot be split"]
    device, device_notes = frame_device(resolved.compute)
    gpu, codec_gpu = None if device is None else device.index, cuda_index(resolved.compute)
    section, decoder = pick(SectionOptions, chosen), pick(DecoderOption, chosen)
    source = open_video(os.fspath(input), gpu=gpu, card=codec_gpu, fps=chosen["fps"], **section, **decoder)
    outputs: list[engine.Output] = []
    background: Background | None = None
    try:
        require_moving(source, input)
        background = resolved.background()
        warming = threading.Thread(target=warm_up, args=(source.info.format,), daemon=True)
        warming.start()  # Numba takes as long to start as the model: do both in parallel
        network = resolved.model(streams=RENDER_STREAMS)
        resolved = resolved.with_refiner()
        compositor = resolved.compositor()
        refined = resolved.refine.network
        for kind, path in targets.items():
            sink = open_sink(
                path,
                debug_info(source.info, network, refined=refined) if kind == "debug" else source.info,
                **sink_settings(kind, chosen, transparent=background.transparent),
                copy_streams_from=os.fspath(input) if kind == "picture" else None,
                gpu=gpu,
                card=codec_gpu,
                **section,
            )
            outputs.append(engine.Output(sink, kind))
    except BaseException:
        abort_outputs(source, background, outputs)
        raise
    work = partial(
        engine.render, source, network, background, outputs,
        compositor=compositor, device=device, stop=stop, **resolved.filters(),
    )  # fmt: skip
    report = run_and_report(work, input, source, outputs, began, progress)
    notes = [*segment_notes, *device_notes, *collect_notes(network, resolved.refine.how), *report.notes]
    return replace(report, notes=notes)


@documented(ImageOptions)
def image(input: PathLike, output: PathLike, **options: Unpack[ImageOptions]) -> RenderReport:
    """Remove or replace the background of one picture. The default background is transparent.

    A picture keeps its RGB colour profile (Display P3, Adobe RGB ...) if all outputs can hold one (PNG, JPEG,
    TIFF, WebP), else it is converted to sRGB. OpenEXR is written in linear light, multiplied by alpha.

    If ``input`` is a video, its first frame is used. With ``trimap``, no matting network runs: the refiner
    that ``refine`` or ``model`` names computes the unknown region.
    """
    began = time.monotonic()
    chosen = complete(ImageOptions, options)
    targets, drawn = output_paths(output, chosen), chosen["trimap"]
    resolved = resolve({**chosen, "temporal": "off"}, extras="debug" in targets)
    inputs = {"input": input, **input_files(ImageOptions, chosen)}
    check_outputs(inputs, targets.values(), chosen)
    trial_decode.begin(*inputs.values())
    trial_decode.check(input)
    keeps_profile = all(map(can_keep_profile, targets.values()))
    with open_video(os.fspath(input), color_profile="keep" if keeps_profile else "convert") as source:
        frame = next(iter(source), None)
        if frame is None:
            raise InputError(f"{input} contains no picture that can be decoded")
        background = resolved.background()
        try:
            for kind, path in targets.items():
                check_image(Path(path), alpha=kind == "picture" and background.transparent)
            network: Model
            if drawn is not None:
                network = DrawnTrimap(read_trimap(drawn, frame.size))
            else:
                network = resolved.model()
            compositor, matting = resolved.compositor(), resolved.matting(network)
            small = matting.shrink(frame)
            matte = matting(frame, small)
            composed = compositor(frame, matte, background, frozenset(targets), small.planes)
        finally:
            background.close()
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
    """Write a trimap computed by a model: background black (0), unknown grey (128), foreground white (255).

    ``output`` names a picture, a video or numbered pictures. Arguments as for :func:`render`.
    """
    began = time.monotonic()
    chosen = complete(TrimapOptions, options)
    targets, still = {"trimap": with_printf_pattern(output)}, is_picture(with_printf_pattern(output))
    resolved = resolve({**chosen, "temporal": "off"} if still else chosen, extras=True)
    check_outputs({"input": input, **input_files(TrimapOptions, chosen)}, targets.values(), chosen)
    trial_decode.check(input)
    section = pick(SectionOptions, chosen)
    source = open_video(os.fspath(input), fps=chosen["fps"], **section)
    outputs: list[engine.Output] = []
    try:
        if not still:
            require_moving(source, input)
        network = resolved.model()
        if not still:
            info = replace(source.info, format="yuv420p")  # 8 bits suffice for three grey levels
            sink = open_sink(targets["trimap"], info, kind="alpha", **section)
            outputs.append(engine.Output(sink, "trimap"))
    except BaseException:
        abort_outputs(source, None, outputs)
        raise
    if still:
        with source:
            frame = next(iter(source), None)
            if frame is None:
                raise InputError(f"{input} contains no picture that can be decoded")
            matting = resolved.matting(network)
            matte = matting(frame, matting.shrink(frame))
            composed = Compositor()(frame, matte, _BLACK, frozenset(targets))
            return write_stills(composed, targets, source, began)
    work = partial(engine.render, source, network, _BLACK, outputs, stop=stop, **resolved.filters())
    return run_and_report(work, input, source, outputs, began, progress)


_BLACK = Color((0, 0, 0))


@documented(MattesOptions)
def mattes(input: PathLike, **options: Unpack[MattesOptions]) -> Iterator[tuple[Frame, Matte]]:
    """Yield every frame of a video with its matte; alpha is (H, W) float32 in [0, 1].

    ``livematte.kernels.convert.to_rgb(frame)`` converts a frame to (H, W, 3) uint8 RGB. The call itself
    raises errors for invalid options and for a file that cannot be opened. The file is open from the first
    frame to the last one.
    """
    chosen = complete(MattesOptions, options)
    resolved = resolve(chosen)
    trial_decode.check(input)
    section = pick(SectionOptions, chosen)
    if not is_pipe(os.fspath(input)):  # a pipe can be read only once
        open_video(os.fspath(input), fps=chosen["fps"], **section).close()  # raises errors of the file now
    network = resolved.model()
    compositor = resolved.compositor()
    device, _ = frame_device(resolved.compute)

    def pairs() -> Iterator[tuple[Frame, Matte]]:
        source = open_video(os.fspath(input), fps=chosen["fps"], **section)
        yield from engine.mattes(source, network, compositor=compositor, device=device, **resolved.filters())

    return pairs()
