"""Command ``livematte bench``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer
from typing_extensions import Unpack

from livematte.cli import terminal
from livematte.cli.parameters import takes
from livematte.options import BenchOptions
from livematte.options.commands import BenchCommand

if TYPE_CHECKING:
    from livematte.tools.bench import BenchReport, LatencyPercentiles


@takes(BenchCommand)
def bench(
    clip: Annotated[
        str | None, typer.Argument(metavar="[IN]", help="Input video. Default: the bundled 720p clip.")
    ] = None,
    **options: Unpack[BenchOptions],
) -> None:
    """Measure the speed of this machine: the network alone, and file to file.

    File to file includes decoding, compositing and encoding: compare it with your own renders.
    """
    from livematte.tools.bench import bench as measure

    report = measure(clip, **options)
    if terminal.is_json():
        facts = terminal.jsonable(report)
        print(json.dumps({**facts, "slowest": report.slowest}))
        return
    _show(report)


def _show(report: BenchReport) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    network_size = f"{report.network_size[1]} x {report.network_size[0]}"
    terminal.say(f"{report.clip}, {report.width} x {report.height}; {report.model} at {network_size}")
    print(f"network ready after {report.start_up:.2f} s")
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for column in ("milliseconds per frame", "p50", "p95", "p99", "fps"):
        table.add_column(column, justify="left" if column.startswith("milli") else "right")
    table.add_row("network alone", *_cells(report.tensor), f"{1000 / report.tensor.p50:.0f}")
    table.add_row("file to file", *_cells(report.end_to_end), f"{report.fps:.0f}", style="bold")
    console = Console()
    console.print(table)
    for name, busy in report.stages.items():
        slowest = "  the slowest" if name == report.slowest else ""
        print(f"  {name:<10} busy {busy:5.1f} ms per frame{slowest}")


def _cells(spread: LatencyPercentiles) -> tuple[str, str, str]:
    return f"{spread.p50:.1f}", f"{spread.p95:.1f}", f"{spread.p99:.1f}"
