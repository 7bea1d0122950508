"""The sink ``obs``: sends live frames to a source in OBS."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any, Protocol

from livematte.errors import UsageError
from livematte.frame import Array, Frame
from livematte.plugins.obs.client import (
    HOST,
    PORT,
    EventCallback,
    ObsClient,
    parse_port,
    read_password,
)
from livematte.plugins.obs.controller import (
    BLENDS,
    LUA_KIND,
    MEDIA_KIND,
    NAME,
    ObsController,
    media_settings,
)
from livematte.plugins.obs.monitor import ItemMonitor
from livematte.plugins.obs.pictures import BgraConverter, find_layout
from livematte.plugins.obs.placement import parse_placement
from livematte.plugins.obs.scene_backgrounds import parse_scene_backgrounds
from livematte.plugins.obs.session_lock import SessionLock
from livematte.plugins.obs.shared import SharedPictures
from livematte.plugins.obs.stream_secret import load_secret
from livematte.plugins.obs.stream_server import PORT as STREAM_PORT
from livematte.plugins.obs.stream_server import StreamServer
from livematte.protocols import LiveFormat

ROUTES = ("media", "lua", "stream")
"""media: a Media Source in OBS. lua: the source of livematte.lua. stream: only the TCP stream, without
OBS."""


SRGB_NOTE = (
    "blend srgb: set the blending method of livematte's source in OBS to sRGB Off (right-click it, Blending "
    "Method), else soft edges are too dark"
)


class Transport(Protocol):
    """Sends pictures to readers."""

    @property
    def clients(self) -> int:
        """Number of readers."""
        ...

    def publish(self, picture: Array) -> None:
        """Make ``picture``, (H, W, 4) uint8 straight BGRA, the newest. Never waits for a reader."""
        ...

    def disconnect_clients(self) -> None:
        """Disconnect all readers and accept none for a few seconds."""
        ...

    def close(self) -> None:
        """Disconnect all readers. May be called twice."""
        ...


class ObsSink:
    """Shows live frames in OBS (protocols.LiveSink). ``send`` converts the frame and never waits for OBS."""

    name = "obs"

    def __init__(
        self,
        transport: Transport,
        layout: Callable[[Array], Array],
        monitor: ItemMonitor | None,
        lock: SessionLock | None = None,
        scenes: Mapping[str, str] | None = None,
    ) -> None:
        self._scenes = scenes or {}
        self._transport, self._layout, self._monitor, self._lock = transport, layout, monitor, lock
        self._bgra = BgraConverter()
        self._last: tuple[tuple[Array, ...], Array] | None = None
        self.notes: list[str] = []
        self._closed = False

    def send(self, frame: Frame) -> None:
        """Convert the frame and make it the newest picture (see :class:`~livematte.protocols.LiveSink`)."""
        if self._last is None or self._last[0] is not frame.planes:
            self._last = frame.planes, self._layout(self._bgra(frame))
        self._transport.publish(self._last[1])

    @property
    def wanted_background(self) -> str | None:
        """The background of the scene on air; None if it has none of its own."""
        return None if self._monitor is None else self._scenes.get(self._monitor.scene or "")

    @property
    def watched(self) -> bool:
        """True if a program reads the pictures. OBS does not count while the source is hidden in it."""
        clients = self._transport.clients
        hidden = self._monitor is not None and self._monitor.showing is False
        return clients > (1 if hidden else 0)

    def close(self) -> None:
        """Remove the source from OBS and disconnect all readers. May be called twice."""
        if self._closed:
            return
        self._closed = True
        if self._monitor is not None:
            self._monitor.stop()
        self._transport.close()
        if self._lock is not None:
            self._lock.release()


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
    stream_port: int | str = STREAM_PORT,
    blend: str = "linear",
    scenes: str | Mapping[str, object] | None = None,
) -> ObsSink:
    """Open the sink. OBS may start later. The source that it creates in OBS is removed at the end.

    Args:
        format: format of the frames; with ``alpha`` the background is transparent.
        route: one of :data:`ROUTES`.
        layout: ``alpha``, ``green`` or ``side-by-side``; the last two for mixers without transparency.
        host: computer that runs OBS. The pictures can be read only on this machine.
        port: port of the WebSocket server of OBS.
        password_file: file with the password in its first line. None: the variable OBS_PASSWORD.
        scene: scene of a new source. None: the scene on air.
        item: name of the source in OBS.
        position: ``x,y`` in pixels of the canvas of OBS. None: 0,0 for a new source.
        size: ``WIDTHxHEIGHT`` of the bounding box. None: the canvas for a new source.
        stream_port: port of the stream on this machine; a free port if it is in use.
        blend: ``linear``, or ``srgb`` where the user sets the blending method of the source to sRGB Off.
        scenes: background while a scene is on air; see :func:`parse_scene_backgrounds`.

    Raises:
        UsageError: an option is invalid.
        InputError: the password file cannot be read.
        OutputError: no shared memory or port is available, or OBS refuses.
    """
    if route not in ROUTES:
        raise UsageError(f"unknown route {route!r}: use one of {', '.join(ROUTES)}")
    if blend not in BLENDS:
        raise UsageError(f"unknown blend {blend!r}: use one of {', '.join(BLENDS)}")
    if blend != "linear" and route != "media":
        raise UsageError(f"blend {blend} is only for the route media: remove it, or remove route {route}")
    own_backgrounds, arrange = parse_scene_backgrounds(scenes), find_layout(layout)
    placement, address = parse_placement(position, size), (host, parse_port("port", port))
    password = "" if route == "stream" else read_password(password_file)
    width = format.width * (2 if layout == "side-by-side" else 1)
    stream = parse_port("stream-port", stream_port)
    lock = None if route == "stream" else SessionLock()
    mark = "" if lock is None else lock.mark
    try:
        transport, kind, settings = _open_transport(
            route, f"{item}-{mark}", (format.height, width), format.rate, stream
        )
        if route == "media":
            settings = media_settings(settings["input"], blend)
    except BaseException:
        if lock is not None:
            lock.release()
        raise
    if lock is None:
        sink = ObsSink(transport, arrange, None)
        sink.notes.append(
            f"the stream is {settings['input']} (NUT, raw BGRA); "
            f"to watch it: ffplay -f nut {settings['input']}"
        )
        return sink

    def connect(on_event: EventCallback) -> ObsClient:
        return ObsClient(host=address[0], port=address[1], password=password, on_event=on_event)

    def ensure(controller: ObsController) -> str:
        return controller.ensure(kind, settings, scene=scene, placement=placement, session=mark)

    notes = [SRGB_NOTE] if blend == "srgb" else []
    monitor = ItemMonitor(
        connect,
        ensure,
        item,
        notes.append,
        session=mark,
        disconnect_readers=transport.disconnect_clients,
    )
    try:
        monitor.connect()
    except BaseException:
        transport.close()
        lock.release()
        raise
    sink = ObsSink(transport, arrange, monitor, lock, own_backgrounds)
    sink.notes = notes
    monitor.start()
    return sink


obs.wants_alpha = True  # type: ignore[attr-defined]


def _open_transport(
    route: str, name: str, size: tuple[int, int], rate: Fraction, port: int
) -> tuple[Transport, str, dict[str, Any]]:
    """Open the transport; return it with the kind and settings of the source in OBS that reads it.

    Args:
        name: of shared memory; no other session has the same.
    """
    height, width = size
    if route == "lua":
        shared = SharedPictures(width=width, height=height, name=name)
        return shared, LUA_KIND, {"path": str(shared.path)}
    server = StreamServer(width=width, height=height, rate=rate, port=port, secret=load_secret())
    return server, MEDIA_KIND, media_settings(server.url)
