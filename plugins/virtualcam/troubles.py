"""What pyvirtualcam says when it cannot start, and the line that a user gets instead: with what mends it."""

from __future__ import annotations

import re
import sys

from livematte.plugins.virtualcam.loopback import INSTALL, LOAD, RELOAD, Loopback

_OBS = "https://obsproject.com"
_UNITY = "https://github.com/schellingb/UnityCapture"
_START_ONCE = "open OBS, press Start Virtual Camera, then Stop Virtual Camera"

TABLE: tuple[tuple[str, str], ...] = (
    # Linux, v4l2loopback
    (r"Could not access (?P<device>\S+) due to missing permissions",
     "no permission to open {device}: run 'sudo usermod -aG video $USER', then log out and in again"),
    (r"Device (?P<device>\S+) could not be opened: (?P<why>[^\n]+)",
     "{device} cannot be opened ({why}): " + RELOAD),
    (r"Device capabilities of (?P<device>\S+) could not be queried",
     "{device} is no video device: livematte devices and livematte doctor list what there is"),
    (r"Device (?P<device>\S+) is not a V4L2 device",
     "{device} is a real device, not a virtual camera: name another, or make one with: " + LOAD),
    (r"Device (?P<device>\S+) is already in use",
     "this livematte already sends to {device}: name each virtual camera once"),
    (r"Virtual camera device (?P<device>\S+) could not be configured: (?P<why>[^\n]+)",
     ("{device} does not take this size ({why}): a program is still looking at it in another one; close that,"
     " or send what it expects with --resolution")),
    # Windows and macOS, OBS
    (r"OBS Virtual Camera device not found",
     f"no virtual camera is installed: install OBS Studio ({_OBS}), then {_START_ONCE}"),
    (r"OBS Virtual Camera is not installed in your system",
     (f"no virtual camera is installed: install OBS Studio 30 or later ({_OBS}), {_START_ONCE}, and allow its"
     " extension in System Settings > General > Login Items & Extensions")),
    (r"OBS Virtual Camera version is not supported",
     f"OBS is too old: install OBS Studio 30 or later ({_OBS}), then {_START_ONCE}"),
    (r"supports only the '(?P<device>[^']+)' device",
     "the virtual camera here is called {device!r}: leave the device out, or give that name"),
    (r"Multiple cameras are not supported",
     "this livematte already sends to the one virtual camera of this system: name it once"),
    (r"virtual camera output could not be started|Couldn't start stream",
     "the virtual camera is taken: press Stop Virtual Camera in OBS, or close what else sends to it"),
    (r"Stream not found|unable to allocate pixel buffer pool",
     "macOS did not give the virtual camera's stream: restart the computer, then try again"),
    # Windows, UnityCapture
    (r"No camera registered with this name",
     ("no UnityCapture camera has that name: leave the device out, or run its InstallCustomName.bat as"
     " administrator")),
    (r"All cameras are already in use",
     "every UnityCapture camera is taken: close what else sends to it"),
    (r"No camera registered\. Did you install",
     (f"UnityCapture is not installed: download it ({_UNITY}) and run Install.bat as administrator, or"
      f" install OBS Studio ({_OBS})")),
    (r"Unsupported image format",
     "this virtual camera does not take the pixel format: leave pixel_format out"),
)  # fmt: skip
"""pyvirtualcam's words (0.13 to 0.15, all back-ends) to ours, the first that fits."""

_LINE = re.compile(r"^'(?P<backend>[\w-]+)' backend: (?P<words>.*)", re.S)


def told(error: str, device: str | None, loopback: Loopback | None) -> str:
    """One line for ``error``: what is wrong, and the command or the click that mends it.

    Args:
        error: pyvirtualcam's message; a line for each back-end that was tried.
        device: the device that was asked for.
        loopback: what there is of the module; None where the system has none.
    """
    parts = [_words(part) for part in re.split(r"\n(?=')", error)]
    lines = [_one(words, device, loopback) for words in parts]
    # UnityCapture is the rarer of the two: where neither is there, OBS's line is enough.
    return lines[0] if len(lines) == 1 or "installed" in lines[0] else "; or: ".join(dict.fromkeys(lines))


def _words(part: str) -> str:
    match = _LINE.match(part.strip())
    return match["words"] if match else part.strip()


def _one(words: str, device: str | None, loopback: Loopback | None) -> str:
    if loopback is not None:
        if re.search(r"No v4l2 loopback device found", words):
            return no_device(loopback)
        if match := re.search(r"Device (\S+) does not exist", words):
            return _missing(match[1], loopback)
        if match := re.search(r"Device (\S+) is not a video output device", words):
            return _no_output(match[1], loopback)
    for pattern, line in TABLE:
        if match := re.search(pattern, words):
            named = {"device": device or "the virtual camera", **match.groupdict()}
            return line.format(**named)
    return f"the virtual camera cannot be started: {' '.join(words.split())}; see livematte doctor"


def no_device(loopback: Loopback) -> str:
    """Why there is no virtual camera on Linux to send to."""
    if not loopback.loaded and loopback.installed is False:
        return f"v4l2loopback, which makes virtual cameras, is not installed for this kernel: {INSTALL}"
    if not loopback.loaded:
        return f"v4l2loopback, which makes virtual cameras, is not loaded: {LOAD}"
    if any(device.state == "stuck" for device in loopback.devices):
        return _stuck(loopback)
    if taken := [device.node for device in loopback.devices if device.state == "sending"]:
        return f"another program already sends to {', '.join(taken)}: close it (perhaps another livematte)"
    if not loopback.devices:
        return f"v4l2loopback is loaded but has no device: {RELOAD}"
    return f"no virtual camera could be opened: {RELOAD}"


def _missing(device: str, loopback: Loopback) -> str:
    if loopback.devices:
        there = ", ".join(f"{each.node} ({each.name})" for each in loopback.devices)
        return f"there is no {device}: the virtual cameras here are {there}"
    return f"there is no {device}: {no_device(loopback)}"


def _no_output(device: str, loopback: Loopback) -> str:
    state = next((each.state for each in loopback.devices if each.node == device), None)
    if state is None:
        return f"{device} is a real camera, not a virtual one: name another, or make one with: {LOAD}"
    if state == "sending":
        return f"another program already sends to {device}: close it (perhaps another livematte)"
    return _stuck(loopback)


def _stuck(loopback: Loopback) -> str:
    version = f" {loopback.version}" if loopback.version else ""
    return f"the virtual camera is stuck after a program's end, a fault of v4l2loopback{version}: {RELOAD}"


def unknown_backend(name: str, known: list[str]) -> str:
    """For a back-end that this system does not have."""
    there = ", ".join(sorted(known)) or "none"
    return f"unknown virtual camera back-end {name!r}: on this system ({sys.platform}) there are {there}"
