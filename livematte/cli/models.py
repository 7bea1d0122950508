"""``livematte models``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from livematte import registry
from livematte.cli import options, terminal
from livematte.defaults import DEFAULT_MODEL

if TYPE_CHECKING:
    from livematte.weights import Card


def models(as_json: options.Json = False) -> None:
    """List the networks that are installed, with size, quality and licence."""
    terminal.configure(as_json=as_json, quiet=False)
    from livematte import weights
    from livematte.errors import LivematteError

    rows = []
    for name in registry.names("models"):
        try:
            rows.append(_facts(weights.card_of(name)))
        except LivematteError as error:
            rows.append({"name": name, "installed": False, "problem": terminal.one_line(str(error))})
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
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, pad_edge=False)
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
    console = Console()
    console.print(table)
    console.print("* used unless --model says otherwise. MAD and MSE x 1000: lower is better.", style="dim")
    for row in rows:
        for fact in ("title", "paper", "licence", "problem"):
            if fact in row:
                console.print(f"{row['name']}: {fact}: {row[fact]}", markup=False, highlight=False)


def _joined(words: list[str]) -> str:
    """One line for each file of a model."""
    return "\n".join(words) or "-"


def _millions(count: Any) -> str:
    return f"{count / 1e6:.1f} M" if isinstance(count, (int, float)) else "-"


def _figure(row: Mapping[str, Any], precision: str, name: str) -> str:
    """What the card says was measured with the weights of that precision."""
    figure = row.get("metrics", {}).get(precision, {}).get(name)
    return f"{figure:.1f}" if isinstance(figure, (int, float)) else "-"
