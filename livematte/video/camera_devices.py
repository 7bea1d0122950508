"""List the cameras of this machine and find one by name."""

from __future__ import annotations

import contextlib
import re
import sys
from collections.abc import Iterable, Sequence
from dataclasses import replace
from fractions import Fraction

import av
import av.error
import av.logging

from livematte.errors import InputError
from livematte.video import v4l2
from livematte.video.camera_modes import CameraInfo, CameraMode
from livematte.video.pipewire import advice, pipewire_cameras

FORMATS = {"linux": "v4l2", "win32": "dshow", "darwin": "avfoundation"}
"""FFmpeg input device by ``sys.platform``."""

_SCREEN = "Capture screen"
"""AVFoundation lists screens as cameras; their names start with this."""

_DSHOW_MODE = re.compile(
    r"(?:pixel_format|vcodec)=(?P<format>\S+)\s+min s=\S+ fps=\S+ max s=(?P<width>\d+)x(?P<height>\d+)"
    r" fps=(?P<rate>[\d.]+)"
)


def list_cameras() -> list[CameraInfo]:
    """Return all cameras of the system, including virtual cameras of livematte and other programs.

    On Linux the drivers are queried directly, which is exact. On Windows (DirectShow) and macOS
    (AVFoundation) the list comes from FFmpeg.
    """
    format = FORMATS.get(sys.platform)
    if format == "v4l2":
        return v4l2.cameras()
    if format is None:
        return []
    try:
        found = av.enumerate_input_devices(format)
    except (av.error.FFmpegError, ValueError):
        return []
    videos = [device for device in found if "video" in device.media_types or not device.media_types]
    if format == "dshow":
        return with_unique_ids(parse_dshow_camera(device.name, device.description) for device in videos)
    return with_unique_ids(
        parse_avfoundation_camera(device.name, device.description)
        for device in videos
        if not device.description.startswith(_SCREEN)
    )


def parse_dshow_camera(name: str, description: str) -> CameraInfo:
    """Return a DirectShow camera. Its id is FFmpeg's unique name, which contains port and serial number."""
    virtual = "virtual" in description.lower()
    return CameraInfo(name, description or name, (), f"video={name}", virtual)


def parse_avfoundation_camera(index: str, name: str) -> CameraInfo:
    """Return an AVFoundation camera.

    Its id is its name, since the index changes when devices are plugged in.
    """
    return CameraInfo(name, name, (), f"{index}:none", "virtual" in name.lower())


def with_unique_ids(cameras: Iterable[CameraInfo]) -> list[CameraInfo]:
    """Return the cameras with unique ids: a second camera with the same id becomes ``id#2``."""
    seen: dict[str, int] = {}
    named = []
    for camera in cameras:
        count = seen[camera.id] = seen.get(camera.id, 0) + 1
        named.append(camera if count == 1 else replace(camera, id=f"{camera.id}#{count}"))
    return named


def dshow_modes(address: str) -> tuple[CameraMode, ...]:
    """Return the modes of a DirectShow camera. FFmpeg prints them only to its log."""
    level = av.logging.get_level()
    av.logging.set_level(av.logging.INFO)
    try:
        with av.logging.Capture() as lines, contextlib.suppress(av.error.FFmpegError, OSError):
            av.open(address, format="dshow", options={"list_options": "true"}).close()  # always fails
        return parse_dshow_modes(text for _, _, text in lines)
    finally:
        av.logging.set_level(level)


def parse_dshow_modes(lines: Iterable[str]) -> tuple[CameraMode, ...]:
    """Parse log lines like ``pixel_format=yuyv422  min s=640x480 fps=5 max s=640x480 fps=30``.

    Each mode is returned once.
    """
    rates: dict[tuple[int, int, str], set[Fraction]] = {}
    for line in lines:
        if match := _DSHOW_MODE.search(line):
            key = (int(match["width"]), int(match["height"]), match["format"])
            rates.setdefault(key, set()).add(Fraction(match["rate"]).limit_denominator(1001))
    return tuple(CameraMode(*key, tuple(sorted(each, reverse=True))) for key, each in rates.items())


def find_camera(spec: str, cameras: Sequence[CameraInfo]) -> CameraInfo:
    """Return the camera that ``spec`` selects: by id, address, name, part of a name, or number.

    'auto' or an empty string selects the first camera that is not virtual and can be opened.

    Raises:
        InputError: no camera matches, or more than one; the message lists the candidates.
    """
    known = ", ".join(f"{camera.name!r} ({camera.id})" for camera in cameras)
    if not cameras:
        if names := pipewire_cameras():
            raise InputError(f"no camera was found in /dev: {advice(names)}")
        raise InputError("no camera was found: plug one in, or use --input to play a video instead of it")
    if spec in ("", "auto"):
        real = [camera for camera in cameras if not camera.virtual]
        usable = [camera for camera in real if not camera.trouble]
        if usable:
            return usable[0]
        if real:
            raise InputError(f"{real[0].name}: {real[0].trouble}")
        raise InputError(f"only virtual cameras were found ({known}): name one with --camera to use it")
    for exact in (
        [camera for camera in cameras if spec in (camera.id, camera.address)],
        [camera for camera in cameras if spec.lower() == camera.name.lower()],
        [camera for camera in cameras if spec.lower() in camera.name.lower()] if not spec.isdigit() else [],
    ):
        if len(exact) > 1:
            ids = ", ".join(camera.id for camera in exact)
            raise InputError(f"more than one camera is called {spec!r}: use one of the ids {ids}")
        if exact:
            return exact[0]
    if spec.isdigit() and int(spec) < len(cameras):
        return cameras[int(spec)]
    names = [name for name in pipewire_cameras() if spec.lower() in name.lower()]
    also = f"; {advice(names)}" if names else ""
    raise InputError(f"no camera matches {spec!r}: available are {known}{also}")
