"""The debug view: the model's input, alpha, and each of its further maps, side by side in one picture."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from math import ceil, sqrt

import cv2
import numpy as np

from livematte.frame import Array, ColorInfo, Frame, Matte, display_size
from livematte.kernels.convert import planes_from_rgb
from livematte.matting.refiner import Refined
from livematte.protocols import SourceInfo

CELL = 480
"""Long side of each picture in the grid."""
_STRIP = 26
"""Rows darkened under a title."""
_COLOR = ColorInfo("bt709", full_range=False, primaries=1, transfer=1, matrix_tag=1, range_tag=1)
_FORMAT = "yuv420p"

Cell = tuple[str, Array]
"""A title, and (h, w, 3) uint8 RGB."""


def cells(rgb: Array, matte: Matte, refined: Refined | None = None) -> list[Cell]:
    """The cells of one frame.

    Args:
        rgb: (h, w, 3) uint8, the model's input.
        matte: as the model returned it, with its extras: (h', w') in [0, 1] are shown grey, (3, h', w') as
            colours, other (C, h', w') as one picture with a hue for each channel.
        refined: the result of a refiner.
    """
    found = [("picture", rgb), ("alpha", _grey(matte.alpha))]
    if matte.foreground is not None:
        found.append(("foreground", _bytes(matte.foreground)))
    found += [(name.replace("_", " "), _shown(values)) for name, values in matte.extras.items()]
    if refined is not None:
        whole = cv2.merge([refined.trimap] * 3)
        for tile in refined.done:
            top, bottom, left, right = tile.box
            cv2.rectangle(whole, (left, top), (right - 1, bottom - 1), (255, 140, 0), 3)
        found.append((f"tiles: {len(refined.done)} done, {refined.waiting} left out", whole))
        found.append(("refined", _grey(refined.plane * np.float32(1 / refined.maximum))))
    return found


def grid_size(frame_size: tuple[int, int], count: int) -> tuple[int, int]:
    """(height, width) of the picture that :func:`grid` makes of ``count`` cells."""
    height, width = _cell_size(frame_size)
    columns = ceil(sqrt(count))
    return height * ceil(count / columns), width * columns


def debug_view_info(info: SourceInfo, count: int) -> SourceInfo:
    """The properties of the frames that :func:`grid` makes with ``count`` cells."""
    height, width = grid_size(display_size((info.height, info.width), info.sample_aspect), count)
    return replace(info, height=height, width=width, format=_FORMAT, color=_COLOR, sample_aspect=Fraction(1))


def grid(frame: Frame, shown: Sequence[Cell]) -> Frame:
    """All cells in one picture of :func:`grid_size`, at the time of ``frame``; yuv420p, BT.709."""
    height, width = _cell_size(frame.display_size)
    columns = ceil(sqrt(len(shown)))
    whole = np.zeros((*grid_size(frame.display_size, len(shown)), 3), np.uint8)
    for number, (title, picture) in enumerate(shown):
        top, left = number // columns * height, number % columns * width
        cell = _fitted(picture, height, width)
        cell[:_STRIP] //= 3
        cv2.putText(cell, title, (8, 19), cv2.FONT_HERSHEY_SIMPLEX, 0.55, (255, 255, 255), 1, cv2.LINE_AA)
        whole[top : top + height, left : left + width] = cell
    planes = planes_from_rgb(whole, _FORMAT, _COLOR)
    return Frame(planes, _FORMAT, frame.pts, frame.time_base, frame.duration, _COLOR)


def _cell_size(frame_size: tuple[int, int]) -> tuple[int, int]:
    """Of the frame's aspect, even."""
    scale = CELL / max(frame_size)
    height, width = (max(2, 2 * round(side * scale / 2)) for side in frame_size)
    return height, width


def _fitted(picture: Array, height: int, width: int) -> Array:
    how = cv2.INTER_AREA if picture.shape[0] > height else cv2.INTER_NEAREST
    return np.array(cv2.resize(np.ascontiguousarray(picture), (width, height), interpolation=how))


def _bytes(values: Array) -> Array:
    return np.asarray(np.clip(values, 0, 1) * np.float32(255) + np.float32(0.5)).astype(np.uint8)


def _grey(values: Array) -> Array:
    return cv2.merge([_bytes(values)] * 3)


def _shown(values: Array) -> Array:
    values = np.asarray(values, np.float32)
    if values.ndim == 2:
        return _grey(values)
    count = values.shape[0]
    hues = [colorsys.hsv_to_rgb(number / count, 0.8 if count > 3 else 1, 1) for number in range(count)]
    return _bytes(np.einsum("chw,ck->hwk", np.clip(values, 0, 1), np.array(hues, np.float32)))
