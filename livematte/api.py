"""livematte from Python: one call a job. The command line is a thin layer over this file."""

from __future__ import annotations

import math
import os
import re
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from livematte import engine, registry
from livematte.backgrounds import parse_background
from livematte.composite import Compositor, warm_up
from livematte.defaults import DEFAULT_BACKGROUND, DEFAULT_MODEL
from livematte.errors import InputError, LivematteError, UsageError
from livematte.frame import Frame, Matte
from livematte.progress import Meter, Progress
from livematte.protocols import Background, Model
from livematte.temporal import TemporalFilter
from livematte.video.images import check_image
from livematte.video.opening import PATTERN
from livematte.video.reader import FileSource, open_video
from livematte.video.writer import Kind, open_sink, write_image

PathLike = str | os.PathLike[str]

RENDER_STREAMS = 2
"""Pictures that the network works on side by side when a file is rendered: measured 15 % faster than one."""


@dataclass(frozen=True)
class RenderReport:
    """What a job did."""

    frames: int
    damaged: int
    """Packets or frames of the input that could not be decoded."""
    seconds: float
    """Wall time, start-up included."""
    fps: float
    """Frames a second from the first to the last frame written."""
    outputs: list[Path]
    notes: list[str]
    """What a user should know: streams re-encoded or dropped, frames damaged, files cut short."""
    interrupted: bool = False
    stages: dict[str, float] = field(default_factory=dict)
    """Busy seconds of each stage of the engine."""


def load_model(
    name: str = DEFAULT_MODEL,
    *,
    weights: PathLike | None = None,
    size: int | None = None,
    device: str = "auto",
    runtime: str = "auto",
    precision: str = "auto",
    threads: int | None = None,
    streams: int = 1,
) -> Model:
    """A model ready to run.

    Args:
        name: one of ``livematte models``.
        weights: a safetensors file of one's own training instead of the shipped one.
        size: long side of the picture the network sees, in pixels; more is finer and slower.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        runtime: ``auto``, ``torch``, ``onnxruntime`` or ``openvino``.
        precision: ``auto``, ``int8`` or ``fp32``.
        threads: processor threads of the network; all by default.
        streams: pictures worked on side by side, each on its share of the threads, where it can: more
            frames a second, but each comes later. For files.

    Raises:
        UsageError: unknown name or impossible option.
        ModelError: weights missing, damaged or of another architecture.
        DeviceError: the device or runtime asked for is not there.
    """
    factory = registry.load("models", name)
    model: Model = factory(
        weights=None if weights is None else Path(weights),
        size=size,
        device=device,
        runtime=runtime,
        precision=precision,
        threads=threads,
        streams=streams,
    )
    return model


def _require_moving(source: FileSource, path: PathLike) -> None:
    if source.info.details.get("image"):
        raise UsageError(f"{path} is a single picture, not a video: use `livematte image {path} OUT`")


def _same_file(a: Path, b: Path) -> bool:
    try:
        return a.resolve() == b.resolve() or os.path.samefile(a, b)
    except OSError:
        return False


def _targets(picture: PathLike, alpha: PathLike | None, foreground: PathLike | None) -> dict[Kind, str]:
    """What is wanted, and where; text, since a closing slash says that a folder is meant."""
    kinds: dict[Kind, PathLike | None] = {"picture": picture, "alpha": alpha, "foreground": foreground}
    return {kind: os.fspath(path) for kind, path in kinds.items() if path is not None}


def _check_targets(
    input: PathLike, targets: list[Path], overwrite: bool, background: PathLike | Background
) -> None:
    for number, target in enumerate(targets):
        if _same_file(Path(input), target):
            raise UsageError(f"{target} is the input itself: give the output another name")
        if isinstance(background, (str, os.PathLike)) and _same_file(Path(background), target):
            raise UsageError(f"{target} is the background itself: give the output another name")
        if any(_same_file(target, other) for other in targets[:number]):
            raise UsageError(f"{target} is asked for twice: give every output its own name")
        if not overwrite and _is_there(target):
            raise UsageError(f"{target} exists already and overwriting was not allowed")


