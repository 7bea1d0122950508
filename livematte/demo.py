"""The bundled clip and background, and what ``livematte demo`` makes of them.

The clip is NASA's portrait of Eileen Collins (public domain, as in ``skimage.data.astronaut()``) under a
slowly moving camera, 1280x720, four seconds, with a soft chord as its sound.
``python -m tests.make_demo_assets`` makes both files again.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from livematte import api
from livematte.errors import OutputError
from livematte.frame import Array
from livematte.kernels.cpu import to_rgb
from livematte.progress import Progress
from livematte.video.reader import open_video

ASSETS = Path(__file__).parent / "assets"


def clip_path() -> Path:
    """The bundled clip: H.264 and AAC in MP4."""
    return ASSETS / "astronaut.mp4"


def background_path() -> Path:
    """The bundled background: drawn hills at dusk, 1280x720 JPEG."""
    return ASSETS / "dusk.jpg"


@dataclass(frozen=True)
class DemoResult:
    """One thing that the demo made."""

    path: Path
    what: str
    report: api.RenderReport | None = None


def run(
    folder: Path, *, display: Callable[[str], Callable[[Progress], None]] | None = None
) -> list[DemoResult]:
    """Render the bundled clip in every way into ``folder``, which is made where it is missing.

    Args:
        folder: existing results in it are replaced.
        display: asked before each render, with its title, for what shall take its progress.

    Raises:
        OutputError: ``folder`` cannot be made or written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"folder {folder} cannot be made: {error.strerror}; give another name") from error
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
    """A frame of two videos side by side, as JPEG.

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
