"""Initial weights of a run, and checks of its plan and folder."""

from __future__ import annotations

import json
from pathlib import Path

from torch import nn

from livematte.errors import UsageError
from livematte.inference.weights import read_safetensors_metadata, read_tensors
from livematte.training.checkpoints import checkpoint_facts
from livematte.training.recipe import Plan
from livematte.training.weight_averaging import matching_tensors


def warm_start(network: nn.Module, file: Path) -> tuple[int, int]:
    """Load matching tensors of a safetensors file into ``network``.

    The rules are those of :func:`livematte.training.weight_averaging.matching_tensors`.

    Returns:
        Number of tensors of the network that were loaded, and that were not.

    Raises:
        WeightsError: the file is not a complete safetensors file.
        UsageError: no tensor matches.
    """
    own = network.state_dict()
    fit = matching_tensors(own, read_tensors(file))
    if not fit:
        raise UsageError(f"{file} has no tensor that fits {type(network).__name__}")
    network.load_state_dict(fit, strict=False)
    return len(fit), len(own) - len(fit)


def weights_crops(file: Path) -> int:
    """Return the number of training crops from a safetensors file's metadata; 0 if it is not there."""
    for key in ("facts", "step"):
        try:
            return int(json.loads(read_safetensors_metadata(file)[key])["crops"])
        except (KeyError, ValueError, TypeError):
            continue
    return 0


def check_run(plan: Plan, out: Path, resume: bool) -> None:
    """Check that ``plan`` can be run in the folder ``out``.

    Raises:
        UsageError: ``out`` contains a run and ``resume`` is False, or contains a run of another plan.
    """
    state = out / "state.safetensors"
    if not state.exists():
        return
    if not resume:
        raise UsageError(f"{out} already contains a run: use --resume to continue it, or another folder")
    stopped = checkpoint_facts(state)["name"]
    names = [step.name for step in plan.steps]
    if stopped not in names:
        raise UsageError(
            f"the run in {out} stopped in step {stopped!r}, but this plan has the steps {', '.join(names)}: "
            "use another folder, or the options of that run"
        )


def check_batch_size(plan: Plan, processes: int) -> None:
    """Check that each batch has at least one picture for each process.

    Raises:
        UsageError: a batch is smaller than the number of processes.
    """
    smallest = min(plan.steps, key=lambda step: step.smallest_batch())
    batch = smallest.smallest_batch()
    if batch < processes:
        raise UsageError(
            f"step {smallest.name} has a batch of {batch}, which is too small for {processes} processes: "
            f"use --workers {batch}, or a larger batch in --config"
        )
