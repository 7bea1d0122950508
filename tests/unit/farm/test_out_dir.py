"""Output folders of this computer: private files, the lock, and who holds it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from livematte.errors import OutputError, UsageError
from livematte.farm.files import PRIVATE
from livematte.farm.manifest import open_manifest, read_segments
from livematte.farm.out_dir import LocalDir, current_owner
from livematte.farm.run_owner import RunOwner, owner_here
from livematte.farm.status import CancelRequest, request_cancel
from livematte.offline.worker import SegmentResult
from livematte.video.concat import EncodedPart

HOLD = """
import sys, time
from pathlib import Path
from livematte.farm.out_dir import LocalDir
with LocalDir(Path(sys.argv[1])).lock():
    print("locked", flush=True)
    time.sleep(60)
"""


def test_a_second_run_is_refused_and_names_the_first_until_that_one_is_dead(tmp_path: Path) -> None:
    first = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert first.stdout is not None
    try:
        assert first.stdout.readline() == "locked\n"
        out = LocalDir(tmp_path)
        with pytest.raises(OutputError, match=f"is being written by process {first.pid} on ") as refused:
            out.lock().__enter__()
        assert "\n" not in str(refused.value)
        owner = current_owner(out)
        assert owner is not None and owner.process == first.pid
        assert request_cancel(out) == owner
    finally:
        first.kill()
        first.wait()
        first.stdout.close()
    assert current_owner(out) is None  # its name is still there, its lock is not
    with pytest.raises(UsageError, match="no render into .* is running"):
        request_cancel(out)
    with out.lock():
        owner = current_owner(out)
        assert owner is not None and owner.process == os.getpid()


def test_a_folder_without_results_is_left_as_it_was(tmp_path: Path) -> None:
    with LocalDir(tmp_path).lock():
        assert (tmp_path / PRIVATE).is_dir()
    assert list(tmp_path.iterdir()) == []


def test_a_request_to_stop_is_seen_once_it_is_made(tmp_path: Path) -> None:
    out = LocalDir(tmp_path)
    with out.lock():
        out.write("cancel.json", {"token": "of an earlier run"})
        requested = CancelRequest(out)
        time.sleep(0.6)
        assert not requested()
        request_cancel(out)
        time.sleep(0.6)
        assert requested()


def test_a_run_is_dead_when_its_process_is_or_when_it_is_silent() -> None:
    mine = owner_here()
    assert mine.is_alive(60)
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    if os.name == "posix":
        assert not RunOwner(mine.host, ended.pid, mine.began, mine.seen, "x").is_alive(60)
    assert not RunOwner("elsewhere", 1, 0.0, time.time() - 61, "x").is_alive(60)
    assert RunOwner("elsewhere", 1, 0.0, time.time() - 50, "x").is_alive(60)
    assert RunOwner.read({"host": "x"}) is None and RunOwner.read(None) is None


def test_a_manifest_keeps_what_fits_and_whole_parts_only(tmp_path: Path) -> None:
    out, facts = LocalDir(tmp_path), {"input": "a.mp4", "segments": [["None", None, "None"]] * 3}
    manifest = open_manifest(out, "a.mp4", facts)
    for number in (0, 1):
        made = tmp_path / f"made-{number}.mp4"
        made.write_bytes(b"part")
        part = EncodedPart(made, ((number, 1),))
        manifest.finish(number, SegmentResult(number, (part,), True, 0, (), {}))
    manifest.fail(2, "broken", "4.0 s to the end")
    name = manifest.name.removeprefix("farm/")
    assert read_segments(out, name)[1:] == ([0, 1], {2: {"error": "broken", "section": "4.0 s to the end"}})
    with out.open_part(manifest.done[1].parts[0].path) as path:
        path.unlink()
    again = open_manifest(out, "a.mp4", facts)
    assert sorted(again.done) == [0] and again.done[0] == manifest.done[0]
    assert read_segments(out, name)[1:] == ([0], {})  # the failed one is tried again
    assert open_manifest(out, "a.mp4", {**facts, "input": "b.mp4"}).done == {}
    assert out.names(manifest.name) == ["file.json"]
