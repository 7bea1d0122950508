"""Command ``livematte eval``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from typing_extensions import Unpack

from livematte.cli import terminal
from livematte.cli.parameters import takes
from livematte.options import PathLike
from livematte.options.commands import EvalCommand, EvalOptions

if TYPE_CHECKING:
    from livematte.evaluation.scoring import Report


@takes(EvalCommand)
def eval(**options: Unpack[EvalOptions]) -> None:
    """Evaluate a model on test data with ground-truth alpha.

    Metrics: SAD, MAD, MSE, Grad and Conn; for clips also dtSSD and MESSDdt.
    With ground-truth foregrounds also SAD and MSE of the foreground.

    [bold]Examples[/bold]

    [cyan]livematte eval --data validation/ --out result/[/cyan]
    [cyan]livematte eval --data people/ --count 40 --alone --size 384[/cyan]  only the network, larger input
    [cyan]livematte eval --data people/ --refine NAME --band[/cyan]  a refiner, in the unknown region
    [cyan]livematte eval --data clips/ --weights mine.safetensors[/cyan]  your own weights
    """  # fmt: skip
    from livematte.evaluation import scoring
    from livematte.evaluation.cases import find_cases, spread
    from livematte.options.declaration import complete
    from livematte.resolve import resolve

    chosen = complete(EvalOptions, options)
    resolved = resolve(chosen)
    out = chosen["out"]
    cases = spread(find_cases(Path(chosen["data"]), moving=chosen["moving"]), chosen["count"])
    if out is not None:
        scoring.report_folder(Path(out))
    network = resolved.model()
    pipeline = scoring.MattingPipeline(network)
    if chosen["full"]:
        pipeline = scoring.MattingPipeline(network, resolved.compositor(), resolved.matting)
    with terminal.display(f"eval {resolved.name}") as display:
        report = scoring.evaluate(pipeline, cases, band=chosen["band"], progress=display)
    facts = {
        **resolved.facts(),
        "data": str(chosen["data"]),
        "judged": f"whole pipeline, refine {resolved.refine.how}" if chosen["full"] else "network alone",
    }
    written = scoring.write_report(report, Path(out), **facts) if out is not None else []
    terminal.event_if_json("done", **facts, **report.facts(), outputs=written)
    if terminal.for_people():
        _show(report, facts, out)


def _show(report: Report, facts: Mapping[str, object], out: PathLike | None) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    from livematte.evaluation.scoring import heading

    what = "1 case" if len(report.scores) == 1 else f"{len(report.scores)} cases"
    region = "unknown band" if report.band else "whole picture"
    terminal.say(f"{facts['model']}, {facts['judged']}: {what} of {facts['data']}, {region}")
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for column in ("", "mean", "median", "worst"):
        table.add_column(column, justify="right" if column else "left")
    for name, mean in report.mean.items():
        values = [score.values[name] for score in report.scores if name in score.values]
        table.add_row(heading(name), *(f"{v:.2f}" for v in (mean, median(values), max(values))))
    Console().print(table)
    print("Worst results by MAD x 1000:")
    for strip in report.worst[:5]:
        terminal.say(f"  {strip.mad:7.2f}  {strip.name}, frame {strip.frame}")
    if out is not None:
        terminal.say(f"{out}: scores.json, scores.md and worst/")
