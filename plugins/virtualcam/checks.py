"""What ``livematte doctor`` asks of the virtual camera."""

from __future__ import annotations

import sys
from importlib.metadata import PackageNotFoundError, version

from livematte.findings import Finding
from livematte.plugins.virtualcam.loopback import INSTALL, LOAD, RELOAD, Loopback, look, secure_boot

GROUP = "virtual camera"

_BROKEN_RESTART = "0.12.7"
"""The v4l2loopback of Debian 12 and Ubuntu 24.04: see loopback.begin_stream."""

_SIGN = (
    "sudo mokutil --import /var/lib/dkms/mok.pub (any password), restart, choose Enroll MOK, then: " + LOAD
)


def checks() -> list[Finding]:
    """Findings on pyvirtualcam and what it needs of this system."""
    try:
        package = Finding("pyvirtualcam", True, version("pyvirtualcam"), group=GROUP)
    except PackageNotFoundError:  # nobody wants a virtual camera here, then
        mend = "pip install 'livematte[virtualcam]'"
        return [Finding("pyvirtualcam", None, "is not installed: --to virtualcam needs it", mend, GROUP)]
    if sys.platform.startswith("linux"):
        found = of_linux(look(), secure_boot())
    else:
        found = [_opens()]
    return [package, *found]


def of_linux(there: Loopback, secure: bool | None) -> list[Finding]:
    """Module, version, Secure Boot, and each camera's permission and capabilities."""
    found = [_module(there, secure)]
    if secure is not None:
        needed = secure and not there.loaded
        what = "on: only signed modules are loaded" if secure else "off"
        found.append(Finding("Secure Boot", None, what, _SIGN if needed else "", GROUP))
    if not there.loaded:
        return found
    if there.version:
        old = there.version == _BROKEN_RESTART
        what = f"{there.version}, whose fault on restart livematte goes around" if old else there.version
        found.append(Finding("v4l2loopback version", True, what, group=GROUP))
    if not there.devices:
        found.append(Finding("device", False, "the module has no camera", RELOAD, GROUP))
    for device in there.devices:
        found += _device(device.node, device.name, device.state)
    return found


def _module(there: Loopback, secure: bool | None) -> Finding:
    if there.loaded:
        return Finding("v4l2loopback", True, "loaded", group=GROUP)
    if there.installed is False:
        return Finding("v4l2loopback", False, "is not installed for this kernel", INSTALL, GROUP)
    if secure:
        what = "not loaded; if loading says 'Key was rejected', it must be signed for Secure Boot first"
        return Finding("v4l2loopback", False, what, LOAD, GROUP)
    return Finding("v4l2loopback", False, "is not loaded", LOAD, GROUP)


def _device(node: str, name: str, state: str) -> list[Finding]:
    title = f"{node} ({name})"
    if state == "locked":
        mend = "sudo usermod -aG video $USER, then log out and in again"
        return [Finding(title, False, "no permission to open it", mend, GROUP)]
    if state == "stuck":
        return [Finding(title, False, "is stuck after a program's end", RELOAD, GROUP)]
    if state == "shared":
        what = "exclusive_caps=0: browsers, and so Meet and Teams, do not list it"
        return [Finding(title, False, what, RELOAD, GROUP)]
    what = "a program sends to it" if state == "sending" else "ready (exclusive_caps=1)"
    return [Finding(title, True, what, group=GROUP)]


def _opens() -> Finding:
    """Elsewhere the only way to know is to open it."""
    from fractions import Fraction

    from livematte.errors import LivematteError
    from livematte.plugins.virtualcam.sink import virtualcam
    from livematte.protocols import LiveFormat

    try:
        camera = virtualcam(LiveFormat(1280, 720, Fraction(30)))
    except LivematteError as error:
        return Finding("virtual camera", False, "cannot be opened", str(error), GROUP)
    camera.close()
    return Finding("virtual camera", True, f"{camera.device} opens", group=GROUP)
