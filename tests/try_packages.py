"""Build the wheel and the source package and try each in a new environment: ``make packages``.

Tries every Python from 3.10 to 3.13 that is on the path.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
PYTHONS = ("3.10", "3.11", "3.12", "3.13")


def find_pythons() -> list[str]:
    """Return the Pythons on the path that start; a shim without its version does not."""
    found = [path for each in PYTHONS if (path := shutil.which(f"python{each}")) is not None]
    return [
        path for path in found if subprocess.run([path, "-c", ""], capture_output=True).returncode == 0
    ] or [sys.executable]


def try_package(python: str, package: Path, folder: Path) -> None:
    """Install ``package`` in a new environment below ``folder`` and render the bundled clip there."""
    subprocess.run([python, "-m", "venv", "--clear", str(folder)], check=True)
    scripts = folder / ("Scripts" if sys.platform == "win32" else "bin")
    install = [scripts / "python", "-m", "pip", "install", "--quiet", "-c", ROOT / "constraints.txt", package]
    subprocess.run(list(map(str, install)), check=True, cwd=folder)
    for words in (["--version"], ["models"], ["demo", "-o", "demo"]):
        subprocess.run(
            [str(scripts / "livematte"), *words], check=True, cwd=folder, stdout=subprocess.DEVNULL
        )


def main() -> None:
    """Build both and try them."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        out = folder / "dist"
        out.mkdir()
        wheel = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(out), "."]
        subprocess.run(wheel, check=True, cwd=ROOT)
        code = f"from setuptools.build_meta import build_sdist; build_sdist({str(out)!r})"
        subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, stdout=subprocess.DEVNULL)
        for python in find_pythons():
            for package in sorted(out.iterdir()):
                try_package(python, package, folder / "environment")
                print(f"{package.name} works with {python}", flush=True)


if __name__ == "__main__":
    main()
