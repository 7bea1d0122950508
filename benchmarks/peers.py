"""Adapters for two other matting projects, for comparison in benchmarks; neither is a dependency."""

from __future__ import annotations

import struct
import subprocess
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from livematte.frame import Matte
from livematte.quiet import import_quietly

Picture = NDArray[np.uint8]
Alpha = NDArray[np.float32]


class Rvm:
    """RobustVideoMatting (MobileNetV3) on ONNX Runtime, recurrent, with a long side of ``side`` pixels."""

    def __init__(self, weights: Path, side: int) -> None:
        onnxruntime = import_quietly("onnxruntime")

        self._side = side
        self._session = onnxruntime.InferenceSession(str(weights), providers=["CPUExecutionProvider"])
        self.begin()

    def begin(self) -> None:
        self._memory = [np.zeros((1, 1, 1, 1), np.float32)] * 4

    def __call__(self, rgb: Picture) -> Matte:
        ratio = np.array([min(1.0, self._side / max(rgb.shape[:2]))], np.float32)
        source = rgb.astype(np.float32).transpose(2, 0, 1)[None] / 255
        inputs = {"src": source, "downsample_ratio": ratio}
        inputs |= {f"r{n}i": value for n, value in enumerate(self._memory, 1)}
        wanted = ["fgr", "pha", "r1o", "r2o", "r3o", "r4o"]
        foreground, alpha, *self._memory = self._session.run(wanted, inputs)
        return Matte(alpha[0, 0], foreground[0].transpose(1, 2, 0))


_WORKER = """
import struct, sys, numpy as np, mediapipe as mp
make = lambda: mp.solutions.selfie_segmentation.SelfieSegmentation(model_selection=0)
network = make()
while head := sys.stdin.buffer.read(12):
    height, width, begins = struct.unpack("<3i", head)
    if begins:
        network.close()
        network = make()
    rgb = np.frombuffer(sys.stdin.buffer.read(height * width * 3), np.uint8).reshape(height, width, 3)
    alpha = network.process(rgb).segmentation_mask
    sys.stdout.buffer.write(np.ascontiguousarray(alpha, np.float32).tobytes())
    sys.stdout.buffer.flush()
"""


class MediaPipe:
    """MediaPipe's selfie segmentation (general) in another Python interpreter: it needs an older NumPy."""

    def __init__(self, python: str) -> None:
        self._process = subprocess.Popen(
            [python, "-c", _WORKER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        self._begins = True

    def begin(self) -> None:
        self._begins = True

    def __call__(self, rgb: Picture) -> Alpha:
        height, width = rgb.shape[:2]
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None and stdout is not None
        stdin.write(struct.pack("<3i", height, width, self._begins) + np.ascontiguousarray(rgb).tobytes())
        stdin.flush()
        self._begins = False
        alpha = np.frombuffer(stdout.read(height * width * 4), np.float32)
        if alpha.size != height * width:
            raise RuntimeError("MediaPipe's interpreter stopped: use one with mediapipe==0.10.21")
        return alpha.reshape(height, width)

    def close(self) -> None:
        self._process.communicate()
