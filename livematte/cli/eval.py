"""``livematte eval``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Annotated

import typer

from livematte.cli import options, terminal
from livematte.defaults import DEFAULT_MODEL

if TYPE_CHECKING:
    from livematte.evaluation import Report

_JUDGED = "What is judged"


def eval(
    data: Annotated[
        Path,
        typer.Option(
            "--data",
            metavar="FOLDER",
            help="[b]image/[/b] and [b]alpha/[/b] with files of the same names, a folder with both for each "
            "clip, or people and rooms as trained on.",
            rich_help_panel=_JUDGED,
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="FOLDER",
            help="Write every figure and the worst pictures there.",
            rich_help_panel="The files",
        ),
    ] = None,
    count: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Only so many, evenly spread.", rich_help_panel=_JUDGED),
    ] = None,
    moving: Annotated[
        bool,
        typer.Option(
            "--moving",
            metavar="",
            help="Short clips of people walking, where the data is people and rooms.",
            rich_help_panel=_JUDGED,
        ),
    ] = False,
    band: Annotated[
        bool,
        typer.Option(
            "--band",
            metavar="",
            help="Count only where a trimap would say unknown, not the whole picture.",
            rich_help_panel=_JUDGED,
        ),
    ] = False,
    full: Annotated[
        bool,
        typer.Option(
            "--full/--alone",
            metavar="",
            help="The whole way a rendered frame goes, or the network alone, its alpha enlarged.",
            rich_help_panel=_JUDGED,
        ),
    ] = True,
    model: options.ModelName = DEFAULT_MODEL,
    weights: options.Weights = None,
    size: options.Size = None,
    temporal: options.Temporal = "on",
    keep_islands: options.KeepIslands = False,
    refine: options.Refine = "guided",
    refine_weights: options.RefineWeights = None,
    refine_size: options.RefineSize = None,
    refine_budget: options.RefineBudget = None,
    refine_tta: options.RefineTta = False,
    device: options.Device = "auto",
    runtime: options.Runtime = "auto",
    precision: options.Precision = "auto",
    threads: options.Threads = None,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Measure a model against true alphas.

    SAD, MAD, MSE, Grad, Conn; of clips dtSSD and MESSDdt; where foregrounds are known, their SAD and MSE.

    [bold]Examples[/bold]

    [cyan]livematte eval --data validation/ --out result/[/cyan]
    [cyan]livematte eval --data people/ --count 40 --alone --size 384[/cyan]  the network alone, finer
    [cyan]livematte eval --data people/ --refine NAME --band[/cyan]  a refiner, where it works
    [cyan]livematte eval --data clips/ --weights mine.safetensors[/cyan]  weights of your own
    """  # fmt: skip
    terminal.configure(as_json=as_json, quiet=quiet)
    from livematte import evaluation
    from livematte.jobs import Machine, Refining, check_model, network_of
    from livematte.training.cases import find_cases, spread

    check_model(model)
    refining = Refining(refine, refine_weights, refine_size, refine_budget, refine_tta, temporal)
    cases = spread(find_cases(data, moving=moving), count)
    if out is not None:
        evaluation.report_folder(out)
    machine = Machine(device, runtime, precision, threads)
    network = network_of(model, machine, weights, size)
    compositor = refining.compositor(machine, foreground=True) if full else None
    judged = evaluation.Pipeline(network, compositor, temporal=temporal, keep_islands=keep_islands)
    with terminal.display(f"eval {model}") as display:
        report = evaluation.evaluate(judged, cases, band=band, progress=display)
    facts = {
        "model": model,
        "weights": None if weights is None else str(weights),
        "size": size,
        "data": str(data),
        "refine_weights": None if refine_weights is None else str(refine_weights),
        "refine_tta": refine_tta,
        "judged": f"whole pipeline, refine {refine}" if full else "network alone",
    }
    written = evaluation.write_report(report, out, **facts) if out is not None else []
    terminal.event_if_json("done", **facts, **report.facts(), outputs=written)
    if not (as_json or quiet):
        _show(report, facts, out)


def _show(report: Report, facts: Mapping[str, object], out: Path | None) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    from livematte.evaluation import heading

    what = "1 case" if len(report.scores) == 1 else f"{len(report.scores)} cases"
    region = "unknown band" if report.band else "whole picture"
    print(f"{facts['model']}, {facts['judged']}: {what} of {facts['data']}, {region}")
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for column in ("", "mean", "median", "worst"):
        table.add_column(column, justify="right" if column else "left")
    for name, mean in report.mean.items():
        values = [score.values[name] for score in report.scores if name in score.values]
        table.add_row(heading(name), *(f"{v:.2f}" for v in (mean, median(values), max(values))))
    Console().print(table)
    print("The worst by MAD x 1000:")
    for strip in report.worst[:5]:
        print(f"  {strip.mad:7.2f}  {strip.name}, frame {strip.frame}")
    if out is not None:
        print(f"{out}: scores.json, scores.md and worst/")
