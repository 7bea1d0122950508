"""The folders that the panel may read, and the small pictures of their files.

The browser names a file by the label of its folder and its name, ``Beaches/dune.jpg``. Only files that lie
directly in a folder are found: no subfolders, no links that lead out of it.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Collection, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np

from livematte.errors import InputError, LivematteError, UsageError
from livematte.frame import Array
from livematte.kernels.color.css import parse_color
from livematte.matting.backgrounds import STRONGEST_BLUR, WEAKEST_LIVE_BLUR

PICTURES = (".avif", ".bmp", ".jpeg", ".jpg", ".png", ".webp")
VIDEOS = (".avi", ".m4v", ".mkv", ".mov", ".mp4", ".webm")
THUMBNAIL = 192
"""Width of a thumbnail in pixels."""
_BLUR = re.compile(r"blur(?::(\d{1,3}(?:\.\d+)?))?")


class Folders:
    """Folders by label, which is the name of the folder, made unique with a number.

    Args:
        suffixes: endings of the files to list, in lower case.

    Raises:
        InputError: one of the folders does not exist.
    """

    def __init__(self, paths: Sequence[Path], suffixes: Collection[str]) -> None:
        self._suffixes, self._paths = suffixes, dict[str, Path]()
        for path in paths:
            if not path.is_dir():
                raise InputError(f"the folder {path} does not exist: create it or name another")
            label, number = path.resolve().name or "files", 2
            while label in self._paths:
                label, number = f"{path.resolve().name} {number}", number + 1
            self._paths[label] = path.resolve()

    def names(self) -> list[str]:
        """Return the names of all files, sorted within each folder."""
        return [f"{label}/{name}" for label, path in self._paths.items() for name in self._files(path)]

    def _files(self, folder: Path) -> list[str]:
        try:
            found = [each.name for each in folder.iterdir() if self._inside(each, folder)]
        except OSError:
            return []
        return sorted(found, key=str.lower)

    def _inside(self, path: Path, folder: Path) -> bool:
        try:
            real = path.resolve()
            return path.suffix.lower() in self._suffixes and real.parent == folder and real.is_file()
        except (OSError, RuntimeError):
            return False

    def find(self, name: str) -> Path:
        """Return the path of a file, by its name in :meth:`names` or without the label if that is unique.

        Raises:
            UsageError: there is no such file in the folders.
        """
        for label, folder in self._paths.items():
            for plain in self._files(folder):
                if name in (f"{label}/{plain}", plain):
                    return folder / plain
        raise UsageError(f"there is no file {name!r} in the folders of the panel")

    def folder(self, name: str) -> Path:
        """Return the folder of a file."""
        return self.find(name).parent


def resolve_panel_background(spec: object, folders: Folders) -> str:
    """Return a background that the browser may choose: a colour, a blur, transparent, or a file of a folder.

    Raises:
        UsageError: anything else, above all a path.
    """
    if not isinstance(spec, str):
        raise UsageError(f"background {spec!r} is invalid: use text")
    word = spec.strip()
    if word.lower() == "transparent" or parse_color(word) is not None:
        return word
    if blur := _BLUR.fullmatch(word.lower()):
        if blur[1] and not WEAKEST_LIVE_BLUR <= float(blur[1]) <= STRONGEST_BLUR:
            raise UsageError(f"{word} is invalid: use {WEAKEST_LIVE_BLUR:g} to {STRONGEST_BLUR:g}")
        return word.lower()
    return str(folders.find(spec))


def thumbnail(path: Path, width: int = THUMBNAIL) -> bytes:
    """Return the first picture of a file as JPEG, at most ``width`` wide; kept until the file changes.

    Raises:
        LivematteError: the file cannot be read.
    """
    try:
        changed = path.stat().st_mtime_ns
    except OSError as error:
        raise InputError(f"{path.name} cannot be read: {error.strerror or error}") from error
    with _one_at_a_time:
        return _thumbnail(path, changed, width)


_one_at_a_time = threading.Lock()


@lru_cache(maxsize=400)
def _thumbnail(path: Path, changed: int, width: int) -> bytes:
    return encode_jpeg(first_picture(path, width))


def first_picture(path: Path, width: int) -> Array:
    """Return the first picture of a file, (h, w, 3) uint8 RGB, at most ``width`` wide.

    A decoder that crashes does so in a process of its own.

    Raises:
        LivematteError: the file cannot be read.
    """
    from contextlib import closing

    from livematte.kernels.convert import small_rgb
    from livematte.streaming.picture import fit_size
    from livematte.video import trial_decode
    from livematte.video.reader import open_video

    trial_decode.check(path)
    with closing(open_video(path)) as source:
        for frame in source:
            return np.asarray(small_rgb(frame, *fit_size(frame.size, (2 * width, width))))
    raise LivematteError(f"{path.name} has no picture")


def encode_jpeg(rgb: Array, quality: int = 82) -> bytes:
    """Return a picture, (h, w, 3) uint8 RGB, as JPEG."""
    import cv2

    done, encoded = cv2.imencode(
        ".jpg", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality]
    )
    if not done:
        raise LivematteError("a picture cannot be encoded as JPEG")
    return encoded.tobytes()
