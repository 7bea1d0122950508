"""Writes the trimap of a file, as a picture or as a video."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from livematte.matting.backgrounds import Color
from livematte.matting.compositor import Compositor
from livematte.offline import engine
from livematte.offline.report import (
    RenderReport,
    abort_outputs,
    require_moving,
    run_and_report,
    write_stills,
)
from livematte.output_paths import is_picture
from livematte.progress import Progress
from livematte.resolve import Resolved
from livematte.video import trial_decode
from livematte.video.pictures import first_picture
from livematte.video.pixel_limit import limit_pixels
from livematte.video.reader import open_video
from livematte.video.section import read_section
from livematte.video.writer import open_sink

BLACK = Color((0, 0, 0))


def trimap_of_file(
    input: str,
    targets: dict[str, str],
    chosen: Mapping[str, Any],
    resolved: Resolved,
    began: float,
    progress: Callable[[Progress], None] | None,
    stop: threading.Event | None,
) -> RenderReport:
    """Write the trimap of a file that can be read again."""
    still = is_picture(targets["trimap"])
    with limit_pixels(chosen):
        trial_decode.check(input)
        section = read_section(input, chosen)
        source = open_video(input, fps=chosen["fps"], **section)
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
            frame = first_picture(source, input)
            matting = resolved.matting(network)
            _, matte = matting.still(frame)
            composed = Compositor()(frame, matte, BLACK, frozenset(targets))
            return write_stills(composed, targets, source, began)
    work = partial(engine.render, source, network, BLACK, outputs, stop=stop, **resolved.filters())
    return run_and_report(work, input, source, outputs, began, progress)
