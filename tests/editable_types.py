"""Let editors and type checkers find an editable install: ``python tests/editable_types.py``.

setuptools maps ``livematte.models`` and ``livematte.plugins`` with an import hook, which only a running
Python follows. A path file beside it shows type checkers the folder with ``livematte/`` and its ``py.typed``.
"""

from __future__ import annotations

import sysconfig
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
NAME = "livematte-types.pth"


def write_path_file(site_packages: Path) -> Path:
    """Write the path file into a folder of installed packages; its path."""
    file = site_packages / NAME
    file.write_text(f"{ROOT}\n", encoding="utf-8")
    return file


if __name__ == "__main__":
    print(write_path_file(Path(sysconfig.get_path("purelib"))))
