"""v4l2loopback, the kernel module that makes virtual cameras on Linux: what is there, and who has it open."""

from __future__ import annotations

import contextlib
import os
import platform
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from livematte.video import v4l2

LABEL = "livematte"
"""What other programs call the camera, where it is set up as we say."""

LOAD = f"sudo modprobe v4l2loopback exclusive_caps=1 card_label={LABEL} video_nr=10"
RELOAD = f"close every program that uses a camera, then: sudo modprobe -r v4l2loopback && {LOAD}"
INSTALL = (
    "sudo apt install v4l2loopback-dkms (Fedora: sudo dnf install akmod-v4l2loopback from RPM Fusion; "
    f"Arch: sudo pacman -S v4l2loopback-dkms), then: {LOAD}"
)

_SECURE_BOOT = "SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"

_SCAN_SECONDS = 1.0
"""How old the answer to 'which programs have it open' may be, where it takes a look at every program."""


@dataclass(frozen=True)
class Device:
    """One virtual camera."""

    node: str
    name: str
    state: str
    """'idle', 'sending', 'shared' (no exclusive_caps: browsers do not show it), 'stuck' or 'locked'."""


@dataclass(frozen=True)
class Loopback:
    """The module as it is now."""

    loaded: bool
    installed: bool | None
    """For the running kernel; None where that cannot be known."""
    version: str
    devices: tuple[Device, ...]


def look(root: Path = Path("/"), kernel: str | None = None, ask: v4l2.Ask = v4l2.control) -> Loopback:
    """What is there. ``root`` and ``ask`` are the file system and the kernel to ask; tests give others."""
    module = root / "sys/module/v4l2loopback"
    found = root / "sys/devices/virtual/video4linux"
    nodes = sorted(entry.name for entry in found.iterdir()) if found.is_dir() else []
    devices = []
    for node in nodes:
        path = root / "dev" / node
        name = _text(found / node / "name") or node
        driver = v4l2.driver_of(path, ask)
        if driver is not None and driver[0] != v4l2.LOOPBACK_DRIVER:
            continue  # another virtual device
        if driver is None and not (found / node / "max_openers").exists():
            continue
        devices.append(Device(str(path), name, "locked" if driver is None else _state(driver[2])))
    return Loopback(
        loaded=module.is_dir(),
        installed=_installed(root / "lib/modules" / (kernel or platform.release())),
        version=_text(module / "version"),
        devices=tuple(devices),
    )


def _state(capabilities: int) -> str:
    takes, gives = bool(capabilities & v4l2.OUTPUT), bool(capabilities & v4l2.CAPTURE)
    if takes and gives:
        return "shared"
    return "idle" if takes else "sending" if gives else "stuck"


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def _installed(modules: Path) -> bool | None:
    listed = _text(modules / "modules.dep")
    return "v4l2loopback" in listed if listed else None


def secure_boot(root: Path = Path("/")) -> bool | None:
    """Whether the firmware lets only signed modules in; None where it does not say."""
    try:
        told = (root / "sys/firmware/efi/efivars" / _SECURE_BOOT).read_bytes()
    except OSError:
        return None
    return bool(told) and told[-1] == 1


def own_descriptors(device: str, proc: Path = Path("/proc")) -> list[int]:
    """The file descriptors by which this process has ``device`` open."""
    return _open_in(proc / "self", os.path.realpath(device))


def _open_in(process: Path, device: str) -> list[int]:
    found = []
    try:
        with os.scandir(process / "fd") as entries:
            for entry in entries:
                with contextlib.suppress(OSError):  # closed meanwhile
                    if str(Path(entry.path).readlink()) == device:
                        found.append(int(entry.name))
    except OSError:  # another user's, or it ended
        return []
    return found


def begin_stream(device: str, ask: v4l2.Ask = v4l2.control) -> bool:
    """Tell the driver that pictures will be sent; False where it did not want to know.

    v4l2loopback 0.12.7 with exclusive_caps=1 forgets that it is an output when a program that only ever
    wrote to it closes it (its issue 470); after VIDIOC_STREAMON it does not. Later versions do not need it.
    """
    buffer = bytearray(struct.pack("=i", v4l2.OUTPUT))  # V4L2_BUF_TYPE_VIDEO_OUTPUT is 2, too
    answers = [ask(number, v4l2.STREAMON, buffer) for number in own_descriptors(device)]
    return any(answers)


class Openers:
    """Whether another program has the camera open.

    The module's reference count is that of its open files: one number to read. Only where there are several
    virtual cameras, and one of them is in use, is every program looked at, at most once a second; those of
    other users cannot be seen.
    """

    def __init__(
        self, device: str, root: Path = Path("/"), now: Callable[[], float] = time.monotonic
    ) -> None:
        self._device, self._proc, self._now = os.path.realpath(device), root / "proc", now
        self._count = root / "sys/module/v4l2loopback/refcnt"
        self._devices = root / "sys/devices/virtual/video4linux"
        self._ours = max(1, len(own_descriptors(device, self._proc)))
        self._scanned: tuple[float, bool] | None = None

    def any(self) -> bool | None:
        """None where the kernel does not say."""
        try:
            openings = int(self._count.read_text(encoding="ascii"))
            cameras = len(list(self._devices.iterdir()))
        except (OSError, ValueError):
            return None
        if openings <= self._ours:
            return False
        if cameras == 1:
            return True
        now = self._now()
        if self._scanned is None or now - self._scanned[0] >= _SCAN_SECONDS:
            self._scanned = now, self._scan()
        return self._scanned[1]

    def _scan(self) -> bool:
        with os.scandir(self._proc) as processes:
            names = [entry.name for entry in processes if entry.name.isdigit()]
        others = (self._proc / name for name in names if name != str(os.getpid()))
        return any(_open_in(process, self._device) for process in others)
