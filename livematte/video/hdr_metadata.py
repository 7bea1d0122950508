"""Static HDR metadata: mastering display and content light level (SMPTE ST 2086, CTA-861.3).

PyAV reads it from decoded frames but cannot write it. Encoders accept it in their own options.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from av.sidedata.sidedata import Type
from av.video.frame import VideoFrame

from livematte.protocols import SourceInfo
from livematte.video.side_data import read_side_data

_PARAMETERS = {"x264": "x264-params", "x265": "x265-params", "svt-av1": "svtav1-params"}
"""Option for encoder-specific parameters, by name in encoders.ENCODERS. Other encoders have none."""

_DISPLAY = {"x264": "mastering-display", "x265": "master-display", "svt-av1": "mastering-display"}
_CONTENT = {"x264": "cll", "x265": "max-cll", "svt-av1": "content-light"}


def read_hdr_metadata(frame: VideoFrame) -> dict[str, Any]:
    """Return the HDR metadata as JSON-compatible values; empty if there is none.

    Returns:
        ``mastering_display``: ``red``, ``green``, ``blue`` and ``white`` as CIE 1931 x, y; ``luminance`` as
        minimum and maximum in cd/m². ``content_light``: ``brightest_pixel`` (MaxCLL) and ``brightest_frame``
        (MaxFALL) in cd/m².
    """
    metadata: dict[str, Any] = {}
    try:
        side_data = read_side_data(frame, Type.MASTERING_DISPLAY_METADATA, Type.CONTENT_LIGHT_LEVEL)
    except ValueError:  # a type that PyAV does not know hides the rest
        return metadata
    if (display := side_data.get(Type.MASTERING_DISPLAY_METADATA)) is not None:
        # AVMasteringDisplayMetadata: ten rationals, then two flags that mark the valid ones.
        parameters = np.frombuffer(display, np.int32)
        values = [float(over / under) if under else 0.0 for over, under in parameters[:20].reshape(10, 2)]
        names = ("red", "green", "blue", "white")
        if parameters[20] and parameters[21]:
            pairs = {name: values[2 * i : 2 * i + 2] for i, name in enumerate(names)}
            metadata["mastering_display"] = pairs | {"luminance": values[8:]}
    if (content := side_data.get(Type.CONTENT_LIGHT_LEVEL)) is not None:
        pixel, average = (int(word) for word in np.frombuffer(content, np.uint32)[:2])
        metadata["content_light"] = {"brightest_pixel": pixel, "brightest_frame": average}
    return metadata


def without_hdr_metadata(info: SourceInfo) -> SourceInfo:
    """Return ``info`` without the values of :func:`read_hdr_metadata` in ``details``."""
    left_out = ("mastering_display", "content_light")
    return replace(info, details={key: it for key, it in info.details.items() if key not in left_out})


def set_hdr_options(encoder: str, options: dict[str, str], details: Mapping[str, Any]) -> list[str]:
    """Add the HDR metadata in ``details`` to the encoder ``options``. Return notes on lost metadata."""
    parameters = []
    display, content = details.get("mastering_display"), details.get("content_light")
    if display is None and content is None:
        return []
    if encoder not in _PARAMETERS:
        return [f"HDR mastering display and light levels are lost: {encoder} cannot store them, x265 can"]
    if display is not None and _is_encodable(display):
        parameters.append(f"{_DISPLAY[encoder]}={_format_display(encoder, display)}")
    if content is not None:
        parameters.append(f"{_CONTENT[encoder]}={content['brightest_pixel']},{content['brightest_frame']}")
    key = _PARAMETERS[encoder]
    parameters = [options[key], *parameters] if key in options else parameters
    if parameters:
        options[key] = ":".join(parameters)
    return []


def _is_encodable(display: Mapping[str, list[float]]) -> bool:
    """Return True if the values are in the range that encoders accept."""
    darkest, brightest = display["luminance"]
    coordinates = [value for name in ("red", "green", "blue", "white") for value in display[name]]
    return 0 <= darkest < brightest <= 10000 and all(0 < value <= 1 for value in coordinates)


def _format_display(encoder: str, display: Mapping[str, list[float]]) -> str:
    def point(values: list[float], scale: int) -> str:
        if encoder == "svt-av1":
            return ",".join(f"{value:.5f}" for value in values)
        return ",".join(str(round(value * scale)) for value in values)  # in the units of ST 2086

    corners = (("G", "green"), ("B", "blue"), ("R", "red"), ("WP", "white"))
    coordinates = "".join(f"{code}({point(display[name], 50000)})" for code, name in corners)
    return f"{coordinates}L({point(display['luminance'][::-1], 10000)})"
