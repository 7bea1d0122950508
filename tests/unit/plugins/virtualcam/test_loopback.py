"""v4l2loopback with a fake /sys, /proc and /dev; tests/e2e tests the real module."""

from __future__ import annotations

import os
import struct
import sys
from pathlib import Path

import pytest

from livematte.plugins.virtualcam import checks, loopback
from livematte.plugins.virtualcam.checks import linux_findings
from livematte.plugins.virtualcam.loopback import (
    LoopbackDevice,
    LoopbackStatus,
    ViewerDetector,
    read_status,
    secure_boot,
)

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="v4l2loopback is Linux's")

CAPTURE, OUTPUT = 1, 2


class Driver:
    def __init__(self, capabilities: int, name: bytes = b"v4l2 loopback") -> None:
        self.capabilities, self.name = capabilities, name

    def __call__(self, fd: int, request: int, reply: bytearray) -> bool:
        struct.pack_into("=16s32s32sIII", reply, 0, self.name, b"livematte", b"platform:v4l2loopback-010", 0,
                         0x85200003, self.capabilities)  # fmt: skip
        return True


def machine(root: Path, *nodes: str, version: str = "0.12.7", refs: int = 0, dep: str | None = None) -> Path:
    module = root / "sys/module/v4l2loopback"
    module.mkdir(parents=True)
    (module / "version").write_text(f"{version}\n", encoding="ascii")
    (module / "refcnt").write_text(f"{refs}\n", encoding="ascii")
    (root / "dev").mkdir()
    (root / "proc/self/fd").mkdir(parents=True)
    for node in nodes:
        at = root / "sys/devices/virtual/video4linux" / node
        at.mkdir(parents=True)
        (at / "name").write_text("livematte\n", encoding="ascii")
        (at / "max_openers").write_text("10\n", encoding="ascii")
        (root / "dev" / node).write_bytes(b"")
    if dep is not None:
        (root / "lib/modules/6.1").mkdir(parents=True)
        (root / "lib/modules/6.1/modules.dep").write_text(dep, encoding="ascii")
    return root


@pytest.mark.parametrize(
    ("capabilities", "state"),
    [(OUTPUT, "idle"), (CAPTURE, "sending"), (OUTPUT | CAPTURE, "shared"), (0, "stuck")],
)
def test_a_cameras_state_is_read_from_its_capabilities(tmp_path: Path, capabilities: int, state: str) -> None:
    root = machine(tmp_path, "video10", dep="updates/dkms/v4l2loopback.ko:\n")
    status = read_status(root, "6.1", Driver(capabilities))
    device = LoopbackDevice(str(root / "dev/video10"), "livematte", state)
    assert status == LoopbackStatus(True, True, "0.12.7", (device,))


def test_other_virtual_devices_and_a_missing_module(tmp_path: Path) -> None:
    root = machine(tmp_path / "a", "video10", dep="kernel/fs/ext4.ko:\n")
    assert read_status(root, "6.1", Driver(OUTPUT, b"vim2m")).devices == ()
    assert read_status(root, "6.1", Driver(OUTPUT)).installed is False
    assert read_status(tmp_path / "b", "6.1") == LoopbackStatus(False, None, "", (), modules=False)


def opens(root: Path, process: str, number: str, device: Path) -> None:
    at = root / "proc" / process / "fd"
    at.mkdir(parents=True, exist_ok=True)
    (at / number).symlink_to(device)


def test_with_one_camera_the_count_of_open_files_is_the_answer(tmp_path: Path) -> None:
    root = machine(tmp_path, "video10", refs=1)
    detector = ViewerDetector(str(root / "dev/video10"), root)
    assert detector.is_open() is False
    (root / "sys/module/v4l2loopback/refcnt").write_text("2\n", encoding="ascii")
    assert detector.is_open() is True
    (root / "sys/module/v4l2loopback/refcnt").unlink()
    assert detector.is_open() is None


