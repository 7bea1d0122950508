"""Pictures of a ball that is round as shown, in pixels of any shape."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from livematte.video.priority import kept_priority

BALL, GROUND = 220, 60
"""Grey values of the ball and around it; black bars are darker than both."""


def ball(size: tuple[int, int], aspect: Fraction | float = 1, radius: float = 0.2) -> np.ndarray:
    """(h, w, 3) uint8 with a ball in the middle, round where pixels have the sample aspect ``aspect``.

    Args:
        radius: as a share of the shorter side as shown.
    """
    height, width = size
    rows, columns = np.ogrid[:height, :width]
    across = (columns + 0.5 - width / 2) * float(aspect)
    inside = across**2 + (rows + 0.5 - height / 2) ** 2 <= (radius * min(height, width * float(aspect))) ** 2
    return np.repeat(np.where(inside, np.uint8(BALL), np.uint8(GROUND))[..., None], 3, axis=2)


def roundness(picture: np.ndarray, aspect: Fraction | float = 1) -> float:
    """Width divided by height of the ball as shown, from its standard deviations: 1 if it is round."""
    grey = picture if picture.ndim == 2 else picture.mean(-1)
    rows, columns = np.nonzero(grey > (BALL + GROUND) / 2)
    assert rows.size, "there is no ball"
    return float(columns.std() * aspect / rows.std())


@kept_priority()
def ball_clip(
    path: Path,
    size: tuple[int, int],
    aspect: Fraction | int | None = None,
    *,
    codec: str = "libx264",
    frames: int = 3,
    muxer: str | None = None,
    format: str = "yuv420p",
    options: dict[str, str] | None = None,
    rotation: int = 0,
) -> Path:
    """Write a clip of a ball that stands still; round if pixels have ``aspect``, which the file declares."""
    picture = ball(size, aspect or 1)
    quick = {
        "libx264": {"preset": "ultrafast", "crf": "8", "bf": "2"},
        "mpeg4": {"qscale": "2"},
    }
    with av.open(str(path), "w", format=muxer) as out:
        stream: Any = out.add_stream(codec, rate=25, options=options or quick.get(codec, {}))
        context = stream.codec_context
        context.width, context.height, context.pix_fmt = size[1], size[0], format
        if rotation:
            stream.set_display_rotation(rotation)
        if aspect is not None:
            context.sample_aspect_ratio = Fraction(aspect)
        for number in range(frames):
            frame = av.VideoFrame.from_ndarray(picture, "rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 25)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


def joined(path: Path, parts: Sequence[Path]) -> Path:
    """Transport streams one after the other, as a recorder leaves them."""
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    return path
