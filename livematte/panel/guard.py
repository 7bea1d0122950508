"""Lets only the user and the panel's own page in: host, origin, token, and headers of every answer.

Checked in this order, for requests and for WebSockets alike:

1. ``Host`` is exactly ``127.0.0.1:PORT`` or ``localhost:PORT``, else 400. A page of another site that lets
   its own name point to 127.0.0.1 (DNS rebinding) fails here.
2. ``Origin`` is the panel's own for every POST and WebSocket, else 403. Programs send no ``Origin``; they are
   let through with the token in the header ``Authorization: Bearer``, which no page of another site can add.
3. The token, in that header or in the cookie, else 401. ``/?token=…`` sets the cookie.

CORS is never allowed. Starlette's ``TrustedHostMiddleware`` is not used, because it ignores the port.
"""

from __future__ import annotations

import secrets
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qs

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_COOKIE_SECONDS = 365 * 24 * 3600
_READ_ONLY = ("GET", "HEAD")


class Guard:
    """ASGI middleware in front of the whole panel.

    Args:
        token: secret of the user.
        port: port of the panel.
    """

    def __init__(self, app: ASGIApp, token: str, port: int) -> None:
        self._app, self._token = app, token
        self._hosts = (f"127.0.0.1:{port}", f"localhost:{port}")
        self._cookie = f"livematte-panel-{port}"  # cookies are shared by all ports of a host
        sockets = " ".join(f"ws://{host}" for host in self._hosts)
        self._headers = {
            "content-security-policy": "; ".join([
                "default-src 'none'",
                "script-src 'self'",
                "style-src 'self'",
                "img-src 'self' blob:",
                "media-src 'self'",
                f"connect-src 'self' {sockets}",
                "form-action 'self'",
                "base-uri 'none'",
                "frame-ancestors 'none'",
            ]),
            "cache-control": "no-store",
            "cross-origin-opener-policy": "same-origin",
            "cross-origin-resource-policy": "same-origin",
            "referrer-policy": "no-referrer",
            "x-content-type-options": "nosniff",
        }  # fmt: skip

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] in ("http.response.start", "websocket.http.response.start"):
                MutableHeaders(scope=message).update(self._headers)
            await send(message)

        refusal = self._refusal(scope)
        if refusal is None:
            await self._app(scope, receive, send_with_headers)
        elif scope["type"] == "http" or "websocket.http.response" in scope.get("extensions", {}):
            await refusal(scope, receive, send_with_headers)
        else:
            await send({"type": "websocket.close", "code": 1008})

    def _refusal(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        hosts = headers.getlist("host")
        if len(hosts) != 1 or hosts[0] not in self._hosts:
            return PlainTextResponse(f"the host is not {self._hosts[0]}", 400)
        bearer = self._bearer(headers)
        origins, own = headers.getlist("origin"), [f"http://{hosts[0]}"]
        reads = scope["type"] == "http" and scope["method"] in _READ_ONLY
        if origins and origins != own:
            return PlainTextResponse("the request comes from another page", 403)
        if not (origins or reads or bearer):
            return PlainTextResponse("the request has no Origin and no bearer token", 403)
        if scope["type"] == "http" and scope["path"] == "/" and (given := _query_token(scope)) is not None:
            return self._enter(given)
        if bearer or self._same(self._given_cookie(headers)):
            return None
        return PlainTextResponse(
            "401: open the address that `livematte panel` prints; it contains the token", 401
        )

    def _enter(self, given: str) -> Response:
        """Exchange the token of the address for the cookie, and take it out of the address."""
        if not self._same(given):
            return PlainTextResponse(
                "401: the token is wrong: use the address that `livematte panel` prints", 401
            )
        answer = RedirectResponse("/", 303)
        answer.set_cookie(
            self._cookie, self._token, max_age=_COOKIE_SECONDS, httponly=True, samesite="strict", path="/"
        )
        return answer

    def _bearer(self, headers: Headers) -> bool:
        kind, _, given = headers.get("authorization", "").partition(" ")
        return kind.lower() == "bearer" and self._same(given.strip())

    def _given_cookie(self, headers: Headers) -> str:
        try:
            found = SimpleCookie(headers.get("cookie", "")).get(self._cookie)
        except CookieError:
            return ""
        return "" if found is None else found.value

    def _same(self, given: Any) -> bool:
        return secrets.compare_digest(str(given).encode("utf-8", "replace"), self._token.encode())


def _query_token(scope: Scope) -> str | None:
    found = parse_qs(scope["query_string"].decode("latin-1")).get("token")
    return found[0] if found else None
