"""The training loop that every recipe runs in: exact resume, several processes, mixed precision, a log.

A run's folder holds ``run.json`` (what reproduces it), ``log.jsonl``, ``state.safetensors`` (to go on from),
``average.safetensors`` (what :mod:`livematte.training.shipping` ships), ``samples.png`` and ``loss.png``.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import gettempdir
from typing import Any, TextIO

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # two spinning threads starve the loader

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from livematte.errors import UsageError
from livematte.training.augment import validation_picture
from livematte.training.checkpoints import (
    Average,
    checkpoint_facts,
    load_checkpoint,
    load_optimizer,
    optimizer_tensors,
    save_checkpoint,
)
from livematte.training.data import PeopleStore
from livematte.training.means import fitting
from livematte.training.parallel import Workers, join_workers
from livematte.training.recipe import Batch, Plan, Recipe, Step, as_tensors
from livematte.training.report import loss_plot, sample_sheet
from livematte.weights import cache_folder

os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(cache_folder("torch") or gettempdir()))
"""A folder that PyTorch makes with the first optimizer, in /tmp unless told."""

LOG_EVERY, SAVE_EVERY, JUDGE_EVERY = 50, 200, 400
"""Iterations between lines of the log, checkpoints and validations."""


@dataclass(frozen=True)
class Settings:
    """How a run runs, as far as its result does not depend on it.

    Attributes:
        device: ``cpu``, ``cuda`` or ``cuda:N``; with ``torchrun`` each process takes its own GPU.
        precision: ``fp32``, or ``bf16`` and ``fp16`` autocast on a GPU.
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
        self.workers: Workers = join_workers(settings.device)
        self.device = self.workers.device(settings.device)
        check_share(plan, self.workers.count)
        self.people, self.held_out = PeopleStore(cache), PeopleStore(cache, validation=True)
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
        self.scales = facts.get("scales", {})

    def begin(self, start_from: Path | None) -> None:
        """A fresh run, from given weights where tensors have the same name and shape."""
        if start_from is not None:
            taken, left = warm_start(self.network, start_from)
            self.say({"start_from": str(start_from), "tensors": taken, "without": left})
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
        clock, sums = time.monotonic(), defaultdict[str, float](float)
        for iteration in range(first, step.iterations):
            batch = self.batch(number, step, iteration)
            torch.manual_seed(hash((self.plan.seed, number, iteration, self.workers.rank)))
            for player, optimizer in optimizers.items():
                rate = step.rate(iteration) * self.recipe.rate_factor(step, player)
                for name, value in self.turn(step, player, optimizer, batch, rate).items():
                    sums[name] += value
            self.average.update(self.network)
            done = iteration + 1
            if done % LOG_EVERY == 0:
                speed = (done - first) / (time.monotonic() - clock)
                self.report(number, step, done, sums, speed)
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
        groups.append({"params": [], "factor": self.plan.encoder_factor})
        for parameter in self.recipe.parameters(step, self.network, player):
            groups[id(parameter) in encoder]["params"].append(parameter)
        return self.recipe.optimizer(step, [group for group in groups if group["params"]])

    def batch(self, number: int, step: Step, iteration: int) -> Batch:
        """This process's share of a batch; a function of seed, step, iteration and rank."""
        rng = np.random.default_rng((self.plan.seed, number, iteration))
        height, width = step.sizes[int(rng.integers(len(step.sizes)))]
        rng = np.random.default_rng((self.plan.seed, number, iteration, self.workers.rank))
        share = self.workers.share(step.batch)
        pictures = [self.recipe.picture(rng, self.people, step, height, width) for _ in range(share)]
        return self.on_device(as_tensors(pictures))

    def on_device(self, batch: Batch) -> Batch:
        """Moved, channels last."""
        to = {"device": self.device, "memory_format": torch.channels_last}
        return {k: v.to(**to) for k, v in batch.items()}  # type: ignore[call-overload]

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
        self.workers.mean_gradients(parameters, step.batch)
        scaler.unscale_(optimizer)
        nn.utils.clip_grad_norm_(parameters, 5.0)
        scaler.step(optimizer)
        scaler.update()
        values = torch.stack([t.detach().float() for t in terms.values()]).tolist()
        prefix = "" if player == "network" else f"{player}."
        return {f"{prefix}{name}": value for name, value in zip(terms, values, strict=True)}

    def report(self, number: int, step: Step, done: int, sums: dict[str, float], speed: float) -> None:
        """A line with every term's mean since the last one, speed and time left."""
        terms = {name: round(value / LOG_EVERY, 5) for name, value in sums.items()}
        own = [v for name, v in terms.items() if "discriminator" not in name]
        left = step.iterations - done + sum(s.iterations for s in self.plan.steps[number + 1 :])
        self.say(
            {"step": step.name, "iteration": done, "of": step.iterations, "loss": round(sum(own), 5)}
            | ({"terms": terms} if len(terms) > 1 else {})
            | {"crops_s": round(speed * step.batch, 2), "minutes_left": round(left / speed / 60, 1)}
        )

    def save(self, step: Step, done: int, optimizers: dict[str, torch.optim.Optimizer]) -> None:
        """All that a resumed run needs to be the same run."""
        tensors = {f"network.{k}": v for k, v in self.network.state_dict().items()}
        tensors |= {f"average.{k}": v for k, v in self.average.tensors.items()}
        for player, optimizer in optimizers.items():
            tensors |= {f"turn.{player}.{k}": v for k, v in optimizer_tensors(optimizer).items()}
        facts: dict[str, Any] = {"name": step.name, "iteration": done, "averaged": self.average.steps}
        if any(scaler.is_enabled() for scaler in self.scalers.values()):
            facts["scales"] = {player: scaler.state_dict() for player, scaler in self.scalers.items()}
        save_checkpoint(self.out / "state.safetensors", tensors, facts)

    def judge(self, step: Step, done: int) -> None:
        """Validate the averaged weights, write them, a sheet of samples and the loss plot."""
        network = self.recipe.network().to(self.device)
        network.load_state_dict(self.average.tensors)
        network.eval()
        row: dict[str, Any] = {"step": step.name, "iteration": done}
        row |= self.validate(network)
        self.say(row)
        facts = {"step": step.name, "iteration": done, "mad": row["mad"], "mse": row["mse"]}
        save_checkpoint(self.out / "average.safetensors", self.average.tensors, facts)
        self.sample_sheet(network)
        with contextlib.suppress(ImportError):  # drawn where the [train] extra is installed
            loss_plot(self.out / "log.jsonl", self.out / "loss.png")

    @torch.no_grad()
    def validate(self, network: nn.Module, side: int = 320) -> dict[str, float]:
        """MAD and MSE (x 1e3) on people composited on unseen rooms, at the network's own size."""
        mad = mse = 0.0
        everyone = len(self.held_out.people)
        numbers = np.linspace(0, everyone - 1, min(self.settings.judged, everyone)).astype(int)
        for number in numbers:
            picture, alpha, _ = validation_picture(self.held_out, int(number))
            rows, columns = alpha.shape
            scale = side / max(rows, columns)
            size = (max(32, round(columns * scale / 32) * 32), max(32, round(rows * scale / 32) * 32))
            out = self.predicted(network, picture, alpha, size, int(number))
            error = cv2.resize(out, (columns, rows)) - alpha.astype(np.float32) / 255
            mad += float(np.abs(error).mean())
            mse += float(np.square(error).mean())
        return {"mad": 1e3 * mad / len(numbers), "mse": 1e3 * mse / len(numbers)}

    def predicted(
        self, network: nn.Module, picture: Any, alpha: Any, size: tuple[int, int], number: int
    ) -> Any:
        """(h, w) float32 alpha of a validation picture shrunk to (width, height) ``size``."""
        small, small_alpha = (
            np.asarray(cv2.resize(a, size, interpolation=cv2.INTER_AREA), np.uint8) for a in (picture, alpha)
        )
        batch = self.on_device(self.recipe.held_out(small, small_alpha, number))
        return self.recipe.predict(network, batch)[0, 0].float().cpu().numpy()

    @torch.no_grad()
    def sample_sheet(self, network: nn.Module, count: int = 12) -> None:
        """Pictures, their alpha and the predicted alpha, one column each."""
        columns = []
        last = len(self.held_out.people) - 1
        for number in np.linspace(min(3, last), last, min(count, last + 1)).astype(int):
            picture, alpha, _ = validation_picture(self.held_out, int(number))
            out = self.predicted(network, picture, alpha, (160, 224), int(number)) * 255
            picture, alpha = (np.asarray(cv2.resize(p, (160, 224)), np.uint8) for p in (picture, alpha))
            columns.append((picture, alpha, out.astype(np.uint8)))
        sample_sheet(columns, self.out / "samples.png")


