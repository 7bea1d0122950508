"""A held connection to a live session, over asyncio streams.

:mod:`livematte.streaming.control_link` describes the protocol.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress
from itertools import count
from typing import Any

from livematte.streaming.control_link import (
    REPLY_BYTES,
    REPLY_SECONDS,
    UNIX_SOCKETS,
    Registered,
    SessionGone,
    decode_line,
    encode_request,
    ended,
    keys_match,
    reply_facts,
    silent,
)


async def receive(reader: asyncio.StreamReader) -> dict[str, Any]:
    """Receive one message; the limit for its length is that of the reader.

    Raises:
        EOFError: the other side closed the connection first.
        ValueError: the message is too long, or not a JSON object.
    """
    return decode_line(await reader.readline())


class ControlClient:
    """A held connection to a live session. All methods run in one event loop.

    Args:
        on_state: called with each state that the session sends after the command ``watch``.

    Attributes:
        closed: set when the connection has ended, for whatever reason.
    """

    def __init__(
        self,
        registered: Registered,
        streams: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        on_state: Callable[[dict[str, Any]], None] | None = None,
    ) -> None:
        self.closed = asyncio.Event()
        self._registered, self._on_state = registered, on_state
        self._reader, self._writer = streams
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._numbers = count(1)
        self._failure: BaseException = EOFError()
        self._reading = asyncio.ensure_future(self._read())

    @classmethod
    async def open(
        cls, registered: Registered, on_state: Callable[[dict[str, Any]], None] | None = None
    ) -> ControlClient:
        """Connect to a session.

        Raises:
            SessionGone: the session does not run any more.
            OSError: the connection fails otherwise.
        """
        address = registered.address
        try:
            if isinstance(address, int):
                streams = await asyncio.open_connection("127.0.0.1", address, limit=REPLY_BYTES)
            elif UNIX_SOCKETS:
                peer = await _connect(address)
                streams = await asyncio.open_unix_connection(sock=peer, limit=REPLY_BYTES)
            else:
                raise SessionGone  # it runs on another operating system that shares this folder
        except (ConnectionRefusedError, FileNotFoundError) as error:
            raise SessionGone from error
        return cls(registered, streams, on_state)

    async def ask(self, command: str, value: object = None, seconds: float = REPLY_SECONDS) -> dict[str, Any]:
        """Send a command and return the reply.

        Raises:
            LivematteError, UsageError: the session refuses the command; its own message.
            SessionError: the session ends the connection, or does not reply within ``seconds``.
            SessionGone: another program answers in the place of the session.
        """
        number = next(self._numbers)
        line = encode_request(self._registered, number, command, value)
        self._waiting[number] = asyncio.get_running_loop().create_future()
        try:
            if self._reading.done():
                raise self._failure
            self._writer.write(line)
            reply = await asyncio.wait_for(self._waiting[number], seconds)
        except (TimeoutError, asyncio.TimeoutError):
            raise silent(self._registered, seconds) from None
        except (OSError, EOFError):
            raise ended(self._registered) from None
        finally:
            del self._waiting[number]
        return reply_facts(reply)

    async def _read(self) -> None:
        try:
            while True:
                message = await receive(self._reader)
                if not keys_match(message.get("key"), self._registered.answer):
                    raise SessionGone
                waiting = self._waiting.get(message.get("id", 0))
                if "state" in message and self._on_state is not None:
                    self._on_state(message["state"])
                elif waiting is not None and not waiting.done():
                    waiting.set_result(message)
        except ValueError:
            self._failure = SessionGone()
        except (OSError, EOFError, SessionGone) as error:
            self._failure = error
        finally:
            self.closed.set()
            self._writer.close()
            for waiting in self._waiting.values():
                if not waiting.done():
                    waiting.set_exception(self._failure)

    async def close(self) -> None:
        """Close the connection; safe to call twice."""
        self._reading.cancel()
        with suppress(asyncio.CancelledError, OSError):
            await self._reading


async def _connect(path: str) -> socket.socket:
    """Connect to a Unix socket, also while the queue of its server is full."""
    peer = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        peer.setblocking(False)
        while True:
            try:
                peer.connect(path)
                return peer
            except BlockingIOError:  # Linux: the queue is full
                await asyncio.sleep(0.01)
    except BaseException:
        peer.close()
        raise
