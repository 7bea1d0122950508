"""Clips for the benchmarks: repeat a clip, or convert it to the format of the live benchmark."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av

WIDTH, HEIGHT, RATE = 1280, 720, 30
"""Format of the live benchmark: pixels, and frames per second."""


def loop_clip(clip: Path, seconds: float, height: int | None, target: Path) -> Path:
    """Repeat ``clip`` up to ``seconds`` of video, scaled to ``height`` if given: x264, without sound."""
    with av.open(str(target), "w") as out:
        stream: Any = None
        number = 0
        while True:
            with av.open(str(clip)) as source:
                video = source.streams.video[0]
                rate = video.average_rate or Fraction(30)
                for picture in source.decode(video):
                    if stream is None:
                        new_height = height or picture.height
                        new_width = round(picture.width * new_height / picture.height / 2) * 2
                        stream = out.add_stream(
                            "libx264", rate=rate, options={"preset": "veryfast", "crf": "20"}
                        )
                        stream.width, stream.height, stream.pix_fmt = new_width, new_height, "yuv420p"
                    picture = picture.reformat(stream.width, stream.height, "yuv420p")
                    picture.pts = number
                    picture.time_base = 1 / rate
                    out.mux(stream.encode(picture))
                    number += 1
                    if number >= seconds * rate:
                        out.mux(stream.encode(None))
                        return target


def prepare_clip(clip: Path, target: Path) -> Path:
    """Return ``clip`` if it is 1280x720 at 30 fps; else convert it to ``target`` and return that."""
    with av.open(str(clip)) as source:
        video = source.streams.video[0]
        if (video.width, video.height, video.average_rate) == (WIDTH, HEIGHT, Fraction(RATE)):
            return clip
        with av.open(str(target), "w") as out:
            stream: Any = out.add_stream("libx264", rate=RATE, options={"preset": "veryfast", "crf": "20"})
            stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
            for number, picture in enumerate(source.decode(video)):
                picture = picture.reformat(WIDTH, HEIGHT, "yuv420p")
                picture.pts, picture.time_base = number, Fraction(1, RATE)
                out.mux(stream.encode(picture))
            out.mux(stream.encode(None))
    return target
