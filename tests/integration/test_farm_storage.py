"""Inputs in object storage: a real S3 server on loopback, from the package moto."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from livematte.errors import InputError
from livematte.farm.files import find_inputs
from livematte.farm.records import input_stamp
from livematte.farm.storage import input_path, local_copy

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
    before = first.stat().st_mtime_ns
    assert local_copy(url) == first and first.stat().st_mtime_ns == before
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
