"""Use the mattes in your own code: people in colour in front of a grey background, as PNG files.

Usage: python examples/own_composite.py me.mp4 frames/
"""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np

import livematte
from livematte.kernels.convert import to_rgb

folder = Path(sys.argv[2])
folder.mkdir(parents=True, exist_ok=True)
for number, (frame, matte) in enumerate(livematte.mattes(sys.argv[1])):
    rgb = to_rgb(frame)
    grey = rgb.mean(axis=2, keepdims=True)
    alpha = matte.alpha[..., None]
    picture = (alpha * rgb + (1 - alpha) * grey).astype(np.uint8)
    _, data = cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    (folder / f"{number:05}.png").write_bytes(data.tobytes())
