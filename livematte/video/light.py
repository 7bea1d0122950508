"""Static HDR metadata: the display a film was graded on, how bright it gets (SMPTE ST 2086, CTA-861.3).

PyAV shows it on decoded frames and can write it nowhere; encoders take it as options of their own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from av.sidedata.sidedata import Type
from av.video.frame import VideoFrame

from livematte.video.sides import side_data_of

_PARAMETERS = {"x264": "x264-params", "x265": "x265-params", "svt-av1": "svtav1-params"}
"""Names in encoders.ENCODERS to the option that takes an encoder's own words; the others know none."""

_DISPLAY = {"x264": "mastering-display", "x265": "master-display", "svt-av1": "mastering-display"}
_CONTENT = {"x264": "cll", "x265": "max-cll", "svt-av1": "content-light"}


def light_of(frame: VideoFrame) -> dict[str, Any]:
    """The metadata as values that JSON can hold; empty where there is none.

    Returns:
        ``mastering_display``: ``red``, ``green``, ``blue`` and ``white`` as CIE 1931 x, y; ``luminance`` as
        darkest and brightest cd/m². ``content_light``: ``brightest_pixel`` (MaxCLL) and ``brightest_frame``
        (MaxFALL) in cd/m².
    """
    told: dict[str, Any] = {}
    try:
        sides = side_data_of(frame, Type.MASTERING_DISPLAY_METADATA, Type.CONTENT_LIGHT_LEVEL)
    except ValueError:  # something that PyAV has no name for hides the rest
        return told
    if (display := sides.get(Type.MASTERING_DISPLAY_METADATA)) is not None:
        # AVMasteringDisplayMetadata: ten rationals, then two flags that say which of them count.
        words = np.frombuffer(display, np.int32)
        values = [float(over / under) if under else 0.0 for over, under in words[:20].reshape(10, 2)]
        names = ("red", "green", "blue", "white")
        if words[20] and words[21]:
            pairs = {name: values[2 * i : 2 * i + 2] for i, name in enumerate(names)}
            told["mastering_display"] = pairs | {"luminance": values[8:]}
    if (content := sides.get(Type.CONTENT_LIGHT_LEVEL)) is not None:
        pixel, average = (int(word) for word in np.frombuffer(content, np.uint32)[:2])
        told["content_light"] = {"brightest_pixel": pixel, "brightest_frame": average}
    return told


def carry_light(encoder: str, options: dict[str, str], details: Mapping[str, Any]) -> list[str]:
    """Add to an encoder's ``options`` what :func:`light_of` told of the source; gives what cannot be kept."""
    words = []
    display, content = details.get("mastering_display"), details.get("content_light")
    if display is None and content is None:
        return []
    if encoder not in _PARAMETERS:
        return [f"HDR mastering display and light levels left out: {encoder} takes none, x265 does"]
    if display is not None and _sound(display):
        words.append(f"{_DISPLAY[encoder]}={_display_in(encoder, display)}")
    if content is not None:
        words.append(f"{_CONTENT[encoder]}={content['brightest_pixel']},{content['brightest_frame']}")
    key = _PARAMETERS[encoder]
    words = [options[key], *words] if key in options else words
    if words:
        options[key] = ":".join(words)
    return []


def _sound(display: Mapping[str, list[float]]) -> bool:
    """Encoders refuse anything else."""
    darkest, brightest = display["luminance"]
    places = [value for name in ("red", "green", "blue", "white") for value in display[name]]
    return 0 <= darkest < brightest <= 10000 and all(0 < value <= 1 for value in places)


def _display_in(encoder: str, display: Mapping[str, list[float]]) -> str:
    def point(values: list[float], scale: int) -> str:
        if encoder == "svt-av1":
            return ",".join(f"{value:.5f}" for value in values)
        return ",".join(str(round(value * scale)) for value in values)  # in the units of ST 2086

    corners = (("G", "green"), ("B", "blue"), ("R", "red"), ("WP", "white"))
    places = "".join(f"{code}({point(display[name], 50000)})" for code, name in corners)
    return f"{places}L({point(display['luminance'][::-1], 10000)})"
