"""Adds an ICC profile to an encoded picture: FFmpeg's encoders want side data, which PyAV cannot set."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable

_PNG_SIGNATURE = 8
_JPEG_PART = 65519
"""Bytes of a profile in one APP2 segment (ICC.1:2022, annex B.4)."""
_TIFF_ICC, _TIFF_UNDEFINED = 34675, 7


def _embed_png(picture: bytes, icc: bytes) -> bytes:
    """Insert a chunk iCCP behind IHDR (PNG, third edition, 11.3.2.3)."""
    end = _PNG_SIGNATURE + 12 + struct.unpack_from(">I", picture, _PNG_SIGNATURE)[0]
    body = b"iCCP" + b"ICC profile\0\0" + zlib.compress(icc)
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    return picture[:end] + chunk + picture[end:]


def _embed_jpeg(picture: bytes, icc: bytes) -> bytes:
    """Insert APP2 segments behind the first segment, which is JFIF's (ICC.1:2022, annex B.4)."""
    end = 2
    if picture[2:4] == b"\xff\xe0":
        end = 4 + struct.unpack_from(">H", picture, 4)[0]
    parts = [icc[at : at + _JPEG_PART] for at in range(0, len(icc), _JPEG_PART)]
    segments = b"".join(
        b"\xff\xe2"
        + struct.pack(">H", 16 + len(part))
        + b"ICC_PROFILE\0"
        + bytes((number, len(parts)))
        + part
        for number, part in enumerate(parts, 1)
    )
    return picture[:end] + segments + picture[end:]


def _embed_tiff(picture: bytes, icc: bytes) -> bytes:
    """Append a copy of the directory with the profile, and the profile (TIFF 6.0, section 2)."""
    order = "<" if picture[:2] == b"II" else ">"
    directory = struct.unpack_from(order + "I", picture, 4)[0]
    count = struct.unpack_from(order + "H", picture, directory)[0]
    entries = [picture[directory + 2 + 12 * i : directory + 14 + 12 * i] for i in range(count)]
    position = len(picture) + len(picture) % 2
    profile = position + 2 + 12 * (count + 1) + 4
    entries.append(struct.pack(order + "HHII", _TIFF_ICC, _TIFF_UNDEFINED, len(icc), profile))
    entries.sort(key=lambda entry: int(struct.unpack_from(order + "H", entry)[0]))
    head = picture[:4] + struct.pack(order + "I", position) + picture[8:] + bytes(len(picture) % 2)
    return head + struct.pack(order + "H", count + 1) + b"".join(entries) + bytes(4) + icc


def _embed_webp(picture: bytes, icc: bytes) -> bytes:
    """Insert a chunk ICCP, and VP8X before it if it is missing (RFC 9649, section 2.7)."""
    chunks = picture[12:]
    if chunks[:4] == b"VP8X":
        header, rest = bytearray(chunks[8:18]), chunks[18:]
    else:
        header, rest = bytearray(_webp_header(chunks)), chunks
    header[0] |= 0x20
    body = b"WEBP" + _webp_chunk(b"VP8X", bytes(header)) + _webp_chunk(b"ICCP", icc) + rest
    return b"RIFF" + struct.pack("<I", len(body)) + body


def _webp_header(chunks: bytes) -> bytes:
    """Return the content of VP8X for a file of one chunk, lossless or lossy without alpha."""
    if chunks[:4] == b"VP8L":
        bits = struct.unpack_from("<I", chunks, 9)[0]
        width, height, alpha = bits & 0x3FFF, bits >> 14 & 0x3FFF, bits >> 28 & 1
    else:
        width, height = (side - 1 & 0x3FFF for side in struct.unpack_from("<HH", chunks, 14))
        alpha = 0
    return struct.pack("<B3xHBHB", alpha << 4, width, 0, height, 0)


def _webp_chunk(kind: bytes, content: bytes) -> bytes:
    return kind + struct.pack("<I", len(content)) + content + bytes(len(content) % 2)


_EMBED: dict[str, Callable[[bytes, bytes], bytes]] = {
    "png": _embed_png, "mjpeg": _embed_jpeg, "tiff": _embed_tiff, "libwebp": _embed_webp,
}  # fmt: skip


def can_hold_profile(encoder: str) -> bool:
    """Return True if :func:`embed_profile` supports the pictures of an FFmpeg encoder."""
    return encoder in _EMBED


def embed_profile(encoder: str, picture: bytes, icc: bytes) -> bytes:
    """Return the encoded picture with the profile.

    Args:
        encoder: FFmpeg's name of the encoder that made the picture.
    """
    return _EMBED[encoder](picture, icc)
