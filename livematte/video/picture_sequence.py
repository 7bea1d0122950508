"""Pictures of a sequence: found by a pattern, a folder or a wildcard, and read as the packets of one video.

FFmpeg's own reader of numbered pictures ends at the first gap, so livematte lists the files itself.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import cast

from av.packet import Packet
from av.video.stream import VideoStream

from livematte.errors import InputError, UsageError

PATTERN = re.compile(r"%0?\d*d")
"""Pattern of a numbered image sequence, e.g. ``frames/%04d.png``."""

DEFAULT_FPS = Fraction(25)
"""Pictures a second if nothing else is given, as in FFmpeg."""

_PICTURE_NAMES = ".png .jpg .jpeg .jpe .webp .bmp .tif .tiff .ppm .pgm .jp2 .exr .hdr .dpx .tga .avif .heic"
PICTURES = frozenset(_PICTURE_NAMES.split())
"""Extensions of the pictures that are looked for in a folder."""

_VIDEO_NAMES = ".mp4 .m4v .mov .mkv .webm .avi .ts .mts .m2ts .mpg .mpeg .wmv .flv .ogv .3gp .mxf .gif .y4m"
_VIDEOS = frozenset(_VIDEO_NAMES.split())
_HASHES = re.compile("#+")
_NUMBER = re.compile(r"\d+")
_SPARSE = 10
"""Numbers that span more than this times the number of pictures are not times."""
_MOST_NAMED = 5


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # the name is too long
        return False


def printf_pattern(path: str | Path) -> Path:
    """Return a path with ``####`` as the pattern ``%04d``; other paths, and existing files, are unchanged."""
    path = Path(path)
    if len(_HASHES.findall(path.name)) != 1 or path.suffix.lower() not in PICTURES or _exists(path):
        return path
    pattern = _HASHES.sub(lambda hashes: f"%0{len(hashes[0])}d", path.name.replace("%", "%%"))
    return path.with_name(pattern)


def is_sequence(path: str | Path) -> bool:
    """Return True if ``path`` is a folder, or a pattern or wildcard of pictures; no file has this name."""
    path = Path(path)
    if _exists(path):
        return path.is_dir()
    if path.suffix.lower() in _VIDEOS:
        return False
    return bool(PATTERN.search(printf_pattern(path).name)) or _is_wildcard(path)


def _is_wildcard(path: Path) -> bool:
    return "*" in path.name or "?" in path.name


@dataclass(frozen=True)
class PictureSequence:
    """The files of a sequence in order, and the time of each.

    Attributes:
        files: one or more.
        numbers: the number in each name, in rising order; from 1 if the names are not numbered alike.
        ticks: time of each picture in pictures, 0 for the first.
        notes: numbers that are missing, as lines.
    """

    files: Sequence[Path]
    numbers: Sequence[int]
    ticks: Sequence[int]
    notes: Sequence[str]

    def packets(self, stream: VideoStream, first: int) -> Iterator[Packet[VideoStream]]:
        """Yield the pictures from index ``first`` on as packets of ``stream``.

        Raises:
            InputError: a file cannot be read any more.
        """
        for index in range(first, len(self.files)):
            path = self.files[index]
            try:
                content = path.read_bytes()
            except OSError as error:
                raise InputError(f"{path} cannot be read: {error.strerror or error}") from error
            if not content:
                raise InputError(f"{path} is empty (0 bytes)")
            packet = cast("Packet[VideoStream]", Packet(content))
            packet.stream = stream
            packet.time_base = cast(Fraction, stream.time_base)
            packet.pts = packet.dts = self.ticks[index]
            packet.duration, packet.is_keyframe = 1, True
            yield packet


def find_sequence(path: str | Path) -> PictureSequence:
    """List the pictures of ``path``, for which :func:`is_sequence` is true.

    Raises:
        InputError: there are none, several kinds of them, or the pattern is invalid.
    """
    path = Path(path)
    if path.is_dir():
        return _in_order(path, _pictures(path, lambda name: True), path / "*.png")
    pattern = printf_pattern(path)
    if not PATTERN.search(pattern.name):
        return _in_order(path, _pictures(path.parent, lambda name: fnmatchcase(name, path.name)), path)
    return _numbered(pattern, path)


def numbered_files(pattern: str | Path) -> list[Path]:
    """Return the files whose names a pattern such as ``out/%04d.png`` can give, with any number of digits."""
    pattern = printf_pattern(pattern)
    parts = PATTERN.split(pattern.name.replace("%%", "%"), maxsplit=1)
    names = re.compile(r"\d+".join(map(re.escape, parts)))
    try:
        return sorted(
            file for file in pattern.parent.iterdir() if names.fullmatch(file.name) and file.is_file()
        )
    except OSError:  # there is no such folder
        return []


