"""Use the mattes in your own code: people in colour in front of a grey background, as PNG files.

Usage: python examples/own_composite.py me.mp4 frames/
"""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np

import livematte

folder = Path(sys.argv[2])
folder.mkdir(parents=True, exist_ok=True)
for number, (_, matte) in enumerate(livematte.mattes(sys.argv[1], channels="bgr")):
    grey = matte.picture.mean(axis=2, keepdims=True)
    alpha = matte.alpha[..., None]
    picture = (alpha * matte.picture + (1 - alpha) * grey).astype(np.uint8)
    _, data = cv2.imencode(".png", picture)
    (folder / f"{number:05}.png").write_bytes(data.tobytes())
