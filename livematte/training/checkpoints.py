"""Checkpoints for exact resume: safetensors files with JSON metadata; moving average of weights."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from livematte.inference.weights import read_safetensors_metadata


def save_checkpoint(path: Path, tensors: dict[str, Tensor], facts: dict[str, Any]) -> None:
    """Write a checkpoint atomically: to a temporary file that is then renamed to ``path``.

    Args:
        facts: JSON-serialisable metadata.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    save_file(
        {k: v.detach().contiguous().cpu().clone() for k, v in tensors.items()},
        str(part),
        metadata={"facts": json.dumps(facts)},
    )
    os.replace(part, path)


def load_checkpoint(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read the tensors and the metadata of a :func:`save_checkpoint` file."""
    return load_file(str(path)), checkpoint_facts(path)


def checkpoint_facts(path: Path) -> dict[str, Any]:
    """Read only the metadata of a :func:`save_checkpoint` file."""
    facts: dict[str, Any] = json.loads(read_safetensors_metadata(path).get("facts", "{}"))
    return facts


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Return an optimiser's state as tensors named ``optimizer.PARAMETER_INDEX.NAME``."""
    out = {}
    for number, entry in optimizer.state_dict()["state"].items():
        for name, value in entry.items():
            out[f"optimizer.{number}.{name}"] = torch.as_tensor(value)
    return out


def load_optimizer(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    """Restore an optimiser's state from :func:`optimizer_tensors`."""
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        if key.startswith("optimizer."):
            _, number, name = key.split(".", 2)
            state.setdefault(int(number), {})[name] = value
    whole = optimizer.state_dict()
    whole["state"] = state
    optimizer.load_state_dict(whole)


class Average:
    """Exponential moving average of a network's weights, buffers included (Polyak averaging)."""

    def __init__(self, network: torch.nn.Module, decay: float) -> None:
        self.decay = decay
        self.steps = 0
        self.tensors = {k: v.detach().clone() for k, v in network.state_dict().items()}

    @torch.no_grad()
    def update(self, network: torch.nn.Module) -> None:
        """Add the weights of one iteration.

        In the first iterations the decay is smaller, so that the initial weights lose influence quickly.
        """
        self.steps += 1
        decay = min(self.decay, (1 + self.steps) / (10 + self.steps))
        for name, value in network.state_dict().items():
            mean = self.tensors[name]
            if mean.is_floating_point():
                mean.lerp_(value, 1 - decay)
            else:
                mean.copy_(value)
