"""Renders of files, one after the other, each in a child process with a profile of its own."""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import NoneType
from typing import Any, get_args

from livematte import registry
from livematte.errors import LivematteError, UsageError
from livematte.options import RenderOptions
from livematte.options.declaration import Declared, declared, plain
from livematte.panel.child import Child
from livematte.panel.folders import Folders, resolve_panel_background
from livematte.profile import read_value

ENDINGS = (".mp4", ".mov", ".mkv", ".webm")
"""Kinds of result."""
_KEPT = 50
"""Largest number of jobs, finished ones included."""
_PREVIEW_SECONDS = 120.0


def render_options() -> dict[str, Declared]:
    """Return the options of a render that the page may set, by name: all that are no path."""
    return {
        each.command_name: each
        for each in declared(RenderOptions)
        if each.option.command and each.option.path in ("", "background") and each.name != "overwrite"
    }


def describe_options() -> list[dict[str, Any]]:
    """Return the options for the page: name, help, kind, default, allowed values and range."""
    described = []
    for name, each in render_options().items():
        option = each.option
        kinds = get_args(each.command_type) or (each.command_type,)
        kind = next(kind for kind in kinds if kind is not NoneType)
        words = [*each.choices, *option.examples]
        words += [known for group in option.names for known in registry.names(group)]
        low, high = option.between or (option.least, None)
        described.append({
            "name": name, "help": plain(option.help), "group": option.panel or "Other",
            "kind": kind.__name__, "default": each.command_default, "words": list(dict.fromkeys(words)),
            "closed": bool(each.choices), "low": low, "high": high,
        })  # fmt: skip
    return described


@dataclass
class RenderJob:
    """One file to render.

    Attributes:
        state: ``waiting``, ``running``, ``done``, ``failed`` or ``cancelled``.
        done, total: frames.
        eta: seconds left.
    """

    number: int
    name: str
    source: Path
    target: Path
    options: dict[str, Any]
    state: str = "waiting"
    done: int = 0
    total: int | None = None
    fps: float = 0.0
    eta: float | None = None
    message: str = ""
    child: Child | None = field(default=None, repr=False)

    def facts(self) -> dict[str, Any]:
        """Return the job for the page."""
        return {
            "id": self.number, "name": self.name, "target": self.target.name, "state": self.state,
            "done": self.done, "total": self.total, "fps": self.fps, "eta": self.eta, "message": self.message,
        }  # fmt: skip


