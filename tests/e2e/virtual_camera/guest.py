"""The tests in the guest: ``livematte live`` from vivid, a webcam of the kernel, to v4l2loopback.

vivid shows 75 % colour bars. The model (stub/) treats them as a person, except for a pattern that shows the
number of the picture. So each picture that a program reads must be either all background, which is the
placeholder, or bars with a number. Anything else is a failure: the colours are wrong, or viewers have seen a
picture that must not be visible.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from cameras import (
    CAMERA,
    PLAIN,
    WEBCAM,
    Viewer,
    capabilities,
    load_cameras,
    plug_webcam,
    record,
    run,
    unload,
    wait_for,
)
from command import Command, Live
from pictures import check_recording, read_number

import livematte
from livematte import registry
from livematte.frame import ColorInfo, Frame
from livematte.plugins import virtualcam
from livematte.protocols import LiveFormat

HERE, OUT, PYTHON = Path(__file__).parent, Path("/run/out"), sys.executable
WEBCAM_ID = "platform:vivid-000"
CLIP = Path(livematte.__file__).parent / "assets" / "astronaut.mp4"


def findings() -> dict[str, Any]:
    """Return the findings of the virtual camera in ``livematte doctor`` by name."""
    return {each.name: each for each in registry.load("checks", "virtualcam")()}


def devices() -> Any:
    load_cameras()
    command = Command("devices", "--json")
    assert command.wait() == 0, command.output
    found = json.loads(command.output)
    assert [each["id"] for each in found if each["default"]] == [WEBCAM_ID], found
    assert CAMERA not in [each["address"] for each in found], "an idle virtual camera is not listed"
    webcam = next(each for each in found if each["id"] == WEBCAM_ID)
    assert {"yuyv422", "nv12"} <= {mode["pixel_format"] for mode in webcam["modes"]}
    return [(each["name"], len(each["modes"])) for each in found]


def checks() -> Any:
    load_cameras()
    found = findings()
    assert found[f"{CAMERA} (livematte)"].good is True, found
    assert found[f"{PLAIN} (plain)"].good is False and "exclusive_caps" in found[f"{PLAIN} (plain)"].what
    unload("v4l2loopback")
    found = findings()
    assert "modprobe v4l2loopback" in found["v4l2loopback"].fix, found
    command = Command("live", "--camera", WEBCAM_ID, "--model", "everything")
    assert command.wait() == 1 and "sudo modprobe v4l2loopback" in command.output, command.output
    return command.output.strip().splitlines()[-1]


def files() -> Any:
    """The files of the plug-in for /etc create the camera that the README describes."""
    unload("v4l2loopback")
    shipped = Path(str(virtualcam.__file__)).parent / "files"
    for each in ("modprobe.d", "modules-load.d"):
        Path("/etc", each).mkdir(exist_ok=True)
        shutil.copy(shipped / each / "livematte.conf", Path("/etc", each))
    for module in Path("/etc/modules-load.d/livematte.conf").read_text(encoding="utf-8").splitlines():
        if not module.startswith("#"):
            subprocess.run(["busybox", "modprobe", module], check=True)
    Path("/etc/modprobe.d/livematte.conf").unlink()
    name = Path("/sys/class/video4linux/video10/name").read_text(encoding="utf-8").strip()
    assert name == "livematte" and not Path(PLAIN).exists()
    assert capabilities(CAMERA) == {"Video Output"}
    return name


def caps_and_pixels() -> Any:
    load_cameras()
    assert capabilities(CAMERA) == {"Video Output"}
    live = Live(WEBCAM_ID, fresh=True)
    try:
        assert capabilities(CAMERA) == {"Video Capture"}
        record(CAMERA, "/tmp/a.yuv")
        by_ffmpeg = check_recording("/tmp/a.yuv")
        run("v4l2-ctl", "-d", CAMERA, "--stream-mmap", "--stream-count=30", "--stream-to=/tmp/b.yuv")
        by_v4l2 = check_recording("/tmp/b.yuv")
        capture = cv2.VideoCapture(CAMERA, cv2.CAP_V4L2)
        good, image = capture.read()
        capture.release()
        assert good and image.shape == (480, 640, 3)
        clip, option = str(CLIP), f"virtualcam.device={CAMERA}"
        second = Command("live", "--input", clip, "--model", "everything", "--sink-option", option)
        assert second.wait() == 1 and f"already sends to {CAMERA}" in second.output, second.output
    finally:
        code = live.stop()
    assert code == 0, live.output[-2000:]
    assert min(by_ffmpeg["different"], by_v4l2["different"]) >= 3, (by_ffmpeg, by_v4l2)
    assert capabilities(CAMERA) == {"Video Output"}
    return {"ffmpeg": by_ffmpeg, "v4l2-ctl": by_v4l2, "done": live.output.splitlines()[-1]}


def at_720p() -> Any:
    load_cameras()
    live = Live(WEBCAM_ID, (1280, 720))
    try:
        record(CAMERA, "/tmp/a.yuv", 12)
        return check_recording("/tmp/a.yuv", (1280, 720))
    finally:
        live.stop()


def restart() -> Any:
    load_cameras()
    codes = [Live(WEBCAM_ID).stop() for _ in range(2)]
    assert codes == [0, 0], codes
    return codes


def killed() -> Any:
    load_cameras()
    Live(WEBCAM_ID).stop(signal.SIGKILL)
    after = sorted(capabilities(CAMERA))
    assert Live(WEBCAM_ID).stop() == 0
    return {"caps after kill -9": after}


def viewer_stays() -> Any:
    """livematte ends, normally and killed, and restarts while a program keeps the camera open."""
    load_cameras()
    live, frames = Live(WEBCAM_ID), {}
    viewer = Viewer()
    try:
        frames["at first"] = viewer.wait_for_pictures()
        for number in (signal.SIGTERM, signal.SIGKILL):
            live.stop(number)
            between = sorted(capabilities(CAMERA))
            live = Live(WEBCAM_ID)
            frames[number.name] = (between, viewer.wait_for_pictures())
    finally:
        live.stop()
        viewer.stop()
    assert not viewer.error, viewer.error
    return frames


def watched() -> Any:
    """``watched``, used by ``--on-demand``, is correct with two virtual cameras."""
    load_cameras()
    camera = registry.load("sinks", "virtualcam")(LiveFormat(640, 480, Fraction(5)), device=CAMERA)
    grey = tuple(np.full(size, 128, np.uint8) for size in ((480, 640), (240, 320), (240, 320)))
    ended = threading.Event()

    def send() -> None:
        count = 0
        while not ended.wait(0.2):
            count += 1
            camera.send(Frame(grey, "yuv420p", count, Fraction(1, 5), color=ColorInfo("bt601", False)))

    sender = threading.Thread(target=send)
    sender.start()
    try:
        # Other programs of the system look at a new camera for a moment, and more of them do with 0.15.
        wait_for(lambda: camera.watched is False, "moment when nobody watches")
        viewer = subprocess.Popen(["v4l2-ctl", "-d", CAMERA, "--stream-mmap"], stdout=subprocess.DEVNULL,
                                  stderr=subprocess.DEVNULL)  # fmt: skip
        wait_for(lambda: camera.watched is True, "viewer")
        viewer.kill()
        viewer.wait()
        wait_for(lambda: camera.watched is False, "end of the viewer")
    finally:
        ended.set()
        sender.join()
        camera.close()


def unplugged() -> Any:
    """Disconnect and reconnect the webcam.

    vivid reconnects when the last program closes it, so one stays open.
    """
    load_cameras()
    live = Live(WEBCAM_ID)
    try:
        with open(WEBCAM, "rb", buffering=0):
            run("v4l2-ctl", "-d", WEBCAM, "-c", "disconnect=1")
            why = live.until(lambda showing: showing != "picture")
            record(CAMERA, "/tmp/a.yuv", 10)
            gone = check_recording("/tmp/a.yuv")
        live.until(lambda showing: showing == "picture")
        record(CAMERA, "/tmp/b.yuv")
        back = check_recording("/tmp/b.yuv")
    finally:
        code = live.stop()
    assert code == 0
    # A few pictures may still come from the buffers of the driver.
    assert gone["placeholders"] >= 8, gone
    assert back["pictures"] >= 3, back
    return {"why": why, "gone": gone, "back": back}


def chromium() -> Any:
    load_cameras()
    live = Live(WEBCAM_ID)
    log = Path("/tmp/page.log")
    log.write_text("", encoding="utf-8")
    page = subprocess.Popen([PYTHON, str(HERE / "page.py"), "8123", str(log)])
    browser = None
    try:
        wait_for(lambda: socket.socket().connect_ex(("127.0.0.1", 8123)) == 0, "web server")
        programs = ("/usr/bin/chromium-headless-shell", "/usr/bin/chromium")
        program = next(each for each in programs if Path(each).exists())
        Path("/tmp/chromium").mkdir(exist_ok=True)
        with (OUT / "chromium.log").open("w", encoding="utf-8") as errors:
            browser = subprocess.Popen(
                [program, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
                 "--no-first-run", "--user-data-dir=/tmp/chromium/p", "--use-fake-ui-for-media-stream",
                 "--disable-extensions", "--disable-background-networking",
                 "--autoplay-policy=no-user-gesture-required", "http://127.0.0.1:8123/"],
                env={**os.environ, "HOME": "/tmp/chromium"}, stdout=errors, stderr=errors,
            )  # fmt: skip
        wait_for(lambda: '"done"' in log.read_text(encoding="utf-8"), "result of the browser")
    finally:
        for each in (browser, page):
            if each is not None:
                each.kill()
        live.stop()
    lines = log.read_text(encoding="utf-8").strip().splitlines()
    result = json.loads(lines[-1])
    assert result.get("w") == 640, lines
    numbers = [read_number(np.array(each["top"]), np.array(each["middle"])) for each in result["pictures"]]
    assert len({each for each in numbers if each is not None}) >= 3, numbers
    return {"devices": json.loads(lines[0])["devices"], "numbers": numbers}


TESTS = [devices, checks, files, caps_and_pixels, at_720p, restart, killed, watched, viewer_stays, unplugged]
if os.environ.get("CHROMIUM") == "1":
    TESTS.append(chromium)


def main() -> int:
    """Run all tests, or those of ONLY in its order; return 0 if all passed."""
    plug_webcam()
    named = {test.__name__: test for test in TESTS}
    only = [name for name in os.environ.get("ONLY", "").split(",") if name]
    results = {}
    for test in [named[name] for name in only or named]:
        start = time.monotonic()
        try:
            result, good = test(), True
        except Exception as error:
            result, good = "".join(traceback.format_exception(error)[-2:]), False
        took = round(time.monotonic() - start, 1)
        results[test.__name__] = {"good": good, "seconds": took, "result": result}
        print("PASS" if good else "FAIL", test.__name__, f"{took} s", result, flush=True)
        (OUT / "results.json").write_text(json.dumps(results, indent=1, default=str), encoding="utf-8")
    return 0 if results and all(each["good"] for each in results.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
