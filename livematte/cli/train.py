"""Command ``livematte train``."""

from __future__ import annotations

import os
import sys
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typing_extensions import Unpack

from livematte import registry
from livematte.cli import terminal
from livematte.cli.multiprocess import run_together
from livematte.cli.parameters import complete_names, takes
from livematte.errors import InputError, UsageError, check_extra
from livematte.options.commands import TrainCommand, TrainOptions
from livematte.text_files import read_toml
from livematte.training import TOGETHER

PRECISIONS = ("auto", "fp32", "bf16", "fp16")

if TYPE_CHECKING:
    from livematte.training.recipe import Plan


@takes(TrainCommand)
def train(
    recipe: Annotated[
        str,
        typer.Argument(
            metavar="RECIPE", help="Name of the training recipe.", autocompletion=complete_names("recipes")
        ),
    ],
    **options: Unpack[TrainOptions],
) -> None:
    """Train a model with a recipe, or continue a training run.

    [bold]Examples[/bold]

    [cyan]livematte train late-fusion-live --data people/[/cyan]
    [cyan]livematte train late-fusion-live --data people/ --resume[/cyan]  continue after Ctrl-C
    [cyan]livematte train fba --data composition-1k/ --device cuda --precision bf16[/cyan]
    [cyan]livematte train jmnet --data P3M-10k/ --data PPM-100/ --backgrounds rooms/[/cyan]  several data sets
    """
    data, layout, backgrounds = options["data"], options["layout"], options["backgrounds"]
    long_side, clip_frames, foregrounds = options["long_side"], options["clip_frames"], options["foregrounds"]
    device, precision, start_from = options["device"], options["precision"], options["start_from"]
    resume, steps = options["resume"], options["step"]
    if precision not in PRECISIONS:
        raise UsageError(f"unknown precision {precision!r}: allowed are {', '.join(PRECISIONS)}")
    registry.entry("recipes", recipe)
    check_extra("torch", "training", "train")
    out = options["out"] or Path("runs") / recipe
    changes = _read(options["config"])
    chosen = _device(device)
    if precision == "fp16" and chosen == "cpu":
        raise UsageError("precision fp16 needs a GPU: use bf16 or fp32 on the CPU")
    from livematte.cli.interrupt import stop_event
    from livematte.training.foregrounds import ESTIMATORS
    from livematte.training.initialization import check_batch_size, check_run, warm_start
    from livematte.training.loop import Settings
    from livematte.training.loop import train as run
    from livematte.training.packing import data_hash, is_packed, pack_folders
    from livematte.training.precision import choose_precision

    if foregrounds not in (None, *ESTIMATORS):
        raise UsageError(f"unknown --foregrounds {foregrounds!r}: allowed are {', '.join(ESTIMATORS)}")
    found = registry.load("recipes", recipe)
    plan = found.plan(options["scale"], options["seed"]).changed(changes)
    if steps:
        plan = plan.only(steps)
    check_run(plan, out, resume)
    layouts = layout or ["auto"]
    pack_arguments: dict[str, Any] = {} if long_side is None else {"long_side": long_side}
    if clip_frames is not None:
        pack_arguments["clip_frames"] = clip_frames
    if foregrounds is not None:
        pack_arguments["estimate"] = ESTIMATORS[foregrounds]
    plain = len(data) == 1 and layouts == ["auto"] and backgrounds is None and not pack_arguments
    packing_options = [
        f"{option}={value}"
        for option, value in (("side", long_side), ("clips", clip_frames), ("colours", foregrounds))
        if value
    ]
    name = data[0].resolve().name if plain else _cache_name(data, [*layouts, *packing_options], backgrounds)
    cache = options["cache"] or out.parent / f"packed-{name}"
    first = os.environ.get("RANK", "0") == "0"
    if first:
        if not is_packed(cache):
            terminal.say(
                f"packing {', '.join(map(str, data))} into {cache}: this takes some minutes and happens once"
            )
        pack_folders(data, cache, backgrounds, layouts=layouts, say=terminal.note, **pack_arguments)
    facts: dict[str, Any] = {
        "command": ["livematte", *sys.argv[1:]],
        "data": [str(folder) for folder in data],
    }
    facts["precision"] = choose_precision(precision, chosen)
    facts |= {"data_hash": data_hash(*data, layouts=layouts, backgrounds=backgrounds)} if first else {}
    if "WORLD_SIZE" not in os.environ:  # the parent process reports errors once
        count = options["workers"] or _processes(chosen, plan)
        check_batch_size(plan, count)
        if start_from is not None and not resume:
            found.options = plan.options
            warm_start(found.network(), start_from)
        if count > 1:
            _spread(chosen, count)
            return
    if first:
        terminal.say(f"training {recipe} on {chosen}: {out}")
    with stop_event(say=TOGETHER not in os.environ) as stop:
        exact = choose_precision(precision, chosen)
        settings = Settings(chosen, exact, say=_say, stop=stop)
        try:
            run(
                found,
                plan,
                out,
                cache,
                settings=settings,
                start_from=start_from,
                crops_seen=options["crops_seen"],
                resume=resume,
                facts=facts,
            )
        except KeyboardInterrupt:
            if first:
                raise
            raise typer.Exit(130) from None  # the first process reports it
    if first:
        terminal.say(f"done: use {out / 'average.safetensors'} with --weights")


