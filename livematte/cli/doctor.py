"""``livematte doctor``."""

from __future__ import annotations

import json
from contextlib import nullcontext
from typing import TYPE_CHECKING

from livematte.cli import terminal
from livematte.cli.parameters import takes
from livematte.options.commands import DoctorCommand
from livematte.printable import one_line

if TYPE_CHECKING:
    from collections.abc import Iterator

    from livematte.protocols import Finding

_MARKS = {True: ("✓", "green"), False: ("✗", "red"), None: ("·", "dim")}


@takes(DoctorCommand)
def doctor(model: str) -> int:
    """Check this machine, and print what works, what does not, and how to fix it.

    Exits with 1 if something does not work. The output of --json contains no password and no home folder, so
    that it can be added to a bug report.
    """
    from livematte import registry
    from livematte.tools.doctor import diagnose

    registry.entry("models", model)
    if terminal.is_json():
        findings = list(diagnose(model))
        broken = sum(finding.good is False for finding in findings)
        report = {"broken": broken, "findings": terminal.jsonable(findings)}
        print(json.dumps(report, indent=1))
    else:
        broken = _show(diagnose(model))
    return 1 if broken else 0


def _show(findings: Iterator[Finding]) -> int:
    """Print each finding as soon as it is known; return the number of problems."""
    from rich.console import Console
    from rich.text import Text

    console, group, broken = Console(), "", 0
    # The test of a runtime takes seconds, or a minute on a busy machine.
    with console.status("checking ...") if console.is_terminal else nullcontext():
        for finding in findings:
            if finding.group != group:
                group = finding.group
                console.print(terminal.cell(f"\n{group}", "bold"))
            mark, style = _MARKS[finding.good]
            broken += finding.good is False
            line = Text.assemble((mark, style), f" {one_line(f'{finding.name}: {finding.what}')}")
            console.print(line, soft_wrap=True)
            if finding.fix:
                console.print(terminal.cell(f"    {finding.fix}", "cyan"), soft_wrap=True)
    console.print()
    verdict = "no problems found" if not broken else f"problems: {broken}, see the lines with ✗"
    console.print(verdict, style="bold")
    return broken
