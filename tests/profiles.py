"""ICC profiles made by code: RGB with given primaries, grey, and CMYK."""

from __future__ import annotations

import struct


def _fixed(value: float) -> bytes:
    return struct.pack(">i", round(value * 65536))


def _xyz(values: tuple[float, float, float]) -> bytes:
    return b"XYZ \0\0\0\0" + b"".join(map(_fixed, values))


def _text(text: str) -> bytes:
    encoded = text.encode("utf-16-be")
    return b"mluc\0\0\0\0" + struct.pack(">II2s2sII", 1, 12, b"en", b"US", len(encoded), 28) + encoded


def _gamma(gamma: float) -> bytes:
    return b"para\0\0\0\0" + struct.pack(">HH", 0, 0) + _fixed(gamma)


_D50 = (0.9642, 1.0, 0.8249)
_SRGB_CURVE = b"para\0\0\0\0" + struct.pack(">HH", 3, 0) + b"".join(
    map(_fixed, (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045))
)  # fmt: skip


def _profile(kind: bytes, space: bytes, connection: bytes, tags: list[tuple[str, bytes]]) -> bytes:
    offset, table, data = 132 + 12 * len(tags), b"", b""
    for name, content in tags:
        content += bytes(-len(content) % 4)
        table += name.encode() + struct.pack(">II", offset + len(data), len(content))
        data += content
    head = struct.pack(">I4sI4s4s4s", offset + len(data), b"none", 0x04000000, kind, space, connection)
    head += bytes(12) + b"acsp" + bytes(28) + b"".join(map(_fixed, _D50))
    return head.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + data


def _rgb(name: str, columns: tuple[tuple[float, float, float], ...], curve: bytes, extra: int = 0) -> bytes:
    tags = [("desc", _text(name)), ("cprt", _text("-")), ("wtpt", _xyz(_D50))]
    tags += [(f"{letter}XYZ", _xyz(column)) for letter, column in zip("rgb", columns, strict=True)]
    tags += [(f"{letter}TRC", curve) for letter in "rgb"]
    if extra:
        tags.append(("priv", b"text\0\0\0\0" + b"x" * extra))
    return _profile(b"mntr", b"RGB ", b"XYZ ", tags)


_P3_COLUMNS = ((0.51512, 0.2412, -0.00105), (0.29198, 0.69225, 0.04189), (0.1571, 0.06657, 0.78407))
DISPLAY_P3 = _rgb("Display P3", _P3_COLUMNS, _SRGB_CURVE)
ADOBE_RGB = _rgb(
    "Adobe RGB (1998)",
    ((0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457)),
    _gamma(563 / 256),
)


def long_profile(extra: int) -> bytes:
    """Display P3 with a private tag of ``extra`` bytes: longer than a segment of JPEG."""
    return _rgb("Display P3, long", _P3_COLUMNS, _SRGB_CURVE, extra)


def grey_profile(gamma: float) -> bytes:
    """Grey with a power law."""
    tags = [("desc", _text("Grey")), ("cprt", _text("-")), ("wtpt", _xyz(_D50)), ("kTRC", _gamma(gamma))]
    return _profile(b"mntr", b"GRAY", b"XYZ ", tags)


def cmyk_profile() -> bytes:
    """A printer whose inks take away their part of red, green and blue: 2 grid points of each ink, to Lab."""
    lab = {  # of paper with these inks: magenta and yellow is red
        (0, 0, 0): (100, 0, 0), (1, 0, 0): (60, -35, -50), (0, 1, 0): (50, 75, 0), (0, 0, 1): (90, -5, 90),
        (1, 1, 0): (25, 20, -45), (1, 0, 1): (50, -65, 30), (0, 1, 1): (48, 68, 48), (1, 1, 1): (20, 0, 0),
    }  # fmt: skip
    grid = b""
    for node in range(16):
        cyan, magenta, yellow, black = (node >> bit & 1 for bit in (3, 2, 1, 0))
        lightness, a, b = lab[cyan, magenta, yellow] if not black else (5, 0, 0)
        codes = (lightness / 100 * 65280, (a + 128) * 256, (b + 128) * 256)  # Lab of lut16 (ICC v2)
        grid += struct.pack(">3H", *(round(code) for code in codes))
    identity = struct.pack(">2H", 0, 65535)
    lut = b"mft2\0\0\0\0" + bytes((4, 3, 2, 0))
    lut += b"".join(map(_fixed, (1, 0, 0, 0, 1, 0, 0, 0, 1))) + struct.pack(">HH", 2, 2)
    lut += identity * 4 + grid + identity * 3
    tags = [("desc", _text("Press")), ("cprt", _text("-")), ("wtpt", _xyz(_D50)), ("A2B0", lut)]
    return _profile(b"prtr", b"CMYK", b"Lab ", tags)
