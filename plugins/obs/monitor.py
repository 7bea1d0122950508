"""Keep livematte's source in OBS: create it, recreate it after OBS restarts, remove it at the end."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

from livematte.errors import LivematteError
from livematte.plugins.obs.client import (
    EventCallback,
    ObsClient,
    ObsError,
    ObsUnreachableError,
    WrongPasswordError,
)
from livematte.plugins.obs.controller import NAME, PERMANENT, ObsController


class ItemMonitor(threading.Thread):
    """Thread that holds the connection to OBS and keeps the source there when OBS restarts."""

    def __init__(
        self,
        connect: Callable[[EventCallback], ObsClient],
        ensure: Callable[[ObsController], object],
        name: str,
        note: Callable[[str], None],
        *,
        session: str = "",
        interval: float = 1.0,
        disconnect_readers: Callable[[], None] = lambda: None,
    ) -> None:
        """Store the arguments; :meth:`connect` connects.

        Args:
            connect: connects, or raises ObsError; passes the events of OBS to its argument.
            ensure: creates or updates the source.
            name: name of the source.
            note: receives messages for the user.
            session: mark of this session; see :meth:`ObsController.end_session`.
            interval: seconds between two checks; ten times as long after a refusal.
            disconnect_readers: called as soon as the source is removed or OBS quits. OBS 29.0 can wait
                forever for a Media Source that is within a picture, and then all of OBS hangs.
        """
        super().__init__(name="obs monitor", daemon=True)
        self._connect, self._ensure, self._name, self._note = connect, ensure, name, note
        self._interval, self._disconnect_readers = interval, disconnect_readers
        self._session = session
        self._stopped = threading.Event()
        self._controller: ObsController | None = None
        self._last_report = ""
        self._changing = False
        self._removed_by_user = False
        self._created = False
        self._offered: set[str] = set()
        self.scene: str | None = None
        """Name of the scene on air, None if unknown."""
        self.showing: bool | None = None
        """True if OBS shows the source, False if not, None if unknown."""

    def connect(self) -> None:
        """Connect and create the source. If OBS does not run yet, :meth:`run` connects later.

        Raises:
            ObsError: OBS refuses.
        """
        try:
            self._connect_and_ensure()
        except ObsUnreachableError as error:
            self._report(f"{error}. livematte connects when OBS runs")

    def run(self) -> None:
        """Check OBS regularly until :meth:`stop`."""
        wait = self._interval
        while not self._stopped.wait(wait):
            wait = self._interval
            try:
                if self._controller is None:
                    self._connect_and_ensure()
                else:
                    self._poll(self._controller)
            except ObsUnreachableError as error:
                self._disconnect()
                self._report(f"{error}. livematte connects when OBS runs")
            except (ObsError, KeyError) as error:
                if isinstance(error, WrongPasswordError):
                    self._disconnect()
                self._report(str(error))
                wait = 10 * self._interval

    def stop(self) -> None:
        """Remove the source from OBS, unless it is permanent, and disconnect. Never raises."""
        self._stopped.set()
        if self.ident is not None:
            self.join(10.0)
        if not self._created:
            return
        try:
            if self._controller is None:
                self._controller = ObsController(self._connect(self._on_event), self._name)
            self._controller.end_session(self._session)
        except (LivematteError, KeyError) as error:
            self._report(f"cannot remove livematte's source from OBS ({error}): run livematte obs remove")
        finally:
            self._disconnect()

    def _on_event(self, name: str, data: Mapping[str, Any]) -> None:
        if name == "ExitStarted" or (name == "InputRemoved" and data.get("inputName") == self._name):
            self._disconnect_readers()
        elif name == "CurrentProgramSceneChanged":
            self.scene = data.get("sceneName")

    def _connect_and_ensure(self) -> None:
        controller = ObsController(self._connect(self._on_event), self._name)
        try:
            self._ensure(controller)
        except BaseException:
            controller.client.close()
            raise
        self._controller, self._created = controller, True
        self._removed_by_user = self._changing = False
        self._offer_to_keep(controller)
        self.scene = controller.current_scene()
        if self._last_report:
            self._report("connected to OBS")
            self._last_report = ""

    def _disconnect(self) -> None:
        if self._controller is not None:
            self._controller.client.close()
        self._controller, self.showing = None, None

    def _poll(self, controller: ObsController) -> None:
        if not controller.client.connected:
            raise ObsUnreachableError("OBS closed the connection")
        was_removed, ensure, removed, added = self._removed_by_user, False, False, False
        events = controller.client.events
        while not events.empty():
            name, data = events.get()
            if name == "CurrentSceneCollectionChanging":
                self._changing = True
            elif name == "CurrentSceneCollectionChanged":
                self._changing, self._removed_by_user, ensure = False, False, True
            elif name == "ExitStarted":
                self._changing = True
            elif name == "InputRemoved" and data.get("inputName") == controller.name and not self._changing:
                removed = True
            elif name == "SceneItemCreated" and data.get("sourceName") == controller.name:
                added = True
            elif name == "InputNameChanged" and data.get("oldInputName") == controller.name:
                self._name = controller.name = data["inputName"]
        if removed:
            self._removed_by_user = controller.find() is None
        if self._removed_by_user:
            self.showing = False
            if was_removed and not self._changing:  # second check: OBS removes all sources when it quits
                self._report("livematte's source was removed in OBS: restart livematte to add it again")
        elif not self._changing:
            if ensure:
                self._ensure(controller)
            if added:
                self._offer_to_keep(controller)
            self.showing = controller.showing()

    def _offer_to_keep(self, controller: ObsController) -> None:
        """Say once for each scene what happens to a source that the user placed there too."""
        item = controller.find()
        if item is None or item.mark == PERMANENT or len(item.scenes) < 2:
            return
        new = [scene for scene in item.scenes if scene not in self._offered]
        self._offered.update(item.scenes)
        if new:
            self._note(
                f"livematte's source is in the scenes {', '.join(map(repr, item.scenes))} of OBS, and all of "
                "them lose it when livematte ends: to keep it, run livematte obs setup"
                + ("" if item.name == NAME else f" --obs-item {item.name}")
            )

    def _report(self, text: str) -> None:
        if text != self._last_report:
            self._last_report = text
            self._note(text)
