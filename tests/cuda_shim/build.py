"""CUDA sources compiled by a plain C++ compiler, with ``shim.h`` in CUDA's place."""

from __future__ import annotations

import ctypes
import hashlib
import os
import re
import shutil
import subprocess
from functools import lru_cache
from pathlib import Path

from tests import caches

HERE = Path(__file__).parent


@lru_cache(maxsize=1)
def compiler() -> str | None:
    """A C++ compiler for this machine whose C library has fibres; None where there is none."""
    if os.name != "posix" or not Path("/usr/include/ucontext.h").exists():
        return None
    return next(filter(None, map(shutil.which, ("g++", "clang++", "c++"))), None)


@lru_cache(maxsize=1)
def _folder() -> Path:
    return caches.shims()


@lru_cache(maxsize=64)
def _built(command: tuple[str, ...]) -> str | None:
    """What the compiler has to complain about; asked once, however often a test tries again."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stderr[:4000] or "no reason given" if done.returncode else None


def compiled(code: str) -> tuple[ctypes.CDLL, list[str]]:
    """The library of a source, and the names of its kernels.

    Kept in :func:`tests.caches.shims` under the hash of all that goes into it.
    """
    program = compiler()
    assert program, "no C++ compiler"
    flags = ["-std=c++17", "-O1", "-Wall", "-Wextra", "-Werror", "-Wno-unknown-pragmas"]
    flags += ["-Wno-unused-function", "-Wno-unused-parameter"]
    flags += ["-U_FORTIFY_SOURCE"]  # which takes a jump from stack to stack for a fault
    flags += os.environ.get("LIVEMATTE_SHIM_FLAGS", "").split()
    kernels = re.findall(r'extern "C" __global__ void (\w+)', code)
    shim = (HERE / "shim.h").read_text(encoding="utf-8")
    launchers = "".join(
        f'extern "C" int launch_{name}(const unsigned *grid, const unsigned *block, void **values)'
        f" {{ return shim::launch({name}, grid, block, values); }}\n"
        f'extern "C" const char *signature_{name}() {{ return shim::signature({name}); }}\n'
        for name in kernels
    )
    text = "\n".join([shim, code, launchers])
    key = hashlib.sha256("\n".join([text, program, *flags]).encode()).hexdigest()[:20]
    folder = _folder()
    library = folder / f"{key}.so"
    with caches.alone(folder / f"{key}.lock"):
        if not library.exists():
            path, unfinished = folder / f"{key}.cpp", folder / f"{key}.{os.getpid()}"
            path.write_text(text, encoding="utf-8")
            complaint = _built((program, *flags, "-shared", "-fPIC", "-o", str(unfinished), str(path)))
            assert complaint is None, complaint
            unfinished.replace(library)
    library.touch()  # used now
    return ctypes.CDLL(str(library)), kernels
