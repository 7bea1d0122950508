"""``livematte doctor``."""

from __future__ import annotations

import json
from contextlib import nullcontext
from typing import TYPE_CHECKING

from livematte.cli import options, terminal
from livematte.defaults import DEFAULT_MODEL

if TYPE_CHECKING:
    from collections.abc import Iterator

    from livematte.findings import Finding

_MARKS = {True: ("✓", "green"), False: ("✗", "red"), None: ("·", "dim")}


def doctor(model: options.ModelName = DEFAULT_MODEL, as_json: options.Json = False) -> int:
    """Look at this machine: what works, what does not, and the command that mends it.

    Ends with 1 where something is broken. --json is for bug reports: no password, no home folder.
    """
    terminal.configure(as_json=as_json, quiet=False)
    from livematte import registry
    from livematte.doctor import diagnose

    registry.entry("models", model)
    if as_json:
        findings = list(diagnose(model))
        broken = sum(finding.good is False for finding in findings)
        told = {"broken": broken, "findings": terminal.jsonable(findings)}
        print(json.dumps(told, ensure_ascii=False, indent=1))
    else:
        broken = _show(diagnose(model))
    return 1 if broken else 0


def _show(findings: Iterator[Finding]) -> int:
    """Print each as it is found; how many are broken."""
    from rich.console import Console
    from rich.markup import escape

    console, group, broken = Console(), "", 0
    # A runtime takes seconds to try, on a busy machine a minute.
    with console.status("looking ...") if console.is_terminal else nullcontext():
        for finding in findings:
            if finding.group != group:
                group = finding.group
                console.print(f"\n[bold]{escape(group)}[/bold]", highlight=False)
            mark, style = _MARKS[finding.good]
            broken += finding.good is False
            line = f"[{style}]{mark}[/{style}] {escape(finding.name)}: {escape(finding.what)}"
            console.print(line, highlight=False, soft_wrap=True)
            if finding.mend:
                console.print(f"    [cyan]{escape(finding.mend)}[/cyan]", highlight=False, soft_wrap=True)
    console.print()
    console.print("all is well" if not broken else f"{broken} to mend: see the lines with ✗", style="bold")
    return broken