class RenderQueue:
    """The queue, which renders one file at a time.

    Args:
        files: folders of the videos; a result is written beside its source.
        backgrounds: folders of the backgrounds.
        changed: called after each change.
    """

    def __init__(self, files: Folders, backgrounds: Folders, changed: Callable[[], None]) -> None:
        self.files, self._backgrounds, self._changed = files, backgrounds, changed
        self.jobs: list[RenderJob] = []
        self._number = 0
        self._work = asyncio.Event()

    def state(self) -> list[dict[str, Any]]:
        """Return all jobs for the page."""
        return [job.facts() for job in self.jobs]

    def checked_options(self, given: object) -> dict[str, Any]:
        """Return options as for a profile.

        Raises:
            UsageError: an unknown option, or a wrong value.
        """
        if not isinstance(given, Mapping):
            raise UsageError("options are invalid: use an object")
        known, checked = render_options(), {}
        for name, value in given.items():
            if name not in known:
                raise UsageError(f"unknown option {name!r}: known are {', '.join(sorted(known))}")
            each = known[name]
            if each.option.path == "background":
                checked[name] = resolve_panel_background(value, self._backgrounds)
                continue
            try:
                read_value(each, value, Path())
            except ValueError as error:
                raise UsageError(f"{name} {value!r} is invalid: use {error}") from None
            if value is not None and each.option.form is None:
                each.check_allowed(value)
            checked[name] = value
        return checked

    def add(self, name: str, options: object, ending: str = ".mp4") -> RenderJob:
        """Add a file to the queue. Raises UsageError."""
        if ending not in ENDINGS:
            raise UsageError(f"ending {ending!r} is invalid: use {', '.join(ENDINGS)}")
        source, checked = self.files.find(name), self.checked_options(options)
        self.jobs = [job for job in self.jobs if job.state in ("waiting", "running")] + [
            job for job in self.jobs if job.state not in ("waiting", "running")
        ][-_KEPT:]
        if len(self.jobs) >= 2 * _KEPT:
            raise UsageError("the queue is full: wait, or cancel some")
        self._number += 1
        taken = {job.target for job in self.jobs}
        target, count = source.with_name(f"{source.stem} matte{ending}"), 2
        while target in taken or target.exists():
            target, count = source.with_name(f"{source.stem} matte {count}{ending}"), count + 1
        job = RenderJob(self._number, name, source, target, checked)
        self.jobs.append(job)
        self._work.set()
        self._changed()
        return job

    def cancel(self, number: int) -> None:
        """Cancel a job that waits or runs. Raises UsageError."""
        for job in self.jobs:
            if job.number == number and job.state in ("waiting", "running"):
                job.state = "cancelled"
                if job.child is not None:
                    job.child.process.terminate()
                self._changed()
                return
        raise UsageError(f"there is no job {number} that waits or runs")

    async def run(self) -> None:
        """Render what waits, until cancelled; then end the render that runs."""
        while True:
            self._work.clear()
            job = next((job for job in self.jobs if job.state == "waiting"), None)
            if job is None:
                await self._work.wait()
                continue
            try:
                await self._render(job)
            except asyncio.CancelledError:
                if job.child is not None:
                    job.child.process.terminate()
                raise
            except (LivematteError, OSError) as error:
                job.state, job.message = "failed", str(error)
            self._changed()

    async def _render(self, job: RenderJob) -> None:
        import tomli_w

        job.state = "running"
        with tempfile.TemporaryDirectory(prefix="livematte-panel-") as folder:
            profile = Path(folder) / "render.toml"
            profile.write_text(tomli_w.dumps(job.options), encoding="utf-8")
            words = ["render", str(job.source), str(job.target), "--profile", str(profile)]
            job.child = Child([*words, "--no-overwrite", "--json"], reads=True)
            output = job.child.process.stdout
            assert output is not None
            while line := await asyncio.to_thread(output.readline):
                self._follow(job, line)
            code = await asyncio.to_thread(job.child.process.wait)
            if job.state == "running":
                job.state = "done" if code == 0 else "failed"
                job.message = "" if code == 0 else job.child.last_line()
            output.close()
            job.child.close()
            job.child = None

    def _follow(self, job: RenderJob, line: bytes) -> None:
        with suppress(ValueError):
            event = json.loads(line)
            if event["event"] == "progress":
                job.done, job.total = event["done"], event["total"]
                job.fps, job.eta = event["fps"], event["eta"]
            elif event["event"] == "done":
                job.done = job.total = event["frames"]
                job.fps, job.eta = event["fps"], None
            self._changed()

    async def preview(self, name: str, options: object) -> dict[str, Path]:
        """Render the first frame as a render does; return the picture and its matte, in a new folder.

        Raises:
            LivematteError: the render fails; its own message.
        """
        import tomli_w

        source, checked = self.files.find(name), self.checked_options(options)
        folder = Path(tempfile.mkdtemp(prefix="livematte-panel-"))
        profile, paths = folder / "preview.toml", {
            "after": folder / "after" / "%04d.png",
            "matte": folder / "matte" / "%04d.png",
        }  # fmt: skip
        start = float(checked.get("start") or 0)
        checked |= {"start": start, "end": start + 0.001}
        profile.write_text(tomli_w.dumps({**checked, "alpha_out": str(paths["matte"])}), encoding="utf-8")
        child = Child(["render", str(source), str(paths["after"]), "--profile", str(profile), "--quiet"])
        try:
            code = await asyncio.to_thread(child.process.wait, _PREVIEW_SECONDS)
            if code != 0:
                raise LivematteError(child.last_line())
        except Exception:
            child.process.kill()
            raise
        finally:
            child.close()
        found = {kind: next(iter(sorted(path.parent.glob("*.png"))), None) for kind, path in paths.items()}
        return {kind: path for kind, path in found.items() if path is not None}
