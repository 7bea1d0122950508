"""The cache folder is the user's own, and what lies in it is believed only with its hash."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from livematte import cache

posix = pytest.mark.skipif(sys.platform == "win32", reason="owners and modes of files are POSIX's")


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LIVEMATTE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(cache, "_said", set())
    return tmp_path / "cache"


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_it_moves_with_the_environment_and_is_none_where_it_cannot_be_written(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cache.cache_folder("onnx") == root / "onnx"
    assert list((root / "onnx").iterdir()) == []
    (tmp_path / "file").write_text("")
    for unusable in (str(tmp_path / "file"), str(tmp_path / "file" / "below"), "a" * 5000):
        monkeypatch.setenv("LIVEMATTE_CACHE", unusable)
        assert cache.cache_folder("onnx") is None


def test_a_file_is_whole_and_leaves_no_part(tmp_path: Path) -> None:
    cache.write_cached(tmp_path / "a", b"12")
    cache.write_cached(tmp_path / "a", b"345")
    assert cache.read_cached(tmp_path / "a") == b"345" and [f.name for f in tmp_path.iterdir()] == ["a"]
    cache.write_cached(tmp_path / "gone" / "a", b"1")  # no folder: no cache, no error
    assert cache.read_cached(tmp_path / "gone" / "a") is None


@pytest.mark.parametrize("at", [0, 20, 60, -1])
def test_a_flipped_bit_anywhere_removes_the_file(tmp_path: Path, at: int) -> None:
    cache.write_cached(tmp_path / "a", b"content" * 10)
    data = bytearray((tmp_path / "a").read_bytes())
    data[at] ^= 1
    (tmp_path / "a").write_bytes(data)
    assert cache.read_cached(tmp_path / "a") is None and not (tmp_path / "a").exists()


@pytest.mark.parametrize("data", [b"", b"livematte cache 1\n", b"content that an older version wrote"])
def test_a_file_without_a_hash_is_not_believed(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a").write_bytes(data)
    assert cache.read_cached(tmp_path / "a") is None


def test_a_file_under_the_name_of_another_is_not_believed(tmp_path: Path) -> None:
    cache.write_cached(tmp_path / "a", b"1")
    (tmp_path / "a").rename(tmp_path / "b")
    assert cache.read_cached(tmp_path / "b") is None


def test_a_folder_in_place_of_a_file_is_no_content_and_no_error(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    assert cache.read_cached(tmp_path / "a") is None
    cache.write_cached(tmp_path / "a", b"1")
    assert [f.name for f in tmp_path.iterdir()] == ["a"]


def test_content_and_name_are_synced_before_it_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    sync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda number: (done.append("sync"), sync(number)))
    monkeypatch.setattr(os, "replace", lambda *paths: (done.append("replace"), replace(*paths)))
    cache.write_cached(tmp_path / "a", b"1")
    assert done[:2] == ["sync", "replace"]


@posix
def test_only_the_owner_can_look_into_it(root: Path) -> None:
    folder = cache.cache_folder("onnx", "more")
    assert folder is not None
    cache.write_cached(folder / "a", b"1")
    assert [mode(each) for each in (root, root / "onnx", folder)] == [0o700] * 3
    assert mode(folder / "a") == 0o600


@posix
@pytest.mark.parametrize("bits", [0o770, 0o777, 0o702])
@pytest.mark.parametrize("which", [".", "onnx"])
def test_a_folder_that_others_can_write_to_is_not_used(
    root: Path, bits: int, which: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert cache.cache_folder("onnx") is not None
    (root / which).chmod(bits)
    assert cache.cache_folder("onnx") is None and cache.cache_folder("onnx") is None
    (said,) = caplog.messages
    assert "is not used: other users can write to it; delete it, or set its mode to 700" in said


@posix
def test_a_folder_of_another_user_is_not_used(
    root: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    folder = cache.cache_folder("onnx")
    assert folder is not None
    cache.write_cached(folder / "a", b"1")
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    assert cache.cache_folder("onnx") is None and "it belongs to user" in caplog.text
    assert cache.read_cached(folder / "a") is None


@posix
def test_a_file_that_others_can_write_or_a_link_is_not_believed(tmp_path: Path) -> None:
    cache.write_cached(tmp_path / "a", b"1")
    (tmp_path / "a").chmod(0o666)
    assert cache.read_cached(tmp_path / "a") is None
    cache.write_cached(tmp_path / "elsewhere", b"1")
    (tmp_path / "b").symlink_to(tmp_path / "elsewhere")
    assert cache.read_cached(tmp_path / "b") is None


def test_sealed_files_of_another_library_stay_until_they_change(tmp_path: Path) -> None:
    for name in ("same", "changed", "swapped"):
        (tmp_path / name).write_bytes(name.encode())
    cache.seal_files(tmp_path)
    (tmp_path / "changed").write_bytes(b"changEd")
    (tmp_path / "swapped").write_bytes(b"same")
    (tmp_path / "unsealed").write_bytes(b"1")
    cache.discard_changed_files(tmp_path)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["same", "same.sha256"]
    cache.discard_changed_files(tmp_path / "gone")
