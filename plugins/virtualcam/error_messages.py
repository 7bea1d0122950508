"""Translate the errors of pyvirtualcam into one line that also says how to fix the problem."""

from __future__ import annotations

import re
import sys

from livematte.plugins.virtualcam.loopback import INSTALL, LOAD, RELOAD, LoopbackStatus

_OBS = "https://obsproject.com"
_UNITY = "https://github.com/schellingb/UnityCapture"
_START_ONCE = "open OBS, click Start Virtual Camera, then Stop Virtual Camera"

ERROR_MESSAGES: tuple[tuple[str, str], ...] = (
    # Linux, v4l2loopback
    (r"Could not access (?P<device>\S+) due to missing permissions",
     "no permission to open {device}: run 'sudo usermod -aG video $USER', then log out and in again"),
    (r"Device (?P<device>\S+) could not be opened: (?P<why>[^\n]+)",
     "{device} cannot be opened ({why}): " + RELOAD),
    (r"Device capabilities of (?P<device>\S+) could not be queried",
     "{device} is not a video device: livematte devices and livematte doctor list the devices"),
    (r"Device (?P<device>\S+) is not a V4L2 device",
     "{device} is a real camera, not a virtual one: use another device, or create one: " + LOAD),
    (r"Device (?P<device>\S+) is already in use",
     "this livematte already sends to {device}: name each virtual camera only once"),
    (r"Virtual camera device (?P<device>\S+) could not be configured: (?P<why>[^\n]+)",
     ("{device} rejects this size ({why}), because a program still reads it at another size: close that"
     " program, or use its size with --resolution")),
    # Windows and macOS, OBS
    (r"OBS Virtual Camera device not found",
     f"no virtual camera is installed: install OBS Studio ({_OBS}), then {_START_ONCE}"),
    (r"OBS Virtual Camera is not installed in your system",
     (f"no virtual camera is installed: install OBS Studio 30 or later ({_OBS}), {_START_ONCE}, and allow its"
     " extension in System Settings > General > Login Items & Extensions")),
    (r"OBS Virtual Camera version is not supported",
     f"OBS is too old: install OBS Studio 30 or later ({_OBS}), then {_START_ONCE}"),
    (r"supports only the '(?P<device>[^']+)' device",
     "the virtual camera of this system is called {device!r}: use this name, or omit the device"),
    (r"Multiple cameras are not supported",
     "this livematte already sends to the only virtual camera of this system: name it only once"),
    (r"virtual camera output could not be started|Couldn't start stream",
     "the virtual camera is in use: click Stop Virtual Camera in OBS, or close the program that sends to it"),
    (r"Stream not found|unable to allocate pixel buffer pool",
     "macOS did not open the stream of the virtual camera: restart the computer, then try again"),
    # Windows, UnityCapture
    (r"No camera registered with this name",
     ("no UnityCapture camera has this name: omit the device, or run its InstallCustomName.bat as"
     " administrator")),
    (r"All cameras are already in use",
     "all UnityCapture cameras are in use: close a program that sends to one"),
    (r"No camera registered\. Did you install",
     (f"UnityCapture is not installed: download it ({_UNITY}) and run Install.bat as administrator, or"
      f" install OBS Studio ({_OBS})")),
    (r"Unsupported image format",
     "this virtual camera does not support the pixel format: omit pixel_format"),
)  # fmt: skip
"""Patterns of pyvirtualcam's messages (0.13 to 0.15, all back-ends) and livematte's; the first match is
used."""

_LINE = re.compile(r"^'(?P<backend>[\w-]+)' backend: (?P<text>.*)", re.S)


def translate_error(error: str, device: str | None, status: LoopbackStatus | None) -> str:
    """Return one line for ``error``: the problem, and the command or click that fixes it.

    Args:
        error: message of pyvirtualcam, with one line for each back-end that it tried.
        device: the requested device.
        status: status of the module v4l2loopback; None outside Linux.
    """
    texts = [_backend_text(part) for part in re.split(r"\n(?=')", error)]
    lines = [_translate_text(text, device, status) for text in texts]
    # If neither OBS nor UnityCapture is installed, the line about OBS, which is more common, is enough.
    return lines[0] if len(lines) == 1 or "installed" in lines[0] else "; or: ".join(dict.fromkeys(lines))


def _backend_text(part: str) -> str:
    match = _LINE.match(part.strip())
    return match["text"] if match else part.strip()


def _translate_text(text: str, device: str | None, status: LoopbackStatus | None) -> str:
    if status is not None:
        if re.search(r"No v4l2 loopback device found", text):
            return no_device(status)
        if match := re.search(r"Device (\S+) does not exist", text):
            return _missing(match[1], status)
        if match := re.search(r"Device (\S+) is not a video output device", text):
            return _no_output(match[1], status)
    for pattern, line in ERROR_MESSAGES:
        if match := re.search(pattern, text):
            named = {"device": device or "the virtual camera", **match.groupdict()}
            return line.format(**named)
    return f"the virtual camera cannot be started: {' '.join(text.split())}; run livematte doctor"


def no_device(status: LoopbackStatus) -> str:
    """Return the line for a Linux system without a usable virtual camera."""
    if not status.loaded and status.installed is False:
        return f"v4l2loopback, which makes virtual cameras, is not installed for this kernel: {INSTALL}"
    if not status.loaded:
        return f"v4l2loopback, which makes virtual cameras, is not loaded: {LOAD}"
    if any(device.state == "stuck" for device in status.devices):
        return _stuck(status)
    if busy := [device.node for device in status.devices if device.state == "sending"]:
        return f"another program already sends to {', '.join(busy)}: close it (it may be another livematte)"
    if not status.devices:
        return f"v4l2loopback is loaded but has no device: {RELOAD}"
    return f"no virtual camera could be opened: {RELOAD}"


def _missing(device: str, status: LoopbackStatus) -> str:
    if status.devices:
        known = ", ".join(f"{each.node} ({each.name})" for each in status.devices)
        return f"there is no {device}: use one of the virtual cameras {known}"
    return f"there is no {device}: {no_device(status)}"


def _no_output(device: str, status: LoopbackStatus) -> str:
    state = next((each.state for each in status.devices if each.node == device), None)
    if state is None:
        return f"{device} is a real camera, not a virtual one: use another device, or create one: {LOAD}"
    if state == "sending":
        return f"another program already sends to {device}: close it (it may be another livematte)"
    return _stuck(status)


def _stuck(status: LoopbackStatus) -> str:
    version = f" {status.version}" if status.version else ""
    return f"the virtual camera is stuck (an error of v4l2loopback{version}): {RELOAD}"


def unknown_backend(name: str, known: list[str]) -> str:
    """Return the line for a back-end that this system does not have."""
    allowed = ", ".join(sorted(known)) or "none"
    return f"unknown virtual camera back-end {name!r}: this system ({sys.platform}) has {allowed}"
