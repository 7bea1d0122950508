"""The results that ``livematte demo`` makes of the bundled clip and background."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from livematte import api
from livematte.assets import background_path as background_path
from livematte.assets import clip_path as clip_path
from livematte.errors import OutputError
from livematte.frame import Array
from livematte.kernels.convert import to_rgb
from livematte.progress import Progress
from livematte.video.reader import open_video


@dataclass(frozen=True)
class DemoResult:
    """One output of the demo."""

    path: Path
    what: str
    report: api.RenderReport | None = None


def run(
    folder: Path, *, display: Callable[[str], Callable[[Progress], None]] | None = None
) -> list[DemoResult]:
    """Render the bundled clip in several ways into ``folder``, which is created if missing.

    Args:
        folder: existing results in it are replaced.
        display: called with the title of each render; returns its progress callback.

    Raises:
        OutputError: ``folder`` cannot be created or written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"folder {folder} cannot be created: {error.strerror}; use another name") from error
    network = api.load_model()
    jobs = [
        ("background.mp4", str(background_path()), "on a picture"),
        ("blurred.mp4", "blur", "in the same room, out of focus"),
        ("transparent.webm", "transparent", "with alpha: open it in a browser"),
    ]
    results = []
    for name, background, what in jobs:
        report = api.render(
            clip_path(),
            folder / name,
            background=background,
            model=network,
            progress=display(name) if display else None,
        )
        results.append(DemoResult(folder / name, what, report))
    picture = before_after(clip_path(), folder / "background.mp4", folder / "before-after.jpg")
    return [*results, DemoResult(picture, "before and after")]


def before_after(before: Path, after: Path, target: Path, *, at: float = 2.0) -> Path:
    """Write the same frame of two videos side by side as JPEG.

    Args:
        at: seconds from the start.

    Raises:
        OutputError: ``target`` cannot be written.
    """
    pictures = [_frame_at(path, at) for path in (before, after)]
    gap = np.full((pictures[0].shape[0], 12, 3), 255, np.uint8)
    both = cv2.cvtColor(np.hstack([pictures[0], gap, pictures[1]]), cv2.COLOR_RGB2BGR)
    done, data = cv2.imencode(".jpg", both, [cv2.IMWRITE_JPEG_QUALITY, 90])
    try:
        target.write_bytes(data.tobytes())
    except OSError as error:
        raise OutputError(f"{target} cannot be written: {error.strerror}") from error
    assert done
    return target


def _frame_at(path: Path, seconds: float) -> Array:
    with closing(open_video(str(path), start=seconds)) as video:
        return to_rgb(next(iter(video)))
