"""Each error of pyvirtualcam, and the line with the command or click that fixes it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from livematte.plugins.virtualcam.error_messages import ERROR_MESSAGES, translate_error
from livematte.plugins.virtualcam.loopback import LoopbackDevice, LoopbackStatus

NOTHING = LoopbackStatus(False, False, "", ())
UNLOADED = LoopbackStatus(False, True, "", ())
BARE = LoopbackStatus(True, True, "0.15.0", ())


def loaded(state: str) -> LoopbackStatus:
    return LoopbackStatus(True, True, "0.12.7", (LoopbackDevice("/dev/video10", "livematte", state),))


NO_DEVICE = (
    "'v4l2loopback' backend: No v4l2 loopback device found at /dev/video[0-99]. Did you run "
    "'modprobe v4l2loopback'? See also pyvirtualcam's documentation."
)
GONE = "'v4l2loopback' backend: Device /dev/video42 does not exist."
LOAD = "sudo modprobe v4l2loopback exclusive_caps=1 card_label=livematte"
BUSY = (
    "'v4l2loopback' backend: Virtual camera device /dev/video10 could not be configured: "
    "Device or resource busy"
)
NEITHER = (
    "'obs' backend: OBS Virtual Camera device not found! Did you install OBS?\n"
    "'unitycapture' backend: No camera registered. Did you install any camera?"
)
NO_EXTENSION = "'obs' backend: OBS Virtual Camera is not installed in your system. Use the"
NO_OUTPUT = "'v4l2loopback' backend: Device /dev/video10 is not a video output device."


@pytest.mark.parametrize(
    ("error", "status", "wanted"),
    [
        (NO_DEVICE, NOTHING, ("not installed for this kernel", "apt install v4l2loopback-dkms")),
        (NO_DEVICE, UNLOADED, ("not loaded", LOAD)),
        (NO_DEVICE, BARE, ("has no device", "modprobe -r v4l2loopback")),
        (NO_DEVICE, loaded("sending"), ("another program already sends to /dev/video10",)),
        (NO_DEVICE, loaded("stuck"), ("stuck", "0.12.7", "modprobe -r")),
        (GONE, loaded("idle"), ("no /dev/video42", "/dev/video10 (livematte)")),
        (GONE, UNLOADED, ("no /dev/video42", "sudo modprobe")),
        (NO_OUTPUT, BARE, ("real camera",)),
        (NO_OUTPUT, loaded("sending"), ("another program already sends",)),
        (NO_OUTPUT, loaded("stuck"), ("0.12.7", "sudo modprobe -r v4l2loopback")),
        ("'v4l2loopback' backend: Could not access /dev/video10 due to missing permissions. Did you", BARE,
         ("/dev/video10", "usermod -aG video")),
        (BUSY, BARE, ("Device or resource busy", "close that")),
        ("'v4l2loopback' backend: Device /dev/video0 is not a V4L2 device.", BARE, ("real camera",)),
        (NEITHER, None, ("https://obsproject.com", "Start Virtual")),
        (NO_EXTENSION, None, ("System Settings",)),
        ("'obs' backend: virtual camera output could not be started", None, ("click Stop Virtual Camera",)),
        ("'obs' backend: This backend supports only the 'OBS Virtual Camera' device.", None,
         ("'OBS Virtual Camera'", "omit the device")),
        ("'unitycapture' backend: All cameras are already in use.", None, ("close a program",)),
        ("'x' backend: something\nnew", None, ("something new", "livematte doctor")),
    ],
)  # fmt: skip
def test_an_error_becomes_a_line_with_the_fix(
    error: str, status: LoopbackStatus | None, wanted: tuple[str, ...]
) -> None:
    line = translate_error(error, None, status)
    assert "\n" not in line
    assert "backend:" not in line
    for words in wanted:
        assert words in line


def test_the_linux_back_end_still_has_these_messages() -> None:
    """Fails when a new version of pyvirtualcam changes its messages."""
    package = pytest.importorskip("pyvirtualcam")
    if not sys.platform.startswith("linux"):
        pytest.skip("its back-end for Linux is installed on Linux only")
    (library,) = Path(package.__file__).parent.glob("_native_linux_v4l2loopback*.so")
    said = library.read_bytes()
    for words in (b"No v4l2 loopback device found at", b" does not exist.", b" is not a video output device.",
                  b" due to missing permissions.", b" could not be opened: ", b" could not be configured: ",
                  b" is not a V4L2 device.", b" is already in use.",
                  b"Unsupported image format"):  # fmt: skip
        assert words in said, words


def test_no_line_of_the_table_has_a_hole() -> None:
    for pattern, line in ERROR_MESSAGES:
        named = {"device": "D", "why": "W"}
        assert "{" not in line.format(**named), pattern
        assert ":" in line, "what is wrong: what to do"
