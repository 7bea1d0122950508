"""A refiner that is installed like any other package: a distribution with an entry point, torch-free.

It says that a pixel is somebody's where it is brighter than a bound: enough to see in a picture what it did.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from livematte.errors import ModelError
from livematte.frame import Array, Matte

NAME = "bright-is-front"

BOUND = 128


class BrightIsFront:
    """Alpha 1 where the picture is bright; people are red all over."""

    stride = 32

    def refine(self, rgb: Array, trimap: Array) -> Matte:
        alpha = (rgb.mean(-1) > BOUND).astype(np.float32)
        alpha[trimap == 0], alpha[trimap == 255] = 0, 1
        red = np.zeros(rgb.shape, np.float32)
        red[..., 0] = 1
        return Matte(alpha, red)


def factory(weights: Path | None = None, **options: Any) -> BrightIsFront:
    """What the entry point names; with weights of another it says what models say."""
    assert set(options) == {"device", "runtime", "precision", "threads"}
    if weights is not None:
        raise ModelError(f"{weights} is of no use to {NAME}: leave --weights away, or use another --model")
    return BrightIsFront()


def install(folder: Path) -> Path:
    """Write the distribution's metadata; with ``folder`` on ``sys.path`` it is installed."""
    info = folder / "bright_is_front-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: bright-is-front\nVersion: 1.0\n", "utf-8")
    (info / "entry_points.txt").write_text(
        f"[livematte.refiners]\n{NAME} = tests.refiners:factory\n", "utf-8"
    )
    return folder
