"""The CUDA sources of livematte's kernels, each put together from files of this package."""

from __future__ import annotations

from livematte.device.launch import CudaSource


def cuda_source(*files: str) -> CudaSource:
    """A source that begins with ``shared.cu``; the other files are given by their paths in this package."""
    return CudaSource("livematte.kernels", ("_shared/shared.cu", *files))
