"""The cameras of the guest: vivid (webcam), v4l2loopback (virtual cameras), and programs that read them."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from command import TIMEOUT
from pictures import read_frame_number

WEBCAM, CAMERA, PLAIN = "/dev/video0", "/dev/video10", "/dev/video11"
"""The webcam, a virtual camera with exclusive_caps=1, and one without."""


def run(*command: str, timeout: float = TIMEOUT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout)


def capabilities(device: str) -> set[str]:
    text = run("v4l2-ctl", "-d", device, "-D").stdout.split("Device Caps")[-1]
    return {each for each in ("Video Capture", "Video Output") if each in text}


def unload(module: str) -> None:
    """Unload a module with rmmod: ``modprobe -r`` of busybox fails if a dependency is still in use."""
    if Path("/sys/module", module).exists():
        subprocess.run(["busybox", "rmmod", module], check=True)


def load_cameras() -> None:
    """Create two virtual cameras: one with the recommended options, one without exclusive_caps."""
    unload("v4l2loopback")
    options = ["devices=2", "exclusive_caps=1,0", "video_nr=10,11", "card_label=livematte,plain"]
    subprocess.run(["busybox", "modprobe", "v4l2loopback", *options], check=True)


def plug_webcam() -> None:
    options = ["n_devs=1", "node_types=0x1", "num_inputs=1", "input_types=0x0", "vid_cap_nr=0"]
    subprocess.run(["busybox", "modprobe", "vivid", *options], check=True)
    wait_for(lambda: Path(WEBCAM).exists(), "device node of the webcam")
    run("v4l2-ctl", "-d", WEBCAM, "-c", "osd_text_mode=2,test_pattern=0")


def wait_for(condition: Callable[[], Any], name: str) -> None:
    end = time.monotonic() + TIMEOUT
    while not condition():
        assert time.monotonic() < end, f"no {name} within {TIMEOUT:g} s"
        time.sleep(0.2)


def record(device: str, raw: str, frames: int = 30) -> None:
    result = run("ffmpeg", "-hide_banner", "-nostdin", "-loglevel", "error", "-y", "-f", "v4l2", "-i", device,
               "-frames:v", str(frames), "-fps_mode", "passthrough", "-pix_fmt", "yuv420p", "-f", "rawvideo",
                 raw)  # fmt: skip
    assert result.returncode == 0, result.stderr


class Viewer:
    """A program that keeps the virtual camera open, like a meeting program."""

    def __init__(self) -> None:
        self.numbers: list[int | None] = []
        self.error = ""
        self.process = subprocess.Popen(
            ["v4l2-ctl", "-d", CAMERA, "--stream-mmap", "--stream-to=-"],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        self.thread = threading.Thread(target=self._read)
        self.thread.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        while len(data := self.process.stdout.read(640 * 480 * 3 // 2)) == 640 * 480 * 3 // 2:
            try:
                self.numbers.append(read_frame_number(np.frombuffer(data, np.uint8).reshape(-1, 640)))
            except AssertionError as error:
                self.error = self.error or str(error)

    def wait_for_pictures(self, count: int = 3) -> int:
        """Wait for ``count`` new different pictures; return the number of frames until then."""
        before = len(self.numbers)
        wait_for(lambda: len(set(self.numbers[before:]) - {None}) >= count, "pictures for the viewer")
        return len(self.numbers) - before

    def stop(self) -> None:
        self.process.kill()
        self.thread.join()
