"""Training loop for all recipes, with exact resume, several processes, mixed precision and a log.

The folder of a run contains:

- ``run.json``: the plan, for reproducing the run.
- ``log.jsonl``: losses and validation metrics.
- ``state.safetensors``: the checkpoint for resuming.
- ``average.safetensors``: the moving average of weights, which :mod:`livematte.training.release` releases.
- ``samples.png`` and ``loss.png``: validation pictures and curves.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, TextIO

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # two spinning threads starve the loader

import numpy as np
import torch
from torch import Tensor, nn

from livematte.cache import cache_folder
from livematte.training.checkpoints import (
    Average,
    load_checkpoint,
    load_optimizer,
    optimizer_tensors,
    save_checkpoint,
)
from livematte.training.data import PeopleStore
from livematte.training.distributed import ProcessGroup, join_process_group
from livematte.training.initialization import check_batch_size, check_run, warm_start, weights_crops
from livematte.training.precision import autocast, loss_scaler
from livematte.training.recipe import Batch, Plan, Recipe, as_tensors
from livematte.training.report import loss_plot
from livematte.training.steps import Step
from livematte.training.validation import draw_samples, to_device, validate

os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(cache_folder("torch") or mkdtemp(prefix="livematte-")))
"""PyTorch creates this folder with the first optimiser; its default is a folder in /tmp."""

LOG_EVERY, SAVE_EVERY, VALIDATE_EVERY = 50, 200, 400
"""Number of iterations between log lines, checkpoints and validations."""


@dataclass(frozen=True)
class Settings:
    """Settings of a run that are not hyperparameters.

    Attributes:
        device: ``cpu``, ``cuda`` or ``cuda:N``; with ``torchrun``, each process uses its own GPU.
        precision: ``fp32``, ``bf16`` autocast, or on a GPU ``fp16`` autocast.
        validation_pictures: number of pictures in a validation.
        say: called with each row of the log.
        stop: when set, training stops after the current iteration and saves a checkpoint.
    """

    device: str = "cpu"
    precision: str = "fp32"
    validation_pictures: int = 48
    say: Callable[[dict[str, Any]], None] = print
    stop: threading.Event | None = None


class _Run:
    """State of a run in one process."""

    def __init__(self, recipe: Recipe, plan: Plan, out: Path, cache: Path, settings: Settings) -> None:
        self.recipe, self.plan, self.out, self.settings = recipe, plan, out, settings
        self.workers: ProcessGroup = join_process_group(settings.device)
        self.device = self.workers.device(settings.device)
        check_batch_size(plan, self.workers.count)
        self.people, self.held_out = PeopleStore(cache), PeopleStore(cache, validation=True)
        self.people.shares = plan.shares
        self.crops, self.batch_size = 0, 0
        torch.manual_seed(plan.seed)
        recipe.options = plan.options
        self.network = recipe.network().to(self.device)
        self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average = Average(self.network, plan.average)
        self.resumed: dict[str, Tensor] = {}
        self.scales: dict[str, dict[str, Any]] = {}
        self.scalers: dict[str, torch.amp.GradScaler] = {}
        self.start = (0, 0)
        self.log: TextIO | None = None

    def resume(self) -> None:
        """Load ``state.safetensors``."""
        self.resumed, facts = load_checkpoint(self.out / "state.safetensors")
        names = [step.name for step in self.plan.steps]
        self.start = names.index(facts["name"]), facts["iteration"]
        self.network.load_state_dict(_part(self.resumed, "network."))
        self.average.tensors = {k: v.to(self.device) for k, v in _part(self.resumed, "average.").items()}
        self.average.steps = facts["averaged"]
        self.crops = facts.get("crops", 0)
        self.scales = facts.get("scales", {})

    def begin(self, start_from: Path | None, crops_seen: int | None) -> None:
        """Initialise a new run, from the weights ``start_from`` where names and shapes match."""
        self.crops = crops_seen or 0
        if start_from is not None:
            loaded, missing = warm_start(self.network, start_from)
            if crops_seen is None:
                self.crops = weights_crops(start_from)
            row = {"start_from": str(start_from), "tensors": loaded, "without": missing}
            self.say({**row, "crops": self.crops})
        self.average = Average(self.network, self.plan.average)

    def say(self, row: dict[str, Any]) -> None:
        """Write a row to the log; only the first process does so."""
        if self.workers.first:
            if self.log is not None:
                self.log.write(json.dumps(row) + "\n")
            self.settings.say(row)

    def __call__(self) -> None:
        with open(self.out / "log.jsonl", "a", buffering=1, encoding="utf-8") as self.log:
            for number, step in enumerate(self.plan.steps):
                if number >= self.start[0]:
                    self.step(number, step)

    def step(self, number: int, step: Step) -> None:
        """Run all iterations of a step."""
        self.recipe.enter(step, self.network)
        self.average.decay = step.average or self.plan.average
        self.workers.broadcast(
            self.network.buffers()
        )  # equal frozen statistics in all processes, as on resume
        optimizers = {p: self.optimizer(step, p) for p in self.recipe.players(step)}
        self.scalers = {p: loss_scaler(self.device, self.settings.precision) for p in optimizers}
        first = 0
        if number == self.start[0] and self.start[1] > 0:
            first = self.start[1]
            for player, optimizer in optimizers.items():
                load_optimizer(optimizer, _part(self.resumed, f"turn.{player}."))
                if self.scales.get(player) and self.scalers[player].is_enabled():
                    self.scalers[player].load_state_dict(self.scales[player])
            self.resumed = {}
        clock, sums, before = time.monotonic(), defaultdict[str, float](float), self.crops
        for iteration in range(first, step.iterations):
            batch = self.batch(number, step, iteration)
            torch.manual_seed(hash((self.plan.seed, number, iteration, self.workers.rank)))
            for player, optimizer in optimizers.items():
                rate = step.rate(iteration) * self.recipe.rate_factor(step, player)
                for name, value in self.update(step, player, optimizer, batch, rate).items():
                    sums[name] += value
            self.average.update(self.network)
            self.crops += self.batch_size
            done = iteration + 1
            if done % LOG_EVERY == 0:
                taken = time.monotonic() - clock
                speeds = (done - first) / taken, (self.crops - before) / taken
                self.report(number, step, done, sums, speeds)
                sums.clear()
            asked = self.settings.stop is not None and self.settings.stop.is_set()
            stopped = self.workers.any_process(asked, self.device)
            if self.workers.first and (done % SAVE_EVERY == 0 or done == step.iterations or stopped):
                self.save(step, done, optimizers)
            if stopped:
                raise KeyboardInterrupt
            if done % VALIDATE_EVERY == 0 or done == step.iterations:
                if self.workers.first:
                    self.validate(step, done)
                self.workers.barrier()
        self.average.steps = max(self.average.steps, 10)

    def optimizer(self, step: Step, player: str) -> torch.optim.Optimizer:
        """Return the recipe's optimiser, with a separate learning rate factor for the encoder."""
        encoders = [m for name, m in self.network.named_modules() if name.split(".")[-1] == "encoder"]
        encoder = {id(p) for m in encoders for p in m.parameters()}
        groups: list[dict[str, Any]] = [{"params": [], "factor": 1.0}]
        factor = self.plan.encoder_factor if step.encoder_factor is None else step.encoder_factor
        groups.append({"params": [], "factor": factor})
        for parameter in self.recipe.parameters(step, self.network, player):
            groups[id(parameter) in encoder]["params"].append(parameter)
        return self.recipe.optimizer(step, [group for group in groups if group["params"]])

    def batch(self, number: int, step: Step, iteration: int) -> Batch:
        """Return this process's part of a batch, which does not depend on the number of processes.

        Each picture follows from seed, step, iteration and its place in the batch.
        """
        rng = np.random.default_rng((self.plan.seed, number, iteration))
        height, width = step.draw_size(rng)
        self.batch_size = step.crops(height, width)
        rngs = [
            np.random.default_rng((self.plan.seed, number, iteration, place))
            for place in self.workers.local_places(self.batch_size)
        ]
        pictures = [self.recipe.picture(rng, self.people, step, height, width) for rng in rngs]
        return to_device(as_tensors(pictures), self.device)

    def update(
        self, step: Step, player: str, optimizer: torch.optim.Optimizer, batch: Batch, rate: float
    ) -> dict[str, float]:
        """Update the parameters of one player; return its loss terms."""
        for group in optimizer.param_groups:
            group["lr"] = rate * group["factor"]
        with autocast(self.device, self.settings.precision):
            terms = self.recipe.losses(step, self.network, batch, player)
        loss = torch.stack([t.float() for t in terms.values()]).sum()
        optimizer.zero_grad(set_to_none=True)
        scaler = self.scalers[player]
        scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        self.workers.mean_gradients(parameters, self.batch_size)
        scaler.unscale_(optimizer)
        nn.utils.clip_grad_norm_(parameters, 5.0)
        scaler.step(optimizer)
        scaler.update()
        values = torch.stack([t.detach().float() for t in terms.values()]).tolist()
        prefix = "" if player == "network" else f"{player}."
        return {f"{prefix}{name}": value for name, value in zip(terms, values, strict=True)}

    def report(
        self, number: int, step: Step, done: int, sums: dict[str, float], speeds: tuple[float, float]
    ) -> None:
        """Log the mean of each loss term since the last log line, and the remaining time.

        Args:
            speeds: iterations and crops per second.
        """
        terms = {name: round(value / LOG_EVERY, 5) for name, value in sums.items()}
        own = [v for name, v in terms.items() if "discriminator" not in name]
        left = step.iterations - done + sum(s.iterations for s in self.plan.steps[number + 1 :])
        self.say(
            {"step": step.name, "iteration": done, "of": step.iterations, "loss": round(sum(own), 5)}
            | ({"terms": terms} if len(terms) > 1 else {})
            | {"crops": self.crops, "crops_s": round(speeds[1], 2)}
            | {"minutes_left": round(left / speeds[0] / 60, 1)}
        )

    def save(self, step: Step, done: int, optimizers: dict[str, torch.optim.Optimizer]) -> None:
        """Save the checkpoint for resuming exactly, and the moving average of weights."""
        tensors = {f"network.{k}": v for k, v in self.network.state_dict().items()}
        tensors |= {f"average.{k}": v for k, v in self.average.tensors.items()}
        for player, optimizer in optimizers.items():
            tensors |= {f"turn.{player}.{k}": v for k, v in optimizer_tensors(optimizer).items()}
        facts: dict[str, Any] = {"name": step.name, "iteration": done, "averaged": self.average.steps}
        facts["crops"] = self.crops
        if any(scaler.is_enabled() for scaler in self.scalers.values()):
            facts["scales"] = {player: scaler.state_dict() for player, scaler in self.scalers.items()}
        save_checkpoint(self.out / "state.safetensors", tensors, facts)
        seen = {"step": step.name, "iteration": done, "crops": self.crops}
        save_checkpoint(self.out / "average.safetensors", self.average.tensors, seen)

    def validate(self, step: Step, done: int) -> None:
        """Validate the averaged weights; write them, the sample pictures and the loss plot."""
        network = self.recipe.network().to(self.device)
        network.load_state_dict(self.average.tensors)
        network.eval()
        row: dict[str, Any] = {"step": step.name, "iteration": done, "crops": self.crops}
        evaluated, count = (self.recipe, network, self.device), self.settings.validation_pictures
        row |= validate(*evaluated, self.held_out.only("photograph"), count)
        if "cutout" in self.held_out.indices_by_kind():
            metrics = validate(*evaluated, self.held_out.only("cutout"), count)
            row |= {f"cutout_{name}": value for name, value in metrics.items()}
        self.say(row)
        save_checkpoint(self.out / "average.safetensors", self.average.tensors, row)
        draw_samples(*evaluated, self.held_out, self.out / "samples.png")
        with contextlib.suppress(ImportError):  # matplotlib is in the [train] extra
            loss_plot(self.out / "log.jsonl", self.out / "loss.png")


