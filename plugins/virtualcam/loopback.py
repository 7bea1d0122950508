"""The status and users of v4l2loopback, the kernel module that creates virtual cameras on Linux."""

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
"""Name of the camera in other programs, if it is created with :data:`LOAD`."""

LOAD = f"sudo modprobe v4l2loopback exclusive_caps=1 card_label={LABEL} video_nr=10"
RELOAD = f"close all programs that use a camera, then: sudo modprobe -r v4l2loopback && {LOAD}"
INSTALL = (
    "sudo apt install v4l2loopback-dkms linux-headers-$(uname -r) (Fedora: sudo dnf install "
    "akmod-v4l2loopback kernel-devel-$(uname -r) from RPM Fusion; Arch: sudo pacman -S v4l2loopback-dkms "
    f"linux-headers), then: {LOAD}"
)
"""DKMS compiles the module, with the headers of the running kernel."""

_SECURE_BOOT = "SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"

_SCAN_SECONDS = 1.0
"""Interval between two scans of all processes, in seconds."""


@dataclass(frozen=True)
class LoopbackDevice:
    """A virtual camera of v4l2loopback."""

    node: str
    name: str
    state: str
    """'idle', 'sending', 'shared' (exclusive_caps=0: browsers do not list it), 'stuck' or 'locked' (no
    permission)."""


@dataclass(frozen=True)
class LoopbackStatus:
    """The status of the module."""

    loaded: bool
    installed: bool | None
    """True if it is installed for the running kernel; None if unknown."""
    version: str
    devices: tuple[LoopbackDevice, ...]
    modules: bool = True
    """False if there are no modules for the running kernel, as in a container: none can be loaded there."""


def read_status(
    root: Path = Path("/"), kernel: str | None = None, ask: v4l2.Ioctl = v4l2.system_ioctl
) -> LoopbackStatus:
    """Read the status of the module. Tests replace ``root`` (file system) and ``ask`` (ioctl)."""
    module = root / "sys/module/v4l2loopback"
    folder = root / "sys/devices/virtual/video4linux"
    nodes = sorted(entry.name for entry in folder.iterdir()) if folder.is_dir() else []
    devices = []
    for node in nodes:
        path = root / "dev" / node
        name = _read_text(folder / node / "name") or node
        driver = v4l2.query_driver(path, ask)
        if driver is not None and driver[0] != v4l2.LOOPBACK_DRIVER:
            continue  # another virtual device
        if driver is None and not (folder / node / "max_openers").exists():
            continue
        devices.append(LoopbackDevice(str(path), name, "locked" if driver is None else _state(driver[2])))
    modules = root / "lib/modules" / (kernel or platform.release())
    return LoopbackStatus(
        loaded=module.is_dir(),
        installed=_installed(modules),
        version=_read_text(module / "version"),
        devices=tuple(devices),
        modules=modules.is_dir(),
    )


def _state(capabilities: int) -> str:
    output, capture = bool(capabilities & v4l2.OUTPUT), bool(capabilities & v4l2.CAPTURE)
    if output and capture:
        return "shared"
    return "idle" if output else "sending" if capture else "stuck"


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def _installed(modules: Path) -> bool | None:
    dependencies = _read_text(modules / "modules.dep")
    return "v4l2loopback" in dependencies if dependencies else None


def secure_boot(root: Path = Path("/")) -> bool | None:
    """Return True if Secure Boot is on, so that only signed modules can be loaded; None if unknown."""
    try:
        variable = (root / "sys/firmware/efi/efivars" / _SECURE_BOOT).read_bytes()
    except OSError:
        return None
    return bool(variable) and variable[-1] == 1


def own_descriptors(device: str, proc: Path = Path("/proc")) -> list[int]:
    """Return the file descriptors of ``device`` in this process."""
    return _descriptors_in(proc / "self", os.path.realpath(device))


def _descriptors_in(process: Path, device: str) -> list[int]:
    descriptors = []
    try:
        with os.scandir(process / "fd") as entries:
            for entry in entries:
                with contextlib.suppress(OSError):  # closed in the meantime
                    if str(Path(entry.path).readlink()) == device:
                        descriptors.append(int(entry.name))
    except OSError:  # a process of another user, or it has ended
        return []
    return descriptors


def start_streaming(device: str, ask: v4l2.Ioctl = v4l2.system_ioctl) -> bool:
    """Call VIDIOC_STREAMON; return False if the driver refused it.

    This works around an error of v4l2loopback 0.12.7 with exclusive_caps=1 (its issue 470): when a program
    that only wrote to the device closes it without VIDIOC_STREAMON, the device is no longer an output.
    """
    buffer = bytearray(struct.pack("=i", v4l2.OUTPUT))  # V4L2_BUF_TYPE_VIDEO_OUTPUT is also 2
    answers = [ask(number, v4l2.STREAMON, buffer) for number in own_descriptors(device)]
    return any(answers)


class ViewerDetector:
    """Detects other programs that have the camera open.

    The reference count of the module is the number of its open files. If there are several virtual cameras
    and one of them is in use, all processes are scanned, at most once a second. Processes of other users
    cannot be seen.
    """

    def __init__(
        self, device: str, root: Path = Path("/"), now: Callable[[], float] = time.monotonic
    ) -> None:
        self._device, self._proc, self._now = os.path.realpath(device), root / "proc", now
        self._count = root / "sys/module/v4l2loopback/refcnt"
        self._devices = root / "sys/devices/virtual/video4linux"
        self._own_count = max(1, len(own_descriptors(device, self._proc)))
        self._scanned: tuple[float, bool] | None = None

    def is_open(self) -> bool | None:
        """Return True if another program has the camera open; None if unknown."""
        try:
            openings = int(self._count.read_text(encoding="ascii"))
            cameras = len(list(self._devices.iterdir()))
        except (OSError, ValueError):
            return None
        if openings <= self._own_count:
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
        return any(_descriptors_in(process, self._device) for process in others)
