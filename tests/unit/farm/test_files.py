"""Which files are taken, and what their outputs are called."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from livematte.errors import InputError, UsageError
from livematte.farm import batch
from livematte.farm.files import find_inputs, plan_files
from livematte.farm.memory import free_memory, render_bytes
from livematte.farm.out_dir import LocalDir, file_stamp
from livematte.farm.records import Records, hash_options
from livematte.options import RenderOptions
from livematte.options.declaration import complete
from livematte.options.many import RenderManyOptions


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in ("in/a.mp4", "in/b.MKV", "in/notes.txt", "in/.hidden.mp4", "in/deep/c.avi", "out/old.mp4"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return tmp_path


def chosen(**options: Any) -> dict[str, Any]:
    return dict(complete(RenderManyOptions, options))  # type: ignore[arg-type]


def found(*paths: Path, recursive: bool = False, out: Path) -> list[str]:
    taken = find_inputs(paths, recursive=recursive, leave_out=out)
    return [path.relative_to(base).as_posix() for path, base in taken]


def test_videos_of_a_folder_are_taken_and_other_files_are_not(tree: Path) -> None:
    assert found(tree / "in", out=tree / "out") == ["a.mp4", "b.MKV"]
    assert found(tree / "in", recursive=True, out=tree / "out") == ["a.mp4", "b.MKV", "deep/c.avi"]
    assert found(tree / "in", tree / "in" / "a.mp4", out=tree / "out") == ["a.mp4", "b.MKV"]


def test_outputs_in_a_folder_that_is_read_are_no_inputs(tree: Path) -> None:
    assert "out/old.mp4" not in found(tree, recursive=True, out=tree / "out")
    assert "out/old.mp4" in found(tree, recursive=True, out=tree / "elsewhere")


def test_a_folder_without_videos_and_a_missing_file_are_one_line(tree: Path) -> None:
    (tree / "in" / "empty").mkdir()
    with pytest.raises(InputError, match=r"no video was found in .*empty; --recursive"):
        find_inputs([tree / "in" / "empty"], recursive=False, leave_out=tree / "out")
    with pytest.raises(InputError, match=r"gone\.mp4: no such file"):
        find_inputs([tree / "gone.mp4"], recursive=False, leave_out=tree)


def names(tree: Path, transparent: bool = False, **options: Any) -> list[str]:
    taken = find_inputs([tree / "in"], recursive=True, leave_out=tree / "out")
    return [each.name for each in plan_files(taken, chosen(**options), transparent=transparent)]


def test_names_keep_sub_folders_and_extensions_that_can_be_written(tree: Path) -> None:
    assert names(tree) == ["a.mp4", "b.MKV", "deep/c.mp4"]
    assert names(tree, transparent=True) == ["a.mov", "b.MKV", "deep/c.mov"]
    assert names(tree, out_name="{stem}-green.webm") == ["a-green.webm", "b-green.webm", "deep/c-green.webm"]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"out_name": "same.mp4"}, "would both become same.mp4"),
        ({"out_name": "{name}.mp4"}, "{stem} is the only name in braces"),
        ({"out_name": "../{stem}.mp4"}, "a name in the output folder"),
        ({"out_name": "{stem}/%04d.png"}, "one file at a time"),
        ({"alpha_out": "matte.mp4"}, "for many files use a pattern"),
        ({"alpha_out": "{stem}.mp4"}, "would both become a.mp4"),
    ],
)
def test_names_that_cannot_be_are_one_line(tree: Path, options: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError) as refused:
        names(tree, **options)
    assert says in str(refused.value)


def test_a_record_fits_one_state_of_input_output_and_options(tree: Path) -> None:
    taken = find_inputs([tree / "in" / "a.mp4"], recursive=False, leave_out=tree / "out")
    (file,) = plan_files(taken, chosen(), transparent=False)
    records = Records(LocalDir(tree / "out"), hash_options(complete(RenderOptions, {})))
    assert not records.is_whole(file)
    (tree / "out" / "a.mp4").write_bytes(b"rendered")
    records.write(file, file_stamp(file.input))
    assert records.is_whole(file)
    other = Records(LocalDir(tree / "out"), hash_options(complete(RenderOptions, {"size": 128})))
    assert not other.is_whole(file)
    (tree / "out" / "a.mp4").write_bytes(b"rendere")
    assert not records.is_whole(file)
    (tree / "out" / "a.mp4").write_bytes(b"rendered")
    records.write(file, file_stamp(file.input))
    file.input.write_bytes(b"changed")
    assert not records.is_whole(file)


def test_options_that_change_nothing_in_the_output_have_the_same_hash(tmp_path: Path) -> None:
    plain = hash_options(complete(RenderOptions, {}))
    assert hash_options(complete(RenderOptions, {"threads": 3, "device": "cpu"})) == plain
    picture = tmp_path / "beach.jpg"
    picture.write_bytes(b"1")
    before = hash_options(complete(RenderOptions, {"background": str(picture)}))
    picture.write_bytes(b"22")
    assert len({plain, before, hash_options(complete(RenderOptions, {"background": str(picture)}))}) == 3


def test_jobs_follow_cores_and_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch.os, "cpu_count", lambda: 64)
    monkeypatch.setattr(batch, "free_memory", lambda: 400 << 30)
    assert batch.choose_jobs(render_bytes((1080, 1920))) == 16
    monkeypatch.setattr(batch, "free_memory", lambda: 6 << 30)
    assert batch.choose_jobs(render_bytes((1080, 1920))) == 3
    assert batch.choose_jobs(render_bytes((4320, 7680))) == 1
    assert free_memory() > 0
