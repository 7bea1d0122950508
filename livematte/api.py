"""Python API: one function per task. The command line is a thin layer over this module."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast, overload

from typing_extensions import Unpack

from livematte.device.transfer import to_host
from livematte.frame import Frame
from livematte.matting.compositor import PICTURE, warm_up
from livematte.matting.trimap import DrawnTrimap, read_trimap, resize_trimap
from livematte.networks import load_model as load_model
from livematte.offline import engine, parallel
from livematte.offline.own_parts import own_parts, refuse_options
from livematte.offline.report import RenderReport as RenderReport
from livematte.offline.report import abort_outputs, nobody_note, require_moving, run_and_report, write_stills
from livematte.offline.review import Review, check_report
from livematte.offline.trimap_file import trimap_of_file
from livematte.offline.worker import Job
from livematte.options import (
    DecoderOption,
    ImageOptions,
    MattesOptions,
    PathLike,
    RenderOptions,
    SdrOption,
    SectionOptions,
    SequenceOption,
    TrimapOptions,
)
from livematte.options.declaration import complete, documented, input_files, pick
from livematte.options.values import check_calls, path_text
from livematte.output_paths import (
    check_outputs,
    check_without_picture,
    debug_info,
    is_picture,
    output_path,
    output_paths,
    sink_settings,
)
from livematte.picture_matte import OpenBackgrounds, PictureMatte
from livematte.progress import Progress
from livematte.protocols import Background, Model, Sink, Source
from livematte.resolve import (
    collect_notes,
    cuda_index,
    frame_device,
    resolve,
    resolve_render,
    video_suffix,
)
from livematte.video import spool, trial_decode
from livematte.video.atomic_file import check_target
from livematte.video.container import is_pipe
from livematte.video.images import can_keep_profile, check_image
from livematte.video.picture_color import ProfileUse
from livematte.video.picture_sequence import is_sequence
from livematte.video.pictures import first_picture, open_pictures, picture_array, picture_frame
from livematte.video.pixel_limit import check_size, limit_pixels
from livematte.video.pixel_shape import square_pixels
from livematte.video.reader import FileSource, open_video
from livematte.video.section import TimeSection, check_section, read_section
from livematte.video.writer import open_sink

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from livematte.frame import Picture

RENDER_STREAMS = 2
"""Number of frames that the network processes in parallel when a file is rendered; 15 % faster than one."""


@documented(RenderOptions)
def render(
    input: PathLike | Source,
    output: PathLike | Sink | None = None,
    *,
    progress: Callable[[Progress], None] | None = None,
    stop: threading.Event | None = None,
    **options: Unpack[RenderOptions],
) -> RenderReport:
    """Replace the background of a video.

    Sound, subtitles, chapters, metadata and timing are kept. ``output`` appears when the render is complete.

    Args:
        input: any video that FFmpeg can read, or pictures: a folder, ``*.png``, ``%04d.png`` or ``####.png``;
            or an object with the methods of :class:`livematte.protocols.Source`.
        output: ``.mp4``, ``.mov``, ``.mkv``, ``.webm`` or numbered pictures such as ``out/%04d.png`` or
            ``out/%04d.exr``, which keep the numbers of an input sequence; or an object with the methods of
            :class:`livematte.protocols.Sink`. None writes only the additional outputs, such as ``alpha_out``.
            Source and sink are closed in every case, except after an invalid option.
        progress: called regularly from the calling thread. What it raises ends the render and is passed on.
        stop: set this event to stop early; the frames rendered so far are kept.

    Raises:
        LivematteError: with a one-line message that states the problem and a fix.
    """
    chosen = complete(RenderOptions, options)
    check_calls(progress=progress, stop=stop)
    own_source, own_sink = own_parts(input, output, options)
    name = cast(PathLike, input) if own_source is None else own_source.info.name
    file = None if own_sink is not None else cast("PathLike | None", output)
    targets = output_paths(file, chosen, os.fspath(name), video_suffix(chosen))
    if output is None:
        check_without_picture(chosen)
    check_report(chosen["report"])
    check_section(chosen)
    outputs = [] if own_sink is None else [engine.Output(own_sink, "picture")]
    with limit_pixels(chosen), ExitStack() as stack:
        if own_source is not None:
            return _render(own_source, outputs, targets, chosen, progress, stop)
        try:
            file = stack.enter_context(spool.as_file(os.fspath(cast(PathLike, input)), stop=stop))
        except BaseException:
            abort_outputs(None, None, outputs)
            raise
        return _render(file, outputs, targets, chosen, progress, stop)


def _render(
    input: str | Source,
    outputs: list[engine.Output],
    targets: dict[str, str],
    chosen: RenderOptions,
    progress: Callable[[Progress], None] | None,
    stop: threading.Event | None,
) -> RenderReport:
    """Render a file that can be read again, or a source; ``outputs`` holds the caller's own sink, if any."""
    began = time.monotonic()
    path = input if isinstance(input, str) else None
    source: Source | None = None if isinstance(input, str) else input
    own_sink = bool(outputs)
    background: Background | None = None
    try:
        resolved = resolve_render(chosen, extras="debug" in targets)
        inputs = {"input": path, **input_files(RenderOptions, chosen)}
        check_outputs(inputs, targets.values(), chosen)
        several = len(devices := resolved.compute.devices) > 1
        if path is not None:
            trial_decode.begin(*inputs.values())
            trial_decode.check(path)
        section = TimeSection(start=None, end=None) if path is None else read_section(path, chosen)
        segment_notes: list[str] = []
        if several and path is not None and not own_sink and not is_sequence(path):
            job = Job(path, targets, chosen, RENDER_STREAMS, section=section)
            report = parallel.render_file(job, devices, progress=progress, stop=stop)
            if report is not None:
                return report
        if several:
            resolved = resolved.on(devices[0])
            segment_notes = [f"{path} was rendered on {devices[0]} only: it is too short or cannot be split"]
        review = None
        if (report_file := targets.pop("report", None)) is not None:
            check_target(Path(report_file))
            review = Review()
        device, device_notes = frame_device(resolved.compute)
        gpu, codec_gpu = None if device is None else device.index, cuda_index(resolved.compute)
        if path is not None:
            source = file = open_video(
                path,
                gpu=gpu,
                card=codec_gpu,
                fps=chosen["fps"],
                **pick(DecoderOption, chosen),
                **pick(SdrOption, chosen),
                **section,
            )
            require_moving(file, path)
        assert source is not None
        background = resolved.background()
        warming = threading.Thread(target=warm_up, args=(source.info.format,), daemon=True)
        warming.start()  # Numba takes as long to start as the model: do both in parallel
        network = resolved.model(streams=RENDER_STREAMS)
        resolved = resolved.with_refiner()
        compositor = resolved.compositor()
        refined = resolved.refine.network
        for kind, target in targets.items():
            sink = open_sink(
                target,
                debug_info(source.info, network, refined=refined) if kind == "debug" else source.info,
                **sink_settings(kind, chosen, transparent=background.transparent),
                copy_streams_from=path if kind == "picture" else None,
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
        compositor=compositor, review=review, device=device, stop=stop, **resolved.filters(),
    )  # fmt: skip
    name = path or source.info.name
    report = run_and_report(work, name, source, outputs, began, progress)
    if review is not None and report_file is not None:
        review.write(report_file, name)
        report = replace(report, outputs=[*report.outputs, Path(report_file)])
    notes = [*segment_notes, *device_notes, *collect_notes(network, resolved.refine.how), *report.notes]
    return replace(report, notes=notes)


