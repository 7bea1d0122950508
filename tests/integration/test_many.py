"""Many files in one call, and a folder that is watched: real renders of tiny clips."""

from __future__ import annotations

import json
import shutil
import threading
from pathlib import Path
from typing import Any

import av
import pytest

import livematte
from livematte.errors import UsageError
from livematte.farm.files import PRIVATE
from livematte.farm.out_dir import LocalDir
from livematte.farm.records import FileResult
from livematte.farm.watch import watch
from livematte.progress import Progress
from tests import clips
from tests.commands import run

HOW: dict[str, Any] = {"size": 64, "preset": "ultrafast", "device": "cpu"}
FRAMES = 6


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return clips.make_clip(tmp_path_factory.mktemp("clip") / "clip.mp4", frames=FRAMES, audio=1)


@pytest.fixture
def folder(tmp_path: Path, clip: Path) -> Path:
    """Two good videos, one of them in a sub-folder, a damaged one and a text."""
    source = tmp_path / "in"
    (source / "deep").mkdir(parents=True)
    shutil.copy(clip, source / "a.mp4")
    shutil.copy(clip, source / "deep" / "b.mp4")
    (source / "bad.mp4").write_bytes(b"no video at all" * 10)
    (source / "notes.txt").write_text("mine")
    return tmp_path


def states(results: list[FileResult]) -> dict[str, str]:
    return {result.input.name: result.state for result in results}


def count(path: Path) -> int:
    with av.open(str(path)) as video:
        return sum(1 for _ in video.decode(video=0))


def made(folder: Path) -> list[str]:
    return sorted(
        path.relative_to(folder).as_posix() for path in folder.rglob("*")
        if path.is_file() and PRIVATE not in path.parts
    )  # fmt: skip


def test_a_bad_file_stops_no_other_and_what_is_whole_is_kept(folder: Path) -> None:
    out, seen = folder / "out", []
    how = {**HOW, "recursive": True, "alpha_out": "{stem}-matte.mp4", "jobs": 2}
    results = livematte.render_many(
        folder / "in", out, progress=seen.append, finished=lambda result: None, **how
    )
    assert states(results) == {"a.mp4": "done", "bad.mp4": "failed", "b.mp4": "done"}
    assert made(out) == ["a-matte.mp4", "a.mp4", "deep/b-matte.mp4", "deep/b.mp4"]
    assert {count(out / name) for name in made(out)} == {FRAMES}
    (failed,) = (result for result in results if result.state == "failed")
    assert "bad.mp4 is not a media file" in failed.error and PRIVATE not in failed.error
    assert max(progress.done for progress in seen) == 2 * FRAMES
    assert not list((out / PRIVATE).glob("work-*"))
    times = {name: (out / name).stat().st_mtime_ns for name in made(out)}
    again = livematte.render_many(folder / "in", out, **how)
    assert states(again) == {"a.mp4": "unchanged", "bad.mp4": "failed", "b.mp4": "unchanged"}
    assert {name: (out / name).stat().st_mtime_ns for name in made(out)} == times
    (out / "a.mp4").write_bytes(b"somebody changed it")
    third = livematte.render_many([folder / "in" / "a.mp4"], out, **how)
    assert states(third) == {"a.mp4": "done"} and count(out / "a.mp4") == FRAMES


def test_what_one_file_gets_is_what_it_gets_alone(folder: Path) -> None:
    livematte.render(folder / "in" / "a.mp4", folder / "alone.mp4", **HOW)
    livematte.render_many(folder / "in" / "a.mp4", folder / "out", **HOW)
    assert (folder / "alone.mp4").read_bytes() == (folder / "out" / "a.mp4").read_bytes()


def test_a_file_of_the_users_is_replaced_only_if_it_is_said(folder: Path, clip: Path) -> None:
    out, how = folder / "out", ["--size", "64", "--device", "cpu", "--preset", "ultrafast", "--recursive"]
    (folder / "in" / "bad.mp4").unlink()
    (out / "deep").mkdir(parents=True)
    (out / "a.mp4").write_bytes(b"mine")
    done = run("render", folder / "in", "--out-dir", out, *how)
    assert done.returncode == 1 and "1 done, 1 failed" in done.stdout
    assert "exists, and livematte did not write it" in done.stderr and "--overwrite" in done.stderr
    assert (out / "a.mp4").read_bytes() == b"mine" and count(out / "deep" / "b.mp4") == FRAMES
    other = [*how, "--crf", "30"]  # of the two, only the second is livematte's own
    assert "1 done, 1 failed" in run("render", folder / "in", "--out-dir", out, *other).stdout
    assert (
        "1 done, 1 unchanged" in run("render", folder / "in", "--out-dir", out, *other, "--overwrite").stdout
    )
    assert count(out / "a.mp4") == FRAMES
    assert run("render", clip, out / "a.mp4", "--size", "64", "--device", "cpu").returncode == 0


