"""The live output ``obs``: pictures on the way to OBS, and the item that shows them kept alive."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any, Protocol

from livematte.errors import LivematteError, UsageError
from livematte.frame import Array, Frame
from livematte.plugins.obs import pictures
from livematte.plugins.obs.client import (
    HOST,
    PORT,
    Heard,
    ObsAbsentError,
    ObsClient,
    ObsError,
    WrongPasswordError,
    port_number,
    read_password,
)
from livematte.plugins.obs.controller import (
    KEPT,
    LUA_KIND,
    MEDIA_KIND,
    NAME,
    ObsController,
    media_settings,
    parse_place,
)
from livematte.plugins.obs.overlay import PORT as OVERLAY_PORT
from livematte.plugins.obs.overlay import Overlay
from livematte.plugins.obs.pictures import Bgra
from livematte.plugins.obs.shared import SharedPictures
from livematte.protocols import LiveFormat

ROUTES = ("media", "lua", "stream")
"""media: a Media Source in OBS. lua: livematte.lua's source. stream: the TCP stream alone, without OBS."""


class Way(Protocol):
    """How pictures leave."""

    @property
    def clients(self) -> int:
        """How many readers there are."""
        ...

    def publish(self, picture: Array) -> None:
        """Make (H, W, 4) uint8 straight BGRA the newest picture; never waits for a reader."""
        ...

    def hang_up(self) -> None:
        """Let the readers of now go, and no others in for a while."""
        ...

    def close(self) -> None:
        """Let all readers go; safe twice."""
        ...


class Keeper(threading.Thread):
    """Holds the connection to OBS and keeps the item there, whoever restarts when."""

    def __init__(
        self,
        connect: Callable[[Heard], ObsClient],
        ensure: Callable[[ObsController], object],
        name: str,
        note: Callable[[str], None],
        *,
        again: float = 1.0,
        hang_up: Callable[[], None] = lambda: None,
    ) -> None:
        """Nothing happens yet.

        Args:
            connect: makes a connection or raises ObsError; what happens in OBS goes to what it is given.
            ensure: makes or mends the item.
            name: of the item.
            note: takes what the user should know.
            again: seconds between two looks; ten times that after a refusal.
            hang_up: called at once when the item goes or OBS quits: OBS 29.0 waits, maybe for ever, for a
                Media Source in the middle of a picture, and with it everything else there stands still.
        """
        super().__init__(name="obs keeper", daemon=True)
        self._connect, self._ensure, self._name, self._note, self._again = connect, ensure, name, note, again
        self._hang_up = hang_up
        self._ended = threading.Event()
        self._controller: ObsController | None = None
        self._told = ""
        self._changing = False
        self._let_go = False
        self._was_there = False
        self.showing: bool | None = None
        """Whether the item can be seen in OBS; None where that is not known."""

    def first(self) -> None:
        """Connect and make the item; OBS may still come.

        Raises:
            ObsError: it is there and refuses.
        """
        try:
            self._begin()
        except ObsAbsentError as error:
            self._tell(f"{error}. livematte waits for it")

    def run(self) -> None:
        """Until :meth:`end`."""
        wait = self._again
        while not self._ended.wait(wait):
            wait = self._again
            try:
                if self._controller is None:
                    self._begin()
                else:
                    self._look(self._controller)
            except ObsAbsentError as error:
                self._drop()
                self._tell(f"{error}. livematte waits for it")
            except (ObsError, KeyError) as error:
                if isinstance(error, WrongPasswordError):
                    self._drop()
                self._tell(str(error))
                wait = 10 * self._again

    def end(self) -> None:
        """Take the item out of OBS, unless it shall stay, and hang up; never raises."""
        self._ended.set()
        if self.ident is not None:
            self.join(10.0)
        if not self._was_there:
            return
        try:
            if self._controller is None:
                self._controller = ObsController(self._connect(self._heard), self._name)
            item = self._controller.find()
            if item is not None and item.mark != KEPT:
                self._controller.remove()
        except (LivematteError, KeyError) as error:
            self._tell(f"livematte's item may still be in OBS ({error}): livematte obs remove takes it out")
        finally:
            self._drop()

    def _heard(self, name: str, data: Mapping[str, Any]) -> None:
        if name == "ExitStarted" or (name == "InputRemoved" and data.get("inputName") == self._name):
            self._hang_up()

    def _begin(self) -> None:
        controller = ObsController(self._connect(self._heard), self._name)
        try:
            self._ensure(controller)
        except BaseException:
            controller.client.close()
            raise
        self._controller, self._was_there = controller, True
        self._let_go = self._changing = False
        if self._told:
            self._tell("OBS is there")
            self._told = ""

    def _drop(self) -> None:
        if self._controller is not None:
            self._controller.client.close()
        self._controller, self.showing = None, None

    def _look(self, controller: ObsController) -> None:
        if not controller.client.connected:
            raise ObsAbsentError("OBS went away")
        gone, ensure, removed = self._let_go, False, False
        events = controller.client.events
        while not events.empty():
            name, data = events.get()
            if name == "CurrentSceneCollectionChanging":
                self._changing = True
            elif name == "CurrentSceneCollectionChanged":
                self._changing, self._let_go, ensure = False, False, True
            elif name == "ExitStarted":
                self._changing = True
            elif name == "InputRemoved" and data.get("inputName") == controller.name and not self._changing:
                removed = True
            elif name == "InputNameChanged" and data.get("oldInputName") == controller.name:
                self._name = controller.name = data["inputName"]
        if removed:
            self._let_go = controller.find() is None
        if self._let_go:
            self.showing = False
            if gone and not self._changing:  # at the second look: OBS that ends removes everything first
                self._tell("livematte's item was removed in OBS: restart livematte to have it back")
        elif not self._changing:
            if ensure:
                self._ensure(controller)
            self.showing = controller.showing()

    def _tell(self, text: str) -> None:
        if text != self._told:
            self._told = text
            self._note(text)


