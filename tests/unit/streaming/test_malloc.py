"""How many arenas the C library gives a live session's threads, asked of a real process."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

PROGRAM = """
import ctypes, os, tempfile, threading
from livematte.streaming.malloc import keep_arenas_few

print(keep_arenas_few())
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
libc.fopen.restype = ctypes.c_void_p
together = threading.Barrier(12)

def allocate():
    libc.malloc(100_000)
    together.wait()

threads = [threading.Thread(target=allocate) for _ in range(12)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
with tempfile.TemporaryDirectory() as folder:
    path = os.path.join(folder, "info").encode()
    file = ctypes.c_void_p(libc.fopen(path, b"w"))
    libc.malloc_info(0, file)
    libc.fclose(file)
    print(open(path).read().count("<heap nr="))
"""


def arenas(**environment: str) -> tuple[str, int]:
    kept = {name: value for name, value in os.environ.items() if name != "MALLOC_ARENA_MAX"}
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=kept | environment, capture_output=True, text=True, check=True
    )
    done, count = ran.stdout.split()
    return done, int(count)


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's arenas are Linux's")
def test_threads_share_two_arenas_unless_the_user_says_otherwise() -> None:
    done, count = arenas()
    if done == "False":
        pytest.skip("another C library than glibc")
    assert count == 2
    assert arenas(MALLOC_ARENA_MAX="5") == ("False", 5), "what the user wants"


def test_elsewhere_nothing_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    from livematte.streaming.malloc import keep_arenas_few

    monkeypatch.setattr(sys, "platform", "win32")
    assert keep_arenas_few() is False
