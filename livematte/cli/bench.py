"""``livematte bench``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from livematte.cli import options, terminal
from livematte.defaults import DEFAULT_MODEL

if TYPE_CHECKING:
    from livematte.bench import BenchReport, Spread


def bench(
    clip: Annotated[
        str | None, typer.Argument(metavar="[IN]", help="A clip of yours; the bundled 720p one otherwise.")
    ] = None,
    background: Annotated[
        str | None,
        typer.Option("--background", "-b", metavar="WHAT", help="As for render; bundled otherwise."),
    ] = None,
    frames: Annotated[int, typer.Option(min=20, metavar="N", help="Frames to measure.")] = 200,
    model: options.ModelName = DEFAULT_MODEL,
    size: options.Size = None,
    device: options.Device = "auto",
    runtime: options.Runtime = "auto",
    precision: options.Precision = "auto",
    threads: options.Threads = None,
    as_json: options.Json = False,
) -> None:
    """Measure this machine: the network alone, and file to file.

    The second is what you get; the first is what others advertise.
    """
    terminal.configure(as_json=as_json, quiet=False)
    from livematte.bench import bench as measure
    from livematte.demo import background_path, clip_path

    report = measure(
        clip or clip_path(),
        background=background or str(background_path()),
        model=model,
        frames=frames,
        size=size,
        device=device,
        runtime=runtime,
        precision=precision,
        threads=threads,
    )
    if as_json:
        facts = terminal.jsonable(report)
        print(json.dumps({**facts, "model": model, "slowest": report.slowest}))
        return
    _show(report, model)


def _show(report: BenchReport, model: str) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    seen = f"{report.network_size[1]} x {report.network_size[0]}"
    print(f"{report.clip}, {report.width} x {report.height}; {model} sees {seen}")
    print(f"network ready after {report.start_up:.2f} s")
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for column in ("milliseconds a frame", "p50", "p95", "p99", "fps"):
        table.add_column(column, justify="left" if column.startswith("milli") else "right")
    table.add_row("network alone", *_cells(report.tensor), f"{1000 / report.tensor.p50:.0f}")
    table.add_row("file to file", *_cells(report.end_to_end), f"{report.fps:.0f}", style="bold")
    console = Console()
    console.print(table)
    for name, busy in report.stages.items():
        slowest = "  the slowest" if name == report.slowest else ""
        print(f"  {name:<10} busy {busy:5.1f} ms a frame{slowest}")


def _cells(spread: Spread) -> tuple[str, str, str]:
    return f"{spread.p50:.1f}", f"{spread.p95:.1f}", f"{spread.p99:.1f}"
