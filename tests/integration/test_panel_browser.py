"""The panel in Chromium: a session from a clip is started, changed, paused, killed; both widths; axe-core."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

import livematte
from livematte.assets import background_path, clip_path

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
sync_api: Any = pytest.importorskip("playwright.sync_api", reason="the extra browser is not installed")
pytest.importorskip("uvicorn", reason="the extra panel is not installed")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed: apt-get install chromium"),
]

SECONDS = 180.0
WIDE, DOCK = {"width": 1280, "height": 800}, {"width": 380, "height": 800}
PICTURES = os.environ.get("LIVEMATTE_PANEL_PICTURES")
"""Folder for pictures of the panel, for the documentation: ``docs``."""


def write_two_people(path: Path) -> None:
    """A second of the portrait's person twice, at 0.27 and 0.73 of the width, before a grey wall."""
    cap = cv2.VideoCapture(str(clip_path()))
    portrait = cv2.resize(cap.read()[1], (320, 180), interpolation=cv2.INTER_AREA)
    cap.release()
    alpha = np.zeros((180, 320), np.float32)  # without the flag and the model of a rocket
    matte = livematte.Matter(channels="bgr").image(portrait).alpha
    alpha[:, 70:250] = matte[:, 70:250]
    wall = np.full((180, 320, 3), (150, 160, 165), np.float32)
    for x in (6, 154):
        move = np.array([[0.5, 0, x], [0, 0.5, 90]])
        person, there = (
            cv2.warpAffine(each.astype(np.float32), move, (320, 180)) for each in (portrait, alpha)
        )
        wall = there[..., None] * person + (1 - there[..., None]) * wall
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 640, 360, "yuv420p"
        picture = cv2.resize(np.clip(wall, 0, 255).astype(np.uint8), (640, 360))
        for _ in range(25):
            out.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="bgr24")))
        out.mux(stream.encode(None))


