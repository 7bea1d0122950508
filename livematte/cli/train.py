"""``livematte train``."""

from __future__ import annotations

import os
import sys
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from livematte import registry
from livematte.cli import options, terminal
from livematte.cli.processes import run_together
from livematte.errors import InputError, UsageError
from livematte.training import TOGETHER

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

if TYPE_CHECKING:
    from livematte.training.recipe import Plan


def train(
    recipe: Annotated[
        str,
        typer.Argument(
            metavar="RECIPE", help="Whose training.", autocompletion=options.complete_names("recipes")
        ),
    ],
    data: Annotated[
        list[Path],
        typer.Option(
            "--data", metavar="FOLDER", help="People with alpha, and rooms; repeatable. See docs/training.md."
        ),
    ],
    layout: Annotated[
        list[str] | None,
        typer.Option(
            "--layout",
            metavar="NAME",
            help="How a folder lies on disk, where that cannot be told: once for all, or for each --data.",
        ),
    ] = None,
    backgrounds: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER", help="Rooms without people; otherwise the folder of that name in --data."
        ),
    ] = None,
    long_side: Annotated[
        int | None,
        typer.Option(
            min=64, metavar="PIXELS", help="Longer pictures are packed at this size; 576, for live sizes."
        ),
    ] = None,
    foregrounds: Annotated[
        str | None,
        typer.Option(
            metavar="HOW",
            help="Colours of photographed people: push-pull, multilevel, or closed-form, finest and slowest.",
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FOLDER", help="Of this run; runs/RECIPE otherwise.")
    ] = None,
    config: Annotated[
        Path | None, typer.Option("--config", metavar="FILE", help="TOML that changes the recipe's plan.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --out.")] = False,
    start_from: Annotated[
        Path | None,
        typer.Option(
            "--start-from", metavar="FILE", help="Weights to begin with, where names and shapes fit."
        ),
    ] = None,
    steps: Annotated[
        list[str] | None,
        typer.Option("--step", metavar="NAME", help="Only this step of the plan; repeatable."),
    ] = None,
    scale: Annotated[
        float, typer.Option(min=0.0001, metavar="X", help="Multiplies the iterations of every step.")
    ] = 1.0,
    seed: Annotated[int, typer.Option(min=0, metavar="N", help="Of the whole run.")] = 1,
    cache: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Where the data is packed; beside --out otherwise.")
    ] = None,
    device: Annotated[str, typer.Option(metavar="WHERE", help="[b]auto[/b], cpu, cuda or cuda:N.")] = "auto",
    precision: Annotated[
        str, typer.Option(metavar="KIND", help="fp32; on a GPU also bf16 or fp16.")
    ] = "fp32",
    workers: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Processes; one for each core or GPU otherwise."),
    ] = None,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Train a model, or go on with it, from the recipe of its paper.

    [bold]Examples[/bold]

    [cyan]livematte train late-fusion-live --data people/[/cyan]
    [cyan]livematte train late-fusion-live --data people/ --resume[/cyan]  after Ctrl-C
    [cyan]livematte train fba --data composition-1k/ --device cuda --precision bf16[/cyan]
    [cyan]livematte train jmnet --data P3M-10k/ --data PPM-100/ --backgrounds rooms/[/cyan]  several data sets
    """
    terminal.configure(as_json=as_json, quiet=quiet)
    if precision not in ("fp32", "bf16", "fp16"):
        raise UsageError(f"unknown precision {precision!r}: allowed are fp32, bf16, fp16")
    registry.entry("recipes", recipe)
    out = out or Path("runs") / recipe
    changes = _read(config)
    chosen = _device(device)
    if precision != "fp32" and chosen == "cpu":
        raise UsageError(f"precision {precision} needs a GPU: use fp32 on the CPU, where it is faster")
    from livematte.cli.interrupt import stop_event
    from livematte.training.data import data_hash, pack
    from livematte.training.foregrounds import ESTIMATORS
    from livematte.training.loop import Settings, check_run, check_share, warm_start
    from livematte.training.loop import train as run
    from livematte.training.packing import pack_folders

    if foregrounds not in (None, *ESTIMATORS):
        raise UsageError(f"unknown --foregrounds {foregrounds!r}: allowed are {', '.join(ESTIMATORS)}")
    found = registry.load("recipes", recipe)
    plan = found.plan(scale, seed).changed(changes)
    if steps:
        plan = plan.only(steps)
    check_run(plan, out, resume)
    layouts = layout or ["auto"]
    how: dict[str, Any] = {} if long_side is None else {"long_side": long_side}
    if foregrounds is not None:
        how["estimate"] = ESTIMATORS[foregrounds]
    plain = len(data) == 1 and layouts == ["auto"] and backgrounds is None and not how
    said = [f"{option}={value}" for option, value in (("side", long_side), ("colours", foregrounds)) if value]
    name = data[0].resolve().name if plain else _name_of(data, [*layouts, *said], backgrounds)
    cache = cache or out.parent / f"packed-{name}"
    first = os.environ.get("RANK", "0") == "0"
    if first:
        if not (cache / "index.json").exists():
            terminal.say(f"packing {', '.join(map(str, data))} into {cache}: once, some minutes")
        if plain:
            pack(data[0], cache)
        else:
            pack_folders(data, cache, backgrounds, layouts=layouts, say=terminal.note, **how)
    facts: dict[str, Any] = {
        "command": ["livematte", *sys.argv[1:]],
        "data": [str(folder) for folder in data],
    }
    facts |= {"data_hash": data_hash(*data, layouts=layouts, backgrounds=backgrounds)} if first else {}
    if "WORLD_SIZE" not in os.environ:  # what is wrong is said once, by the process that starts the others
        count = workers or _processes(chosen, plan)
        check_share(plan, count)
        if start_from is not None and not resume:
            found.options = plan.options
            warm_start(found.network(), start_from)
        if count > 1:
            _spread(chosen, count)
            return
    if first:
        terminal.say(f"training {recipe} on {chosen}: {out}")
    with stop_event(say=TOGETHER not in os.environ) as stop:
        settings = Settings(chosen, precision, say=_say(as_json), stop=stop)
        try:
            run(found, plan, out, cache, settings=settings, start_from=start_from, resume=resume, facts=facts)
        except KeyboardInterrupt:
            if first:
                raise
            raise typer.Exit(130) from None  # the first process says it
    if first:
        terminal.say(f"done: {out / 'average.safetensors'}; try it with --weights")


def _name_of(data: list[Path], layouts: list[str], backgrounds: Path | None) -> str:
    """Of the cache: another one for each choice of folders, so that none is taken for another."""
    paths = [str(path.resolve()) for path in [*data, *([backgrounds] if backgrounds else [])]]
    choice = zlib.crc32("\n".join([*paths, *layouts]).encode())
    return f"{'+'.join(folder.resolve().name for folder in data)}-{choice:08x}"


def _read(config: Path | None) -> dict[str, Any]:
    if config is None:
        return {}
    try:
        return tomllib.loads(config.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"configuration {config} cannot be read: {error.strerror or error}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"configuration {config} is not TOML: {error}") from error


def _device(wanted: str) -> str:
    """cpu, cuda or cuda:N; auto takes a GPU where there is one."""
    from livematte.device import choose_device

    chosen = choose_device(wanted)
    if chosen.kind == "cuda" and wanted in ("auto", "cuda"):
        return "cuda"
    return str(chosen)


def _processes(device: str, plan: Plan) -> int:
    """How many train together where nobody says: of the cores or GPUs, as many as batches have pictures."""
    there = min(os.cpu_count() or 1, 4) if device == "cpu" else 1
    if device == "cuda":
        import torch

        there = torch.cuda.device_count()
    return max(1, min(there, *(step.batch for step in plan.steps)))


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


def _say(as_json: bool) -> Any:
    def line(row: dict[str, Any]) -> None:
        if as_json:
            terminal.event("train", **row)
        elif "mad" in row:
            terminal.say(
                f"{row['step']} {row['iteration']}: "
                f"held-out MAD {row['mad']:.1f}, MSE {row['mse']:.1f} (x 1e3)"
            )
        elif "loss" in row:
            terminal.say(
                f"{row['step']} {row['iteration']}/{row['of']}  loss {row['loss']:.4f}  "
                f"{row['crops_s']:.1f} crops/s  {row['minutes_left']:.0f} min left"
            )
        else:
            terminal.say(", ".join(f"{k}: {v}" for k, v in row.items()))

    return line