def _cache_name(data: list[Path], layouts: list[str], backgrounds: Path | None) -> str:
    """Return a cache name that is unique for the folders and packing options."""
    paths = [str(path.resolve()) for path in [*data, *([backgrounds] if backgrounds else [])]]
    choice = zlib.crc32("\n".join([*paths, *layouts]).encode())
    return f"{'+'.join(folder.resolve().name for folder in data)}-{choice:08x}"


def _read(config: Path | None) -> dict[str, Any]:
    if config is None:
        return {}
    return read_toml(config, "configuration", InputError, UsageError)


def _device(wanted: str) -> str:
    """Return cpu, cuda or cuda:N; ``auto`` selects a GPU if there is one."""
    from livematte.device import choose_device

    chosen = choose_device(wanted)
    if chosen.kind == "cuda" and wanted in ("auto", "cuda"):
        return "cuda"
    return str(chosen)


def _processes(device: str, plan: Plan) -> int:
    """Return the default number of processes: one per core or GPU, at most the smallest batch size."""
    available = min(os.cpu_count() or 1, 4) if device == "cpu" else 1
    if device == "cuda":
        import torch

        available = torch.cuda.device_count()
    return max(1, min(available, *(step.smallest_batch() for step in plan.steps)))


def _spread(device: str, workers: int) -> None:
    """Run this command in several processes."""
    environment = {"OMP_WAIT_POLICY": "PASSIVE", "OMP_NUM_THREADS": "1" if device == "cpu" else "4"}
    if sys.platform == "linux":
        environment["GLOO_SOCKET_IFNAME"] = "lo"
    given = {name: os.environ[name] for name in environment if name in os.environ}
    command = [sys.executable, "-m", "livematte", *sys.argv[1:]]
    code = run_together(command, workers, {**environment, **given}, terminal.note)
    if code:
        raise typer.Exit(code if code in (1, 2, 130) else 1)


def _say(row: dict[str, Any]) -> None:
    if terminal.is_json():
        terminal.event("train", **row)
    elif "mad" in row:
        true = ""
        if "cutout_mad" in row:
            true = f"; true alpha {row['cutout_mad']:.1f}, {row['cutout_mse']:.1f}"
        terminal.say(
            f"{row['step']} {row['iteration']}, {row['crops']} crops seen: "
            f"held-out MAD {row['mad']:.1f}, MSE {row['mse']:.1f} (x 1e3){true}"
        )
    elif "loss" in row:
        terminal.say(
            f"{row['step']} {row['iteration']}/{row['of']}  loss {row['loss']:.4f}  "
            f"{row['crops']} crops seen  {row['crops_s']:.1f}/s  {row['minutes_left']:.0f} min left"
        )
    else:
        terminal.say(", ".join(f"{k}: {v}" for k, v in row.items()))
