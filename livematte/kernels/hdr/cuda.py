""":mod:`livematte.kernels.hdr` on NVIDIA GPUs."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from livematte.device.cuda import contiguous, cupy, empty
from livematte.device.launch import launch_samples
from livematte.device.transfer import to_gpu
from livematte.frame import Array, ColorInfo
from livematte.kernels._shared.sources import cuda_source
from livematte.kernels.hdr.curves import BT2020_FROM_709, HLG, code_table, is_bt2020, light_table

SOURCE = cuda_source("hdr/hdr.cu")


@lru_cache(maxsize=8)
def _tables(device: int, code: int) -> tuple[Array, Array]:
    """Tables of light and of codes, uploaded once for each device and curve."""
    return to_gpu(light_table()), to_gpu(code_table(code))


def sdr_to_hdr(rgb: Array, color: ColorInfo) -> Array:
    """An ordinary picture as codes of PQ or HLG: its white at 203 cd/m², not at the code's full value."""
    light, codes = _tables(cupy().cuda.runtime.getDevice(), color.transfer)
    out = empty(rgb.shape, np.float32)
    matrix = [float(x) for row in BT2020_FROM_709 for x in (*row, 0.0)]
    launch_samples(
        SOURCE, "sdr_to_hdr", (rgb.size // 3,), contiguous(rgb, np.uint8), light, codes, codes.size,
        is_bt2020(color), color.transfer == HLG, *matrix, out,
    )  # fmt: skip
    return out