def _part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {k[len(prefix) :]: v for k, v in tensors.items() if k.startswith(prefix)}


def train(
    recipe: Recipe,
    plan: Plan,
    out: Path,
    cache: Path,
    *,
    settings: Settings | None = None,
    start_from: Path | None = None,
    crops_seen: int | None = None,
    resume: bool = True,
    facts: dict[str, Any] | None = None,
) -> None:
    """Run a training, or resume it if ``out`` contains a checkpoint.

    Args:
        out: folder of the run.
        cache: folder of the packed data.
        start_from: safetensors file with initial weights for a new run.
        crops_seen: number of crops on which these weights were trained; None reads it from the file (0 if
            it is not there).
        resume: allow resuming.
        facts: additional entries for ``run.json``, such as command and data hash.

    Raises:
        UsageError: as :func:`check_run` and :func:`check_batch_size`.
        KeyboardInterrupt: ``settings.stop`` was set; the checkpoint is saved.
    """
    check_run(plan, out, resume)
    out.mkdir(parents=True, exist_ok=True)
    state = out / "state.safetensors"
    run = _Run(recipe, plan, out, cache, settings or Settings())
    if state.exists():
        run.resume()
    else:
        run.begin(start_from, crops_seen)
        if run.workers.first:
            record = {"plan": plan.facts(), "torch": torch.__version__, **(facts or {})}
            (out / "run.json").write_text(json.dumps(record, indent=1), encoding="utf-8")
    run()