@overload
def image(input: Picture, output: PathLike, **options: Unpack[ImageOptions]) -> RenderReport: ...
@overload
def image(input: Picture, output: None = None, **options: Unpack[ImageOptions]) -> NDArray[np.uint8]: ...


@documented(ImageOptions)
def image(
    input: Picture, output: PathLike | None = None, **options: Unpack[ImageOptions]
) -> RenderReport | NDArray[np.uint8]:
    """Remove or replace the background of one picture. The default background is transparent.

    A picture keeps its RGB colour profile (Display P3, Adobe RGB ...) if all outputs can hold one (PNG, JPEG,
    TIFF, WebP), else it is converted to sRGB. OpenEXR is written in linear light, multiplied by alpha.

    The network is loaded for each call: for several pictures, use :class:`livematte.Matter`. With
    ``trimap``, no matting network runs: the refiner that ``refine`` or ``model`` names computes the unknown
    region.

    Args:
        input: a picture file; of a video, the first frame is used. Or a picture as
            :meth:`livematte.Matter.__call__` takes it: an array, a PIL image, a tensor, the bytes of a file.
        output: the file to write. None returns the picture, in sRGB.

    Returns:
        A report; without ``output`` the picture, (height, width, 4) uint8 with straight RGBA, or
        (height, width, 3) uint8 RGB in front of an opaque background.
    """
    began = time.monotonic()
    chosen = complete(ImageOptions, options)
    path = path_text("input", input) if isinstance(input, (str, os.PathLike)) else None
    file = None if output is None else path_text("output", output)
    targets, drawn = output_paths(file, chosen, path or "picture", ".png"), chosen["trimap"]
    resolved = resolve({**chosen, "temporal": "off"}, extras="debug" in targets)
    inputs = {"input": path, **input_files(ImageOptions, chosen)}
    check_outputs(inputs, targets.values(), chosen)
    with limit_pixels(chosen), ExitStack() as closing:
        trial_decode.begin(*inputs.values())
        source: FileSource | None = None
        if path is None:
            stored = picture_frame(input, chosen["channels"])
        else:
            path = closing.enter_context(spool.as_file(path))
            trial_decode.check(path)
            keeps_profile = output is not None and all(map(can_keep_profile, targets.values()))
            profile: ProfileUse = "keep" if keeps_profile else "convert"
            source = closing.enter_context(open_video(path, color_profile=profile))
            stored = first_picture(source, path)
        frame = square_pixels(stored)
        if frame is not stored and source is not None:
            check_size(frame.width, frame.height, str(path))
            source.note(
                f"{stored.width}x{stored.height} becomes {frame.width}x{frame.height}: with square pixels"
            )
        background = resolved.background()
        closing.callback(background.close)
        for kind, target in targets.items():
            check_image(Path(target), alpha=kind == "picture" and background.transparent)
        network: Model
        if drawn is not None:
            network = DrawnTrimap(resize_trimap(read_trimap(drawn, stored.size), *frame.size))
        else:
            network = resolved.model()
        compositor, matting = resolved.compositor(), resolved.matting(network)
        small, matte = matting.still(frame)
        want = frozenset(targets) | (PICTURE if output is None else frozenset())
        composed = compositor(frame, matte, background, want, small.planes)
        report = write_stills(composed, targets, source, began)
        found = nobody_note(float(to_host(matte.alpha).max()))
        report = replace(report, notes=[*report.notes, *found])
    if output is not None:
        return report
    assert composed.picture is not None
    made: NDArray[np.uint8] = picture_array(composed.picture, chosen["channels"])
    return made


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
    check_calls(progress=progress, stop=stop)
    input, output = path_text("input", input), path_text("output", output)
    target = output_path(output, input, ".png" if is_picture(input) else ".mkv")
    targets, still = {"trimap": target}, is_picture(target)
    resolved = resolve({**chosen, "temporal": "off"} if still else chosen, extras=True)
    check_outputs({"input": input, **input_files(TrimapOptions, chosen)}, targets.values(), chosen)
    with spool.as_file(input, stop=stop) as file:
        return trimap_of_file(file, targets, chosen, resolved, began, progress, stop)


