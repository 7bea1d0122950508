"""What is tried inside the guest: ``livematte live`` from vivid, a webcam of the kernel's, to v4l2loopback.

vivid shows 75 % colour bars; the model (stub/) takes them for a person but for a pattern that counts, so that
every picture on the other side is either all background, which is the placeholder, or bars and a number.
Anything else is a failure: viewers would have seen what they must not, or wrong colours.
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
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from command import PATIENCE, Command, Live
from pictures import judge, number_in, number_of

import livematte
from livematte import registry
from livematte.frame import ColorInfo, Frame
from livematte.plugins import virtualcam
from livematte.protocols import LiveFormat

HERE, OUT, PYTHON = Path(__file__).parent, Path("/run/out"), sys.executable
WEBCAM, CAMERA, PLAIN = "/dev/video0", "/dev/video10", "/dev/video11"
WEBCAM_ID = "platform:vivid-000"
CLIP = Path(livematte.__file__).parent / "assets" / "astronaut.mp4"


def ask(*command: str, timeout: float = PATIENCE) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout)


def caps(device: str) -> set[str]:
    told = ask("v4l2-ctl", "-d", device, "-D").stdout.split("Device Caps")[-1]
    return {each for each in ("Video Capture", "Video Output") if each in told}


def unload(module: str) -> None:
    """As rmmod: busybox's ``modprobe -r`` fails where what the module needs stays in use."""
    if Path("/sys/module", module).exists():
        subprocess.run(["busybox", "rmmod", module], check=True)


def load_cameras() -> None:
    """Two virtual cameras: one as we say it shall be, one without exclusive_caps."""
    unload("v4l2loopback")
    options = ["devices=2", "exclusive_caps=1,0", "video_nr=10,11", "card_label=livematte,plain"]
    subprocess.run(["busybox", "modprobe", "v4l2loopback", *options], check=True)


def plug_webcam() -> None:
    options = ["n_devs=1", "node_types=0x1", "num_inputs=1", "input_types=0x0", "vid_cap_nr=0"]
    subprocess.run(["busybox", "modprobe", "vivid", *options], check=True)
    wait_for(lambda: Path(WEBCAM).exists(), "the webcam's node")
    ask("v4l2-ctl", "-d", WEBCAM, "-c", "osd_text_mode=2,test_pattern=0")


def wait_for(what: Callable[[], Any], name: str) -> None:
    ends = time.monotonic() + PATIENCE
    while not what():
        assert time.monotonic() < ends, f"{name} did not come in {PATIENCE:g} s"
        time.sleep(0.2)


def record(device: str, raw: str, frames: int = 30) -> None:
    done = ask("ffmpeg", "-hide_banner", "-nostdin", "-loglevel", "error", "-y", "-f", "v4l2", "-i", device,
               "-frames:v", str(frames), "-fps_mode", "passthrough", "-pix_fmt", "yuv420p", "-f", "rawvideo",
               raw)  # fmt: skip
    assert done.returncode == 0, done.stderr


def findings() -> dict[str, Any]:
    """What the plug-in's part of ``livematte doctor`` says."""
    return {each.name: each for each in registry.load("checks", "virtualcam")()}


def devices() -> Any:
    load_cameras()
    command = Command("devices", "--json")
    assert command.wait() == 0, command.said
    found = json.loads(command.said)
    assert [each["id"] for each in found if each["default"]] == [WEBCAM_ID], found
    assert CAMERA not in [each["address"] for each in found], "an idle virtual camera is none yet"
    webcam = next(each for each in found if each["id"] == WEBCAM_ID)
    assert {"yuyv422", "nv12"} <= {mode["pixel_format"] for mode in webcam["modes"]}
    return [(each["name"], len(each["modes"])) for each in found]


def checks() -> Any:
    load_cameras()
    told = findings()
    assert told[f"{CAMERA} (livematte)"].good is True, told
    assert told[f"{PLAIN} (plain)"].good is False and "exclusive_caps" in told[f"{PLAIN} (plain)"].what
    unload("v4l2loopback")
    told = findings()
    assert "modprobe v4l2loopback" in told["v4l2loopback"].mend, told
    command = Command("live", "--camera", WEBCAM_ID, "--model", "everything")
    assert command.wait() == 1 and "sudo modprobe v4l2loopback" in command.said, command.said
    return command.said.strip().splitlines()[-1]


def files() -> Any:
    """The files that the README has copied to /etc make the camera that it promises."""
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
    assert caps(CAMERA) == {"Video Output"}
    return name


def caps_and_pixels() -> Any:
    load_cameras()
    assert caps(CAMERA) == {"Video Output"}
    live = Live(WEBCAM_ID, fresh=True)
    try:
        assert caps(CAMERA) == {"Video Capture"}
        record(CAMERA, "/tmp/a.yuv")
        by_ffmpeg = judge("/tmp/a.yuv")
        ask("v4l2-ctl", "-d", CAMERA, "--stream-mmap", "--stream-count=30", "--stream-to=/tmp/b.yuv")
        by_v4l2 = judge("/tmp/b.yuv")
        capture = cv2.VideoCapture(CAMERA, cv2.CAP_V4L2)
        good, image = capture.read()
        capture.release()
        assert good and image.shape == (480, 640, 3)
        clip, option = str(CLIP), f"virtualcam.device={CAMERA}"
        second = Command("live", "--input", clip, "--model", "everything", "--sink-option", option)
        assert second.wait() == 1 and f"already sends to {CAMERA}" in second.said, second.said
    finally:
        code = live.stop()
    assert code == 0, live.said[-2000:]
    assert min(by_ffmpeg["different"], by_v4l2["different"]) >= 3, (by_ffmpeg, by_v4l2)
    assert caps(CAMERA) == {"Video Output"}
    return {"ffmpeg": by_ffmpeg, "v4l2-ctl": by_v4l2, "done": live.said.splitlines()[-1]}


