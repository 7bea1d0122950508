"""What is tried inside the guest: ``livematte live`` from vivid, a webcam of the kernel's, to v4l2loopback.

vivid shows 75 % colour bars; the model (stub/) takes them for a person but for a pattern that counts, so that
every picture on the other side is either all background, which is the placeholder, or bars and a number.
Anything else is a failure: viewers would have seen what they must not, or wrong colours.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

HERE, OUT, PYTHON = Path(__file__).parent, Path("/run/out"), sys.executable
WEBCAM, CAMERA, PLAIN = "/dev/video0", "/dev/video10", "/dev/video11"
WEBCAM_ID = "platform:vivid-000"
ORANGE = (255, 128, 0)
BARS = np.array([(191, 191, 191), (191, 191, 0), (0, 191, 191), (0, 191, 0),
                 (191, 0, 191), (191, 0, 0), (0, 0, 191), (0, 0, 0)])  # fmt: skip
CLOSE = 16
"""Levels of 255 that chroma subsampling and rounding may change."""


def ask(*command: str, timeout: float = 90) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout)


def caps(device: str) -> set[str]:
    told = ask("v4l2-ctl", "-d", device, "-D").stdout.split("Device Caps")[-1]
    return {each for each in ("Video Capture", "Video Output") if each in told}


def load_cameras() -> None:
    """Two virtual cameras: one as we say it shall be, one without exclusive_caps."""
    subprocess.run(["busybox", "modprobe", "-r", "v4l2loopback"])
    options = ["devices=2", "exclusive_caps=1,0", "video_nr=10,11", "card_label=livematte,plain"]
    subprocess.run(["busybox", "modprobe", "v4l2loopback", *options], check=True)


def plug_webcam() -> None:
    options = ["n_devs=1", "node_types=0x1", "num_inputs=1", "input_types=0x0", "vid_cap_nr=0"]
    subprocess.run(["busybox", "modprobe", "vivid", *options], check=True)
    wait_for(lambda: Path(WEBCAM).exists(), 10, "the webcam's node")
    ask("v4l2-ctl", "-d", WEBCAM, "-c", "osd_text_mode=2,test_pattern=0")


def wait_for(what: Callable[[], Any], seconds: float, name: str) -> None:
    ends = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < ends, f"{name} did not come in {seconds:g} s"
        time.sleep(0.2)


class Live:
    """``livematte live``, waited for until viewers see pictures."""

    def __init__(self, size: tuple[int, int] = (640, 480), rate: int = 15) -> None:
        self.said: list[str] = []
        self.process = subprocess.Popen(
            [PYTHON, "-m", "livematte", "live", "--json", "--camera", WEBCAM_ID, "--to", "virtualcam",
             "--pixel-format", "yuyv422", "--resolution", f"{size[0]}x{size[1]}", "--rate", str(rate),
             "--background", "#ff8000", "--model", "everything", "--temporal", "off", "--no-govern"],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        self.until(lambda showing: showing == "picture")

    def until(self, wanted: Callable[[str], bool]) -> str:
        """Read events until one says that viewers see what is ``wanted``."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.said.append(line)
            if line.startswith("{"):
                event = json.loads(line)
                if event["event"] == "showing" and wanted(event["showing"]):
                    return str(event["showing"])
        raise AssertionError("livematte ended: " + "".join(self.said[-8:]))

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        self.said += (self.process.communicate(timeout=60)[0] or "").splitlines(keepends=True)
        return self.process.returncode


def patches(rgb: np.ndarray, top: float, bottom: float) -> np.ndarray:
    """(8, 3) mean colour of the middle of each eighth between two heights."""
    height, width = rgb.shape[:2]
    rows = rgb[round(top * height) : round(bottom * height)].astype(float)
    return np.array([
        rows[:, round((i + 0.3) * width / 8) : round((i + 0.7) * width / 8)].mean((0, 1)) for i in range(8)
    ])  # fmt: skip


