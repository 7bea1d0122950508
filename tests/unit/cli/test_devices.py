"""``livematte devices`` with a fake list of cameras."""

from __future__ import annotations

import json
from fractions import Fraction

import pytest

from livematte.cli.devices import devices
from livematte.video import camera_devices as cameras
from livematte.video.camera_modes import CameraInfo, CameraMode

FOUND = [
    CameraInfo("loop", "Loop", virtual=True, address="/dev/video9"),
    CameraInfo(
        "usb-1",
        "HD [Pro]",
        (
            CameraMode(1280, 720, "mjpeg", (Fraction(30), Fraction(15))),
            CameraMode(640, 480, "yuyv422", (Fraction(30000, 1001),)),
        ),
        "/dev/video0",
    ),
    CameraInfo("usb-2", "Locked", address="/dev/video2", trouble="no permission: run 'sudo x'"),
]


def test_people_see_ids_modes_problems_and_the_default(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cameras, "list_cameras", lambda: FOUND)
    devices(json=False)
    printed = capsys.readouterr().out
    for wanted in ("HD [Pro] *", "Loop (virtual)", "mjpeg: 1280x720 30 fps", "yuyv422: 640x480 29.97 fps",
                   "no permission: run 'sudo x'", "usb-1"):  # fmt: skip
        assert wanted in printed


def test_programs_see_the_same(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(cameras, "list_cameras", lambda: FOUND)
    devices(json=True)
    rows = json.loads(capsys.readouterr().out)
    assert [each["id"] for each in rows if each["default"]] == ["usb-1"]
    assert rows[1]["modes"][0] == {
        "width": 1280, "height": 720, "pixel_format": "mjpeg", "rates": ["30", "15"],
    }  # fmt: skip


def test_no_camera_is_no_error(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(cameras, "list_cameras", list)
    devices(json=False)
    assert "--input" in capsys.readouterr().out
    devices(json=True)
    assert json.loads(capsys.readouterr().out) == []
