"""``livematte models``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from livematte import registry
from livematte.cli import options, terminal
from livematte.defaults import DEFAULT_MODEL

if TYPE_CHECKING:
    from rich.table import Table

    from livematte.weights import Card


GROUPS = {"models": "--model", "refiners": "--refine"}
"""What is listed, and the option that takes it."""


def models(as_json: options.Json = False) -> None:
    """List the networks that are installed, with size, quality and licence.

    Models find people by themselves (--model); refiners decide where a model is in doubt (--refine).
    """
    terminal.configure(as_json=as_json, quiet=False)
    from livematte import weights
    from livematte.errors import LivematteError

    rows = []
    for group in GROUPS:
        for name in registry.names(group):
            try:
                rows.append({"kind": group[:-1], **_facts(weights.card_of(name, group))})
            except LivematteError as error:
                problem = terminal.one_line(str(error))
                rows.append({"kind": group[:-1], "name": name, "installed": False, "problem": problem})
    if as_json:
        print(json.dumps(terminal.jsonable(rows)))
        return
    _show(rows)


def _facts(card: Card) -> dict[str, Any]:
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


def _show(rows: list[dict[str, Any]]) -> None:
    from rich.console import Console

    console = Console()
    for group, option in GROUPS.items():
        some = [row for row in rows if row["kind"] == group[:-1]]
        if some:
            console.print(_table(f"{group} ({option})", some))
    console.print("* used unless --model says otherwise. MAD and MSE x 1000: lower is better.", style="dim")
    for row in rows:
        for fact in ("title", "paper", "licence", "problem"):
            if fact in row:
                console.print(f"{row['name']}: {fact}: {row[fact]}", markup=False, highlight=False)


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
            f"{row['name']} *" if row.get("default") else row["name"],
            _millions(row.get("parameters")),
            _joined([f"{file['bytes'] / 1e6:.1f} MB" for file in row.get("files", ())]),
            _joined(precisions),
            _joined([_figure(row, precision, "mad") for precision in precisions]),
            _joined([_figure(row, precision, "mse") for precision in precisions]),
            "yes" if row["installed"] else "no",
        )
    return table


def _joined(words: list[str]) -> str:
    """One line for each file of a model."""
    return "\n".join(words) or "-"


def _millions(count: Any) -> str:
    return f"{count / 1e6:.1f} M" if isinstance(count, (int, float)) else "-"


def _figure(row: Mapping[str, Any], precision: str, name: str) -> str:
    """What the card says was measured with the weights of that precision."""
    figure = row.get("metrics", {}).get(precision, {}).get(name)
    return f"{figure:.1f}" if isinstance(figure, (int, float)) else "-"
