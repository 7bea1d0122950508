"""What is compiled for tests and kept between runs: networks, loops, CUDA sources built as C++.

It lies in the user's cache folder (``LIVEMATTE_TEST_CACHE`` moves it) below the hash of what it was made
from, so that a change makes it anew and another checkout of the same sources finds it. Deleting it costs a
minute.
"""

from __future__ import annotations

import hashlib
import os
import pickle
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
"""Folders of a kind that stay however old they are; others go after a day without use."""

_DAY = 24 * 3600.0


def root() -> Path:
    """The folder that holds all of it."""
    named = os.environ.get("LIVEMATTE_TEST_CACHE")
    return Path(named) if named else user_cache_path("livematte-tests", appauthor=False)


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
    """Delete what was not used for a day, except for the ``kept`` used last."""
    found = []
    for path in paths:
        with suppress(OSError):  # another run deletes too
            found.append((path.stat().st_mtime, path))
    for used, path in sorted(found, reverse=True)[kept:]:
        if time.time() - used > _DAY:
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


# Loops that Numba compiled. It keeps them beside the source, for as long as that has the same time and size.


def _loops() -> Path:
    mark = fingerprint("livematte/kernels/**/*.py", packages=("llvmlite", "numba", "numpy"))
    return folder("loops", mark)


def _stamp(index: Path) -> tuple[float, int] | None:
    """What Numba compares: time and size of the source that an index beside it belongs to."""
    try:
        found = (index.parent.parent / f"{index.name.split('.')[0]}.py").stat()
    except OSError:
        return None
    return found.st_mtime, found.st_size


def restore_loops() -> None:
    """Put what was compiled from the same sources beside them, unless there is something already."""
    stored = _loops()
    for index in stored.rglob("*.nbi"):
        target = ROOT / index.relative_to(stored)
        stamp = _stamp(target)
        if stamp is None or target.exists():
            continue
        with suppress(OSError, pickle.UnpicklingError, ValueError, TypeError):
            with open(index, "rb") as file:
                numba, data = pickle.load(file), pickle.loads(file.read())
            target.parent.mkdir(exist_ok=True)
            for name in data[1].values():
                shutil.copyfile(index.with_name(name), target.with_name(name))
            target.write_bytes(pickle.dumps(numba) + pickle.dumps((stamp, data[1])))


def store_loops() -> None:
    """Keep what is compiled and up to date."""
    stored = _loops()
    for index in (ROOT / "livematte" / "kernels").rglob("__pycache__/*.nbi"):
        target = stored / index.relative_to(ROOT)
        with suppress(OSError, pickle.UnpicklingError, ValueError, TypeError):
            with open(index, "rb") as file:
                pickle.load(file)
                stamp, overloads = pickle.loads(file.read())
            known = target.exists() and target.stat().st_mtime >= index.stat().st_mtime
            if known or stamp != _stamp(index):
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            for name in overloads.values():
                shutil.copyfile(index.with_name(name), target.with_name(name))
            shutil.copyfile(index, target)


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
