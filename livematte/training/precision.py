"""Full and mixed precision in training."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import torch


def choose_precision(wanted: str, device: str) -> str:
    """Resolve ``auto`` to ``bf16`` on a CPU with bf16 multiplication in hardware, otherwise to ``fp32``.

    Other values of ``wanted`` are returned unchanged.
    """
    if wanted != "auto":
        return wanted
    return "bf16" if device == "cpu" and cpu_has_bf16() else "fp32"


def cpu_has_bf16() -> bool:
    """Return True if the CPU multiplies bf16 in hardware (AVX512-BF16 or AMX); False if unknown."""
    for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"):
        check = getattr(torch.cpu, name, None)
        if check is not None and check():
            return True
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return any(f" {name}" in flags for name in ("avx512_bf16", "amx_bf16"))


@contextlib.contextmanager
def autocast(device: torch.device, precision: str) -> Iterator[None]:
    """Context manager for autocast to ``precision``; does nothing for ``fp32``."""
    if precision == "fp32":
        yield
        return
    dtype = {"bf16": torch.bfloat16, "fp16": torch.float16}[precision]
    with torch.autocast(device.type, dtype):
        yield


def loss_scaler(device: torch.device, precision: str) -> torch.amp.GradScaler:
    """Return a loss scaler for fp16 (Micikevicius et al. 2018, sec. 3.2); disabled for other precisions.

    Iterations with overflowing gradients do not change the weights.
    """
    return torch.amp.GradScaler(device.type, enabled=precision == "fp16")
