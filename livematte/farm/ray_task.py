"""Code that runs on the machines of a cluster, in processes that Ray starts."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any
from uuid import uuid4

import livematte
from livematte.errors import LivematteError
from livematte.farm.storage import Storage, local_copy
from livematte.offline.pool_process import CallContext
from livematte.offline.worker import Job, SegmentResult, Task, render_segment
from livematte.video.concat import EncodedPart

CHUNK_BYTES = 8 << 20
"""Files travel in pieces of this size, so that no process holds a whole one."""

_REPORT_SECONDS = 0.5

_LIBRARIES = ("av", "numpy", "numba", "onnxruntime", "opencv-python-headless", "openvino", "torch")

_SUFFIXES = (".py", ".toml", ".safetensors", ".onnx", ".cu")


class Board:
    """Ray actor with the frames of running calls."""

    def __init__(self) -> None:
        self._frames: dict[int, int] = {}

    def write(self, attempt: int, frames: int | None) -> None:
        """Set the frames of an attempt; None removes it."""
        if frames is None:
            self._frames.pop(attempt, None)
        else:
            self._frames[attempt] = frames

    def read(self) -> dict[int, int]:
        """Return the frames of all attempts."""
        return dict(self._frames)


@dataclass(frozen=True)
class SentFiles:
    """A result whose files are in the object store of the cluster.

    Attributes:
        result: the result; its paths are those on the machine that made it.
        pieces: references to the pieces of each file.
    """

    result: SegmentResult
    pieces: Sequence[Sequence[Any]]


@cache
def code_hash() -> str:
    """Return a hash of livematte's code and weights, and of the versions of the libraries that it uses."""
    digest = hashlib.sha256()
    roots = sorted({Path(place) for place in livematte.__path__}, key=str)
    packages = [*roots, *(_package(name) for name in ("livematte.models", "livematte.plugins"))]
    for root in packages:
        for path in sorted(root.rglob("*")) if root.is_dir() else []:
            if path.suffix in _SUFFIXES and path.is_file():
                digest.update(path.relative_to(root).as_posix().encode() + b"\0")
                digest.update(hashlib.sha256(path.read_bytes()).digest())
    for library in _LIBRARIES:
        try:
            digest.update(f"{library} {version(library)}\n".encode())
        except PackageNotFoundError:
            digest.update(f"{library} missing\n".encode())
    return digest.hexdigest()


def _package(name: str) -> Path:
    from importlib.util import find_spec

    spec = find_spec(name)
    places = list(spec.submodule_search_locations or ()) if spec is not None else []
    return Path(places[0]) if places else Path("/nonexistent")


def run_call(code: str, board: Any, attempt: int, function: Callable[..., Any], *arguments: Any) -> Any:
    """Run a call as a Ray task.

    Returns:
        ``("done", result)``, ``("failed", (class name, message, notes))``, ``("full", message)`` if the disk
        of this machine is full, ``("refused", message)`` if its code is another one, or
        ``("broken", traceback)``.
    """
    if code_hash() != code:
        return "refused", (
            "its livematte, weights or libraries differ from those of the computer that runs the render: "
            "install the same versions"
        )
    last = 0.0

    def report(frames: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= _REPORT_SECONDS:
            last = now
            board.write.remote(attempt, frames)

    board.write.remote(attempt, 0)
    try:
        return "done", function(*arguments, CallContext(threading.Event(), report))
    except LivematteError as error:
        if disk_is_full(error):
            return "full", str(error)
        return "failed", (type(error).__name__, str(error), error.notes)
    except OSError as error:
        return ("full", str(error)) if disk_is_full(error) else ("broken", traceback.format_exc())
    except BaseException:
        return "broken", traceback.format_exc()
    finally:
        board.write.remote(attempt, None)


def disk_is_full(error: BaseException | None) -> bool:
    """Return True if an error, or one that led to it, says that a disk is full."""
    full = {errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)}
    while error is not None:
        if isinstance(error, OSError) and error.errno in full:
            return True
        error = error.__cause__ or error.__context__
    return False


def render_part(job: Job, task: Task, store: str, context: CallContext) -> SegmentResult | SentFiles:
    """Render a segment into a temporary folder of this machine, and send its files.

    Args:
        task: its folder is a name in ``store``.
        store: URL of a folder in shared storage for the files. Empty: they go to the object store of the
            cluster.
    """
    folder = Path(tempfile.mkdtemp(prefix="livematte-part-", dir=os.environ.get("LIVEMATTE_FARM_TEMP")))
    try:
        job = replace(job, input=os.fspath(local_copy(job.input)))
        result = render_segment(job, replace(task, folder=folder), context)
        if store:
            return replace(result, parts=tuple(_upload(part, Storage(store), task) for part in result.parts))
        import ray

        return SentFiles(result, [_pieces(part.path, ray.put) for part in result.parts if part.times])
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def measure_part(job: Job, task: Task, context: CallContext) -> SegmentResult:
    """Render a segment twice and keep neither: the second time, all that is loaded and compiled is there."""
    folder = Path(tempfile.mkdtemp(prefix="livematte-part-", dir=os.environ.get("LIVEMATTE_FARM_TEMP")))
    try:
        job, task = replace(job, input=os.fspath(local_copy(job.input))), replace(task, folder=folder)
        render_segment(job, task, context)
        for path in folder.iterdir():
            path.unlink()
        return render_segment(job, task, context)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _upload(part: EncodedPart, store: Storage, task: Task) -> EncodedPart:
    """Upload a part. Its name is unique: a copy of a slow segment may be uploaded at the same time."""
    name = task.folder / f"{part.path.stem}-{uuid4().hex}{part.path.suffix}"
    if part.times:
        store.upload(part.path, name.as_posix())
    return replace(part, path=name)


def _pieces(path: Path, put: Callable[[bytes], Any]) -> list[Any]:
    pieces = []
    with path.open("rb") as file:
        while block := file.read(CHUNK_BYTES):
            pieces.append(put(block))
    return pieces


def bring_files(sent: SentFiles, folder: Path, get: Callable[[Any], bytes]) -> SegmentResult:
    """Write the files of a result into ``folder`` and return it with their new paths.

    Raises:
        OSError: they cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    pieces, parts = iter(sent.pieces), []
    for part in sent.result.parts:
        path = folder / part.path.name
        if part.times:
            with path.open("wb") as file:
                for reference in next(pieces):
                    file.write(get(reference))
                file.flush()
                os.fsync(file.fileno())
        parts.append(replace(part, path=path))
    return replace(sent.result, parts=tuple(parts))