def _part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {k[len(prefix) :]: v for k, v in tensors.items() if k.startswith(prefix)}


@contextlib.contextmanager
def autocast(device: torch.device, precision: str) -> Iterator[None]:
    """Mixed precision where it was asked for."""
    if precision == "fp32":
        yield
        return
    dtype = {"bf16": torch.bfloat16, "fp16": torch.float16}[precision]
    with torch.autocast(device.type, dtype):
        yield


def loss_scaler(device: torch.device, precision: str) -> torch.amp.GradScaler:
    """Keeps gradients in the range of fp16 (Micikevicius et al. 2018, sec. 3.2); idle for other precisions.

    An iteration whose gradients overflow changes no weight.
    """
    return torch.amp.GradScaler(device.type, enabled=precision == "fp16")


def warm_start(network: nn.Module, file: Path) -> tuple[int, int]:
    """Take from a safetensors file what has the same name and shape; how many were taken, how many not.

    What fits: :func:`livematte.training.means.fitting`.

    Raises:
        WeightsError: the file is not a whole safetensors file.
        UsageError: nothing in it fits.
    """
    from livematte.weights import read_tensors

    own = network.state_dict()
    fit = fitting(own, read_tensors(file))
    if not fit:
        raise UsageError(f"{file} has no tensor that fits {type(network).__name__}")
    network.load_state_dict(fit, strict=False)
    return len(fit), len(own) - len(fit)


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
    smallest = min(plan.steps, key=lambda step: step.batch)
    if smallest.batch < processes:
        raise UsageError(
            f"step {smallest.name} has a batch of {smallest.batch}, too small for {processes} processes: "
            f"give --workers {smallest.batch}, or a larger batch in --config"
        )


def train(
    recipe: Recipe,
    plan: Plan,
    out: Path,
    cache: Path,
    *,
    settings: Settings | None = None,
    start_from: Path | None = None,
    resume: bool = True,
    facts: dict[str, Any] | None = None,
) -> None:
    """Run, or go on with, a training whose folder is ``out``; the data is packed in ``cache``.

    Args:
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
        run.begin(start_from)
        if run.workers.first:
            record = {"plan": plan.facts(), "torch": torch.__version__, **(facts or {})}
            (out / "run.json").write_text(json.dumps(record, indent=1), encoding="utf-8")
    run()
