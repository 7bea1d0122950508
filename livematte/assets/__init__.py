"""The bundled clip and background.

The clip is NASA's portrait of Eileen Collins (public domain, as in ``skimage.data.astronaut()``) under a
slowly moving camera, 1280x720, four seconds, with a soft chord as its sound.
``python -m tests.make_demo_assets`` makes both files again.
"""

from __future__ import annotations

from pathlib import Path

ASSETS = Path(__file__).parent


def clip_path() -> Path:
    """The bundled clip: H.264 and AAC in MP4."""
    return ASSETS / "astronaut.mp4"


def background_path() -> Path:
    """The bundled background: drawn hills at dusk, 1280x720 JPEG."""
    return ASSETS / "dusk.jpg"