@documented(MattesOptions)
def mattes(
    input: PathLike | int | Source | Iterable[Picture], **options: Unpack[MattesOptions]
) -> Iterator[tuple[Frame, PictureMatte]]:
    """Yield every frame of a video with its matte.

    ``matte.picture`` is the frame as (height, width, 3) uint8 RGB, ``matte.alpha`` (height, width) float32 in
    [0, 1]. The call itself raises errors for invalid options and for an input that cannot be opened. A file
    is open from the first frame to the last one.

    Args:
        input: a file or an image sequence; the number of a camera, 0 for the first one; a list, a generator
            or another iterable of pictures as :meth:`livematte.Matter.__call__` takes them; or an object with
            the methods of :class:`livematte.protocols.Source`, which is closed at the end.
    """
    chosen = complete(MattesOptions, options)
    resolved = resolve(chosen)
    channels = chosen["channels"]
    path = path_text("input", input) if isinstance(input, (str, os.PathLike)) else None
    given: Source | None = None
    if path is not None:
        check_section(chosen)
        if not is_pipe(path):  # a pipe can be read only once
            with limit_pixels(chosen):
                trial_decode.check(path)
                section = read_section(path, chosen)
                open_video(path, fps=chosen["fps"], **section).close()  # raises errors of the file now
    else:
        refuse_options(SectionOptions, options, "a video file as input")
        refuse_options(SequenceOption, options, "a sequence of pictures as input")
        given = open_pictures(cast(Any, input), channels)
    try:
        network = resolved.model()
        compositor = resolved.compositor()
        device, _ = frame_device(resolved.compute)
    except BaseException:
        if given is not None:
            given.close()
        raise

    def pairs() -> Iterator[tuple[Frame, PictureMatte]]:
        opened, source = OpenBackgrounds(), given
        with ExitStack() as stack:
            stack.callback(opened.close)
            if path is not None:
                file = stack.enter_context(spool.as_file(path))
                with limit_pixels(chosen):  # this runs with the first frame, after the call
                    source = open_video(file, fps=chosen["fps"], **read_section(file, chosen))
            filters = resolved.filters()
            for frame, matte in engine.mattes(
                cast(Source, source), network, compositor=compositor, device=device, **filters
            ):
                yield frame, PictureMatte.from_matte(matte, frame, channels, opened)

    return pairs()
