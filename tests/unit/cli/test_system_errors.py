"""What the system refuses is reported as such, not as a bug."""

from __future__ import annotations

import errno
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from livematte import cli
from livematte.cli.system_errors import system_reason
from livematte.tools import demo

CLIP = str(demo.clip_path())


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (OSError(errno.ENAMETOOLONG, "File name too long", "x.mp4"), "x.mp4: File name too long: use a shor"),
        (OSError(errno.ENOSPC, "No space left on device"), "No space left on device: free some space"),
        (OSError(errno.EMFILE, "Too many open files"), r"Too many open files: .*\(ulimit -n\)"),
        (OSError(errno.EAGAIN, "Resource temporarily unavailable"), r"no further process .*\(ulimit -u\)"),
        (MemoryError(), "there is not enough memory: use a smaller --size"),
        (RuntimeError("std::bad_alloc"), "there is not enough memory"),
        (ImportError("x.so: failed to map segment from shared object"), "there is not enough memory"),
        (RuntimeError("can't start new thread"), r"no further thread can be started: .*\(ulimit -u\)"),
    ],
)
def test_a_refusal_of_the_system_has_its_reason_and_a_fix(
    error: Exception, says: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("livematte.api.render", fail)
    monkeypatch.setattr("livematte.render", fail)
    assert cli.run(["render", CLIP, "out.mp4"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "bug" not in line
    assert re.search(says, line)


@pytest.mark.parametrize("error", [ValueError("x"), OSError("x"), OSError(errno.EBADF, "bad"), KeyError()])
def test_other_errors_stay_bugs(error: Exception) -> None:
    assert system_reason(error) == ""


IMPOSSIBLE = "x" * 5000, "a/" * 3000 + "x.mp4"


@pytest.mark.parametrize(
    ("command", "name"),
    [(command, name) for command in ("render", "image", "trimap") for name in IMPOSSIBLE],
    ids=lambda each: each[:9],
)
def test_an_impossible_output_is_refused_in_one_short_line(
    command: str, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run([command, CLIP if command == "render" else str(demo.background_path()), name]) in (1, 2)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("livematte: error: ") and "bug" not in line and len(line) < 1200


@pytest.mark.skipif(sys.platform != "linux", reason="limits the memory with prlimit, which Linux has")
def test_too_little_memory_is_no_bug(tmp_path: Path) -> None:
    code = (
        "import resource; resource.setrlimit(resource.RLIMIT_AS, (400 << 20,) * 2);"
        "from livematte.cli import main; main(['probe', 'nothing.mp4'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 1 and "bug" not in done.stderr and "Traceback" not in done.stderr
