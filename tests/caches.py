"""What is compiled for tests and kept between runs: networks, loops, CUDA sources built as C++.

It lies in the user's cache folder (``LIVEMATTE_TEST_CACHE`` moves it) below the hash of what it was made
from, so that a change makes it anew and another checkout of the same sources finds it. Deleting it costs a
minute.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from platformdirs import user_cache_path

ROOT = Path(__file__).parents[1]
KEPT = 4
"""Folders of a kind that stay, some 500 MB each; others go two hours after a run began to use them."""

_IN_USE = 2 * 3600.0


_ROOT = "LIVEMATTE_TEST_CACHE"


def settle(otherwise: str) -> None:
    """Choose the folder that holds all of it, for this process and those it starts; ``otherwise`` where the
    user's cannot be written.
    """
    place = Path(os.environ.get(_ROOT) or user_cache_path("livematte-tests", appauthor=False))
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError:
        place = Path(otherwise)
    os.environ[_ROOT] = str(place if os.access(place, os.W_OK) else otherwise)


def root() -> Path:
    """The folder that was chosen."""
    return Path(os.environ[_ROOT])


def fingerprint(*patterns: str, packages: tuple[str, ...] = ()) -> str:
    """Hash of all files below the repository that match, of Python's version and of these packages'."""
    facts = hashlib.sha256(platform.python_version().encode())
    for name in packages:
        with suppress(PackageNotFoundError):
            facts.update(f"{name}=={version(name)}\n".encode())
    for path in sorted({path for pattern in patterns for path in ROOT.glob(pattern) if path.is_file()}):
        facts.update(f"{path.relative_to(ROOT).as_posix()}\n".encode())
        facts.update(hashlib.sha256(path.read_bytes()).digest())
    return facts.hexdigest()[:16]


def folder(kind: str, mark: str) -> Path:
    """A folder for what is of this kind and was made from what ``mark`` is the fingerprint of."""
    own = root() / f"{kind}-{mark}"
    own.mkdir(parents=True, exist_ok=True)
    os.utime(own)
    _forget_old(root().glob(f"{kind}-*"), KEPT)
    return own


def _forget_old(paths: Iterator[Path], kept: int) -> None:
    """Delete what no run may still use, except for the ``kept`` used last."""
    found = []
    for path in paths:
        with suppress(OSError):  # another run deletes too
            found.append((path.stat().st_mtime, path))
    for used, path in sorted(found, reverse=True)[kept:]:
        if time.time() - used > _IN_USE:
            shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)


def networks() -> Path:
    """For ``LIVEMATTE_CACHE``: what livematte makes of networks. It names its files by the weights' hash;
    here the code of the networks counts too.
    """
    packages = ("onnx", "onnxruntime", "openvino", "torch")
    return folder("networks", fingerprint("livematte/inference/**/*.py", "models/**/*.py", packages=packages))


def shims() -> Path:
    """For CUDA sources built as C++, which are named by their own hash."""
    own = folder("cuda-shim", "by-content")
    _forget_old(own.iterdir(), 300)
    return own


def _loops() -> Path:
    mark = fingerprint("livematte/kernels/**/*.py", packages=("llvmlite", "numba", "numpy"))
    return folder("loops", mark)


def restore_loops() -> None:
    """Put what Numba compiled from the same sources beside them, where it looks for it."""
    _copy_loops(_loops(), ROOT)


def store_loops() -> None:
    """Keep what Numba has compiled."""
    _copy_loops(ROOT, _loops())


def _copy_loops(source: Path, target: Path) -> None:
    """Copy what is newer, an index after the files that it names."""
    found = (source / "livematte" / "kernels").rglob("__pycache__/*.nb[ic]")
    for path in sorted(found, key=lambda path: path.suffix):
        copy = target / path.relative_to(source)
        with suppress(OSError):
            if not copy.exists() or copy.stat().st_mtime < path.stat().st_mtime:
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(path, copy)


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """One process at a time in here, where the system has such locks."""
    try:
        import fcntl
    except ImportError:
        yield
        return
    with open(path, "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