def _pictures(folder: Path, wanted: Callable[[str], bool]) -> list[Path]:
    try:
        entries = list(folder.iterdir())
    except OSError:
        raise InputError(f"{folder}: no such folder, or no permission to read it") from None
    return [
        entry for entry in entries
        if entry.suffix.lower() in PICTURES and not entry.name.startswith(".") and wanted(entry.name)
    ]  # fmt: skip


def _numbered(pattern: Path, path: Path) -> PictureSequence:
    try:
        assert pattern.name % 1
    except (TypeError, ValueError):
        raise InputError(f"{path}: use one pattern such as %04d, and %% for a percent sign") from None
    name = PATTERN.sub("\0", pattern.name, count=1)
    before, after = (re.escape(part.replace("%%", "%")) for part in name.split("\0"))
    numbered = re.compile(before + r"(\d+)" + after + "$")
    if not pattern.parent.is_dir():
        raise InputError(f"{pattern.parent}: no such folder")
    found = [
        (int(hit[1]), entry) for entry in pattern.parent.iterdir() if (hit := numbered.match(entry.name))
    ]
    # The number must have the width of the pattern: %04d.png does not match 1.png.
    fitting = sorted((number, entry) for number, entry in found if pattern.name % number == entry.name)
    if not fitting:
        raise InputError(f"{path}: no file in {pattern.parent} matches this pattern")
    return _timed([entry for _, entry in fitting], [number for number, _ in fitting])


def _in_order(path: Path, files: list[Path], example: Path) -> PictureSequence:
    kinds = sorted({file.suffix.lower() for file in files})
    if not files:
        what = "is a directory without pictures" if path.is_dir() else "matches no picture"
        raise InputError(f"{path} {what}: name a video file, or pictures as {example} or name_%04d.png")
    if len(kinds) > 1:
        raise InputError(f"{path} matches pictures of several kinds ({', '.join(kinds)}): add the extension")
    files = sorted(files, key=_natural_key)
    parts = [_last_number(file.stem) for file in files]
    numbers = [number for _, number, _ in parts]
    alike = len({(before, after) for before, _, after in parts}) == 1
    if not alike or -1 in numbers or len(set(numbers)) < len(numbers):
        return PictureSequence(files, range(1, len(files) + 1), range(len(files)), ())
    ordered = sorted(zip(numbers, files, strict=True))
    return _timed([file for _, file in ordered], [number for number, _ in ordered])


def _natural_key(path: Path) -> list[tuple[int, str]]:
    """Sort key with numbers by value: a2 comes before a10."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", path.name)]


def _last_number(stem: str) -> tuple[str, int, str]:
    """Return the text before, the value, and the text after the last number; -1 if there is none."""
    hits = list(_NUMBER.finditer(stem))
    if not hits:
        return stem, -1, ""
    return stem[: hits[-1].start()], int(hits[-1][0]), stem[hits[-1].end() :]


def _timed(files: list[Path], numbers: list[int]) -> PictureSequence:
    span = numbers[-1] - numbers[0] + 1
    missing = span - len(numbers)
    if span > _SPARSE * len(numbers) and len(numbers) > 1:
        note = (
            f"the numbers of the pictures are far apart ({numbers[0]} to {numbers[-1]}): they follow at once"
        )
        return PictureSequence(files, numbers, range(len(files)), (note,))
    notes: tuple[str, ...] = ()
    if missing:
        gaps = [
            f"{low + 1}" if high - low == 2 else f"{low + 1}-{high - 1}"
            for low, high in pairwise(numbers) if high - low > 1
        ]  # fmt: skip
        listed = ", ".join(gaps[:_MOST_NAMED]) + (" ..." if len(gaps) > _MOST_NAMED else "")
        what = "1 picture is" if missing == 1 else f"{missing} pictures are"
        notes = (f"{what} missing ({listed}): the one before each gap is shown longer",)
    return PictureSequence(files, numbers, [number - numbers[0] for number in numbers], notes)


def check_fps(fps: float | Fraction | None) -> Fraction:
    """Return pictures a second exactly: 23.976 is 24000/1001.

    Raises:
        UsageError: it is not above 0 and at most 1000.
    """
    if fps is None:
        return DEFAULT_FPS
    if not 0 < fps <= 1000:
        raise UsageError(f"fps {float(fps):g} is invalid: use a number above 0, up to 1000")
    if isinstance(fps, Fraction):
        return fps
    near = Fraction(round(fps * 1.001) * 1000, 1001)
    if near and abs(float(near) - fps) < 0.002:
        return near
    return Fraction(fps).limit_denominator(1001)