@pytest.fixture(scope="module")
def panel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a running panel, with the token."""
    root = tmp_path_factory.mktemp("browser")
    for folder in ("profiles", "rooms", "videos", "run"):
        (root / folder).mkdir()
    shutil.copy(background_path(), root / "rooms" / "dusk.jpg")
    for name, color in (("red", (0, 0, 255)), ("sea", (200, 120, 30))):
        cv2.imwrite(str(root / "rooms" / f"{name}.png"), np.full((90, 160, 3), color, np.uint8))
    shutil.copy(clip_path(), root / "videos" / "interview.mp4")
    (root / "profiles" / "talk.toml").write_text(
        f'input = {str(clip_path())!r}\nto = "none"\nresolution = "320x180"\nrate = 10\nsize = 160\n'
        'govern = false\nbackground = "green"\nplaceholder = "black"\n',
        encoding="utf-8",
    )
    two = root / "two.mp4"
    write_two_people(two)
    (root / "profiles" / "two.toml").write_text(
        f'input = {str(two)!r}\nto = "none"\nresolution = "320x180"\nrate = 10\nsize = 256\n'
        'govern = false\nbackground = "blue"\n',
        encoding="utf-8",
    )
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    own = {"XDG_RUNTIME_DIR": root / "run", "XDG_CACHE_HOME": root / "run", "XDG_CONFIG_HOME": root / "run"}
    command = [sys.executable, "-m", "livematte", "panel", "--port", str(port)]
    command += ["--profiles", str(root / "profiles"), "--backgrounds", str(root / "rooms")]
    command += ["--files", str(root / "videos")]
    environment = {**os.environ, **{name: str(path) for name, path in own.items()}}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("panel: http://127.0.0.1:"), line
        try:
            yield line.removeprefix("panel: ").strip()
        finally:
            for file in (root / "run" / "livematte" / "control").glob("*.json"):
                found = re.search(r'"pid": (\d+)', file.read_text(encoding="utf-8"))
                assert found is not None
                os.kill(int(found[1]), signal.SIGTERM)
            process.terminate()
            process.wait(20)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    sync_api.expect.set_options(timeout=1000 * SECONDS)
    with sync_api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        )
        yield opened
        opened.close()


@pytest.fixture
def page(browser: Any, panel: str) -> Iterator[Any]:
    """A page with the token; an error in the console fails the test."""
    context = browser.new_context(viewport=WIDE)
    opened = context.new_page()
    opened.set_default_timeout(1000 * SECONDS)
    errors: list[str] = []
    opened.on("pageerror", lambda error: errors.append(str(error)))
    opened.on("console", lambda said: errors.append(said.text) if said.type == "error" else None)
    opened.goto(panel)
    sync_api.expect(opened.locator("#link")).to_have_text("connected")
    yield opened
    context.close()
    expected = re.compile("WebSocket|status of 4|status of 502")
    assert [error for error in errors if not expected.search(error)] == []


def until(true: Callable[[], Any], what: str = "") -> None:
    end = time.monotonic() + SECONDS
    while not true():
        assert time.monotonic() < end, what
        time.sleep(0.1)


def pixel(page: Any, x: float = 0.03, y: float = 0.05, canvas: str = "picture") -> list[int]:
    """The colour of a pixel of the canvas, at shares of its width and height."""
    code = """([id, x, y]) => { const c = document.getElementById(id);
        return [...c.getContext('2d').getImageData(x * c.width, y * c.height, 1, 1).data.slice(0, 3)]; }"""
    return list(page.evaluate(code, [canvas, x, y]))


def start(page: Any, profile: str = "talk") -> None:
    """Start the session of a profile from the page, unless it runs; another one is stopped."""
    running = "fetch('/api/state').then((answer) => answer.json()).then((told) => told.sessions[0]?.profile)"
    if (now := page.evaluate(running)) is not None:
        sync_api.expect(page.locator("#session")).to_be_visible()
    if now not in (None, profile):
        stop(page)
    if now != profile:
        page.select_option("#profile", profile)
        page.click("#start-session")
    sync_api.expect(page.locator("#showing")).to_have_text("Viewers see people")


def stop(page: Any) -> None:
    page.click("#stop")
    sync_api.expect(page.locator("#no-session")).to_be_visible()


def like(color: list[int], wanted: tuple[int, int, int]) -> bool:
    return max(abs(a - b) for a, b in zip(color, wanted, strict=True)) < 50


def keep(page: Any, name: str) -> None:
    if PICTURES:
        if name != "render":
            sync_api.expect(page.locator("#showing")).to_have_text("Viewers see people")
        path = f"{PICTURES}/panel-{name}.jpg"
        page.screenshot(path=path, type="jpeg", quality=82, full_page=name == "dock")


def test_the_token_leaves_the_address(page: Any) -> None:
    assert "token" not in page.url
    page.reload()
    sync_api.expect(page.locator("#link")).to_have_text("connected")


def test_a_session_is_started_and_its_background_changed(page: Any) -> None:
    start(page)
    page.evaluate("document.getElementById('color').value = '#0000ff'")
    page.dispatch_event("#color", "change")
    until(lambda: like(pixel(page), (0, 0, 255)), "blue in the picture")
    page.click("#thumbnails button[title='rooms/red.png']")
    until(lambda: like(pixel(page), (255, 0, 0)), "red in the picture")
    person = pixel(page, 0.5, 0.95)
    assert not like(person, (255, 0, 0)), "the person stays"
    page.click("#show-matte")
    until(lambda: like(pixel(page, 0.5, 0.95, "matte"), (255, 255, 255)), "the person is white in the matte")
    until(lambda: like(pixel(page, 0.97, 0.3, "matte"), (0, 0, 0)), "the room is black in the matte")
    page.click("#thumbnails button[title='rooms/dusk.jpg']")
    until(lambda: not like(pixel(page, 0.97), (255, 0, 0)), "another picture")
    keep(page, "live")
    page.click("#show-matte")


def test_the_blur_slider_by_keyboard_alone(page: Any) -> None:
    start(page)
    page.focus("#blur")
    page.keyboard.press("ArrowRight")
    until(lambda: page.inner_text("#background").startswith("blur:"), "a blur")
    page.keyboard.press("Tab")
    page.focus("#model")
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"


def test_pause_by_button_and_key(page: Any) -> None:
    start(page)
    page.click("#pause")
    sync_api.expect(page.locator("#showing")).to_have_text("Viewers see the placeholder: paused")
    until(lambda: like(pixel(page, 0.5, 0.95), (0, 0, 0)), "the placeholder is black")
    assert page.get_attribute("#pause", "aria-pressed") == "true" and "bad" in (
        page.get_attribute("#showing", "class")
    )
    page.keyboard.press("p")
    sync_api.expect(page.locator("#showing")).to_have_text("Viewers see people")


def test_freezing_by_key(page: Any) -> None:
    start(page)

    def frozen() -> bool:
        if page.get_attribute("#freeze", "aria-pressed") == "false":  # refused during a placeholder
            page.keyboard.press("f")
        return bool(page.inner_text("#showing") == "Viewers see a frozen picture")

    until(frozen, "a frozen picture")
    page.keyboard.press("f")
    sync_api.expect(page.locator("#showing")).to_have_text("Viewers see people")


@pytest.mark.parametrize("size", [WIDE, DOCK], ids=["wide", "dock"])
def test_every_page_is_accessible_and_fits(page: Any, size: dict[str, int]) -> None:
    axe: Any = pytest.importorskip(
        "axe_playwright_python.sync_playwright", reason="axe-core is not installed"
    )
    start(page)
    page.set_viewport_size(size)
    for tab in ("live", "render", "machine"):
        page.click(f"#tab-{tab}")
        sync_api.expect(page.locator(f"#page-{tab}")).to_be_visible()
        if tab == "render":
            page.click("summary")
        found = axe.Axe().run(page).response["violations"]
        assert [(each["id"], each["nodes"][0]["html"][:100]) for each in found] == []
        overflow = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        assert page.evaluate(overflow) <= 0, f"{tab} is wider than the window"
    page.click("#tab-live")
    until(
        lambda: page.evaluate("document.getElementById('graph').width") > 200, "the graph is as wide as shown"
    )
    if size is DOCK:
        keep(page, "dock")


def test_keyboard_alone_reaches_every_control(page: Any) -> None:
    start(page)
    wanted = set(page.evaluate(
        """[...document.querySelectorAll('button, select, input')]
            .filter((each) => each.offsetParent && !each.disabled).map((each) => each.id).filter(Boolean)"""
    ))  # fmt: skip
    reached: set[str] = set()
    page.evaluate("document.activeElement.blur()")
    for _ in range(120):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.id"))
    assert wanted <= reached, wanted - reached
    page.focus("#pause")
    page.keyboard.press("Enter")
    sync_api.expect(page.locator("#showing")).to_have_text("Viewers see the placeholder: paused")
    page.keyboard.press("Space")
    sync_api.expect(page.locator("#showing")).to_have_text("Viewers see people")


def test_the_machine_is_checked_and_a_failure_is_one_line(page: Any) -> None:
    page.click("#tab-machine")
    page.click("#doctor")
    findings = page.locator("#findings li")
    sync_api.expect(page.locator("#machine-status")).to_have_text("", timeout=2000 * SECONDS)
    sync_api.expect(findings.first).to_have_text(re.compile("^(No problems found|Problems: [0-9]+)$"))
    sync_api.expect(page.locator("#findings")).to_contain_text("late-fusion-live")
    wrong = [each.startswith("✗") for each in findings.all_inner_texts()[1:]]
    assert wrong == sorted(wrong, reverse=True), "problems first"
    page.click("#devices")
    sync_api.expect(findings.first).not_to_have_text(re.compile("roblems"))
    sync_api.expect(findings.first).not_to_be_empty()
    with socket.socket() as taken:  # if an OBS runs here, it is not asked
        if taken.connect_ex(("127.0.0.1", 4455)) != 0:
            page.get_by_role("button", name="obs status").click()
            sync_api.expect(page.locator("#messages")).to_contain_text("no OBS at 127.0.0.1:4455")


def test_a_file_is_previewed_and_rendered(page: Any) -> None:
    page.click("#tab-render")
    page.check("#files input")
    page.fill("#option-background", "blue")
    page.fill("#option-end", "0.3")
    page.click("#preview")
    page.wait_for_selector("#compare:not([hidden])")
    until(lambda: page.evaluate("document.getElementById('after').naturalWidth") > 100, "the rendered frame")
    page.focus("#slider")
    before = page.evaluate("document.getElementById('before').style.clipPath")
    page.keyboard.press("ArrowLeft")
    assert page.evaluate("document.getElementById('before').style.clipPath") != before
    keep(page, "render")
    page.click("#add")
    page.get_by_role("button", name="Look at interview matte.mp4").click()
    until(lambda: page.evaluate("document.getElementById('result').videoWidth") > 0, "the result plays")


def test_a_killed_session_is_told_and_another_one_starts(page: Any) -> None:
    start(page)
    state = page.evaluate("fetch('/api/state').then((answer) => answer.json())")
    os.kill(state["sessions"][0]["pid"], getattr(signal, "SIGKILL", signal.SIGTERM))
    sync_api.expect(page.locator("#no-session")).to_be_visible(timeout=1000 * SECONDS)
    sync_api.expect(page.locator("#messages")).to_contain_text("talk has ended")
    drawn = int(page.get_attribute("#picture", "data-drawn") or 0)
    start(page)
    until(lambda: int(page.get_attribute("#picture", "data-drawn") or 0) > drawn + 2, "new pictures")
    stop(page)


def test_a_click_in_the_picture_keeps_only_that_person(page: Any) -> None:
    start(page, "two")
    blue, left, right = (0, 0, 255), (0.27, 0.85), (0.73, 0.85)

    def seen() -> list[bool]:
        """For the left and the right place: a person is in the picture."""
        return [not like(pixel(page, *each), blue) for each in (left, right)]

    def click(x: float, y: float) -> None:
        box = page.locator("#picture").bounding_box()
        page.mouse.click(box["x"] + x * box["width"], box["y"] + y * box["height"])

    try:
        until(lambda: seen() == [True, True], "both people")
        click(*right)
        until(lambda: seen() == [False, True], "the right one alone")
        sync_api.expect(page.locator("#who")).to_have_text("Only the person you chose.")
        page.click("#everybody")
        until(lambda: seen() == [True, True], "both again")
        click(0.5, 0.1)
        sync_api.expect(page.locator("#messages")).to_contain_text("nobody is at 0.5,0.1")
        assert seen() == [True, True]
        page.select_option("#keep", "1")
        until(lambda: sum(seen()) == 1, "the largest")
        page.click("#everybody")
        until(lambda: seen() == [True, True], "both again")
        page.focus("#show-matte")
        page.keyboard.press("Shift+Tab")  # freeze
        while page.evaluate("document.activeElement.id") != "picture":
            page.keyboard.press("Shift+Tab")
        sync_api.expect(page.locator("#cross")).to_be_visible()
        for _ in range(23):
            page.keyboard.press("ArrowDown")
        for _ in range(8):
            page.keyboard.press("ArrowLeft")
        page.keyboard.press("Enter")
        until(lambda: seen() == [True, False], "the left one alone, by keyboard")
        page.select_option("#frame", "head")
        until(lambda: not like(pixel(page, 0.5, 0.9), blue), "the picture follows to the left")
    finally:
        stop(page)
