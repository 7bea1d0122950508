"""``livematte models``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from typing_extensions import Unpack

from livematte import registry
from livematte.cli import terminal
from livematte.cli.parameters import takes
from livematte.options import DEFAULT_MODEL
from livematte.options.commands import ModelsCommand
from livematte.printable import one_line

if TYPE_CHECKING:
    from rich.table import Table

    from livematte.inference.weights import ModelCard


GROUPS = {"models": "--model", "refiners": "--refine"}
"""The listed registry groups, and the option for each."""


@takes(ModelsCommand)
def models(**options: Unpack[ModelsCommand]) -> None:
    """List the installed networks with size and quality.

    Models (--model) find the people. Refiners (--refine) improve the edges, where the matte is uncertain.
    """
    from livematte.errors import LivematteError
    from livematte.inference import weights

    rows = []
    for group in GROUPS:
        for name in registry.names(group):
            try:
                rows.append({"kind": group[:-1], **_facts(weights.find_card(name, group))})
            except LivematteError as error:
                problem = one_line(str(error))
                rows.append({"kind": group[:-1], "name": name, "installed": False, "problem": problem})
    if terminal.is_json():
        print(json.dumps(terminal.jsonable(rows)))
        return
    _show(rows, long=options["long"])


def _facts(card: ModelCard) -> dict[str, Any]:
    files = [
        {"name": file.path.name, "precision": file.precision, "bytes": file.path.stat().st_size}
        for file in card.files
        if file.path.is_file()
    ]
    return {
        **card.facts,
        "name": card.name,
        "default": card.name == DEFAULT_MODEL,
        "installed": bool(files),
        "files": files,
    }


def _show(rows: list[dict[str, Any]], *, long: bool) -> None:
    from rich.console import Console

    console = Console()
    for group, option in GROUPS.items():
        some = [row for row in rows if row["kind"] == group[:-1]]
        if some:
            console.print(_table(f"{group} ({option})", some))
    more = "" if long else " Papers, licences: --long"
    console.print(f"* default. MAD and MSE are x 1000, lower is better.{more}", style="dim")
    for row in rows:
        for fact in ("title", "paper", "licence", "problem") if long else ("problem",):
            if fact in row:
                console.print(terminal.cell(f"{row['name']}: {fact}: {row[fact]}"))


def _table(title: str, rows: list[dict[str, Any]]) -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, pad_edge=False, title=title, title_justify="left", title_style="bold")
    table.add_column("name", style="cyan", no_wrap=True)
    for heading in ("params", "weights", "precision", "MAD", "MSE"):
        table.add_column(heading, justify="right")
    table.add_column("installed")
    for row in rows:
        precisions = [file["precision"] for file in row.get("files", ())]
        table.add_row(
            terminal.cell(f"{row['name']} *" if row.get("default") else row["name"]),
            _millions(row.get("parameters")),
            _joined([f"{file['bytes'] / 1e6:.1f} MB" for file in row.get("files", ())]),
            _joined(precisions),
            _joined([_figure(row, precision, "mad") for precision in precisions]),
            _joined([_figure(row, precision, "mse") for precision in precisions]),
            "yes" if row["installed"] else "no",
        )
    return table


def _joined(words: list[str]) -> str:
    """Return one line for each file of a model."""
    return "\n".join(words) or "-"


def _millions(count: Any) -> str:
    return f"{count / 1e6:.1f} M" if isinstance(count, (int, float)) else "-"


def _figure(row: Mapping[str, Any], precision: str, name: str) -> str:
    """Return a metric of the model card for the weights of this precision."""
    figure = row.get("metrics", {}).get(precision, {}).get(name)
    return f"{figure:.1f}" if isinstance(figure, (int, float)) else "-"
