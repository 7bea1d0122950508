"""The import contracts of pyproject.toml, checked by import-linter: ``python -m tests.layers``.

import-linter reads the same copy, laid out like the wheel, that :mod:`tests.typecheck` checks.
"""

from __future__ import annotations

import subprocess
import sys

from tests.typecheck import ROOT, STAGE, lay_out

_COMMAND = "import sys; from importlinter.cli import lint_imports_command; sys.exit(lint_imports_command())"


def check_contracts() -> tuple[bool, str]:
    """Run import-linter; whether every contract is kept, and its report."""
    lay_out()
    done = subprocess.run(
        [sys.executable, "-c", _COMMAND, str(ROOT / "pyproject.toml"), "--no-cache"],
        cwd=STAGE,
        capture_output=True,
        text=True,
        encoding="utf-8",
    )
    return done.returncode == 0, done.stdout + done.stderr


if __name__ == "__main__":
    kept, report = check_contracts()
    print(report, end="")
    sys.exit(not kept)
