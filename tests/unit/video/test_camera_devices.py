"""Cameras found and chosen: V4L2's answers packed as in videodev2.h, FFmpeg's lists as it prints them."""

from __future__ import annotations

import json
import os
import struct
import sys
from fractions import Fraction
from pathlib import Path

import pytest

from livematte.errors import InputError
from livematte.video import v4l2
from livematte.video.camera_devices import (
    find_camera,
    list_cameras,
    parse_avfoundation_camera,
    parse_dshow_camera,
    parse_dshow_modes,
    with_unique_ids,
)
from livematte.video.camera_modes import CameraInfo, CameraMode, choose_mode, normalize_pixel_format


def request(letters: str, number: int, size: int, *, writes: bool) -> int:
    """_IOR and _IOWR of asm-generic/ioctl.h."""
    return ((3 if writes else 2) << 30) | (size << 16) | (ord(letters) << 8) | number


class Driver:
    """A UVC camera's answers: YUYV at two sizes, MJPG at one, H.264 (not taken), then a scaler's range."""

    card, driver, bus, capabilities, own = (
        b"HD Pro Webcam",
        b"uvcvideo",
        b"usb-0000:00:14.0-3",
        0x84A00001,
        0x04200001,
    )
    formats = (b"YUYV", b"MJPG", b"H264", b"NV12")
    sizes = {b"YUYV": ((640, 480), (1280, 720)), b"MJPG": ((1280, 720),), b"H264": ((1920, 1080),)}
    intervals = {
        (b"YUYV", 640, 480): ((1, 30), (1, 15)),
        (b"YUYV", 1280, 720): ((1, 10),),
        (b"MJPG", 1280, 720): ((1, 30), (1001, 30000)),
    }

    def __call__(self, fd: int, code: int, reply: bytearray) -> bool:
        if code == request("V", 0, 104, writes=False):
            struct.pack_into(
                "=16s32s32sIII", reply, 0, self.driver, self.card, self.bus, 0, self.capabilities, self.own
            )
            return True
        index = struct.unpack_from("=I", reply)[0]
        if code == request("V", 2, 64, writes=True):
            assert struct.unpack_from("=I", reply, 4)[0] == 1, "V4L2_BUF_TYPE_VIDEO_CAPTURE"
            if index >= len(self.formats):
                return False
            struct.pack_into("=4s", reply, 44, self.formats[index])
            return True
        if code == request("V", 74, 44, writes=True):
            letters = bytes(reply[4:8])
            if letters == b"NV12":
                struct.pack_into("=7I", reply, 8, 3, 320, 1280, 16, 240, 720, 8)
                return index == 0
            offered = self.sizes[letters]
            if index >= len(offered):
                return False
            struct.pack_into("=III", reply, 8, 1, *offered[index])
            return True
        if code == request("V", 75, 52, writes=True):
            letters, width, height = struct.unpack_from("=4sII", reply, 4)
            if letters == b"NV12":
                struct.pack_into("=7I", reply, 16, 2, 1, 60, 1, 5, 1, 60)
                return index == 0
            offered = self.intervals.get((letters, width, height), ())
            if index >= len(offered):
                return False
            struct.pack_into("=III", reply, 16, 1, *offered[index])
            return True
        raise AssertionError(hex(code))


def machine(at: Path, *nodes: str, by_id: dict[str, str] | None = None) -> tuple[Path, Path]:
    dev, sys_ = at / "dev", at / "sys"
    (dev / "v4l" / "by-id").mkdir(parents=True)
    for node in nodes:
        (dev / node).write_bytes(b"")
        (sys_ / node).mkdir(parents=True)
        (sys_ / node / "name").write_text(f"{node} of sysfs\n", encoding="utf-8")
    for name, node in (by_id or {}).items():
        (dev / "v4l" / "by-id" / name).symlink_to(Path("../..") / node)
    return dev, sys_


linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="V4L2 is Linux's")


