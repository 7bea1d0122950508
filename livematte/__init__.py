"""livematte: people cut out of video in real time, without a green screen.

import livematte
livematte.render("in.mp4", "out.mp4", background="beach.jpg")
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from livematte.api import RenderReport, image, load_model, mattes, render, trimap
    from livematte.errors import LivematteError
    from livematte.farm.batch import render_many
    from livematte.frame import ColorInfo, Frame, Matte
    from livematte.progress import Progress
    from livematte.streaming.session import live

__all__ = [
    "ColorInfo",
    "Frame",
    "LivematteError",
    "Matte",
    "Progress",
    "RenderReport",
    "__version__",
    "image",
    "live",
    "load_model",
    "mattes",
    "render",
    "render_many",
    "trimap",
]

try:
    __version__ = version("livematte")
except PackageNotFoundError:  # a source tree that was never installed
    __version__ = "0+unknown"

_HOMES = {
    "ColorInfo": "frame",
    "Frame": "frame",
    "Matte": "frame",
    "LivematteError": "errors",
    "Progress": "progress",
    "live": "streaming.session",
    "render_many": "farm.batch",
}


def __getattr__(name: str) -> Any:
    """Load a public name when it is first used, so that ``livematte --help`` starts at once."""
    if name not in __all__:
        raise AttributeError(f"module 'livematte' has no attribute {name!r}")
    return getattr(import_module(f"livematte.{_HOMES.get(name, 'api')}"), name)
