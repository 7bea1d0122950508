"""The output folder of a call for many files: a folder of this computer, or a place in shared storage.

Its private part holds small JSON files (records of finished files, manifests, the lock) by names such as
``records/a.mp4.json``. Large files never pass through memory as a whole.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol
from uuid import uuid4

from filelock import FileLock, Timeout

from livematte.errors import OutputError
from livematte.farm.files import PRIVATE
from livematte.farm.run_owner import RunOwner, owner_here
from livematte.farm.storage import Storage, input_path, is_url
from livematte.options import PathLike
from livematte.video.written_files import foreign_file

LOCK, OWNER = "lock", "run.json"
"""Private files: the lock of a run on this computer, and who holds it."""

STALE_SECONDS = 86400
"""Folders of unfinished files that are older than this were left by a process that was killed."""

BEAT_SECONDS = 30.0
"""Interval at which a run on shared storage says that it is alive. After three without, it is dead."""


class OutDir(Protocol):
    """An output folder.

    Attributes:
        text: its path or URL, for messages.
        folder: folder of this computer in which outputs are written, before :meth:`publish`.
        url: URL of the folder; empty for a folder of this computer.
    """

    text: str
    folder: Path
    url: str

    def prepare(self) -> None:
        """Make the folder. Raises OutputError."""

    def stamp(self, target: str) -> list[Any] | None:
        """Return what identifies the version of an output; None if there is none."""

    def foreign(self, target: str) -> str:
        """Return a line if an output exists that livematte did not write, as far as is known here."""

    def publish(self, target: str) -> None:
        """Make an output that was written in :attr:`folder` appear. Raises OutputError."""

    def read(self, name: str) -> Any:
        """Return the content of a private file; None if there is none that can be read."""

    def write(self, name: str, value: Any) -> None:
        """Write a private file, whole or not at all. Raises OutputError."""

    def names(self, folder: str) -> list[str]:
        """Return the names of the private files in a private folder."""

    def remove(self, name: str) -> None:
        """Remove a private file, if there is one."""

    def part(self, name: str, given: Path) -> Path:
        """Keep a part of a video under a private name, and return this name.

        Args:
            given: the file on this computer; for a URL the private name under which a machine uploaded it.
        """

    def open_part(self, name: Path) -> AbstractContextManager[Path]:
        """Return a context manager for the path on this computer of a part with this private name."""

    def lock(self) -> AbstractContextManager[None]:
        """Return a context manager that keeps other runs out. Raises OutputError, with who runs."""

    def clean(self) -> None:
        """Remove what is left of unfinished files."""


def open_out_dir(path: PathLike) -> OutDir:
    """Return the output folder at a path or URL.

    Raises:
        OutputError: the storage cannot be written.
        MissingExtraError: a package for this kind of URL is missing.
    """
    text = input_path(Path(path))
    return UrlDir(text) if is_url(text) else LocalDir(Path(path))


class LocalDir:
    """An output folder of this computer, or one that it shares with others."""

    url = ""

    def __init__(self, folder: Path) -> None:
        self.folder, self.text = folder, str(folder)

    def _private(self, name: str) -> Path:
        return self.folder / PRIVATE / name

    def prepare(self) -> None:
        """See :class:`OutDir`; removes old unfinished files, too."""
        try:
            (self.folder / PRIVATE).mkdir(parents=True, exist_ok=True)
            for left in (self.folder / PRIVATE).glob("work-*"):
                if time.time() - left.stat().st_mtime > STALE_SECONDS:
                    shutil.rmtree(left, ignore_errors=True)
        except OSError as error:
            raise OutputError(f"folder {self.folder} cannot be written: {error.strerror or error}") from error

    def stamp(self, target: str) -> list[Any] | None:
        """Return size in bytes and time of change in nanoseconds."""
        return file_stamp(self.folder / target)

    def foreign(self, target: str) -> str:
        """See :class:`OutDir`."""
        return foreign_file(self.folder / target)

    def publish(self, target: str) -> None:
        """Do nothing: outputs are written in place."""

    def read(self, name: str) -> Any:
        """See :class:`OutDir`."""
        try:
            return json.loads(self._private(name).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None

    def write(self, name: str, value: Any) -> None:
        """See :class:`OutDir`; after a power cut the file is whole, too."""
        path = self._private(name)
        new = path.with_name(f"{path.name}.new")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with new.open("w", encoding="utf-8") as file:
                json.dump(value, file)
                file.flush()
                os.fsync(file.fileno())
            os.replace(new, path)
        except OSError as error:
            raise OutputError(f"{path} cannot be written: {error.strerror or error}") from error

    def names(self, folder: str) -> list[str]:
        """See :class:`OutDir`."""
        with suppress(OSError):
            return sorted(path.name for path in self._private(folder).iterdir())
        return []

    def remove(self, name: str) -> None:
        """See :class:`OutDir`; removes its folder, too, if it is empty then."""
        path = self._private(name)
        with suppress(OSError):
            path.unlink(missing_ok=True)
            path.parent.rmdir()

    def part(self, name: str, given: Path) -> Path:
        """See :class:`OutDir`. Raises OSError."""
        path = self._private(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        os.replace(given, path)
        return Path(name)

    @contextmanager
    def open_part(self, name: Path) -> Iterator[Path]:
        """See :class:`OutDir`."""
        yield self._private(name.as_posix())

    @contextmanager
    def lock(self) -> Iterator[None]:
        """See :class:`OutDir`. The operating system unlocks the folder when the process ends."""
        self.prepare()
        lock = FileLock(self._private(LOCK), timeout=0, thread_local=False)
        try:
            lock.acquire()
        except Timeout:
            raise _busy(self.text, RunOwner.read(self.read(OWNER))) from None
        except (OSError, NotImplementedError) as error:
            raise OutputError(f"{self._private(LOCK)} cannot be locked: {error}") from error
        try:
            self.write(OWNER, vars(owner_here()))
            yield
        finally:
            self._private(OWNER).unlink(missing_ok=True)
            lock.release()
            self.clean()

    def clean(self) -> None:
        """Remove the private folder if there is nothing in it."""
        private = self.folder / PRIVATE
        with suppress(OSError):
            if {path.name for path in private.iterdir()} <= {LOCK}:
                self._private(LOCK).unlink(missing_ok=True)
                private.rmdir()


class UrlDir:
    """A place in shared storage. Outputs are written in a temporary folder and then uploaded."""

    def __init__(self, url: str) -> None:
        self.url = self.text = url.rstrip("/")
        self._storage = Storage(self.url)
        self._storage.check_writable()
        self._temporary = tempfile.TemporaryDirectory(
            prefix="livematte-out-", dir=os.environ.get("LIVEMATTE_FARM_TEMP"), ignore_cleanup_errors=True
        )
        self.folder = Path(self._temporary.name)

    def prepare(self) -> None:
        """Make the temporary folder."""
        (self.folder / PRIVATE).mkdir(parents=True, exist_ok=True)

    def stamp(self, target: str) -> list[Any] | None:
        """Return size, hash and time of change, as far as the storage has them."""
        return self._storage.stamp(target)

    def foreign(self, target: str) -> str:
        """See :class:`OutDir`."""
        if self.stamp(target) is None:
            return ""
        return f"{self.url}/{target} exists, and livematte did not write it"

    def publish(self, target: str) -> None:
        """Upload an output and remove it here."""
        path = self.folder / target
        if path.exists():
            self._storage.upload(path, target)
            path.unlink()

    def read(self, name: str) -> Any:
        """See :class:`OutDir`."""
        data = self._storage.read(f"{PRIVATE}/{name}")
        with suppress(ValueError):
            return None if data is None else json.loads(data)
        return None

    def write(self, name: str, value: Any) -> None:
        """See :class:`OutDir`."""
        self._storage.write(f"{PRIVATE}/{name}", json.dumps(value).encode())

    def names(self, folder: str) -> list[str]:
        """See :class:`OutDir`."""
        return self._storage.names(f"{PRIVATE}/{folder}")

    def remove(self, name: str) -> None:
        """See :class:`OutDir`."""
        self._storage.remove(f"{PRIVATE}/{name}")

    def part(self, name: str, given: Path) -> Path:
        """Return ``given``: the machine that made the part has uploaded it."""
        return given

    @contextmanager
    def open_part(self, name: Path) -> Iterator[Path]:
        """Download a part for a while."""
        here = self.folder / PRIVATE / f"part-{uuid4().hex}{name.suffix}"
        try:
            self._storage.download(f"{PRIVATE}/{name.as_posix()}", here)
            yield here
        finally:
            here.unlink(missing_ok=True)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """See :class:`OutDir`. A run says again and again that it is alive; a killed one does not."""
        self.prepare()
        mine = owner_here()
        found = RunOwner.read(self.read(OWNER))
        if found is not None and found.is_alive(3 * BEAT_SECONDS):
            raise _busy(self.text, found)
        self.write(OWNER, vars(mine))
        kept = RunOwner.read(self.read(OWNER))
        if kept is not None and kept.token != mine.token:  # another one began in the same moment
            raise _busy(self.text, kept)
        ended = threading.Event()

        def beat() -> None:
            while not ended.wait(BEAT_SECONDS):
                with suppress(OutputError):  # one that fails is not the last
                    self.write(OWNER, vars(mine.now()))

        beating = threading.Thread(target=beat, name="livematte-beat", daemon=True)
        beating.start()
        try:
            yield
        finally:
            ended.set()
            beating.join()
            with suppress(OutputError):
                self.remove(OWNER)
            self.clean()

    def clean(self) -> None:
        """Remove the temporary folder."""
        self._temporary.cleanup()


def file_stamp(path: Path) -> list[int] | None:
    """Return size in bytes and time of change in nanoseconds of a file; None if there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return [found.st_size, found.st_mtime_ns]


def current_owner(out: OutDir) -> RunOwner | None:
    """Return who renders into a folder now; None if nobody does, as far as can be known."""
    found = RunOwner.read(out.read(OWNER))
    if found is None or (out.url and not found.is_alive(3 * BEAT_SECONDS)):
        return None
    if not out.url:
        lock = FileLock(out.folder / PRIVATE / LOCK, timeout=0)
        with suppress(Timeout, OSError, NotImplementedError), lock:
            return None  # it could be locked: the run that wrote the name was killed
    return found


def target_url(out: OutDir, target: str) -> str:
    """Return the path or URL of an output, for messages."""
    return f"{out.url}/{target}" if out.url else str(out.folder / target)


def _busy(text: str, owner: RunOwner | None) -> OutputError:
    who = f"by {owner}" if owner is not None else "by another run"
    return OutputError(f"{text} is being written {who}: wait for it, stop it, or use another output folder")
