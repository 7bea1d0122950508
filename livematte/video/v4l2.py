"""Camera enumeration on Linux with Video4Linux ioctls (linux/videodev2.h). Works on Linux only."""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

from livematte.video.camera_modes import CameraInfo, CameraMode

QUERYCAP, ENUM_FMT = 0x80685600, 0xC0405602
ENUM_FRAMESIZES, ENUM_FRAMEINTERVALS = 0xC02C564A, 0xC034564B
STREAMON = 0x40045612
"""VIDIOC_* request numbers, for int pointers and for the structures packed below."""

CAPTURE, OUTPUT, _DEVICE_CAPS = 0x1, 0x2, 0x80000000
"""V4L2_CAP_VIDEO_CAPTURE, V4L2_CAP_VIDEO_OUTPUT and V4L2_CAP_DEVICE_CAPS."""

LOOPBACK_DRIVER = "v4l2 loopback"
"""Driver name of the kernel module for virtual cameras."""

_DISCRETE = 1
_BUFFER_CAPTURE = 1

_FORMATS = {"YUYV": "yuyv422", "UYVY": "uyvy422", "MJPG": "mjpeg", "JPEG": "mjpeg", "NV12": "nv12",
            "YU12": "yuv420p", "422P": "yuv422p", "RGB3": "rgb24", "BGR3": "bgr24", "GREY": "gray",
}  # fmt: skip
"""V4L2 FourCC to FFmpeg name. Others are not used (H.264 cameras add latency)."""

_COMMON_SIZES = ((1920, 1080), (1280, 720), (960, 540), (640, 480), (640, 360), (320, 240))
"""Sizes to offer for drivers that scale to any size."""

NO_PERMISSION = "no permission to open {node}: run 'sudo usermod -aG video $USER', then log out and in again"

Ioctl = Callable[[int, int, bytearray], bool]
"""(file descriptor, request, structure modified in place) -> True if the driver answered."""


def system_ioctl(fd: int, request: int, structure: bytearray) -> bool:
    """Call ioctl(2) with ``structure``, modified in place. Return False on failure.

    Uses ctypes: Windows has no fcntl.
    """
    buffer = (ctypes.c_char * len(structure)).from_buffer(structure)
    libc = ctypes.CDLL(None, use_errno=True)
    return bool(libc.ioctl(fd, ctypes.c_ulong(request), ctypes.byref(buffer)) == 0)


def cameras(
    dev: Path = Path("/dev"), sys: Path = Path("/sys/class/video4linux"), ioctl: Ioctl = system_ioctl
) -> list[CameraInfo]:
    """Return all nodes that capture video, sorted by number; not output or metadata nodes."""
    if not sys.is_dir():
        return []
    nodes = sorted((entry.name for entry in sys.iterdir() if entry.name.startswith("video")), key=_number)
    links = _links(dev / "v4l" / "by-id")
    found = [info for node in nodes if (info := _camera(dev / node, sys / node, links.get(node), ioctl))]
    ids = [info.id for info in found]
    return [
        info if ids.count(info.id) == 1 else CameraInfo(**{**info.__dict__, "id": info.address})
        for info in found
    ]


def query_driver(node: Path, ioctl: Ioctl = system_ioctl) -> tuple[str, str, int] | None:
    """Return driver, card name and capabilities of a node; None if it cannot be opened or is not V4L2."""
    try:
        fd = os.open(node, os.O_RDWR | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        capability = _query_capability(fd, ioctl)
        return None if capability is None else (capability[0], capability[1], capability[3])
    finally:
        os.close(fd)


def _number(node: str) -> int:
    digits = node.removeprefix("video")
    return int(digits) if digits.isdigit() else 1 << 16


def _links(by_id: Path) -> dict[str, str]:
    """Return node name to udev link name, which contains maker, model and serial number."""
    if not by_id.is_dir():
        return {}
    return {link.resolve().name: link.name for link in sorted(by_id.iterdir())}


def _camera(node: Path, sysfs: Path, link: str | None, ioctl: Ioctl) -> CameraInfo | None:
    try:
        fd = os.open(node, os.O_RDWR | os.O_NONBLOCK)
    except PermissionError:
        if _read_text(sysfs / "index") not in ("", "0"):  # the second node of a camera, for metadata
            return None
        name = _read_text(sysfs / "name") or node.name
        trouble = NO_PERMISSION.format(node=node)
        return CameraInfo(link or str(node), name, (), str(node), trouble=trouble)
    except OSError:
        return None
    try:
        capability = _query_capability(fd, ioctl)
        if capability is None:
            return None
        driver, name, bus, capabilities = capability
        if not capabilities & CAPTURE:
            return None
        modes = tuple(_modes(fd, ioctl))
        return CameraInfo(link or bus or str(node), name, modes, str(node), driver == LOOPBACK_DRIVER)
    finally:
        os.close(fd)


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def _query_capability(fd: int, ioctl: Ioctl) -> tuple[str, str, str, int] | None:
    """Return driver, card, bus and device capabilities of struct v4l2_capability."""
    reply = bytearray(104)
    if not ioctl(fd, QUERYCAP, reply):
        return None
    driver, card, bus, _, everything, own = struct.unpack_from("=16s32s32sIII", reply)
    texts = [part.split(b"\0")[0].decode("utf-8", "replace") for part in (driver, card, bus)]
    return texts[0], texts[1], texts[2], own if everything & _DEVICE_CAPS else everything


def _modes(fd: int, ioctl: Ioctl) -> Iterator[CameraMode]:
    for index in range(64):
        reply = bytearray(64)  # struct v4l2_fmtdesc
        struct.pack_into("=II", reply, 0, index, _BUFFER_CAPTURE)
        if not ioctl(fd, ENUM_FMT, reply):
            return
        (code,) = struct.unpack_from("=4s", reply, 44)
        name = _FORMATS.get(code.decode("ascii", "replace").strip())
        if name is None:
            continue
        for width, height in _sizes(fd, code, ioctl):
            rates = tuple(sorted(set(_rates(fd, code, width, height, ioctl)), reverse=True))
            yield CameraMode(width, height, name, rates)


def _sizes(fd: int, code: bytes, ioctl: Ioctl) -> Iterator[tuple[int, int]]:
    for index in range(256):
        reply = bytearray(44)  # struct v4l2_frmsizeenum
        struct.pack_into("=I4s", reply, 0, index, code)
        if not ioctl(fd, ENUM_FRAMESIZES, reply):
            return
        kind, *numbers = struct.unpack_from("=7I", reply, 8)
        if kind == _DISCRETE:
            yield numbers[0], numbers[1]
            continue
        least_wide, most_wide, step_wide, least_high, most_high, step_high = numbers
        for width, height in _COMMON_SIZES:
            fits = least_wide <= width <= most_wide and least_high <= height <= most_high
            if fits and not (width - least_wide) % (step_wide or 1) and not (
                (height - least_high) % (step_high or 1)
            ):  # fmt: skip
                yield width, height
        return


def _rates(fd: int, code: bytes, width: int, height: int, ioctl: Ioctl) -> Iterator[Fraction]:
    for index in range(64):
        reply = bytearray(52)  # struct v4l2_frmivalenum; an interval is seconds a frame
        struct.pack_into("=I4sII", reply, 0, index, code, width, height)
        if not ioctl(fd, ENUM_FRAMEINTERVALS, reply):
            return
        kind, numerator, denominator = struct.unpack_from("=3I", reply, 16)
        if numerator and denominator:  # the first interval of a range is the shortest
            yield Fraction(denominator, numerator)
        if kind != _DISCRETE:
            return
