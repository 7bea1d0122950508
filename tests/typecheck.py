"""``mypy --strict`` over the package as it is installed: ``python -m tests.typecheck``.

``models/`` and ``plugins/`` become ``livematte.models`` and ``livematte.plugins`` only in the wheel, which
mypy cannot know; so it sees a copy laid out like the wheel, and its answers are turned back into real paths.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
STAGE = ROOT / "build" / "typecheck"
ROOMS = {"livematte": "livematte", "models": "livematte/models", "plugins": "livematte/plugins"}


def lay_out() -> None:
    """Make the copy in :data:`STAGE` anew."""
    shutil.rmtree(STAGE, ignore_errors=True)
    for room, place in ROOMS.items():
        if (ROOT / room).is_dir():
            shutil.copytree(
                ROOT / room, STAGE / place, ignore=lambda _, names: [n for n in names if n == "__pycache__"]
            )


def main() -> int:
    """Lay out the copy, run mypy on it; mypy's exit code."""
    lay_out()
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--config-file", str(ROOT / "pyproject.toml"), "-p", "livematte"],
        cwd=STAGE,
        env={**os.environ, "MYPY_CACHE_DIR": str(ROOT / ".mypy_cache")},
        capture_output=True,
        text=True,
    )
    answer = done.stdout.replace("\\", "/")
    for room, place in reversed(ROOMS.items()):
        answer = answer.replace(f"{place}/", f"{room}/") if room != place else answer
    print(answer + done.stderr, end="")
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