def test_with_two_cameras_it_is_the_programs_that_have_this_one_open(tmp_path: Path) -> None:
    root = machine(tmp_path, "video10", "video11", refs=2)
    now = [0.0]
    opens(root, "self", "7", root / "dev/video10")
    opens(root, str(os.getpid()), "7", root / "dev/video10")
    opens(root, "4000", "3", root / "dev/video11")
    detector = ViewerDetector(str(root / "dev/video10"), root, lambda: now[0])
    assert detector.is_open() is False, "the other program looks at the other camera"
    opens(root, "4001", "9", root / "dev/video10")
    assert detector.is_open() is False, "asked again at once: the last answer"
    now[0] = 1.5
    assert detector.is_open() is True


def test_streaming_is_started_on_the_own_descriptor(tmp_path: Path) -> None:
    asked = []

    def ask(fd: int, request: int, reply: bytearray) -> bool:
        asked.append((fd, request, bytes(reply)))
        return True

    device = tmp_path / "video10"
    with device.open("wb") as file:
        assert loopback.own_descriptors(str(device)) == [file.fileno()]
        assert loopback.start_streaming(str(device), ask)
        assert asked == [(file.fileno(), 0x40045612, b"\x02\0\0\0")]
    assert loopback.own_descriptors(str(device)) == []
    assert not loopback.start_streaming(str(device), ask)


def test_secure_boot_is_the_last_byte_of_the_variable(tmp_path: Path) -> None:
    variable = tmp_path / "sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"
    assert secure_boot(tmp_path) is None
    variable.parent.mkdir(parents=True)
    variable.write_bytes(b"\x06\0\0\0\x01")
    assert secure_boot(tmp_path) is True
    variable.write_bytes(b"\x06\0\0\0\0")
    assert secure_boot(tmp_path) is False


READY = LoopbackStatus(True, True, "0.15.0", (LoopbackDevice("/dev/video10", "livematte", "idle"),))


def test_a_working_machine_has_no_fixes() -> None:
    found = linux_findings(READY, False)
    assert all(each.good is not False and not each.fix for each in found)
    assert {each.name for each in found} >= {"v4l2loopback", "Secure Boot", "/dev/video10 (livematte)"}


@pytest.mark.parametrize(
    ("status", "secure", "command"),
    [
        (LoopbackStatus(False, False, "", ()), None, "apt install v4l2loopback-dkms"),
        (LoopbackStatus(False, False, "", ()), None, "linux-headers-$(uname -r)"),
        (LoopbackStatus(False, None, "", (), modules=False), None, "outside the container"),
        (LoopbackStatus(False, True, "", ()), False, "modprobe v4l2loopback exclusive_caps=1"),
        (LoopbackStatus(False, True, "", ()), True, "mokutil --import"),
        (LoopbackStatus(True, True, "0.15.0", ()), None, "modprobe -r v4l2loopback"),
        (
            LoopbackStatus(True, True, "0.15.0", (LoopbackDevice("/dev/video10", "x", "shared"),)),
            None,
            "exclusive_caps=1",
        ),
        (
            LoopbackStatus(True, True, "0.12.7", (LoopbackDevice("/dev/video10", "x", "stuck"),)),
            None,
            "modprobe -r",
        ),
        (
            LoopbackStatus(True, True, "0.15.0", (LoopbackDevice("/dev/video10", "x", "locked"),)),
            None,
            "usermod -aG video",
        ),
    ],
)
def test_every_fault_has_its_command(status: LoopbackStatus, secure: bool | None, command: str) -> None:
    found = linux_findings(status, secure)
    assert any(each.good is False for each in found)
    assert any(command in each.fix for each in found)
    assert all(each.fix for each in found if each.good is False)


def test_without_the_package_nothing_is_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> str:
        raise checks.PackageNotFoundError(name)

    monkeypatch.setattr(checks, "version", missing)
    (found,) = checks.checks()
    assert found.good is None
    assert "pip install '.[virtualcam]'" in found.fix
