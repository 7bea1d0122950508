"""Checkpoints that a killed run resumes from exactly: safetensors for tensors, JSON for the rest."""

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
    """Write ``tensors`` and JSON-able ``facts`` beside ``path`` and rename, so that it is whole or old."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    save_file(
        {k: v.detach().contiguous().cpu().clone() for k, v in tensors.items()},
        str(part),
        metadata={"facts": json.dumps(facts)},
    )
    os.replace(part, path)


def load_checkpoint(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors and facts that :func:`save_checkpoint` wrote."""
    return load_file(str(path)), checkpoint_facts(path)


def checkpoint_facts(path: Path) -> dict[str, Any]:
    """The facts alone that :func:`save_checkpoint` wrote."""
    facts: dict[str, Any] = json.loads(read_safetensors_metadata(path).get("facts", "{}"))
    return facts


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """An optimiser's state as flat tensors, named by parameter number."""
    out = {}
    for number, entry in optimizer.state_dict()["state"].items():
        for name, value in entry.items():
            out[f"optimizer.{number}.{name}"] = torch.as_tensor(value)
    return out


def load_optimizer(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    """Put back what :func:`optimizer_tensors` gave."""
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
        """One step; early steps forget faster so that the start does not linger."""
        self.steps += 1
        decay = min(self.decay, (1 + self.steps) / (10 + self.steps))
        for name, value in network.state_dict().items():
            mean = self.tensors[name]
            if mean.is_floating_point():
                mean.lerp_(value, 1 - decay)
            else:
                mean.copy_(value)
