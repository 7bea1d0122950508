"""``livematte probe``."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer
from typing_extensions import Unpack

from livematte.cli import terminal
from livematte.cli.parameters import takes
from livematte.options import PixelLimitOption
from livematte.options.commands import ProbeCommand


@takes(ProbeCommand)
def probe(
    source: Annotated[
        str, typer.Argument(metavar="IN", help="A video or picture; [b]-[/b] for standard input.")
    ],
    **options: Unpack[PixelLimitOption],
) -> None:
    """Print the properties of a video as livematte reads it."""
    from livematte.video import trial_decode
    from livematte.video.pixel_limit import limit_pixels

    with limit_pixels(options):
        trial_decode.begin(source)  # runs during the imports
        from livematte.frame import display_size
        from livematte.video.reader import open_video
        from livematte.video.spool import as_file, spoken

        with as_file(source, say=terminal.note) as file:
            trial_decode.check(file)
            with closing(open_video(file)) as video:
                info = replace(video.info, name=Path(spoken(source)).name)
    if file != source:
        info = replace(info, details={**info.details, "path": source})
    if terminal.is_json():
        print(json.dumps(terminal.jsonable(info)))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(
        show_header=False, box=None, title=terminal.cell(info.name), title_justify="left", title_style="bold"
    )
    table.add_column(style="cyan")
    table.add_column(overflow="fold", min_width=12)
    table.add_row("size", f"{info.width} x {info.height}")
    table.add_row("planes", info.format)
    if info.average_rate:
        table.add_row("rate", f"{float(info.average_rate):.6g} frames per second ({info.average_rate})")
    if info.seconds is not None:
        table.add_row("length", f"{terminal.duration(float(info.seconds))} ({float(info.seconds):.3f} s)")
    if info.frames is not None:
        table.add_row("frames", str(info.frames))
    table.add_row("time base", str(info.time_base))
    if info.sample_aspect != 1:
        height, width = display_size((info.height, info.width), info.sample_aspect)
        table.add_row("pixel shape", f"{info.sample_aspect}, shown as {width} x {height}")
    full = "full range" if info.color.full_range else "limited range"
    table.add_row("colour", f"{info.color.matrix}, {full}")
    for key, value in _rows(info.details):
        table.add_row(terminal.cell(key), terminal.cell(value))
    Console().print(table)


def _rows(details: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield nested values as (name, text) rows; a list gives one row for each item."""
    for key, value in details.items():
        name = f"{prefix}{key}".replace("_", " ")
        if isinstance(value, Mapping):
            yield from _rows(value, f"{name} ")
        elif isinstance(value, (list, tuple)) and not key.endswith("size"):
            for number, entry in enumerate(value):
                text = (
                    ", ".join(f"{k} {_value(k, v)}" for k, v in entry.items() if v not in (None, "", {}))
                    if isinstance(entry, Mapping)
                    else str(entry)
                )
                yield (name if number == 0 else ""), text
        elif value is not None:
            yield name, _value(key, value)


def _value(key: str, value: Any) -> str:
    """Format a value for reading: booleans as yes or no, sizes as width x height."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if key.endswith("size") and isinstance(value, (list, tuple)):
        return " x ".join(str(side) for side in reversed(value))
    return str(value)