@linux
def test_a_driver_tells_its_modes(tmp_path: Path) -> None:
    dev, sys_ = machine(tmp_path, "video0", by_id={"usb-046d_HD_Pro_1234-video-index0": "video0"})
    (camera,) = v4l2.cameras(dev, sys_, Driver())
    assert (camera.id, camera.name) == ("usb-046d_HD_Pro_1234-video-index0", "HD Pro Webcam")
    assert camera.address == str(dev / "video0")
    assert not camera.virtual
    assert camera.modes == (
        CameraMode(640, 480, "yuyv422", (Fraction(30), Fraction(15))),
        CameraMode(1280, 720, "yuyv422", (Fraction(10),)),
        CameraMode(1280, 720, "mjpeg", (Fraction(30), Fraction(30000, 1001))),
        CameraMode(1280, 720, "nv12", (Fraction(60),)),
        CameraMode(640, 480, "nv12", (Fraction(60),)),
        CameraMode(640, 360, "nv12", (Fraction(60),)),
        CameraMode(320, 240, "nv12", (Fraction(60),)),
    )


@linux
def test_without_a_serial_number_the_port_is_the_id_and_the_node_where_two_share_it(tmp_path: Path) -> None:
    dev, sys_ = machine(tmp_path, "video2")
    assert v4l2.cameras(dev, sys_, Driver())[0].id == "usb-0000:00:14.0-3"
    dev, sys_ = machine(tmp_path / "two", "video10", "video2")
    assert [each.id for each in v4l2.cameras(dev, sys_, Driver())] == [
        str(dev / "video2"),
        str(dev / "video10"),
    ]


@linux
def test_nodes_that_take_or_describe_pictures_are_no_cameras(tmp_path: Path) -> None:
    dev, sys_ = machine(tmp_path, "video0", "media0")
    metadata, output, loopback = Driver(), Driver(), Driver()
    metadata.own = 0x04A00000
    output.own = 0x05200002
    loopback.driver = b"v4l2 loopback"
    assert v4l2.cameras(dev, sys_, metadata) == []
    assert v4l2.cameras(dev, sys_, output) == []
    assert v4l2.cameras(dev, sys_, loopback)[0].virtual
    assert v4l2.cameras(dev, tmp_path / "no such folder", Driver()) == []


@linux
def test_a_camera_without_permission_is_shown_with_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dev, sys_ = machine(tmp_path, "video0", "video1")
    (sys_ / "video1" / "index").write_text("1\n", encoding="utf-8")

    def refuse(*_: object) -> int:
        raise PermissionError

    monkeypatch.setattr(v4l2.os, "open", refuse)
    (camera,) = v4l2.cameras(dev, sys_)
    assert camera.name == "video0 of sysfs"
    assert "usermod -aG video" in camera.trouble
    with pytest.raises(InputError, match="usermod"):
        find_camera("auto", [camera])


@linux
def test_the_real_call_reaches_the_kernel(tmp_path: Path) -> None:
    with (tmp_path / "plain").open("wb") as file:
        assert not v4l2.system_ioctl(file.fileno(), v4l2.QUERYCAP, bytearray(104))  # ENOTTY
    with open("/dev/zero", "rb") as zero:
        assert not v4l2.system_ioctl(zero.fileno(), v4l2.QUERYCAP, bytearray(104))
    assert isinstance(list_cameras(), list)


def test_dshow_lists_and_options() -> None:
    printed = [
        "  pixel_format=yuyv422  min s=640x480 fps=5 max s=640x480 fps=30\n",
        "  pixel_format=yuyv422  min s=640x480 fps=5 max s=640x480 fps=30 (tv, bt470bg/bt709/unknown)\n",
        "  vcodec=mjpeg  min s=1280x720 fps=5 max s=1280x720 fps=60.0002\n",
        "DirectShow video device options (from video devices)\n",
    ]
    assert parse_dshow_modes(printed) == (
        CameraMode(640, 480, "yuyv422", (Fraction(30),)),
        CameraMode(1280, 720, "mjpeg", (Fraction(60),)),
    )
    camera = parse_dshow_camera(r"@device_pnp_\\?\usb#vid_046d", "HD Pro Webcam")
    assert camera.address == r"video=@device_pnp_\\?\usb#vid_046d"


def test_two_of_one_name_have_two_ids_on_macos() -> None:
    cameras = with_unique_ids(
        [parse_avfoundation_camera("0", "FaceTime HD"), parse_avfoundation_camera("2", "FaceTime HD")]
    )
    assert [(each.id, each.address) for each in cameras] == [
        ("FaceTime HD", "0:none"),
        ("FaceTime HD#2", "2:none"),
    ]