def _is_there(target: Path) -> bool:
    """Also of numbered pictures, if one of them is."""
    if not PATTERN.search(target.name):
        return target.exists()
    numbered = re.compile(r"\d+".join(map(re.escape, PATTERN.split(target.name))))
    return target.parent.is_dir() and any(numbered.fullmatch(file.name) for file in target.parent.iterdir())


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
    temporal: str = "on",
    keep_islands: bool = False,
    refine: str = "guided",
    foreground: bool = True,
    alpha_out: PathLike | None = None,
    foreground_out: PathLike | None = None,
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
        model, weights, size, device, runtime, precision, threads: see :func:`load_model`.
        temporal: ``on``, ``strong`` or ``off``: how the matte is calmed over time.
        keep_islands: keep small faint patches that are not connected to a person.
        refine: ``guided`` sharpens the matte by the full-size picture, ``none`` only enlarges it.
        foreground: estimate the people's own colours, so that the old background does not glow in hair.
        alpha_out, foreground_out: also write the matte, and the people over black, as videos.
        codec, crf, preset: of ``output``, see :func:`livematte.video.writer.open_sink`; the other two files
            take what their ending suggests.
        start, end: seconds; only this part of the input.
        overwrite: False refuses to replace existing outputs.
        progress: called now and then from the calling thread.
        stop: set this event to end early; what was rendered until then is kept.

    Raises:
        LivematteError: with one line that says what is wrong and what to do.
    """
    began = time.monotonic()
    targets = _targets(output, alpha_out, foreground_out)
    if isinstance(model, str):
        registry.entry("models", model)
    _check_targets(input, [Path(path) for path in targets.values()], overwrite, background)
    compositor, smoother = Compositor(refine=refine, foreground=foreground), TemporalFilter(temporal)
    source = open_video(os.fspath(input), start=start, end=end)
    outputs: list[engine.Output] = []
    behind: Background | None = None
    try:
        _require_moving(source, input)
        behind = _background(background, fit)
        cores = threads or os.cpu_count() or 1
        streams = min(cores, RENDER_STREAMS)
        warming = threading.Thread(target=warm_up, args=(source.info.format,), daemon=True)
        warming.start()  # Numba's start-up takes as long as the model's: side by side
        network = _network(model, weights, size, device, runtime, precision, threads, streams)
        for kind, path in targets.items():
            sink = open_sink(
                path,
                source.info,
                kind=kind,
                alpha=kind == "picture" and behind.transparent,
                codec=codec if kind == "picture" else None,
                crf=crf if kind == "picture" else None,
                preset=preset if kind == "picture" else None,
                copy_streams_from=os.fspath(input) if kind == "picture" else None,
                start=start,
                end=end,
            )
            outputs.append(engine.Output(sink, kind))
    except BaseException:
        source.close()
        if behind is not None:
            behind.close()
        for opened in outputs:
            opened.sink.abort()
        raise
    meter = Meter(source.info.frames, progress)
    sinks: list[Any] = [opened.sink for opened in outputs]
    try:
        stats = engine.render(
            source,
            network,
            behind,
            outputs,
            compositor=compositor,
            temporal=smoother,
            keep_islands=keep_islands,
            progress=meter,
            stop=stop,
        )
    except LivematteError as error:
        error.notes = tuple(note for part in (source, *sinks) for note in part.notes)
        raise
    if stats.frames == 0 and not stats.interrupted:
        raise InputError(f"{input} has no picture that decodes")
    if progress is not None:
        progress(meter.progress() if stats.interrupted else meter.finished())
    return RenderReport(
        frames=stats.frames,
        damaged=source.damaged,
        seconds=time.monotonic() - began,
        fps=meter.fps,
        outputs=[sink.path for sink in sinks],
        notes=[*source.notes, *(note for sink in sinks for note in sink.notes)],
        interrupted=stats.interrupted,
        stages={name: clock.wall for name, clock in stats.stages.items()},
    )


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
    keep_islands: bool = False,
    refine: str = "guided",
    foreground: bool = True,
    alpha_out: PathLike | None = None,
    foreground_out: PathLike | None = None,
    overwrite: bool = True,
) -> RenderReport:
    """Cut the people out of one photograph; a PNG with transparency unless a background is given.

    A video's first frame is taken where ``input`` is a video. Options as for :func:`render`.
    """
    began = time.monotonic()
    targets = _targets(output, alpha_out, foreground_out)
    if isinstance(model, str):
        registry.entry("models", model)
    _check_targets(input, [Path(path) for path in targets.values()], overwrite, background)
    compositor = Compositor(refine=refine, foreground=foreground)
    with open_video(os.fspath(input)) as source:
        frame = next(iter(source), None)
        if frame is None:
            raise InputError(f"{input} has no picture that decodes")
        behind = _background(background, fit)
        try:
            for kind, path in targets.items():
                check_image(Path(path), alpha=kind == "picture" and behind.transparent)
            network = _network(model, weights, size, device, runtime, precision, threads)
            matting = engine.Matting(network, TemporalFilter("off"), keep_islands=keep_islands)
            small = matting.shrink(frame)
            matte = matting(frame, small)
            composed = compositor(frame, matte, behind, frozenset(targets), small.planes)
        finally:
            behind.close()
        for kind, path in targets.items():
            write_image(path, getattr(composed, kind))
        notes, damaged = list(source.notes), source.damaged
    seconds = time.monotonic() - began
    outputs = [Path(path) for path in targets.values()]
    return RenderReport(1, damaged, seconds, 1 / seconds, outputs, notes)


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
    refine: str = "guided",
    start: float | None = None,
    end: float | None = None,
) -> Iterator[tuple[Frame, Matte]]:
    """Every frame of a video with its matte, alpha (H, W) float32 in [0, 1], for code of your own.

    ``livematte.kernels.cpu.to_rgb(frame)`` gives the picture as (H, W, 3) uint8 RGB. Wrong options and a file
    that is not there are said at once; it is opened for the first frame and closed after the last one.
    """
    compositor, smoother = Compositor(refine=refine), TemporalFilter(temporal)
    if not Path(input).is_fifo():  # which can be read once only
        open_video(os.fspath(input), start=start, end=end).close()  # says at once what is wrong with the file
    network = _network(model, weights, size, device, runtime, precision, threads)

    def pairs() -> Iterator[tuple[Frame, Matte]]:
        source = open_video(os.fspath(input), start=start, end=end)
        yield from engine.mattes(
            source, network, compositor=compositor, temporal=smoother, keep_islands=keep_islands
        )

    return pairs()


def _background(spec: PathLike | Background, fit: str) -> Background:
    if isinstance(spec, (str, os.PathLike)):
        return parse_background(spec if isinstance(spec, str) else Path(spec), fit=fit)
    if not isinstance(spec, Background):
        raise UsageError(
            f"background {spec!r} is of no use: give a colour as text (#00b140), a file, blur, transparent "
            "or an object with the methods of livematte.protocols.Background"
        )
    return spec


def _network(
    model: str | Model,
    weights: PathLike | None,
    size: int | None,
    device: str,
    runtime: str,
    precision: str,
    threads: int | None,
    streams: int = 1,
) -> Model:
    if not isinstance(model, str):
        return model
    if size is not None and not (32 <= size <= 4096 and math.isfinite(size)):
        raise UsageError(f"size {size} is not possible: give the long side in pixels, 32 to 4096")
    return load_model(
        model,
        weights=weights,
        size=size,
        device=device,
        runtime=runtime,
        precision=precision,
        threads=threads,
        streams=streams,
    )
