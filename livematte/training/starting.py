"""What is looked at before a training begins: the plan, the folder, the weights to begin with."""

from __future__ import annotations

import json
from pathlib import Path

from torch import nn

from livematte.errors import UsageError
from livematte.inference.weights import read_safetensors_metadata, read_tensors
from livematte.training.checkpoints import checkpoint_facts
from livematte.training.recipe import Plan
from livematte.training.weight_averaging import fitting


def warm_start(network: nn.Module, file: Path) -> tuple[int, int]:
    """Take from a safetensors file what has the same name and shape; how many were taken, how many not.

    What fits: :func:`livematte.training.weight_averaging.fitting`.

    Raises:
        WeightsError: the file is not a whole safetensors file.
        UsageError: nothing in it fits.
    """
    own = network.state_dict()
    fit = fitting(own, read_tensors(file))
    if not fit:
        raise UsageError(f"{file} has no tensor that fits {type(network).__name__}")
    network.load_state_dict(fit, strict=False)
    return len(fit), len(own) - len(fit)


def weights_crops(file: Path) -> int:
    """Crops that a safetensors file's weights have seen, as a run or a shipped file says; 0 otherwise."""
    for key in ("facts", "step"):
        try:
            return int(json.loads(read_safetensors_metadata(file)[key])["crops"])
        except (KeyError, ValueError, TypeError):
            continue
    return 0


def check_run(plan: Plan, out: Path, resume: bool) -> None:
    """Whether ``plan`` can be run in the folder ``out``.

    Raises:
        UsageError: ``out`` holds a run already and ``resume`` is False, or it is another run's.
    """
    state = out / "state.safetensors"
    if not state.exists():
        return
    if not resume:
        raise UsageError(f"{out} holds a run already: give --resume to go on with it, or another folder")
    stopped = checkpoint_facts(state)["name"]
    names = [step.name for step in plan.steps]
    if stopped not in names:
        raise UsageError(f"{out} stopped in step {stopped!r}: this run has {', '.join(names)}")


def check_share(plan: Plan, processes: int) -> None:
    """Whether every process gets a picture of every batch.

    Raises:
        UsageError: it does not.
    """
    smallest = min(plan.steps, key=lambda step: step.smallest_batch())
    batch = smallest.smallest_batch()
    if batch < processes:
        raise UsageError(
            f"step {smallest.name} has a batch of {batch}, too small for {processes} processes: "
            f"give --workers {batch}, or a larger batch in --config"
        )
