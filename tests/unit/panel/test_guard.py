"""Who is let into the panel: host, origin, token, for requests and for WebSockets."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("starlette", reason="the extra panel is not installed")
from starlette.testclient import TestClient, WebSocketDenialResponse

from livematte.errors import OutputError
from livematte.panel.app import PanelFolders, make_app
from livematte.panel.token import load_token
from livematte.streaming import session_registry

TOKEN, PORT = "t" * 43, 8717
OWN = f"http://127.0.0.1:{PORT}"
SOCKET = f"ws://127.0.0.1:{PORT}/socket"
BEARER = {"authorization": f"Bearer {TOKEN}"}


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    monkeypatch.setattr(session_registry, "folders", lambda: [tmp_path / "run"])
    app = make_app(PanelFolders(tmp_path), TOKEN, PORT)
    with TestClient(app, base_url=OWN, follow_redirects=False) as opened:
        yield opened


def enter(client: TestClient) -> None:
    answer = client.get("/", params={"token": TOKEN})
    assert answer.status_code == 303 and answer.headers["location"] == "/"


def test_the_token_of_the_address_becomes_a_cookie(client: TestClient) -> None:
    assert client.get("/").status_code == 401
    enter(client)
    (cookie,) = client.get("/", params={"token": TOKEN}).headers.get_list("set-cookie")
    attributes = {part.strip().lower() for part in cookie.split(";")}
    assert {"httponly", "samesite=strict", "path=/"} <= attributes and "domain" not in cookie.lower()
    page = client.get("/")
    assert page.status_code == 200 and "<title>livematte panel" in page.text


@pytest.mark.parametrize("path", ["/", "/api/state", "/static/panel.js", "/files/x.mp4", "/nothing"])
def test_nothing_is_there_without_the_token(client: TestClient, path: str) -> None:
    assert client.get(path).status_code == 401
    assert client.get(path, headers={"authorization": "Bearer wrong"}).status_code == 401
    assert client.get("/", params={"token": "wrong"}).status_code == 401
    client.cookies.set(f"livematte-panel-{PORT}", "wrong")
    assert client.get(path).status_code == 401


HOSTS = ["evil.example", "127.0.0.1", "127.0.0.1:80", f"127.0.0.1:{PORT}.evil.example", f"[::1]:{PORT}", ""]


@pytest.mark.parametrize("host", HOSTS)
def test_another_host_is_400(client: TestClient, host: str) -> None:
    enter(client)
    assert client.get("/", headers={"host": host}).status_code == 400
    assert client.post("/api/render", headers={"host": host, **BEARER}).status_code == 400
    assert denied(client, {"host": host, "origin": f"http://{host}"}) == 400


@pytest.mark.parametrize("host", [f"127.0.0.1:{PORT}", f"localhost:{PORT}"])
def test_both_names_of_this_machine_are_its_own(client: TestClient, host: str) -> None:
    assert client.get("/api/state", headers={"host": host, **BEARER}).status_code == 200


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", f"https://127.0.0.1:{PORT}", "http://127.0.0.1:1", None]
)
def test_a_foreign_or_no_origin_is_403(client: TestClient, origin: str | None) -> None:
    enter(client)
    headers = {} if origin is None else {"origin": origin}
    assert client.post("/api/profiles/x/start", headers=headers).status_code == 403
    assert denied(client, headers) == 403
    if origin is not None:
        assert client.post("/api/profiles/x/start", headers={**headers, **BEARER}).status_code == 403
        assert client.get("/api/state", headers=headers).status_code == 403


def test_the_page_itself_may_post_and_connect(client: TestClient) -> None:
    enter(client)
    answer = client.post("/api/profiles/x/start", headers={"origin": OWN})
    assert answer.status_code == 400 and "no profile 'x'" in answer.json()["error"]
    with client.websocket_connect(SOCKET, headers={"origin": OWN}) as socket:
        assert socket.receive_json()["sessions"] == []


def test_the_websocket_needs_the_token_too(client: TestClient) -> None:
    assert denied(client, {"origin": OWN}) == 401


def test_a_key_needs_no_origin_but_the_token(client: TestClient) -> None:
    assert client.post("/api/profiles/x/start", headers=BEARER).status_code == 400
    wrong = {"authorization": "Bearer wrong"}
    assert client.post("/api/profiles/x/start", headers=wrong).status_code == 403
    assert client.post("/api/profiles/x/start", headers={**wrong, "origin": OWN}).status_code == 401


def denied(client: TestClient, headers: dict[str, Any]) -> int:
    with (
        pytest.raises(WebSocketDenialResponse) as refused,
        client.websocket_connect(SOCKET, headers=headers),
    ):
        pass
    return refused.value.status_code


def test_every_answer_has_a_policy_without_inline_script(client: TestClient) -> None:
    enter(client)
    for answer in (
        client.get("/"),
        client.get("/api/state"),
        client.get("/x"),
        client.get("/", headers={"host": "x"}),
    ):
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy and "script-src 'self';" in policy and "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy and "access-control-allow-origin" not in answer.headers
    page = client.get("/").text
    assert "<script>" not in page and " on" + "click=" not in page and " style=" not in page
    assert "http://" not in page and "https://" not in page, "it works offline"


def test_the_token_is_kept_for_its_user_only(tmp_path: Path) -> None:
    path = tmp_path / "new" / "token"
    token = load_token(path)
    assert len(token) == 43 and load_token(path) == token
    if sys.platform != "win32":
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        path.chmod(0o644)
        assert load_token(path) == token and stat.S_IMODE(path.stat().st_mode) == 0o600
    path.write_text("short")
    with pytest.raises(OutputError, match="holds no token"):
        load_token(path)


@pytest.mark.skipif(not hasattr(os, "symlink") or sys.platform == "win32", reason="links need rights there")
def test_a_link_is_no_token_file(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("t" * 43)
    (tmp_path / "token").symlink_to(tmp_path / "real")
    with pytest.raises(OutputError, match="remove it"):
        load_token(tmp_path / "token")