def test_uncompressed_wins_where_it_reaches_the_rate_and_mjpeg_where_it_does_not() -> None:
    yuyv, mjpeg = (
        CameraMode(1280, 720, "yuyv422", (Fraction(10),)),
        CameraMode(1280, 720, "mjpeg", (Fraction(60), Fraction(30))),
    )
    assert choose_mode([yuyv, mjpeg]).mode == mjpeg
    assert choose_mode([yuyv, mjpeg]).rate == 30
    fast = CameraMode(1280, 720, "yuyv422", (Fraction(30000, 1001),))
    assert choose_mode([mjpeg, fast]).mode == fast
    assert choose_mode([mjpeg, fast]).notes == ()


def test_the_default_size_gives_way_to_the_rate_and_a_size_asked_for_does_not() -> None:
    small, large = (
        CameraMode(640, 480, "yuyv422", (Fraction(30),)),
        CameraMode(1280, 720, "yuyv422", (Fraction(10),)),
    )
    assert choose_mode([small, large]).mode == small
    chosen = choose_mode([small, large], size=(720, 1280))
    assert (chosen.mode, chosen.rate) == (large, 10)
    assert chosen.notes == ("the camera gives 10 fps at 1280x720, not 30",)


def test_what_is_not_granted_is_said() -> None:
    modes = [CameraMode(640, 480, "mjpeg", (Fraction(25),))]
    chosen = choose_mode(modes, (1080, 1920), Fraction(60))
    assert chosen.notes == (
        "the camera does not support 1920x1080: using 640x480",
        "the camera gives 25 fps at 640x480, not 60",
    )
    with pytest.raises(InputError, match="no pixel format 'yuyv422': it offers mjpeg"):
        choose_mode(modes, pixel_format=normalize_pixel_format("YUYV"))


CAMERAS = [
    CameraInfo("virtual-1", "Virtual Camera", virtual=True, address="/dev/video9"),
    CameraInfo("usb-a", "HD Webcam", address="/dev/video0"),
    CameraInfo("usb-b", "HD Webcam", address="/dev/video2"),
    CameraInfo("usb-c", "Document Camera X", address="/dev/video4"),
]


@pytest.mark.parametrize(
    ("spec", "id"),
    [("auto", "usb-a"), ("", "usb-a"), ("usb-b", "usb-b"), ("/dev/video2", "usb-b"), ("document", "usb-c"),
     ("virtual camera", "virtual-1"), ("3", "usb-c")],
)  # fmt: skip
def test_a_camera_is_meant_by_id_address_name_or_number(spec: str, id: str) -> None:
    assert find_camera(spec, CAMERAS).id == id


def test_what_cannot_be_meant_says_what_there_is() -> None:
    with pytest.raises(InputError, match="more than one .* usb-a, usb-b"):
        find_camera("hd webcam", CAMERAS)
    with pytest.raises(InputError, match="no camera matches 'x9': available are 'Virtual Camera'"):
        find_camera("x9", CAMERAS)
    with pytest.raises(InputError, match="no camera was found"):
        find_camera("auto", [])
    with pytest.raises(InputError, match="only virtual"):
        find_camera("auto", CAMERAS[:1])


@pytest.mark.skipif(sys.platform != "linux", reason="PipeWire is of Linux")
@pytest.mark.parametrize(
    ("told", "message"),
    [
        (
            [
                {"type": "PipeWire:Interface:Core", "info": None},
                {"info": {"props": {"media.class": "Audio/Source", "node.description": "Microphone"}}},
                {"info": {"props": {"media.class": "Video/Source", "node.description": "MIPI Camera"}}},
            ],
            "PipeWire has 'MIPI Camera', .*pw-v4l2 before it",
        ),
        ([], "no camera was found: plug one in"),
        ("nonsense", "no camera was found: plug one in"),
    ],
)
def test_a_camera_that_only_pipewire_has_is_told_with_the_way_to_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told: object, message: str
) -> None:
    program = tmp_path / "pw-dump"
    program.write_text(f"#!/bin/sh\ncat <<'END'\n{json.dumps(told)}\nEND\n", encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    with pytest.raises(InputError, match=message):
        find_camera("auto", [])
    other = CameraInfo("usb-1", "HD Webcam")
    with pytest.raises(InputError, match="no camera matches 'mipi': available are") as raised:
        find_camera("mipi", [other])
    assert ("pw-v4l2" in str(raised.value)) is ("MIPI" in message)
