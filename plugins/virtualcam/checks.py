"""Checks of the virtual camera for ``livematte doctor``."""

from __future__ import annotations

import sys
from importlib.metadata import PackageNotFoundError, version

from livematte.plugins.virtualcam.loopback import (
    INSTALL,
    LOAD,
    RELOAD,
    LoopbackStatus,
    read_status,
    secure_boot,
)
from livematte.protocols import Finding

GROUP = "virtual camera"

_BROKEN_RESTART = "0.12.7"
"""Version of v4l2loopback in Debian 12 and Ubuntu 24.04; see loopback.start_streaming."""

_SIGN = (
    "sudo mokutil --import /var/lib/dkms/mok.pub (any password), restart, choose Enroll MOK, then: " + LOAD
)


def checks() -> list[Finding]:
    """Check pyvirtualcam and what it requires on this system."""
    try:
        package = Finding("pyvirtualcam", True, version("pyvirtualcam"), group=GROUP)
    except PackageNotFoundError:  # not an error: the virtual camera is optional
        fix = "pip install '.[virtualcam]'"
        return [Finding("pyvirtualcam", None, "is not installed; --to virtualcam requires it", fix, GROUP)]
    if sys.platform.startswith("linux"):
        found = linux_findings(read_status(), secure_boot())
    else:
        found = [_try_open()]
    return [package, *found]


def linux_findings(status: LoopbackStatus, secure: bool | None) -> list[Finding]:
    """Check the module, its version, Secure Boot, and the permission and capabilities of each camera."""
    found = [_module(status, secure)]
    if secure is not None:
        needed = secure and not status.loaded
        what = "on: only signed modules are loaded" if secure else "off"
        found.append(Finding("Secure Boot", None, what, _SIGN if needed else "", GROUP))
    if not status.loaded:
        return found
    if status.version:
        old = status.version == _BROKEN_RESTART
        what = f"{status.version}; livematte works around its error on restart" if old else status.version
        found.append(Finding("v4l2loopback version", True, what, group=GROUP))
    if not status.devices:
        found.append(Finding("device", False, "the module is loaded but has no device", RELOAD, GROUP))
    for device in status.devices:
        found += _device(device.node, device.name, device.state)
    return found


def _module(status: LoopbackStatus, secure: bool | None) -> Finding:
    if status.loaded:
        return Finding("v4l2loopback", True, "loaded", group=GROUP)
    if not status.modules:
        what = "no module can be loaded here: /lib/modules has none for this kernel, as in a container"
        fix = f"outside the container: {LOAD}; then start the container with --device /dev/video10"
        return Finding("v4l2loopback", False, what, fix, GROUP)
    if status.installed is False:
        return Finding("v4l2loopback", False, "is not installed for this kernel", INSTALL, GROUP)
    if secure:
        what = "is not loaded; if modprobe prints 'Key was rejected', sign the module for Secure Boot first"
        return Finding("v4l2loopback", False, what, LOAD, GROUP)
    return Finding("v4l2loopback", False, "is not loaded", LOAD, GROUP)


def _device(node: str, name: str, state: str) -> list[Finding]:
    title = f"{node} ({name})"
    if state == "locked":
        fix = "sudo usermod -aG video $USER, then log out and in again"
        return [Finding(title, False, "no permission to open it", fix, GROUP)]
    if state == "stuck":
        return [Finding(title, False, "is stuck since a program that used it ended", RELOAD, GROUP)]
    if state == "shared":
        what = "exclusive_caps=0: browsers do not list it, and neither do Meet and Teams"
        return [Finding(title, False, what, RELOAD, GROUP)]
    what = "in use: a program sends to it" if state == "sending" else "ready (exclusive_caps=1)"
    return [Finding(title, True, what, group=GROUP)]


def _try_open() -> Finding:
    """Open and close the camera: outside Linux there is no other way to check it."""
    from fractions import Fraction

    from livematte.errors import LivematteError
    from livematte.plugins.virtualcam.sink import virtualcam
    from livematte.protocols import LiveFormat

    try:
        camera = virtualcam(LiveFormat(1280, 720, Fraction(30)))
    except LivematteError as error:
        return Finding("virtual camera", False, "cannot be opened", str(error), GROUP)
    camera.close()
    return Finding("virtual camera", True, f"{camera.device} can be opened", group=GROUP)
