"""A file that cannot be read to its end, or changes meanwhile, is an error; one damaged before is not."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from livematte import api
from livematte.errors import InputError
from livematte.video import read_check
from livematte.video.read_check import ReadCheck
from livematte.video.reader import open_video
from tests.clips import make_clip


def _cut(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)


def _overwrite(path: Path) -> None:
    state = path.stat()
    with path.open("r+b") as file:
        file.write(bytes(64))
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns + 10**9))


def _append(path: Path) -> None:
    with path.open("ab") as file:
        file.write(bytes(64))


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts"])
@pytest.mark.parametrize("change", [_cut, _overwrite, _append])
def test_a_file_that_changes_while_it_is_read_is_an_error(
    tmp_path: Path, suffix: str, change: Callable[[Path], None]
) -> None:
    clip = make_clip(tmp_path / f"clip{suffix}", frames=40, size=(240, 320))
    with open_video(clip) as source, pytest.raises(InputError, match="was changed"):
        for number, _ in enumerate(source):
            if number == 0:
                change(clip)


@pytest.mark.parametrize("suffix", [".mkv", ".ts"])
def test_a_file_that_was_cut_before_is_a_note(tmp_path: Path, suffix: str) -> None:
    clip = make_clip(tmp_path / f"clip{suffix}", frames=40, size=(240, 320))
    _cut(clip)
    with open_video(clip) as source:
        assert 0 < len(list(source)) < 40


def test_a_read_error_of_the_disk_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(path: Path, position: int) -> None:
        assert 0 < position < path.stat().st_size
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(read_check, "_read", fail)
    clip = make_clip(tmp_path / "clip.mkv", frames=10, size=(64, 96))
    with open_video(clip) as source, pytest.raises(InputError, match="Input/output error"):
        list(source)


def test_a_file_that_is_replaced_in_one_step_was_read_whole(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mkv", frames=10, size=(64, 96))
    check = ReadCheck(clip)
    (tmp_path / "new.mkv").write_bytes(b"another")
    (tmp_path / "new.mkv").replace(clip)
    check(early=False)


def test_a_removed_file_is_an_error_only_if_it_ends_early(tmp_path: Path) -> None:
    clip = tmp_path / "clip.mkv"
    clip.write_bytes(b"frames")
    check = ReadCheck(clip)
    clip.unlink()
    check()
    with pytest.raises(InputError, match="removed"):
        check(early=True)


def test_a_recording_may_grow_behind_the_end_that_was_asked_for(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.ts", frames=40, size=(64, 96))
    with open_video(clip, end=0.5) as source:
        for number, _ in enumerate(source):
            if number == 0:
                _append(clip)
    with open_video(clip, end=0.5) as source, pytest.raises(InputError, match="was changed"):
        for number, _ in enumerate(source):
            if number == 0:
                _overwrite(clip)


def test_a_render_of_a_file_that_is_cut_keeps_the_older_output(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mkv", frames=60, size=(240, 320), audio=1)
    target = tmp_path / "out.mp4"
    target.write_bytes(b"precious")
    once = iter([True])
    with pytest.raises(InputError, match="was changed"):
        api.render(clip, target, progress=lambda _: _cut(clip) if next(once, False) else None)
    assert target.read_bytes() == b"precious"
    assert (tmp_path / "out.partial.mp4").exists()


def test_pipes_and_addresses_are_not_checked(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "%04d.png", "rtsp://camera/1"):
        ReadCheck(path)(early=True)
