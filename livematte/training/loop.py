"""The training loop that every recipe runs in: exact resume, several processes, mixed precision, a log.

A run's folder holds ``run.json`` (what reproduces it), ``log.jsonl``, ``state.safetensors`` (to go on from),
``average.safetensors`` (what :mod:`livematte.training.release` ships), ``samples.png`` and ``loss.png``.
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
from tempfile import gettempdir
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
from livematte.training.judging import draw_samples, on_device, validate
from livematte.training.precision import autocast, loss_scaler
from livematte.training.recipe import Batch, Plan, Recipe, as_tensors
from livematte.training.report import loss_plot
from livematte.training.starting import check_run, check_share, warm_start, weights_crops
from livematte.training.steps import Step

os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(cache_folder("torch") or gettempdir()))
"""A folder that PyTorch makes with the first optimizer, in /tmp unless told."""

LOG_EVERY, SAVE_EVERY, JUDGE_EVERY = 50, 200, 400
"""Iterations between lines of the log, checkpoints and validations."""


@dataclass(frozen=True)
class Settings:
    """How a run runs, as far as its result does not depend on it.

    Attributes:
        device: ``cpu``, ``cuda`` or ``cuda:N``; with ``torchrun`` each process takes its own GPU.
        precision: ``fp32``, ``bf16`` autocast, or on a GPU ``fp16`` autocast.
        judged: validation pictures.
        say: called with a line (a dict) of the log.
        stop: set it to end after the iteration under way, with a checkpoint.
    """

    device: str = "cpu"
    precision: str = "fp32"
    judged: int = 48
    say: Callable[[dict[str, Any]], None] = print
    stop: threading.Event | None = None


class _Run:
    """One process's share of a run."""

    def __init__(self, recipe: Recipe, plan: Plan, out: Path, cache: Path, settings: Settings) -> None:
        self.recipe, self.plan, self.out, self.settings = recipe, plan, out, settings
        self.workers: ProcessGroup = join_process_group(settings.device)
        self.device = self.workers.device(settings.device)
        check_share(plan, self.workers.count)
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
        """Take up ``state.safetensors``."""
        self.resumed, facts = load_checkpoint(self.out / "state.safetensors")
        names = [step.name for step in self.plan.steps]
        self.start = names.index(facts["name"]), facts["iteration"]
        self.network.load_state_dict(_part(self.resumed, "network."))
        self.average.tensors = {k: v.to(self.device) for k, v in _part(self.resumed, "average.").items()}
        self.average.steps = facts["averaged"]
        self.crops = facts.get("crops", 0)
        self.scales = facts.get("scales", {})

    def begin(self, start_from: Path | None, crops_seen: int | None) -> None:
        """A fresh run, from given weights where tensors have the same name and shape."""
        self.crops = crops_seen or 0
        if start_from is not None:
            taken, left = warm_start(self.network, start_from)
            if crops_seen is None:
                self.crops = weights_crops(start_from)
            row = {"start_from": str(start_from), "tensors": taken, "without": left}
            self.say({**row, "crops": self.crops})
        self.average = Average(self.network, self.plan.average)

    def say(self, row: dict[str, Any]) -> None:
        """A line of the log, by the first process."""
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
        """All iterations of a step."""
        self.recipe.enter(step, self.network)
        self.average.decay = step.average or self.plan.average
        self.workers.same(self.network.buffers())  # frozen normalisation is one for all, as in a checkpoint
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
                for name, value in self.turn(step, player, optimizer, batch, rate).items():
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
            stopped = self.workers.agree(asked, self.device)
            if self.workers.first and (done % SAVE_EVERY == 0 or done == step.iterations or stopped):
                self.save(step, done, optimizers)
            if stopped:
                raise KeyboardInterrupt
            if done % JUDGE_EVERY == 0 or done == step.iterations:
                if self.workers.first:
                    self.judge(step, done)
                self.workers.wait()
        self.average.steps = max(self.average.steps, 10)

    def optimizer(self, step: Step, player: str) -> torch.optim.Optimizer:
        """The recipe's; the encoder learns slower than what starts from nothing."""
        encoders = [m for name, m in self.network.named_modules() if name.split(".")[-1] == "encoder"]
        encoder = {id(p) for m in encoders for p in m.parameters()}
        groups: list[dict[str, Any]] = [{"params": [], "factor": 1.0}]
        factor = self.plan.encoder_factor if step.encoder_factor is None else step.encoder_factor
        groups.append({"params": [], "factor": factor})
        for parameter in self.recipe.parameters(step, self.network, player):
            groups[id(parameter) in encoder]["params"].append(parameter)
        return self.recipe.optimizer(step, [group for group in groups if group["params"]])

    def batch(self, number: int, step: Step, iteration: int) -> Batch:
        """This process's share of a batch; a function of seed, step, iteration and rank."""
        rng = np.random.default_rng((self.plan.seed, number, iteration))
        height, width = step.draw_size(rng)
        self.batch_size = step.crops(height, width)
        rng = np.random.default_rng((self.plan.seed, number, iteration, self.workers.rank))
        share = self.workers.share(self.batch_size)
        pictures = [self.recipe.picture(rng, self.people, step, height, width) for _ in range(share)]
        return on_device(as_tensors(pictures), self.device)

    def turn(
        self, step: Step, player: str, optimizer: torch.optim.Optimizer, batch: Batch, rate: float
    ) -> dict[str, float]:
        """One player's step; gives its terms."""
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
        """A line with every term's mean since the last one, and the time left.

        Args:
            speeds: iterations and crops a second.
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
        """All that a resumed run needs to be the same run, and the averaged weights to be shipped."""
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

    def judge(self, step: Step, done: int) -> None:
        """Validate the averaged weights, write them, a sheet of samples and the loss plot."""
        network = self.recipe.network().to(self.device)
        network.load_state_dict(self.average.tensors)
        network.eval()
        row: dict[str, Any] = {"step": step.name, "iteration": done, "crops": self.crops}
        judge = (self.recipe, network, self.device)
        row |= validate(*judge, self.held_out.only("photograph"), self.settings.judged)
        if "cutout" in self.held_out.places():
            found = validate(*judge, self.held_out.only("cutout"), self.settings.judged)
            row |= {f"cutout_{name}": value for name, value in found.items()}
        self.say(row)
        save_checkpoint(self.out / "average.safetensors", self.average.tensors, row)
        draw_samples(*judge, self.held_out, self.out / "samples.png")
        with contextlib.suppress(ImportError):  # drawn where the [train] extra is installed
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
    """Run, or go on with, a training whose folder is ``out``; the data is packed in ``cache``.

    Args:
        crops_seen: by the weights to start from; what their file says, or none, where it is None.
        facts: written to ``run.json`` beside the plan: command, data hash.

    Raises:
        UsageError: as :func:`check_run` and :func:`check_share`.
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
