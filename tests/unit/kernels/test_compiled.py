"""Compiled loops start late, and also where nothing can be written."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from shutil import copytree

import pytest

ROOT = Path(__file__).parents[3]


KERNEL = (
    "import numpy as np\n"
    "from livematte.kernels.kinds import soft_cells\n"
    "soft_cells(np.ones((3, 3), np.float32), 0.1, 1)\n"
)


def run(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_numba_is_not_imported_before_the_first_picture() -> None:
    done = run(
        "import sys\n"
        "import livematte.matting.compositor, livematte.matting.backgrounds, livematte.matting.temporal\n"
        "assert 'numba' not in sys.modules"
    )
    assert done.returncode == 0, done.stderr


def test_no_package_of_kernels_imports_numba_or_cupy() -> None:
    done = run(
        "import importlib, pkgutil, sys\n"
        "from livematte import device, kernels\n"
        "for package in (device, kernels):\n"
        "    for module in pkgutil.walk_packages(package.__path__, f'{package.__name__}.'):\n"
        "        if not module.name.endswith(('.loops', '.compiled')):\n"
        "            importlib.import_module(module.name)\n"
        "assert not {'numba', 'cupy', 'torch'} & set(sys.modules)"
    )
    assert done.returncode == 0, done.stderr


def test_without_a_place_for_the_cache_it_still_compiles() -> None:
    """Numba asks its locators for a folder that can be written; here none of them has one."""
    done = run(
        "from numba.core import caching\n"
        "caching.CacheImpl._locator_classes = []\n"
        "import numpy as np\n"
        "from livematte.kernels.kinds import soft_cells\n"
        "assert soft_cells(np.ones((3, 3), np.float32), 0.1, 1).tolist() == [[1] * 3] * 3\n"
    )
    assert done.returncode == 0, done.stderr


def test_where_the_package_cannot_be_written_the_cache_is_in_the_folder_of_livematte(tmp_path: Path) -> None:
    """Not in Numba's own below the user's home, as it would be for a system's package."""
    done = run(
        "from livematte.kernels._shared import compiled\n"
        "compiled._takes_files = lambda folder: False\n" + KERNEL,
        HOME=str(tmp_path / "home"), XDG_CACHE_HOME="", LIVEMATTE_CACHE=str(tmp_path / "ours"),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert list((tmp_path / "ours" / "numba").rglob("*.nbi")) and not (tmp_path / "home").exists()


SCRIPT = """
import numpy as np
from livematte.kernels._shared import compiled
compiled._takes_files = lambda folder: False
@compiled.compiled
def twice(x): return x * 2
assert twice(4) == 8 and twice(1.5) == 3
"""


@pytest.fixture(scope="module")
def loops(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a script and a cache with its compiled loops."""
    folder = tmp_path_factory.mktemp("loops")
    (folder / "script.py").write_text(SCRIPT, encoding="utf-8")
    start(folder, folder / "cache")
    return folder


def start(folder: Path, cache: Path) -> None:
    code = f"import sys; sys.path.insert(0, {str(folder)!r}); import script"
    done = run(code, LIVEMATTE_CACHE=str(cache))
    assert done.returncode == 0, done.stderr


def test_compiled_loops_are_used_again(loops: Path) -> None:
    written = {file: file.stat().st_mtime_ns for file in (loops / "cache").rglob("*.nb?")}
    assert sorted(file.suffix for file in written) == [".nbc", ".nbc", ".nbi"]
    start(loops, loops / "cache")
    assert {file: file.stat().st_mtime_ns for file in (loops / "cache").rglob("*.nb?")} == written


@pytest.mark.parametrize("suffix", ["*.nbi", "*.nbc"])
@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[: len(data) // 2],
        lambda data: b"not a pickle",
        lambda data: data[:-40] + bytes([data[-40] ^ 1]) + data[-39:],
    ],
)
def test_damaged_compiled_loops_are_made_anew(
    loops: Path, tmp_path: Path, suffix: str, damage: Callable[[bytes], bytes]
) -> None:
    copytree(loops / "cache", tmp_path / "cache")
    for file in (tmp_path / "cache").rglob(suffix):
        file.write_bytes(damage(file.read_bytes()))
    start(loops, tmp_path / "cache")
