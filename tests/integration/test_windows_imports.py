"""Every module can be imported where POSIX has nothing to offer, as on Windows."""

from __future__ import annotations

import subprocess
import sys

import pytest

CODE = """
import importlib, os, pkgutil, signal, socket, subprocess, sys, types
# Other packages choose their parts for the real system.
import av, cv2, filelock, numba, numpy, onnx, onnxruntime, openvino, openvino.frontend, platformdirs
import safetensors.torch, torch, typer, logging.handlers, rich.progress, rich.live
import multiprocessing.connection, concurrent.futures.process, concurrent.futures.thread
for optional in ("websocket", "obswebsocket", "pyvirtualcam", "matplotlib", "pymatting"):
    try:
        importlib.import_module(optional)
    except ImportError:
        pass
sys.platform = "win32"
for name in ("termios", "tty", "fcntl", "resource", "pwd", "grp"):
    sys.modules[name] = None
for name in ("getuid", "geteuid", "getpgrp", "tcgetpgrp", "pathconf", "sched_getaffinity", "fork", "killpg",
             "setsid", "statvfs", "mkfifo", "fchmod", "sysconf", "chown", "getpgid"):
    if hasattr(os, name):
        delattr(os, name)
for name in ("SIGHUP", "SIGQUIT", "SIGKILL", "SIGUSR1", "SIGPIPE", "SIGALRM"):
    delattr(signal, name)
del socket.AF_UNIX
sys.modules["msvcrt"] = types.ModuleType("msvcrt")
sys.modules["winreg"] = types.ModuleType("winreg")
import livematte
count = 0
for found in pkgutil.walk_packages(livematte.__path__, "livematte."):
    if not found.name.endswith("__main__") and ".recipe" not in found.name:
        importlib.import_module(found.name)
        count += 1
from livematte.cli import run
from livematte.cli.interrupt import stop_signals
from livematte.streaming import session_registry
assert run(["ctl", "stats"]) == 1 and run(["version"]) == 0
assert {each.name for each in stop_signals()} == {"SIGINT", "SIGTERM"}
print(count)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="there the other tests say it")
def test_no_module_needs_posix() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.split()[-1]) > 200
