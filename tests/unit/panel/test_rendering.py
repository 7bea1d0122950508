"""The render queue: options of the declarations, progress, cancelling, the first frame."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

pytest.importorskip("starlette", reason="the extra panel is not installed")
from starlette.testclient import TestClient

import livematte
from livematte.assets import clip_path
from livematte.options import RenderOptions
from livematte.options.declaration import declared
from livematte.panel.app import PanelFolders, make_app
from livematte.panel.render_queue import describe_options
from livematte.video.reader import open_video

TOKEN, PORT = "t" * 43, 8717
SECONDS = 90.0
FAST = {"end": 0.2, "refine": "none", "preset": "ultrafast"}


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos" / "me.mp4").write_bytes(clip_path().read_bytes())
    (tmp_path / "videos" / "broken.mp4").write_bytes(b"no video")
    app = make_app(PanelFolders(tmp_path, (), (tmp_path / "videos",)), TOKEN, PORT)
    headers = {"authorization": f"Bearer {TOKEN}"}
    with TestClient(app, base_url=f"http://127.0.0.1:{PORT}", headers=headers) as opened:
        yield opened


def wait_for(client: TestClient, found: Callable[[list[dict[str, Any]]], bool]) -> list[dict[str, Any]]:
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        jobs: list[dict[str, Any]] = client.get("/api/state").json()["jobs"]
        if found(jobs):
            return jobs
        time.sleep(0.1)
    raise AssertionError(jobs)


def test_the_page_offers_what_the_command_line_has_except_paths() -> None:
    offered = {each["name"] for each in describe_options()}
    known = {each.command_name: each for each in declared(RenderOptions) if each.option.command}
    assert offered < set(known)
    assert {name for name in set(known) - offered if not known[name].option.path} == {"overwrite"}
    assert not {"weights", "alpha_out", "refine_weights", "debug_view"} & offered


def test_files_are_rendered_one_after_the_other(client: TestClient, tmp_path: Path) -> None:
    for _ in range(2):
        made = client.post("/api/render", json={"file": "me.mp4", "options": {**FAST, "background": "blue"}})
        assert made.status_code == 200, made.text
    assert client.post("/api/render", json={"file": "broken.mp4"}).status_code == 200
    states = [job["state"] for job in client.get("/api/state").json()["jobs"]]
    assert states.count("running") <= 1 and len(states) == 3
    jobs = wait_for(client, lambda jobs: all(job["state"] in ("done", "failed") for job in jobs))
    assert [job["state"] for job in jobs] == ["done", "done", "failed"]
    assert [job["target"] for job in jobs] == ["me matte.mp4", "me matte 2.mp4", "broken matte.mp4"]
    assert jobs[0]["done"] == jobs[0]["total"] > 0 and "broken.mp4" in jobs[2]["message"]
    with open_video(tmp_path / "videos" / "me matte.mp4") as made_video:
        luma = next(iter(made_video)).planes[0]
    assert (luma < 60).mean() > 0.25, "blue is dark"
    looked_at = client.get("/files/videos/me matte.mp4", headers={"range": "bytes=0-99"})
    assert looked_at.status_code == 206 and len(looked_at.content) == 100
    assert client.get("/files/videos/..%2f..%2fsecret.mp4").status_code == 400


def test_a_render_can_be_cancelled(client: TestClient) -> None:
    number = client.post("/api/render", json={"file": "me.mp4", "options": {"refine": "fba-live"}}).json()[
        "id"
    ]
    wait_for(client, lambda jobs: jobs[0]["state"] == "running")
    assert client.post(f"/api/render/{number}/cancel").status_code == 200
    wait_for(client, lambda jobs: jobs[0]["state"] == "cancelled")
    assert client.post(f"/api/render/{number}/cancel").status_code == 400


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"file": "../secret.mp4"}, "there is no file"),
        ({"file": "me.mp4", "options": {"weights": "/etc/passwd"}}, "unknown option 'weights'"),
        ({"file": "me.mp4", "options": {"alpha_out": "/tmp/x.mp4"}}, "unknown option"),
        ({"file": "me.mp4", "options": {"background": "/etc/passwd"}}, "there is no file"),
        ({"file": "me.mp4", "options": {"size": "big"}}, "use a whole number"),
        ({"file": "me.mp4", "options": {"size": 5}}, "use 32 to 4096"),
        ({"file": "me.mp4", "options": []}, "use an object"),
        ({"file": "me.mp4", "ending": ".exe"}, "ending"),
        ([], "no JSON object"),
    ],
)
def test_what_cannot_be_rendered_is_refused(client: TestClient, given: object, says: str) -> None:
    answer = client.post("/api/render", json=given)
    assert answer.status_code == 400 and says in answer.json()["error"]


def test_the_first_frame_is_that_of_the_render(client: TestClient, tmp_path: Path) -> None:
    options = {**FAST, "background": "blue"}
    made = client.post("/api/render/preview", json={"file": "me.mp4", "options": options})
    assert made.status_code == 200 and made.json()["pictures"] == ["after", "before", "matte"]

    def picture(kind: str) -> Any:
        data = client.get(f"/api/render/preview/{kind}").content
        return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR).astype(int)

    after, before, matte = picture("after"), picture("before"), picture("matte")
    assert after.shape == before.shape == matte.shape
    livematte.render(clip_path(), tmp_path / "own" / "%04d.png", **{**options, "end": 0.001, "preset": None})
    own = cv2.imread(str(next((tmp_path / "own").glob("*.png")))).astype(int)
    own = cv2.resize(own.astype(np.uint8), after.shape[1::-1], interpolation=cv2.INTER_AREA).astype(int)
    assert np.abs(own - after).mean() < 3
    room = matte.max(axis=2) < 10
    assert 0.2 < room.mean() < 0.8 and np.median(after[room], axis=0).tolist()[0] > 240
    assert np.abs(before - after)[room].mean() > 40
    assert client.get("/api/render/preview/other").status_code == 404
