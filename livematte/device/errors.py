"""Errors of CUDA, CuPy and torch as livematte's own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from livematte.errors import DeviceError


@contextmanager
def gpu_errors(index: int) -> Iterator[None]:
    """Convert exceptions for a full or failed GPU ``index`` to DeviceError; others pass unchanged."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        why = str(error).partition("\n")[0]
        if "out of memory" in str(error).lower():  # of the GPU's, or pinned
            raise DeviceError(
                f"cuda:{index} has no room for the frames ({why}): end other programs that use it, "
                "or use --device cpu"
            ) from error
        if type(error).__module__.partition(".")[0] == "cupy_backends" or why.startswith("CUDA error"):
            raise DeviceError(f"cuda:{index} has failed ({why}): use --device cpu, or start again") from error
        raise
