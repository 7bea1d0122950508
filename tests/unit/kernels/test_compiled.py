"""Compiled loops start late, and also where nothing can be written."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

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
