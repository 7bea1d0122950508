"""Names of files: those that FFmpeg would take for an address or a pattern, and those near the longest."""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from livematte.errors import InputError, OutputError, UsageError
from livematte.matting.backgrounds import parse_background
from livematte.output_paths import is_picture
from livematte.video.atomic_file import AtomicFile, sibling_path
from livematte.video.container import ffmpeg_name, open_container
from livematte.video.images import ImageSequenceSink, is_numbered
from livematte.video.reader import open_video
from livematte.video.trial_decode import decode_beginning
from livematte.video.writer import open_sink
from tests.clips import make_clip, make_pictures

needs_colons = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no : | and % in such names")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@needs_colons
@pytest.mark.parametrize(
    "name",
    [
        "10:30.mkv",
        "pipe:0",
        "concat:a.mkv|b.mkv",
        "file:a.mkv",
        "data:,x",
        "50%d.mkv",
        "%04d.mkv",
        "a?b*.mkv",
    ],
)
def test_a_name_like_an_address_is_a_file_to_read(here: Path, name: str) -> None:
    make_clip(here / "clip.mkv", frames=3, size=(64, 96)).rename(here / name)
    with open_video(name) as source:
        assert len(list(source)) == 3
    decode_beginning(name)


@needs_colons
@pytest.mark.parametrize("name", ["10:30.mkv", "pipe:1.mp4", "50%done.mp4", "tcp:127.0.0.1:9.mov"])
def test_a_name_like_an_address_is_a_file_to_write(here: Path, name: str) -> None:
    clip = make_clip(here / "clip.mkv", frames=3, size=(64, 96))
    with open_video(clip) as source:
        sink = open_sink(name, source.info, copy_streams_from=clip)
        for frame in source:
            sink.write(frame)
        sink.close()
    with open_video(here / name) as written:
        assert len(list(written)) == 3


@needs_colons
def test_a_file_called_like_a_port_makes_no_connection(here: Path) -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        server.setblocking(False)
        name = f"tcp:127.0.0.1:{server.getsockname()[1]}"
        Path(name).write_bytes(b"no video" * 100)
        with pytest.raises(InputError):
            open_container(name)
        with pytest.raises(BlockingIOError):
            server.accept()


def test_a_percent_sign_in_the_folder_is_no_pattern(here: Path) -> None:
    make_pictures(here / "plain", frames=3)
    (here / "plain").rename(here / "50%d off")
    with open_video(here / "50%d off" / "%04d.png") as source:
        assert len(list(source)) == 3


def test_a_picture_with_a_percent_sign_is_itself(here: Path) -> None:
    make_pictures(here / "many", frames=2)
    first = min((here / "many").iterdir())
    first.rename(here / f"50%d{first.suffix}")
    with open_video(here / f"50%d{first.suffix}") as source:
        assert len(list(source)) == 1
    assert is_picture(here / f"50%d{first.suffix}")


@pytest.mark.parametrize("name", ["50%_%04d.png", "%d-%d.png"])
def test_two_percent_signs_are_refused_in_one_line(here: Path, name: str) -> None:
    with pytest.raises(InputError, match="%%"):
        open_container(name)
    clip = make_clip(here / "clip.mkv", frames=1, size=(64, 96))
    with open_video(clip) as source, pytest.raises(UsageError, match="%%"):
        ImageSequenceSink(here / name, source.info, alpha=False, grey=False)


def test_only_pictures_are_numbered(here: Path) -> None:
    assert is_numbered(here / "%04d.png") and is_numbered(here / "%04d.jpg")
    assert not is_numbered(here / "50%done.mp4")


@needs_colons
def test_ffmpeg_gets_the_full_path(here: Path) -> None:
    assert ffmpeg_name("a:b.mp4") == f"file:{Path.cwd() / 'a:b.mp4'}"


LONG = "あ" * 80 + "abcdefghijk.mp4"
"""255 bytes."""


def _write(path: Path) -> list[str]:
    clip = make_clip(path.parent / "clip.mkv", frames=3, size=(64, 96))
    with open_video(clip) as source:
        sink = open_sink(path, source.info)
        for frame in source:
            sink.write(frame)
        sink.close()
    return sink.notes


@pytest.mark.parametrize("name", [LONG, "a" * 251 + ".mp4", "é" * 125 + ".mkv"])
def test_the_longest_name_can_be_written(here: Path, name: str) -> None:
    _write(here / name)
    with open_video(here / name) as written:
        assert len(list(written)) == 3
    assert not list(here.glob("*rendering*"))


def test_the_longest_name_of_a_folder_can_be_written(here: Path) -> None:
    clip = make_clip(here / "clip.mkv", frames=2, size=(64, 96))
    folder = here / ("x." + "y" * 253)
    with open_video(clip) as source:
        sink = open_sink(folder / "%06d.png", source.info)
        for frame in source:
            sink.write(frame)
        sink.close()
    assert len(list(folder.iterdir())) == 2


def test_what_is_kept_of_the_longest_name_fits(here: Path) -> None:
    (here / LONG).write_bytes(b"precious")
    partial = sibling_path(here / LONG, "partial")
    partial.touch()
    assert sibling_path(here / LONG, "partial") != partial
    assert partial.suffix == ".mp4" and ".partial" in partial.name


@pytest.mark.parametrize("use", [AtomicFile, open_container, parse_background])
def test_a_name_that_is_too_long_is_one_line(here: Path, use: Callable[[Path], object]) -> None:
    with pytest.raises((OutputError, InputError, UsageError)):
        use(here / ("a" * 300 + ".mp4"))


def test_a_file_under_the_temporary_name_is_not_overwritten(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("secrets.token_hex", lambda _: "guessed")
    (here / "elsewhere").write_bytes(b"precious")
    try:
        (here / "out.rendering-guessed.mp4").symlink_to(here / "nowhere")
    except OSError:
        pytest.skip("symbolic links are not allowed here")
    with pytest.raises(OutputError):
        AtomicFile(here / "out.mp4")
    assert not (here / "nowhere").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no permission bits")
def test_a_replaced_file_keeps_its_permissions(here: Path) -> None:
    target = here / "out.mp4"
    target.write_bytes(b"old")
    target.chmod(0o640)
    _write(target)
    assert target.stat().st_mode & 0o777 == 0o640
    assert target.stat().st_size > 100


def test_other_names_of_a_replaced_file_keep_the_old_content_and_a_note_says_so(here: Path) -> None:
    target = here / "out.mp4"
    target.write_bytes(b"old")
    (here / "same.mp4").hardlink_to(target)
    notes = _write(target)
    assert (here / "same.mp4").read_bytes() == b"old"
    assert any("1 other name (hard links)" in note for note in notes)
