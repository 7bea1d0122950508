"""A type checker finds livematte and its types where ``make`` installed it."""

from __future__ import annotations

import subprocess
import sys
import venv
from pathlib import Path

from tests.editable_types import ROOT, write_path_file

USER = """
import numpy as np
import livematte

matter = livematte.Matter(temporal="strong", channels="bgr")
reveal_type(matter(np.zeros((4, 4, 3), np.uint8)).alpha)
reveal_type(livematte.image(b""))
reveal_type(livematte.image(b"", "a.png"))
livematte.Matter(temporal="storng")
livematte.render("a.mp4", "b.mp4", fit="cover", siez=3)
matter(3)
"""


def site_packages(folder: Path) -> Path:
    return next(each for each in folder.rglob("site-packages") if each.parent.parent.name != "lib64")


def test_mypy_finds_the_package_and_its_types(tmp_path: Path) -> None:
    """In an environment of its own, where only the path file leads to the repository."""
    venv.create(tmp_path / "env", with_pip=False, symlinks=sys.platform != "win32")
    packages = site_packages(tmp_path / "env")
    write_path_file(packages)
    (packages / "libraries.pth").write_text("\n".join(p for p in sys.path if p.endswith("site-packages")))
    (tmp_path / "user.py").write_text(USER, encoding="utf-8")
    python = tmp_path / "env" / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    done = subprocess.run(
        [
            *(sys.executable, "-m", "mypy", "--python-executable", str(python)),
            *("--no-incremental", "--config-file", "", "user.py"),
        ],
        cwd=tmp_path, capture_output=True, text=True,
    )  # fmt: skip
    lines = [line for line in done.stdout.splitlines() if line.startswith("user.py")]
    revealed = [line.partition("type is ")[2].lower() for line in lines if "note: Revealed" in line]
    words = ("ndarray", "32bit"), ("ndarray", "8bit"), ("renderreport",)
    assert len(revealed) == len(words), done.stdout
    assert all(word in each for each, wanted in zip(revealed, words, strict=True) for word in wanted)
    errors = [line.split(":")[1] for line in lines if ": error:" in line]
    assert errors == ["9", "10", "11"], done.stdout


def test_the_package_says_that_it_is_typed() -> None:
    assert (ROOT / "livematte" / "py.typed").exists()