def at_720p() -> Any:
    load_cameras()
    live = Live(WEBCAM_ID, (1280, 720))
    try:
        record(CAMERA, "/tmp/a.yuv", 12)
        return judge("/tmp/a.yuv", (1280, 720))
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
    after = sorted(caps(CAMERA))
    assert Live(WEBCAM_ID).stop() == 0
    return {"caps after kill -9": after}


class Viewer:
    """A program that never lets go of the virtual camera, as a meeting's does."""

    def __init__(self) -> None:
        self.numbers: list[int | None] = []
        self.wrong = ""
        self.process = subprocess.Popen(
            ["v4l2-ctl", "-d", CAMERA, "--stream-mmap", "--stream-to=-"],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        self.thread = threading.Thread(target=self._look)
        self.thread.start()

    def _look(self) -> None:
        assert self.process.stdout is not None
        while len(data := self.process.stdout.read(640 * 480 * 3 // 2)) == 640 * 480 * 3 // 2:
            try:
                self.numbers.append(number_of(np.frombuffer(data, np.uint8).reshape(-1, 640)))
            except AssertionError as error:
                self.wrong = self.wrong or str(error)

    def waits_for_pictures(self, count: int = 3) -> int:
        """How many frames it had until so many different pictures more had come."""
        before = len(self.numbers)
        wait_for(lambda: len(set(self.numbers[before:]) - {None}) >= count, "pictures for the viewer")
        return len(self.numbers) - before

    def stop(self) -> None:
        self.process.kill()
        self.thread.join()


def viewer_stays() -> Any:
    """livematte ends, cleanly and killed, and begins again, while a program goes on looking."""
    load_cameras()
    live, told = Live(WEBCAM_ID), {}
    viewer = Viewer()
    try:
        told["at first"] = viewer.waits_for_pictures()
        for number in (signal.SIGTERM, signal.SIGKILL):
            live.stop(number)
            caps_between = sorted(caps(CAMERA))
            live = Live(WEBCAM_ID)
            told[number.name] = (caps_between, viewer.waits_for_pictures())
    finally:
        live.stop()
        viewer.stop()
    assert not viewer.wrong, viewer.wrong
    return told


def watched() -> Any:
    """Whether somebody looks, which ``--on-demand`` asks, where there are two virtual cameras."""
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
        assert camera.watched is False
        viewer = subprocess.Popen(["v4l2-ctl", "-d", CAMERA, "--stream-mmap"], stdout=subprocess.DEVNULL,
                                  stderr=subprocess.DEVNULL)  # fmt: skip
        wait_for(lambda: camera.watched is True, "the viewer")
        viewer.kill()
        viewer.wait()
        wait_for(lambda: camera.watched is False, "the viewer's end")
    finally:
        ended.set()
        sender.join()
        camera.close()


def unplugged() -> Any:
    """Out, and in again: vivid comes back when the last program has let go of it, so one holds on to it."""
    load_cameras()
    live = Live(WEBCAM_ID)
    try:
        with open(WEBCAM, "rb", buffering=0):
            ask("v4l2-ctl", "-d", WEBCAM, "-c", "disconnect=1")
            why = live.until(lambda showing: showing != "picture")
            record(CAMERA, "/tmp/a.yuv", 10)
            gone = judge("/tmp/a.yuv")
        live.until(lambda showing: showing == "picture")
        record(CAMERA, "/tmp/b.yuv")
        back = judge("/tmp/b.yuv")
    finally:
        code = live.stop()
    assert code == 0
    # What was in the driver's buffers may still come out; then nothing but the placeholder.
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
        wait_for(lambda: socket.socket().connect_ex(("127.0.0.1", 8123)) == 0, "the page")
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
        wait_for(lambda: '"done"' in log.read_text(encoding="utf-8"), "the browser's word")
    finally:
        for each in (browser, page):
            if each is not None:
                each.kill()
        live.stop()
    lines = log.read_text(encoding="utf-8").strip().splitlines()
    told = json.loads(lines[-1])
    assert told.get("w") == 640, lines
    numbers = [number_in(np.array(each["top"]), np.array(each["middle"])) for each in told["pictures"]]
    assert len({each for each in numbers if each is not None}) >= 3, numbers
    return {"devices": json.loads(lines[0])["devices"], "numbers": numbers}


TESTS = [devices, checks, files, caps_and_pixels, at_720p, restart, killed, watched, viewer_stays, unplugged]
if os.environ.get("CHROMIUM") == "1":
    TESTS.append(chromium)


def main() -> int:
    """Run them all, or those of ONLY in its order; 0 where all passed."""
    plug_webcam()
    named = {test.__name__: test for test in TESTS}
    only = [name for name in os.environ.get("ONLY", "").split(",") if name]
    results = {}
    for test in [named[name] for name in only or named]:
        began = time.monotonic()
        try:
            told, good = test(), True
        except Exception as error:
            told, good = "".join(traceback.format_exception(error)[-2:]), False
        took = round(time.monotonic() - began, 1)
        results[test.__name__] = {"good": good, "seconds": took, "told": told}
        print("PASS" if good else "FAIL", test.__name__, f"{took} s", told, flush=True)
        (OUT / "results.json").write_text(json.dumps(results, indent=1, default=str), encoding="utf-8")
    return 0 if results and all(each["good"] for each in results.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