class ObsSink:
    """Shows live frames in OBS. ``send`` converts one frame, and never waits for OBS."""

    name = "obs"

    def __init__(self, way: Way, arrange: Callable[[Array], Array], keeper: Keeper | None) -> None:
        self._way, self._arrange, self._keeper = way, arrange, keeper
        self._bgra = Bgra()
        self._last: tuple[tuple[Array, ...], Array] | None = None
        self.notes: list[str] = []
        self._closed = False

    def send(self, frame: Frame) -> None:
        """See :class:`~livematte.protocols.LiveSink`."""
        if self._last is None or self._last[0] is not frame.planes:
            self._last = frame.planes, self._arrange(self._bgra(frame))
        self._way.publish(self._last[1])

    @property
    def watched(self) -> bool:
        """Whether somebody reads the pictures; OBS does not count while the source is hidden in it."""
        clients = self._way.clients
        hidden = self._keeper is not None and self._keeper.showing is False
        return clients > (1 if hidden else 0)

    def close(self) -> None:
        """Remove what was made in OBS."""
        if self._closed:
            return
        self._closed = True
        if self._keeper is not None:
            self._keeper.end()
        self._way.close()


def obs(
    format: LiveFormat,
    *,
    route: str = "media",
    layout: str = "alpha",
    host: str = HOST,
    port: int | str = PORT,
    password_file: str | None = None,
    scene: str | None = None,
    item: str = NAME,
    position: str | None = None,
    size: str | None = None,
    stream_port: int | str = OVERLAY_PORT,
) -> ObsSink:
    """Open the output. OBS need not run yet; what it makes in OBS goes when it is closed.

    Args:
        format: of the frames to come; with ``alpha`` the room is transparent.
        route: one of :data:`ROUTES`.
        layout: ``alpha``, ``green`` or ``side-by-side``; the last two for mixers without transparency.
        host: where OBS runs. The pictures only go to this machine.
        port: of OBS's WebSocket server.
        password_file: its first line is the server's password; OBS_PASSWORD where not given.
        scene: where a new item comes; the one on air where not given.
        item: the name of the source in OBS.
        position: ``x,y`` in pixels of OBS's canvas; else 0,0 when new.
        size: ``WIDTHxHEIGHT`` of the box the picture is fitted into; else the canvas when new.
        stream_port: of the stream on this machine; a free one where it is taken.

    Raises:
        UsageError: an option that cannot be meant.
        InputError: the password file cannot be read.
        OutputError: no memory or port to be had, or OBS refuses.
    """
    if route not in ROUTES:
        raise UsageError(f"unknown route {route!r}: allowed are {', '.join(ROUTES)}")
    arrange = pictures.layout(layout)
    place, address = parse_place(position, size), (host, port_number("port", port))
    password = "" if route == "stream" else read_password(password_file)
    width = format.width * (2 if layout == "side-by-side" else 1)
    stream = port_number("stream-port", stream_port)
    way, kind, settings = _way(route, item, (format.height, width), format.rate, stream)
    if route == "stream":
        sink = ObsSink(way, arrange, None)
        sink.notes.append(
            f"the stream is {settings['input']} (NUT, raw BGRA): ffplay -f nut {settings['input']}"
        )
        return sink

    def connect(heard: Heard) -> ObsClient:
        return ObsClient(host=address[0], port=address[1], password=password, heard=heard)

    def ensure(controller: ObsController) -> str:
        return controller.ensure(kind, settings, scene=scene, place=place)

    notes: list[str] = []
    keeper = Keeper(connect, ensure, item, notes.append, hang_up=way.hang_up)
    try:
        keeper.first()
    except BaseException:
        way.close()
        raise
    sink = ObsSink(way, arrange, keeper)
    sink.notes = notes
    keeper.start()
    return sink


obs.wants_alpha = True  # type: ignore[attr-defined]


def _way(
    route: str, item: str, size: tuple[int, int], rate: Fraction, port: int
) -> tuple[Way, str, dict[str, Any]]:
    """The way out, and the kind and settings of the source in OBS that reads it."""
    height, width = size
    if route == "lua":
        shared = SharedPictures(width=width, height=height, name=item)
        return shared, LUA_KIND, {"path": str(shared.path)}
    overlay = Overlay(width=width, height=height, rate=rate, port=port)
    return overlay, MEDIA_KIND, media_settings(overlay.url)
