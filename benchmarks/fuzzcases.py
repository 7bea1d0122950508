"""Cases of :mod:`benchmarks.fuzz`: a small corpus made by code, and mutations that a seed determines."""

from __future__ import annotations

import json
import random
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from tests.clips import make_clip, make_gif, make_jpeg

SIZE = (48, 64)
"""Height and width of the pictures in the corpus."""

_CLIPS = (
    ("sound.mp4", {"codec": "libx264", "audio": 1}),
    ("long.mkv", {"codec": "libx265"}),
    ("page.webm", {"codec": "libvpx-vp9"}),
    ("cut.mov", {"codec": "prores_ks", "format": "yuv422p10le"}),
    ("camera.avi", {"codec": "mjpeg", "format": "yuvj420p"}),
    ("air.ts", {"codec": "mpeg2video"}),
    ("old.ogv", {"codec": "libtheora"}),
    ("new.mp4", {"codec": "libsvtav1"}),
    ("lossless.mkv", {"codec": "ffv1"}),
)

_TEXTS = {
    "profile": """background = "beach.jpg"
on-demand = true
size = 288
to = ["none"]
[sink-option.obs]
port = 4455
""",
    "card": """[model]
name = "x"
parameters = 12
licence = "none"
[[weights]]
file = "x.onnx"
precision = "int8"
sha256 = "00"
""",
    "split": '{"train": ["anna", "ben"], "val": ["cleo"]}',
    "background": "rgb(1, 2, 3)|#12aBff|rebeccapurple|blur:12.5|transparent|beach.jpg",
    "control": '{"key": "K", "command": "background", "value": "beach.jpg"}',
}
"""Text of each kind; for ``background``, several separated by a bar."""

_INTEGERS = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)

_WORDS = (
    *(b"\0", b"\xff\xfe", b"\xef\xbb\xbf", b"\xc0\x80", b"\xed\xa0\x80", b"\x1b[31m", b"\r\n"),
    *(b"nan", b"inf", b"-1", b"1e999", b"9" * 5000, b"true", b"null", "\u0661".encode()),
    *(b"[" * 3000, b"{" * 3000, b'"', b"'''", b"\\u0000", b"\\ud800", b"[[a]]\n", b"a.b.c = 1\n"),
    *("\u202e".encode(), b"%s%n", b"../../", b"/" * 300, b"a" * 70000),
)
"""Texts that parsers have mistaken."""


@dataclass(frozen=True)
class Case:
    """A file to be read.

    Attributes:
        kind: what reads it: ``video``, ``picture``, ``weights`` or a key of the texts.
        name: file name, with its suffix.
        data: its content.
    """

    kind: str
    name: str
    data: bytes


def make_corpus(folder: Path) -> list[Case]:
    """Make the files that are mutated, in ``folder``, and return them. A missing encoder is skipped."""
    found = [Case(kind, f"{kind}.txt", text.encode()) for kind, text in _TEXTS.items()]
    for name, options in _CLIPS:
        try:
            make_clip(folder / name, frames=5, size=SIZE, **options)  # type: ignore[arg-type]
        except (ValueError, OSError):
            continue
        found.append(Case("video", name, (folder / name).read_bytes()))
    make_gif(folder / "a.gif", frames=3, size=SIZE)
    make_jpeg(folder / "a.jpg", orientation=6, size=SIZE)
    found += [Case("picture", name, (folder / name).read_bytes()) for name in ("a.gif", "a.jpg")]
    rgb = np.random.default_rng(0).integers(0, 255, (*SIZE, 3), np.uint8)
    for suffix in (".png", ".webp", ".bmp", ".tiff", ".ppm"):
        good, data = cv2.imencode(suffix, rgb)
        assert good
        found.append(Case("picture", f"a{suffix}", data.tobytes()))
    header = json.dumps({"a": {"dtype": "F16", "shape": [2, 2], "data_offsets": [0, 8]}}).encode()
    found.append(Case("weights", "a.safetensors", struct.pack("<Q", len(header)) + header + bytes(8)))
    return found


def make_case(corpus: list[Case], seed: int, number: int) -> Case:
    """Return case ``number``: the same for the same corpus, seed and number."""
    choice = random.Random(f"{seed} {number}")
    original = choice.choice(corpus)
    data = bytearray(original.data)
    steps: tuple[Callable[[random.Random, bytearray, bytes], None], ...] = (
        _flip_bits, _set_bytes, _set_integer, _remove, _repeat, _truncate, _insert_word, _splice,
    )  # fmt: skip
    others = [each for each in corpus if each.kind == original.kind]
    for _ in range(choice.choice((1, 1, 2, 4, 8, 32))):
        choice.choice(steps)(choice, data, choice.choice(others).data)
        if not data or len(data) > 1 << 20:
            break
    return Case(original.kind, original.name, bytes(data))


def _range(choice: random.Random, data: bytearray, most: int) -> tuple[int, int]:
    start = choice.randrange(len(data) + 1)
    return start, min(len(data), start + choice.randint(1, most))


def _flip_bits(choice: random.Random, data: bytearray, _: bytes) -> None:
    for _ in range(choice.randint(1, 8)):
        if data:
            data[choice.randrange(len(data))] ^= 1 << choice.randrange(8)


def _set_bytes(choice: random.Random, data: bytearray, _: bytes) -> None:
    start, end = _range(choice, data, 64)
    data[start:end] = choice.randbytes(end - start)


def _set_integer(choice: random.Random, data: bytearray, _: bytes) -> None:
    """Replace four bytes near the beginning or end, where headers have sizes and counts."""
    if len(data) < 8:
        return
    edge = min(len(data) - 4, 400)
    start = choice.choice((choice.randrange(edge), len(data) - 4 - choice.randrange(edge)))
    struct.pack_into(choice.choice("<>") + "I", data, start, choice.choice(_INTEGERS))


def _remove(choice: random.Random, data: bytearray, _: bytes) -> None:
    start, end = _range(choice, data, 256)
    del data[start:end]


def _repeat(choice: random.Random, data: bytearray, _: bytes) -> None:
    start, end = _range(choice, data, 256)
    data[start:start] = bytes(data[start:end]) * choice.randint(1, 20)


def _truncate(choice: random.Random, data: bytearray, _: bytes) -> None:
    del data[choice.randrange(len(data) + 1) :]


def _insert_word(choice: random.Random, data: bytearray, _: bytes) -> None:
    start = choice.randrange(len(data) + 1)
    data[start:start] = choice.choice(_WORDS)


def _splice(choice: random.Random, data: bytearray, other: bytes) -> None:
    start, end = _range(choice, data, 4096)
    first = choice.randrange(len(other) + 1)
    data[start:end] = other[first : first + 4096]
