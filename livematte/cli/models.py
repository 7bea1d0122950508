"""``livematte models``."""

from __future__ import annotations

import json
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
    table.add_column("parameters", justify="right")
    table.add_column("weights", justify="right")
    table.add_column("MAD", justify="right")
    table.add_column("MSE", justify="right")
    table.add_column("licence")
    table.add_column("installed")
    for row in rows:
        metrics = row.get("metrics", {})
        name = f"{row['name']} *" if row.get("default") else row["name"]
        size = sum(file["bytes"] for file in row.get("files", ()))
        table.add_row(
            name,
            _millions(row.get("parameters")),
            f"{size / 1e6:.1f} MB" if size else "-",
            _number(metrics, "mad"),
            _number(metrics, "mse"),
            str(row.get("license", row.get("licence", "-"))),
            row.get("problem") or ("yes" if row["installed"] else "no weights: train it, see its README"),
        )
    console = Console()
    console.print(table)
    console.print("* used unless --model says otherwise. MAD and MSE x 1000, lower is better.", style="dim")


def _millions(count: Any) -> str:
    return f"{count / 1e6:.1f} M" if isinstance(count, (int, float)) else str(count or "-")


def _number(metrics: Any, key: str) -> str:
    """A figure of the card, whatever case the card writes it in."""
    if not isinstance(metrics, dict):
        return "-"
    found = {str(name).lower(): value for name, value in metrics.items()}.get(key)
    return f"{found:.1f}" if isinstance(found, (int, float)) else "-"
