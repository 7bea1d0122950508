"""Which files the panel opens, and which backgrounds a browser may choose."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from livematte.errors import InputError, LivematteError, UsageError
from livematte.panel.folders import PICTURES, Folders, resolve_panel_background, thumbnail


@pytest.fixture
def rooms(tmp_path: Path) -> Folders:
    for folder in ("rooms", "other/rooms"):
        (tmp_path / folder).mkdir(parents=True)
    cv2.imwrite(str(tmp_path / "rooms" / "Beach.jpg"), np.full((300, 600, 3), (0, 0, 255), np.uint8))
    (tmp_path / "rooms" / "notes.txt").touch()
    (tmp_path / "rooms" / "deep").mkdir()
    (tmp_path / "rooms" / "deep" / "inner.jpg").touch()
    (tmp_path / "other" / "rooms" / "hall.png").touch()
    (tmp_path / "secret.jpg").touch()
    return Folders([tmp_path / "rooms", tmp_path / "other" / "rooms"], PICTURES)


def test_files_are_named_by_their_folder(rooms: Folders, tmp_path: Path) -> None:
    assert rooms.names() == ["rooms/Beach.jpg", "rooms 2/hall.png"]
    assert rooms.find("rooms/Beach.jpg") == rooms.find("Beach.jpg") == tmp_path / "rooms" / "Beach.jpg"
    assert rooms.find("rooms 2/hall.png") == tmp_path / "other" / "rooms" / "hall.png"


@pytest.mark.parametrize(
    "name",
    ["../secret.jpg", "rooms/../secret.jpg", "rooms/deep/inner.jpg", "deep/inner.jpg", "notes.txt", "", ".",
     "rooms/", "rooms\0/Beach.jpg", "/etc/passwd", "%2e%2e/secret.jpg", "rooms/..\\secret.jpg"],
)  # fmt: skip
def test_no_other_file_is_found(rooms: Folders, name: str, tmp_path: Path) -> None:
    for each in (name, str(tmp_path / "rooms" / "Beach.jpg")):
        with pytest.raises(UsageError, match="there is no file"):
            rooms.find(each)


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
def test_a_link_leads_nowhere_else(rooms: Folders, tmp_path: Path) -> None:
    (tmp_path / "rooms" / "link.jpg").symlink_to(tmp_path / "secret.jpg")
    (tmp_path / "rooms" / "loop.jpg").symlink_to(tmp_path / "rooms" / "loop.jpg")
    assert "rooms/link.jpg" not in rooms.names()
    with pytest.raises(UsageError, match="there is no file"):
        rooms.find("link.jpg")


def test_a_missing_folder_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist: create it"):
        Folders([tmp_path / "none"], PICTURES)


def test_backgrounds_of_a_browser(rooms: Folders, tmp_path: Path) -> None:
    for word in ("green", "#00b140", "transparent", "blur", "blur:40"):
        assert resolve_panel_background(word, rooms) == word
    assert resolve_panel_background("Beach.jpg", rooms) == str(tmp_path / "rooms" / "Beach.jpg")
    for wrong in (
        "blur:0.1",
        "blur:999",
        "blur:x",
        "/etc/passwd",
        "http://a/b.jpg",
        "rtsp://x",
        "x%04d.png",
        5,
    ):
        with pytest.raises(UsageError):
            resolve_panel_background(wrong, rooms)


def test_thumbnails_are_small_and_follow_the_file(rooms: Folders, tmp_path: Path) -> None:
    path = rooms.find("Beach.jpg")
    small = cv2.imdecode(np.frombuffer(thumbnail(path), np.uint8), cv2.IMREAD_COLOR)
    assert small.shape == (96, 192, 3) and small[48, 96].tolist()[2] > 240
    cv2.imwrite(str(path), np.full((300, 600, 3), (255, 0, 0), np.uint8))
    os.utime(path, ns=(1, 1))
    small = cv2.imdecode(np.frombuffer(thumbnail(path), np.uint8), cv2.IMREAD_COLOR)
    assert small[48, 96].tolist()[0] > 240
    with pytest.raises(LivematteError):
        thumbnail(rooms.find("hall.png"))