def test_what_another_computer_wrote_into_the_folder_is_replaced_too(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    how = {**HOW, "overwrite": None}
    assert states(livematte.render_many(folder / "in" / "a.mp4", folder / "out", **how)) == {"a.mp4": "done"}
    monkeypatch.setattr("livematte.video.written_files.was_written", lambda path: False)
    again = livematte.render_many(folder / "in" / "a.mp4", folder / "out", **how, crf=30)
    assert states(again) == {"a.mp4": "done"}
    (folder / "out" / "a.mp4").write_bytes(b"somebody changed it")
    (result,) = livematte.render_many(folder / "in" / "a.mp4", folder / "out", **how)
    assert result.state == "failed" and "livematte did not write it" in result.error


def test_a_stop_leaves_nothing_unfinished(tmp_path: Path) -> None:
    clips.make_clip(tmp_path / "in.mp4", frames=400)
    stop = threading.Event()
    results = livematte.render_many(
        [tmp_path / "in.mp4"], tmp_path / "out", progress=lambda _: stop.set(), stop=stop, **HOW
    )
    assert [result.state for result in results] == ["stopped"]
    assert made(tmp_path / "out") == []


def test_a_wrong_option_is_refused_before_anything_is_made(folder: Path) -> None:
    with pytest.raises(UsageError, match="neverheardof"):
        livematte.render_many(folder / "in", folder / "out", model="neverheardof")
    with pytest.raises(UsageError, match="by name"):
        livematte.render_many(folder / "in", folder / "out", model=lambda rgb, state: None)  # type: ignore[arg-type,return-value]
    assert not (folder / "out").exists()


def test_the_command_prints_a_table_and_fails_if_a_file_does(folder: Path) -> None:
    words = ["render", folder / "in", "--out-dir", folder / "out", "--size", "64", "--device", "cpu"]
    done = run(*words)
    assert done.returncode == 1
    assert "1 done, 1 failed" in done.stdout and "bad.mp4" in done.stdout
    events = [json.loads(line) for line in run(*words, "--json").stdout.splitlines()]
    assert events[-1] == {"event": "done", "done": 0, "unchanged": 1, "failed": 1, "stopped": 0}
    assert {Path(each["input"]).name: each["state"] for each in events if each["event"] == "file"} == {
        "a.mp4": "unchanged", "bad.mp4": "failed",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (
            ["a.mp4", "b.mp4", "c.mp4"],
            "3 paths: for many videos name a folder for the results, --out-dir",
        ),
        (["in"], "in is a folder of videos: for many videos name a folder"),
        (["a.mp4"], "no output is named: give OUT"),
        (["a.mp4", "b.mp4", "--recursive"], "--recursive is for many videos: add --out-dir DIR"),
        (["a.mp4", "b.mp4", "--jobs", "no"], "--jobs 'no' is invalid: use auto, or 1 or more"),
    ],
)
def test_a_command_that_is_not_clear_is_one_line(
    folder: Path, words: list[str], says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    done = run("render", *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert says in done.stderr and len(done.stderr.splitlines()) == 1


def test_a_watched_folder_is_rendered_once_even_after_a_restart(folder: Path, clip: Path) -> None:
    source, out = folder / "in", folder / "out"
    settled = {**HOW, "settle": 0.2, "jobs": 1}

    def until(count: int, **how: Any) -> dict[str, str]:
        stop, ended = threading.Event(), []

        def take(result: FileResult) -> None:
            ended.append(result)
            if len(ended) == count:
                stop.set()

        timer = threading.Timer(60, stop.set)
        timer.start()
        watch(source, out, finished=take, stop=stop, **how)
        timer.cancel()
        return states(ended)

    assert until(2, **settled) == {"a.mp4": "done", "bad.mp4": "failed"}
    shutil.copy(clip, source / "new.mp4")
    assert until(1, **settled) == {"new.mp4": "done"}
    shutil.copy(clip, source / "bad.mp4")  # what failed is tried again when it changes
    assert until(1, **settled) == {"bad.mp4": "done"}
    (out / "mine.mp4").write_bytes(b"mine")
    shutil.copy(clip, source / "mine.mp4")
    assert until(1, **settled, overwrite=None) == {"mine.mp4": "failed"}
    (out / "mine.mp4").unlink()  # or when nothing is in its way any more
    assert until(1, **settled, overwrite=None) == {"mine.mp4": "done"}
    shutil.copy(clip, source / "mine.avi")
    assert until(1, **settled, overwrite=None) == {"mine.avi": "failed"}  # its output is that of another
    with pytest.raises(UsageError, match="is watched itself"):
        watch(source, source)
    with pytest.raises(UsageError, match="for many files use a pattern"):
        watch(source, out, alpha_out="matte.mp4")


def test_a_folder_that_is_being_written_is_refused(folder: Path) -> None:
    with LocalDir(folder / "out").lock():
        done = run("render", folder / "in", "--out-dir", folder / "out")
    assert done.returncode == 1 and "is being written by process" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_render_of_many_files_ends_when_somebody_cancels_it(tmp_path: Path) -> None:
    clips.make_clip(tmp_path / "in.mp4", frames=2000)
    out, asked = tmp_path / "out", list[str]()

    def cancel(progress: Progress) -> None:
        assert [each.name for each in progress.files] in ([], ["in.mp4"])
        if not asked:
            asked.append(run("farm", "cancel", out).stdout)

    results = livematte.render_many([tmp_path / "in.mp4"], out, progress=cancel, **HOW)
    assert [result.state for result in results] == ["stopped"] and "stops" in asked[0]
    assert run("farm", "cancel", out).returncode == 2
