"""livematte: people cut out of video in real time, without a green screen.

import livematte
livematte.render("in.mp4", "out.mp4", background="beach.jpg")
"""

from __future__ import annotations

import time
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from livematte.api import RenderReport, image, load_model, mattes, render, trimap
    from livematte.errors import LivematteError
    from livematte.farm.batch import render_many
    from livematte.frame import ColorInfo, Frame, Matte
    from livematte.matter import Matter
    from livematte.picture_matte import PictureMatte
    from livematte.progress import Progress
    from livematte.streaming.launch import live

    __version__: str

_imported_at = time.monotonic()
"""Start of the command, as nearly as the package can know."""

__all__ = [
    "ColorInfo",
    "Frame",
    "LivematteError",
    "Matte",
    "Matter",
    "PictureMatte",
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

_HOMES = {
    "ColorInfo": "frame",
    "Frame": "frame",
    "Matte": "frame",
    "Matter": "matter",
    "PictureMatte": "picture_matte",
    "LivematteError": "errors",
    "Progress": "progress",
    "live": "streaming.launch",
    "render_many": "farm.batch",
}


def __getattr__(name: str) -> Any:
    """Load a public name when it is first used, so that ``livematte --help`` starts at once."""
    if name == "__version__":
        return _read_version()
    if name not in __all__:
        raise AttributeError(f"module 'livematte' has no attribute {name!r}")
    return getattr(import_module(f"livematte.{_HOMES.get(name, 'api')}"), name)


def _read_version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("livematte")
    except PackageNotFoundError:  # a source tree that was never installed
        return "0+unknown"
