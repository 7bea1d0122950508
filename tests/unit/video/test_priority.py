"""Rendering leaves the priority of the process as it was."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.clips import make_clip

needs_linux = pytest.mark.skipif(
    not hasattr(os, "sched_getscheduler"), reason="Linux has scheduling policies"
)

PROGRAM = """
import os, pathlib, sys
from livematte.video.reader import open_video
from livematte.video.writer import open_sink
before = os.sched_getscheduler(0)
with open_video(sys.argv[1]) as source:
    sink = open_sink(sys.argv[2], source.info, codec="svt-av1")
    for frame in source:
        sink.write(frame)
    tasks = [int(task.name) for task in pathlib.Path("/proc/self/task").iterdir()]
    found = {os.sched_getscheduler(task) for task in tasks}
    sink.close()
print(found == {before}, len(tasks) > 5, os.sched_getscheduler(0) == before)
"""


@needs_linux
def test_svt_av1_takes_no_real_time_priority(tmp_path: Path) -> None:
    """As root it would give it to all its threads; other users may not."""
    clip = make_clip(tmp_path / "clip.mp4", frames=3, size=(64, 64))
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(clip), str(tmp_path / "out.mp4")],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.split() == ["True", "True", "True"]
