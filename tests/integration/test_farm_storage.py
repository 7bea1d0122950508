"""Inputs and outputs in object storage: a real S3 server on loopback, from the package moto."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import livematte
from livematte.errors import InputError, OutputError, UsageError
from livematte.farm.batch import prepare_batch
from livematte.farm.cluster import ClusterRender
from livematte.farm.cut_file import cut_file
from livematte.farm.files import find_inputs
from livematte.farm.out_dir import current_owner, open_out_dir
from livematte.farm.records import FileResult, input_stamp
from livematte.farm.status import read_status
from livematte.farm.storage import input_path, local_copy
from livematte.offline.pool import ProcessPool
from livematte.offline.schedule import Slot
from livematte.offline.worker import render_segment
from livematte.options.declaration import complete
from livematte.options.many import RenderManyOptions
from tests import clips

pytestmark = pytest.mark.farm

KEYS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}


@pytest.fixture(scope="module")
def bucket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An S3 bucket with ``clip.mp4``: 20 MB of known bytes."""
    for name in ("moto", "s3fs", "flask"):
        pytest.importorskip(name, reason=f"{name} is not installed (pip install 's3fs' 'moto[server]')")
    import s3fs

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    address = f"http://127.0.0.1:{port}"
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {**KEYS, "AWS_ENDPOINT_URL": address}.items():
            patch.setenv(name, value)
        patch.setenv("LIVEMATTE_FARM_TEMP", str(tmp_path_factory.mktemp("copies")))
        try:
            end = time.monotonic() + 90
            while True:
                try:
                    socket.create_connection(("127.0.0.1", port), 1).close()
                    break
                except OSError:
                    assert server.poll() is None and time.monotonic() < end, "moto does not start"
                    time.sleep(0.2)
            system = s3fs.S3FileSystem()
            system.mkdir("videos")
            with system.open("videos/clip.mp4", "wb") as file:
                file.write(bytes(range(256)) * (20 << 12))
            yield "s3://videos"
        finally:
            server.kill()
            server.wait()


def test_an_object_is_copied_once_for_each_of_its_versions(bucket: str) -> None:
    import s3fs

    url = f"{bucket}/clip.mp4"
    first = local_copy(url)
    assert first.read_bytes() == bytes(range(256)) * (20 << 12)
    before = first.stat().st_ino
    assert local_copy(url) == first and first.stat().st_ino == before
    assert [path.name for path in first.parent.iterdir()] == [first.name]
    s3fs.S3FileSystem().pipe("videos/clip.mp4", b"another version")
    s3fs.S3FileSystem.clear_instance_cache()
    second = local_copy(url)
    assert second != first and second.read_bytes() == b"another version"


def test_a_url_is_an_input_with_a_name_and_a_version(bucket: str, tmp_path: Path) -> None:
    ((path, base),) = find_inputs([f"{bucket}/clip.mp4"], recursive=False, leave_out=tmp_path)
    assert (input_path(path), path.relative_to(base).name) == (f"{bucket}/clip.mp4", "clip.mp4")
    assert input_stamp(path) is not None


def test_an_object_that_is_not_there_is_one_line(bucket: str) -> None:
    with pytest.raises(InputError, match=r"s3://videos/gone\.mp4 cannot be read") as refused:
        local_copy(f"{bucket}/gone.mp4")
    assert "\n" not in str(refused.value)


def test_a_path_of_this_computer_is_itself(tmp_path: Path) -> None:
    assert local_copy(os.fspath(tmp_path / "a.mp4")) == tmp_path / "a.mp4"
    assert input_path(Path("in/a.mp4")) == os.fspath(Path("in/a.mp4"))


# An output folder in the bucket


HOW: dict[str, Any] = {
    "size": 64, "preset": "ultrafast", "device": "cpu", "threads": 1, "background": "blur:2",
}  # fmt: skip


