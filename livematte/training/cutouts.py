"""Cut-outs and keyed clips in a ``livematte`` folder: people whose alpha was not made by a network.

- ``cutouts/*.webp``: RGBA stills with straight colour; ``cutouts.json`` lists stems for ``train`` and
  ``val``.
- ``cutclips/NAME.mp4`` with ``NAME_alpha.mp4``: keyed clips of one person each, with equal size and length.
  Colour is straight and valid where alpha is above 0; the alpha is the luma plane, 0 to 255.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from livematte.errors import InputError
from livematte.training.data import Picture
from livematte.training.split_file import read_split

if TYPE_CHECKING:
    import av

CUTOUTS, CUTCLIPS = "cutouts", "cutclips"
"""Names of the folders."""

HELD_OUT_CLIPS = frozenset({"juliap", "keep4", "shona", "wix"})
"""Validation clips of the sixteen known ones; the others are for training. The split is by person, not by
frame. Of clips with other names, one in four is for validation, selected by a hash of the name."""

_TRAINING_CLIPS = frozenset(
    ["brad", "chantel", "demo", "jed", "jen", "joey", "keep1", "postal", "regist", "renny", "spanish", "walk"]
)


def split_cutouts(data: Path) -> dict[str, list[str]]:
    """Return the stems of the cut-outs for ``train`` and ``val``; empty if ``data`` has no cut-outs.

    Raises:
        InputError: ``cutouts.json`` is invalid.
    """
    file = data / f"{CUTOUTS}.json"
    if not file.is_file():
        return {"train": [], "val": []}
    return read_split(file)


def is_validation_clip(name: str) -> bool:
    """Return True if the clip ``name`` is in the validation split."""
    if name in HELD_OUT_CLIPS | _TRAINING_CLIPS:
        return name in HELD_OUT_CLIPS
    return zlib.crc32(name.encode()) % 4 == 0


def find_clips(data: Path) -> dict[str, tuple[Path, Path]]:
    """Return the colour file and the alpha file of each clip, by name."""
    alphas = sorted((data / CUTCLIPS).glob("*_alpha.mp4"))
    pairs = {file.stem.removesuffix("_alpha"): file for file in alphas}
    colours = {name: file.with_name(f"{name}.mp4") for name, file in pairs.items()}
    return {name: (colours[name], file) for name, file in pairs.items() if colours[name].is_file()}


def read_clip(colour: Path, alpha: Path) -> Iterator[tuple[Picture, Picture]]:
    """Yield straight colour (H, W, 3) RGB and alpha (H, W) of each frame, both uint8.

    Raises:
        InputError: a file cannot be read, or the frame sizes differ.
    """
    import av

    from livematte.video.container import ffmpeg_name

    try:
        with av.open(ffmpeg_name(colour)) as front, av.open(ffmpeg_name(alpha)) as key:
            pairs = zip(front.decode(video=0), key.decode(video=0), strict=False)
            for rgb, matte in pairs:
                alpha8 = luma(matte)
                if alpha8.shape != (rgb.height, rgb.width):
                    raise InputError(
                        f"{alpha} and {colour} have different sizes: both must have the same size"
                    )
                yield np.asarray(rgb.to_ndarray(format="rgb24"), np.uint8), without_bars(alpha8)
    except (av.FFmpegError, IndexError) as error:
        raise InputError(f"{colour} or its alpha cannot be read: {error}") from error


def luma(frame: av.VideoFrame) -> Picture:
    """Return the first plane of a PyAV frame, (H, W) uint8, without expansion of the video range."""
    plane, height, width = frame.planes[0], frame.height, frame.width
    rows = np.frombuffer(bytes(plane), np.uint8).reshape(-1, plane.line_size)
    return np.ascontiguousarray(rows[:height, :width])


def without_bars(alpha: Picture) -> Picture:
    """Set solid rows at the top of an (H, W) alpha to 0: they are artefacts of keying."""
    rows = 0
    while rows < 4 and alpha[rows].min() >= 128:
        rows += 1
    if not rows:
        return alpha
    out = alpha.copy()
    out[: rows + 1] = 0  # the next row is blended with it
    return out