def near(colours: np.ndarray, wanted: Any) -> np.ndarray:
    return np.abs(colours - np.asarray(wanted)).max(axis=-1) < CLOSE


def number_in(top: np.ndarray, middle: np.ndarray, bottom: np.ndarray | None = None) -> int | None:
    """The number that a picture shows; None of the placeholder. Fails on anything else."""
    rest = bottom is None or near(bottom, ORANGE).all()
    if near(top, ORANGE).all() and near(middle, ORANGE).all() and rest:
        return None
    assert rest and near(middle, BARS).all(), f"neither placeholder nor picture: {middle.round()} {bottom}"
    bits = near(top, ORANGE)
    assert (bits | near(top, BARS)).all(), f"no number: {top.round()}"
    return int(sum(1 << i for i in range(8) if bits[i]))


def judge(raw: str, size: tuple[int, int] = (640, 480)) -> dict[str, Any]:
    """What a recording shows: pictures in order, their number rising, and how many are the placeholder."""
    width, height = size
    data = np.fromfile(raw, np.uint8)
    assert len(data) and len(data) % (width * height * 3 // 2) == 0, len(data)
    numbers = []
    for frame in data.reshape(-1, height * 3 // 2, width):
        rgb = cv2.cvtColor(frame, cv2.COLOR_YUV2RGB_I420)
        numbers.append(number_in(patches(rgb, 0.05, 0.12), patches(rgb, 0.35, 0.65), patches(rgb, 0.9, 0.97)))
    seen = [each for each in numbers if each is not None]
    steps = np.diff(seen) % 256
    assert (steps < 128).all(), f"out of order: {seen}"
    return {"frames": len(numbers), "pictures": len(seen), "different": len(set(seen)),
            "placeholders": numbers.count(None)}  # fmt: skip


def record(device: str, raw: str, frames: int = 30) -> None:
    done = ask("ffmpeg", "-hide_banner", "-nostdin", "-loglevel", "error", "-y", "-f", "v4l2", "-i", device,
               "-frames:v", str(frames), "-fps_mode", "passthrough", "-pix_fmt", "yuv420p", "-f", "rawvideo",
               raw)  # fmt: skip
    assert done.returncode == 0, done.stderr


def findings() -> list[dict[str, Any]]:
    """What the plug-in's part of ``livematte doctor`` says."""
    code = (
        "import json; from livematte import registry;"
        "print(json.dumps([vars(each) for each in registry.load('checks', 'virtualcam')()]))"
    )
    return list(json.loads(ask(PYTHON, "-c", code).stdout))


def devices() -> Any:
    load_cameras()
    found = json.loads(ask(PYTHON, "-m", "livematte", "devices", "--json").stdout)
    assert [each["id"] for each in found if each["default"]] == [WEBCAM_ID], found
    assert CAMERA not in [each["address"] for each in found], "an idle virtual camera is none yet"
    webcam = next(each for each in found if each["id"] == WEBCAM_ID)
    assert {"yuyv422", "nv12"} <= {mode["pixel_format"] for mode in webcam["modes"]}
    return [(each["name"], len(each["modes"])) for each in found]


def checks() -> Any:
    load_cameras()
    told = {each["name"]: each for each in findings()}
    assert told[f"{CAMERA} (livematte)"]["good"] is True, told
    assert told[f"{PLAIN} (plain)"]["good"] is False and "exclusive_caps" in told[f"{PLAIN} (plain)"]["what"]
    subprocess.run(["busybox", "modprobe", "-r", "v4l2loopback"], check=True)
    told = {each["name"]: each for each in findings()}
    assert "modprobe v4l2loopback" in told["v4l2loopback"]["mend"], told
    done = ask(PYTHON, "-m", "livematte", "live", "--camera", WEBCAM_ID, "--model", "everything")
    assert done.returncode == 1 and "sudo modprobe v4l2loopback" in done.stderr, done.stderr
    return done.stderr.strip().splitlines()[-1]


def caps_and_pixels() -> Any:
    load_cameras()
    assert caps(CAMERA) == {"Video Output"}
    live = Live()
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
    finally:
        code = live.stop()
    assert code == 0, live.said[-5:]
    assert min(by_ffmpeg["different"], by_v4l2["different"]) >= 3, (by_ffmpeg, by_v4l2)
    assert caps(CAMERA) == {"Video Output"}
    return {"ffmpeg": by_ffmpeg, "v4l2-ctl": by_v4l2, "done": live.said[-1]}


def at_720p() -> Any:
    load_cameras()
    live = Live((1280, 720), 5)
    try:
        record(CAMERA, "/tmp/a.yuv", 12)
        return judge("/tmp/a.yuv", (1280, 720))
    finally:
        live.stop()


def restart() -> Any:
    load_cameras()
    codes = [Live().stop() for _ in range(2)]
    assert codes == [0, 0], codes
    return codes


def killed() -> Any:
    load_cameras()
    Live().stop(signal.SIGKILL)
    after = sorted(caps(CAMERA))
    assert Live().stop() == 0
    return {"caps after kill -9": after}


def watched() -> Any:
    load_cameras()
    camera = subprocess.Popen([PYTHON, str(HERE / "watched.py"), CAMERA], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, text=True)  # fmt: skip
    assert camera.stdin is not None and camera.stdout is not None
    answers = []

    def look() -> str:
        camera.stdin.write("\n")  # type: ignore[union-attr]
        camera.stdin.flush()  # type: ignore[union-attr]
        return camera.stdout.readline().strip()  # type: ignore[union-attr]

    assert camera.stdout.readline().strip() == "ready"
    answers.append(look())
    viewer = subprocess.Popen(["v4l2-ctl", "-d", CAMERA, "--stream-mmap", "--stream-count=100000"],
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # fmt: skip
    time.sleep(4)
    answers.append(look())
    viewer.kill()
    viewer.wait()
    time.sleep(2)
    answers.append(look())
    camera.stdin.close()
    camera.wait(30)
    assert answers == ["False", "True", "False"], answers
    return answers


def unplugged() -> Any:
    load_cameras()
    live = Live()
    try:
        ask("v4l2-ctl", "-d", WEBCAM, "-c", "disconnect=1")
        why = live.until(lambda showing: showing != "picture")
        record(CAMERA, "/tmp/a.yuv", 10)
        gone = judge("/tmp/a.yuv")
        subprocess.run(["busybox", "modprobe", "-r", "vivid"])
        plug_webcam()
        live.until(lambda showing: showing == "picture")
        record(CAMERA, "/tmp/b.yuv")
        back = judge("/tmp/b.yuv")
    finally:
        code = live.stop()
        if not Path(WEBCAM).exists():
            subprocess.run(["busybox", "modprobe", "-r", "vivid"])
            plug_webcam()
    assert code == 0
    # What was in the driver's buffers may still come out; then nothing but the placeholder.
    assert gone["placeholders"] >= 8, gone
    assert back["pictures"] >= 3, back
    return {"why": why, "gone": gone, "back": back}


def chromium() -> Any:
    load_cameras()
    live = Live()
    log = Path("/tmp/page.log")
    log.write_text("", encoding="utf-8")
    page = subprocess.Popen([PYTHON, str(HERE / "page.py"), "8123", str(log)])
    browser = None
    try:
        wait_for(lambda: socket.socket().connect_ex(("127.0.0.1", 8123)) == 0, 60, "the page")
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
        wait_for(lambda: '"done"' in log.read_text(encoding="utf-8"), 400, "the browser's word")
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


TESTS = [devices, checks, caps_and_pixels, at_720p, restart, killed, watched, unplugged]
if os.environ.get("CHROMIUM") == "1":
    TESTS.append(chromium)


def main() -> int:
    """Run them all; 0 where all passed."""
    plug_webcam()
    only = [name for name in os.environ.get("ONLY", "").split(",") if name]
    results = {}
    for test in TESTS:
        if only and test.__name__ not in only:
            continue
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