@pytest.fixture(scope="module")
def film(bucket: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clip of 200 frames, which is also in the bucket, as ``film.mp4``."""
    import s3fs

    path = clips.make_clip(
        tmp_path_factory.mktemp("film") / "film.mp4", frames=200, audio=1,
        options={"preset": "ultrafast", "g": "12"},
    )  # fmt: skip
    s3fs.S3FileSystem().put_file(path, "videos/film.mp4")
    return path


def stored(folder: str) -> list[str]:
    """Return the names of all objects under a folder of the bucket."""
    import s3fs

    found = s3fs.S3FileSystem(use_listings_cache=False).find(f"videos/{folder}")
    return [name.removeprefix(f"videos/{folder}/") for name in found]


def content(name: str) -> bytes:
    import s3fs

    return bytes(s3fs.S3FileSystem(use_listings_cache=False).cat_file(f"videos/{name}"))


def test_a_render_from_the_bucket_into_the_bucket_is_that_of_one_computer(
    bucket: str, film: Path, tmp_path: Path
) -> None:
    livematte.render_many(film, tmp_path, alpha_out="{stem}-matte.mp4", **HOW)
    how = {**HOW, "alpha_out": "{stem}-matte.mp4", "overwrite": None}
    (result,) = livematte.render_many(f"{bucket}/film.mp4", f"{bucket}/out", **how)
    assert (result.state, result.error, result.frames) == ("done", "", 200)
    names = ["film-matte.mp4", "film.mp4"]
    assert stored("out") == [".livematte/records/film.mp4.json", *names]
    assert all(content(f"out/{name}") == (tmp_path / name).read_bytes() for name in names)
    (again,) = livematte.render_many(f"{bucket}/film.mp4", f"{bucket}/out", **how)
    assert again.state == "unchanged"
    (other,) = livematte.render_many(f"{bucket}/film.mp4", f"{bucket}/out", **how, crf=40)  # its own output
    assert other.state == "done"


def test_an_object_that_livematte_did_not_write_is_not_replaced(bucket: str, film: Path) -> None:
    import s3fs

    s3fs.S3FileSystem().pipe("videos/kept/film.mp4", b"mine")
    (result,) = livematte.render_many(film, f"{bucket}/kept", **HOW, overwrite=None)
    assert result.state == "failed" and "livematte did not write it" in result.error
    with pytest.raises(UsageError, match=r"s3://videos/film\.mp4 is also the input"):
        cut_file(*planned(f"{bucket}/film.mp4", bucket), transparent=False)
    assert content("kept/film.mp4") == b"mine"


def planned(source: str, out: str) -> tuple[Any, ...]:
    """Return the arguments of a render of one file in segments."""
    chosen: Any = complete(RenderManyOptions, {**HOW, "overwrite": True})
    folder = open_out_dir(out)
    folder.prepare()
    batch = prepare_batch(find_inputs([source], recursive=False, leave_out=folder.folder), folder, chosen)
    return batch.files[0], folder, batch.options, batch.records()


def render_in_segments(
    source: str, out: str, stop_after: int = 1 << 20
) -> tuple[list[FileResult], list[int]]:
    """Render segments of two seconds in worker processes of this computer; return results and segments."""
    file, folder, options, records = planned(source, out)
    render = ClusterRender([file], folder, options, records, transparent=False, seconds=2.0)
    results, finished = list[FileResult](), list[int]()
    pool = ProcessPool(["cpu"])
    start = pool.start

    def count(attempt: int, slot: Slot, call: tuple[Any, ...]) -> Any:
        function, job, task, store = call
        finished.append(task.number)
        if not store:
            return start(attempt, slot, (render_segment, job, replace(task, folder=folder.folder)))
        return start(attempt, slot, (function, job, task, store))

    pool.start = count  # type: ignore[method-assign]
    try:
        render.open([0], lambda number, result: results.append(result))
        render.run(
            pool, end=lambda number, result: results.append(result), stop=lambda: len(finished) > stop_after
        )
    finally:
        pool.close()
    return results, finished


def test_parts_are_uploaded_once_and_another_driver_goes_on_with_them(
    bucket: str, film: Path, tmp_path: Path
) -> None:
    render_in_segments(os.fspath(film), os.fspath(tmp_path))
    (result,), begun = render_in_segments(f"{bucket}/film.mp4", f"{bucket}/parts", stop_after=1)
    assert result.state == "stopped" and begun == [0, 1]  # the second did not end
    parts = [name for name in stored("parts") if name.endswith(".mp4")]
    assert parts and all(name.startswith(".livematte/farm/") for name in parts)
    (status,) = read_status(open_out_dir(f"{bucket}/parts"))
    assert (status.name, status.done, status.segments) == ("film.mp4", 1, 4)
    (result,), rest = render_in_segments(f"{bucket}/film.mp4", f"{bucket}/parts")
    assert (result.state, result.error, rest) == ("done", "", [1, 2, 3])
    assert content("parts/film.mp4") == (tmp_path / "film.mp4").read_bytes()
    assert stored("parts") == [".livematte/records/film.mp4.json", "film.mp4"]


def test_a_second_run_into_the_bucket_is_refused_and_names_the_first(bucket: str) -> None:
    out = open_out_dir(f"{bucket}/locked")
    with out.lock():
        with pytest.raises(OutputError, match=rf"is being written by process {os.getpid()} on "):
            open_out_dir(f"{bucket}/locked").lock().__enter__()
        assert current_owner(out) is not None
    assert stored("locked") == []
    dead = {"host": "elsewhere", "process": 1, "began": 0.0, "seen": time.time() - 1000, "token": "x"}
    out = open_out_dir(f"{bucket}/locked")
    out.write("run.json", dead)
    with out.lock():
        pass


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("s3://nobodys-bucket/x", "nobodys-bucket/x/.livematte/.* cannot be written"),
        ("http://127.0.0.1:9/x", "not written: use s3://"),
        ("neverheardof://x/y", "neverheardof://x/y cannot be opened"),
    ],
)
def test_a_place_that_cannot_be_written_is_one_line(bucket: str, film: Path, url: str, says: str) -> None:
    with pytest.raises(OutputError, match=says) as refused:
        livematte.render_many(film, url, **HOW)
    assert "\n" not in str(refused.value)


COPY = """
import os, resource, sys
from pathlib import Path
from livematte.farm.storage import Storage, local_copy
local_copy(sys.argv[1] + "/film.mp4")
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
path = local_copy(sys.argv[1] + "/large.mp4")
Storage(sys.argv[1]).upload(path, "large-again.mp4")
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss has another unit elsewhere")
def test_no_process_holds_a_whole_file(bucket: str, film: Path) -> None:
    import s3fs

    with s3fs.S3FileSystem().open("videos/large.mp4", "wb", block_size=16 << 20) as file:
        for _ in range(25):
            file.write(os.urandom(1 << 20) * 8)
    done = subprocess.run([sys.executable, "-c", COPY, bucket], capture_output=True, text=True, timeout=120)
    assert int(done.stdout) < 100 << 10, f"{done.stdout} KiB for 200 MiB {done.stderr}"
    assert open_out_dir(bucket).stamp("large-again.mp4")[0] == str(200 << 20)  # type: ignore[index]
