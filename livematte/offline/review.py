"""The most doubtful moments of a render, as a page for a browser or as JSON.

Nobody watches an hour of video to find one bad second: the page shows where to look.
"""

from __future__ import annotations

import base64
import html
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from livematte.errors import OutputError, UsageError
from livematte.frame import Array
from livematte.matting.doubt import DoubtMeter
from livematte.options import PathLike
from livematte.video.atomic_file import AtomicFile, describe_write_error

FORMS = (".html", ".json")
"""Extensions of a report."""

MOST = 12
"""Number of moments."""

APART = 1.0
"""Shortest time between two moments, in seconds."""

LEAST = 0.02
"""Smallest doubt that is shown."""

GREEN = (40, 170, 60)


@dataclass(frozen=True)
class Moment:
    """A doubtful frame.

    Attributes:
        frame: its number, from 0.
        seconds: its time in the output.
        doubt: 0 to 1, see :class:`livematte.matting.doubt.Doubt`.
        picture: (h, 2w, 3) uint8 RGB: the picture, and the person on green.
    """

    frame: int
    seconds: float
    doubt: float
    reason: str
    picture: Array


def check_report(path: PathLike | None) -> None:
    """Raise UsageError unless the extension of a report is known."""
    if path is not None and Path(path).suffix.lower() not in FORMS:
        raise UsageError(f"report {os.fspath(path)!r} is invalid: use a name with {' or '.join(FORMS)}")


class Review:
    """Collects the most doubtful moments of one video, at most :data:`MOST`. Add all frames in order."""

    def __init__(self) -> None:
        self.frames = 0
        self._judge = DoubtMeter()
        self._moments: list[Moment] = []
        self._start = 0.0

    def add(self, seconds: float, rgb: Array, alpha: Array, *, cut: bool) -> None:
        """Judge one frame.

        Args:
            seconds: its time.
            rgb: (h, w, 3) uint8, the picture that the network saw.
            alpha: (h, w) float32 in [0, 1].
            cut: True for the first frame of a shot.
        """
        if self.frames == 0:
            self._start = seconds
        number, seconds = self.frames, seconds - self._start
        self.frames += 1
        doubt = self._judge(rgb, alpha, cut=cut)
        if doubt.value < LEAST:
            return
        rivals = [each for each in self._moments if abs(each.seconds - seconds) < APART]
        if not rivals and len(self._moments) >= MOST:
            rivals = [min(self._moments, key=lambda each: each.doubt)]
        if any(each.doubt >= doubt.value for each in rivals):
            return
        kept = [each for each in self._moments if each not in rivals]
        pictures = np.hstack((rgb, over_green(rgb, alpha)))
        self._moments = [*kept, Moment(number, seconds, doubt.value, doubt.reason, pictures)]

    @property
    def moments(self) -> list[Moment]:
        """The moments, in the order of their times."""
        return sorted(self._moments, key=lambda each: each.seconds)

    def write(self, path: PathLike, name: str) -> None:
        """Write the report of the video ``name``, of which a path shows only the end.

        Raises:
            OutputError: it cannot be written.
        """
        name = Path(name).name or name
        page = self._json(name) if Path(path).suffix.lower() == ".json" else self._page(name)
        file = AtomicFile(Path(path))
        try:
            file.file.write(page.encode("utf-8", "replace"))
        except OSError as error:
            file.discard()
            raise OutputError(describe_write_error(error, Path(path))) from error
        file.commit()

    def _json(self, name: str) -> str:
        moments: list[dict[str, Any]] = [
            {
                "frame": each.frame,
                "seconds": round(each.seconds, 3),
                "doubt": round(each.doubt, 4),
                "reason": each.reason,
            }
            for each in self.moments
        ]
        return json.dumps({"input": name, "frames": self.frames, "moments": moments}, indent=1) + "\n"

    def _page(self, name: str) -> str:
        title = f"Doubtful moments of {html.escape(name)}"
        found = len(self._moments)
        count = "none of them is doubtful" if not found else f"these {found} are the most doubtful"
        figures = "\n".join(map(_figure, self.moments))
        return _PAGE.format(title=title, summary=f"{self.frames} frames; {count}.", figures=figures)


def over_green(rgb: Array, alpha: Array) -> Array:
    """Return the picture (h, w, 3) uint8 with green behind the person."""
    share = alpha[..., None]
    return np.asarray(rgb * share + np.array(GREEN, np.float32) * (1 - share), np.uint8)


def clock_time(seconds: float) -> str:
    """Return the time as ``0:01:02.3``."""
    tenths = int(seconds * 10)
    return f"{tenths // 36000}:{tenths // 600 % 60:02}:{tenths // 10 % 60:02}.{tenths % 10}"


def _figure(moment: Moment) -> str:
    _, data = cv2.imencode(".jpg", moment.picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 85])
    source = base64.b64encode(data.tobytes()).decode("ascii")
    when = clock_time(moment.seconds)
    return (
        f'<figure><img src="data:image/jpeg;base64,{source}" alt="The picture, and the person on green">'
        f"<figcaption><b>{when}</b> frame {moment.frame}: {html.escape(moment.reason)} "
        f"({moment.doubt:.0%})</figcaption></figure>"
    )


_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark }}
body {{ font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem; padding: 0 1rem }}
h1 {{ overflow-wrap: anywhere }}
figure {{ margin: 1.5rem 0 }}
img {{ width: 100%; height: auto }}
</style></head><body>
<h1>{title}</h1>
<p>{summary} Each picture shows the frame on the left and the person on the right. The percentage says how
much of the person is in doubt. It is judged without ground truth: a wrong but clear matte is not found.</p>
{figures}
</body></html>
"""
