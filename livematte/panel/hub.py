"""All live sessions of the user: one held connection to each, and the sessions that the panel starts."""

from __future__ import annotations

import asyncio
import platform
import re
import time
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import Any

from livematte.errors import InputError, LivematteError, OutputError, SessionError, UsageError
from livematte.options import CHANGES
from livematte.panel.child import Child
from livematte.profile import read_profile
from livematte.streaming import session_registry
from livematte.streaming.control_client import ControlClient
from livematte.streaming.control_link import SessionGone
from livematte.streaming.session_registry import RegisteredSession
from livematte.text_files import read_toml

SCAN_SECONDS = 0.25
"""Interval between two looks for new sessions."""
STATE_SECONDS = 0.5
"""Longest interval between two states of a session."""
HISTORY = 300
"""Number of seconds that the graph shows."""
START_SECONDS = 120.0
"""Seconds after which a session that has not registered is ended."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 _-]{0,39}")
_MESSAGES = 8


class HeldSession:
    """A running session with its connection, newest state and history."""

    def __init__(self, registered: RegisteredSession, profile: str | None) -> None:
        self.registered, self.profile = registered, profile
        self.client: ControlClient | None = None
        self.state: dict[str, Any] = {}
        self.history: deque[list[float | int]] = deque(maxlen=HISTORY)
        """Each second: frames per second, p95 of the latency in ms, processor share, 1 for a placeholder."""
        self.noted_at = 0.0
        """Time of the newest entry of the history."""

    @property
    def key(self) -> str:
        """Process ID as text, which names the session in the page."""
        return str(self.registered.pid)

    def take(self, state: dict[str, Any]) -> None:
        """Keep a state that the session sent."""
        self.state = state
        now, stats = time.monotonic(), state["stats"]
        if now - self.noted_at >= 0.9:
            self.noted_at = now
            hidden = int(stats["showing"] not in ("picture", "frozen"))
            figures = (stats["fps"], stats["latency_p95"], 100 * state["cpu"])
            self.history.append([*(round(each, 1) for each in figures), hidden])

    def facts(self) -> dict[str, Any]:
        """Return the session for the page."""
        return {"id": self.key, "name": self.registered.name, "profile": self.profile, **self.state}


class SessionHub:
    """Finds, starts, changes and stops live sessions.

    Args:
        profiles: folder with the profiles, ``NAME.toml``; only these can be started.
    """

    def __init__(self, profiles: Path) -> None:
        self.profiles = profiles
        self.sessions: dict[str, HeldSession] = {}
        self.messages: deque[dict[str, str]] = deque(maxlen=_MESSAGES)
        self._started: dict[str, tuple[Child, float]] = {}
        self._profile_by_pid: dict[int, str] = {}
        self._listeners: set[asyncio.Event] = set()
        self._connecting: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Look for sessions until cancelled."""
        while True:
            self._scan()
            self._check_started()
            await asyncio.sleep(SCAN_SECONDS)

    async def close(self) -> None:
        """Close the connections; the sessions go on."""
        for held in list(self.sessions.values()):
            if held.client is not None:
                await held.client.close()

    # Listeners

    def listen(self) -> asyncio.Event:
        """Return an event that is set after each change."""
        event = asyncio.Event()
        self._listeners.add(event)
        return event

    def forget(self, event: asyncio.Event) -> None:
        """Remove an event of :meth:`listen`."""
        self._listeners.discard(event)

    def tell(self, text: str = "", kind: str = "error") -> None:
        """Wake the listeners, with a message for the user or without one."""
        if text:
            self.messages.append({"text": text, "kind": kind, "time": time.strftime("%H:%M:%S")})
        for event in self._listeners:
            event.set()

    def state(self) -> dict[str, Any]:
        """Return everything that the page shows of sessions."""
        return {
            "sessions": [held.facts() for held in self.sessions.values() if held.state],
            "starting": sorted(self._started),
            "profiles": self.profile_names(),
            "messages": list(self.messages),
        }

    # Sessions

    def _scan(self) -> None:
        for folder in session_registry.folders():
            for path, found in session_registry.registrations(folder):
                if found.host == platform.node() and str(found.pid) not in self.sessions:
                    held = HeldSession(found, self._profile_by_pid.get(found.pid))
                    self.sessions[held.key] = held
                    task = asyncio.ensure_future(self._hold(held, path))
                    self._connecting.add(task)
                    task.add_done_callback(self._connecting.discard)

    async def _hold(self, held: HeldSession, path: Path) -> None:
        """Follow a session until it ends."""

        def take(state: dict[str, Any]) -> None:
            held.take(state)
            self._started.pop(held.profile or "", None)
            self.tell()

        try:
            held.client = await ControlClient.open(held.registered, take)
            await held.client.ask("watch", STATE_SECONDS, seconds=10)
            await held.client.closed.wait()
        except SessionGone:
            session_registry.remove_if_gone(path, held.registered)
        except (LivematteError, OSError):
            await asyncio.sleep(1)  # it is busy; the next scan tries again
        finally:
            if held.client is not None:
                await held.client.close()
            self.sessions.pop(held.key, None)
            if held.state:
                self.tell(f"session {held.registered.name or held.key} has ended", "note")

    def find(self, name: str) -> HeldSession:
        """Return the session with this name or process ID. Raises SessionError."""
        matching = [each for each in self.sessions.values() if name in (each.key, each.registered.name)]
        if len(matching) != 1:
            known = ", ".join(each.registered.name or each.key for each in self.sessions.values()) or "none"
            many = "several sessions are" if matching else "no session is"
            raise SessionError(f"{many} called {name!r}: running: {known}")
        return matching[0]

    async def ask(self, name: str, command: str, value: object = None) -> dict[str, Any]:
        """Send a command to a session; arguments and errors as for ``session_registry.ask``."""
        held = self.find(name)
        if held.client is None:
            raise SessionError(f"session {name} is not connected yet: try again")
        try:
            return await held.client.ask(command, value)
        except SessionGone:
            raise SessionError(f"session {name} has just ended") from None

    # Profiles

    def profile_names(self) -> list[str]:
        """Return the names of the profiles, without ``.toml``."""
        with suppress(OSError):
            return sorted(
                (each.stem for each in self.profiles.iterdir() if each.suffix == ".toml" and each.is_file()),
                key=str.lower,
            )
        return []

    def start(self, profile: str) -> None:
        """Start a session from a profile.

        Raises:
            UsageError: there is no such profile, it is invalid, or its session runs already.
        """
        if profile not in self.profile_names():
            raise UsageError(f"there is no profile {profile!r}: known are {', '.join(self.profile_names())}")
        running = [each for each in self.sessions.values() if each.profile == profile]
        if running or profile in self._started:
            raise UsageError(f"a session of the profile {profile} runs already")
        path = self.profiles / f"{profile}.toml"
        name = read_profile(path, "live").get("name") or profile
        child = Child(["live", "--profile", str(path), "--name", str(name)])
        self._profile_by_pid[child.process.pid] = profile
        self._started[profile] = child, time.monotonic()
        self.tell()

    def _check_started(self) -> None:
        for profile, (child, began) in list(self._started.items()):
            if child.process.poll() is not None:
                del self._started[profile]
                self.tell(f"{profile}: {child.last_line()}")
                child.close()
            elif time.monotonic() - began > START_SECONDS:
                child.process.terminate()

    async def save_profile(self, session: str, name: str) -> Path:
        """Write the options of a session to a new profile: those of its profile, and all changes.

        Raises:
            UsageError: an invalid name, or a profile of that name exists.
            SessionError: the session does not answer.
            OutputError: it cannot be written.
        """
        import tomli_w

        if not _NAME.fullmatch(name):
            raise UsageError(f"profile {name!r} is invalid: use 1 to 40 letters, digits, spaces, - and _")
        held, path = self.find(session), self.profiles / f"{name}.toml"
        facts = await self.ask(held.key, "ping")  # the newest state may be half a second old
        kept: dict[str, Any] = {}
        if held.profile is not None:
            given = read_toml(self.profiles / f"{held.profile}.toml", "profile", InputError)
            replaced = {*CHANGES, "name", *(["input"] if facts["camera"] else [])}
            kept = {key: value for key, value in given.items() if key.replace("-", "_") not in replaced}
        present = {key: facts[key] for key in CHANGES if facts[key] is not None}
        try:
            with path.open("xb") as file:
                tomli_w.dump({**present, **kept}, file)
        except FileExistsError:
            raise UsageError(f"a profile {name!r} exists already: choose another name") from None
        except OSError as error:
            raise OutputError(f"{path} cannot be written: {error.strerror or error}") from error
        self.tell(f"profile {name} is saved", "good")
        return path
