"""Devices that arrays live on: their choice, transfers between them, streams, kernel launches, GPU errors.

The names below are what the rest of livematte mostly needs; the others are imported from the modules here.
Importing this package imports neither torch nor CuPy.
"""

from __future__ import annotations

from livematte.device.arrays import from_numpy, is_numpy, namespace, to_numpy, to_torch
from livematte.device.choice import (
    PROVIDERS,
    Device,
    choose_device,
    cuda_trouble,
    provider_trouble,
    torch_trouble,
)
from livematte.device.driver import driver_gpus, in_use

__all__ = [
    "PROVIDERS",
    "Device",
    "choose_device",
    "cuda_trouble",
    "driver_gpus",
    "from_numpy",
    "in_use",
    "is_numpy",
    "namespace",
    "provider_trouble",
    "to_numpy",
    "to_torch",
    "torch_trouble",
]
