"""A background from what the caller gave: text, a path, a colour, a picture or an object."""

from __future__ import annotations

import numbers
import os
from pathlib import Path
from types import ModuleType
from typing import Any

from livematte.errors import UsageError
from livematte.frame import Channels
from livematte.kernels.convert import to_rgb
from livematte.matting.backgrounds import Color, Image, parse_background
from livematte.matting.contracts import describe
from livematte.options.values import has_member, is_like, path_text, short
from livematte.protocols import Background
from livematte.video.pictures import is_picture, picture_frame


def is_transparent(spec: object) -> bool:
    """Return True for an object that is a background without a picture."""
    return has_member(spec, "transparent") and spec.transparent is True  # type: ignore[attr-defined]


def resolve_background(spec: Any, fit: str, channels: Channels = "rgb") -> Background:
    """Return a background; open it if it is given as text or a path.

    Args:
        spec: text as for ``--background``, a path, a colour (red, green, blue) of 0..255, a picture (array of
            channels in ``channels``, PIL image, tensor, bytes of a file) or a Background.

    Raises:
        UsageError: none of these.
        InputError: a file or picture that cannot be used.
    """
    if isinstance(spec, (str, os.PathLike)):
        path_text("background", spec)
        return parse_background(spec if isinstance(spec, str) else Path(spec), fit=fit)
    if isinstance(spec, tuple) and len(spec) == 3 and all(isinstance(n, numbers.Integral) for n in spec):
        if not all(0 <= n <= 255 for n in spec):
            raise UsageError(f"colour {short(spec)} is invalid: use (red, green, blue), each 0 to 255")
        red, green, blue = map(int, spec)
        return Color((red, green, blue))
    if is_picture(spec):
        return Image(to_rgb(picture_frame(spec, channels)), fit)
    if isinstance(spec, (type, ModuleType)) or not is_like(spec, Background):
        raise UsageError(
            f"background {describe(spec)} is invalid: use a colour (#00b140), a file, blur, transparent, a "
            "picture or an object with the methods of livematte.protocols.Background"
        )
    background: Background = spec
    return background
