"""HEIF photographs as phones make them: tiles, transparency and orientation (ISO/IEC 23008-12)."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from livematte.video.priority import kept_priority

_CODECS = {
    ".heic": (
        "libx265", b"hvc1", b"hvcC", b"heic",
        {"preset": "ultrafast", "crf": "4", "x265-params": "log-level=error:pools=none:frame-threads=1"},
    ),
    ".avif": ("libsvtav1", b"av01", b"av1C", b"avif", {"preset": "12", "crf": "4"}),
}  # fmt: skip


def box(kind: bytes, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return struct.pack(">I4s", 8 + len(body), kind) + body


def full_box(kind: bytes, version: int, flags: int, *parts: bytes) -> bytes:
    return box(kind, struct.pack(">I", version << 24 | flags), *parts)


@kept_priority()
def encode(rgb: np.ndarray, suffix: str, folder: Path) -> tuple[bytes, bytes]:
    """One picture (h, w, 3) uint8 as the data of an item and its codec's configuration, BT.709 full range."""
    library, _, _, _, options = _CODECS[suffix]
    path = folder / "tile.mp4"
    with av.open(str(path), "w") as out:
        stream: Any = out.add_stream(library, rate=25, options=options)
        context = stream.codec_context
        context.width, context.height, context.pix_fmt = rgb.shape[1], rgb.shape[0], "yuv420p"
        context.colorspace = context.color_primaries = context.color_trc = 1
        context.color_range = 2
        frame = av.VideoFrame.from_ndarray(rgb, "rgb24").reformat(
            format="yuv420p", dst_colorspace=1, dst_color_range=2
        )
        frame.pts, frame.time_base = 0, Fraction(1, 25)
        for packet in (*stream.encode(frame), *stream.encode(None)):
            packet.pts = packet.dts = 0  # of a single picture libx265 gives no valid dts
            out.mux(packet)
    with av.open(str(path)) as source:
        coded = source.streams.video[0]
        data = next(bytes(packet) for packet in source.demux(coded) if packet.size)
        return data, bytes(coded.codec_context.extradata)


def write_heif(
    path: Path,
    rgb: np.ndarray,
    *,
    tile: int | None = None,
    alpha: np.ndarray | None = None,
    properties: Sequence[bytes] = (),
    lost: int | None = None,
    kind: bytes = b"grid",
) -> Path:
    """Write a photograph as HEIC or AVIF, by its extension.

    Args:
        rgb: (h, w, 3) uint8.
        tile: side of the tiles, the last ones filled up with grey; None for a single item.
        alpha: (h, w) uint8.
        properties: boxes such as ``irot`` and ``imir`` for the picture.
        lost: number of a tile whose data are zeros.
        kind: type of the item that says how the tiles lie.
    """
    _, coded, configuration, brand, _ = _CODECS[path.suffix]
    height, width = rgb.shape[:2]
    items: list[tuple[bytes, bytes, list[bytes]]] = []  # type, data, properties; number = place + 1
    references = b""

    def add_picture(picture: np.ndarray, own: list[bytes]) -> int:
        nonlocal references
        size = full_box(b"ispe", 0, 0, struct.pack(">II", width, height))
        if tile is None:
            data, settings = encode(picture, path.suffix, path.parent)
            items.append((coded, data, [size, box(configuration, settings), *own]))
            return len(items)
        rows, columns = -(-height // tile), -(-width // tile)
        grid = bytes([0, 0, rows - 1, columns - 1]) + struct.pack(">HH", width, height)
        items.append((kind, grid, [size, *own]))
        first = len(items)
        whole = np.full((rows * tile, columns * tile, 3), 128, np.uint8)
        whole[:height, :width] = picture
        for number in range(rows * columns):
            top, left = number // columns * tile, number % columns * tile
            data, settings = encode(
                np.ascontiguousarray(whole[top : top + tile, left : left + tile]), path.suffix, path.parent
            )
            if number == lost:
                data = bytes(len(data))
            size = full_box(b"ispe", 0, 0, struct.pack(">II", tile, tile))
            items.append((coded, data, [size, box(configuration, settings)]))
        to = struct.pack(f">{rows * columns}H", *range(first + 1, len(items) + 1))
        references += box(b"dimg", struct.pack(">HH", first, rows * columns), to)
        return first

    add_picture(rgb, list(properties))
    if alpha is not None:
        name = b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha\0"
        extra = add_picture(np.repeat(alpha[..., None], 3, 2), [full_box(b"auxC", 0, 0, name)])
        references += box(b"auxl", struct.pack(">HHH", extra, 1, 1))

    def file(begin: int) -> bytes:
        stored, links, places, infos = b"", b"", b"", b""
        count, at = 0, begin
        for number, (type_, data, own) in enumerate(items, 1):
            infos += full_box(b"infe", 2, 0, struct.pack(">HH", number, 0), type_, b"\0")
            places += struct.pack(">HHHII", number, 0, 1, at, len(data))
            at += len(data)
            links += struct.pack(">HB", number, len(own))
            for entry in own:
                count += 1
                stored += entry
                essential = entry[4:8] in (configuration, b"irot", b"imir")
                links += struct.pack(">H", count | essential << 15)
        return box(b"ftyp", brand, bytes(4), brand, b"mif1", b"miaf") + full_box(
            b"meta", 0, 0,
            full_box(b"hdlr", 0, 0, bytes(4), b"pict", bytes(13)),
            full_box(b"pitm", 0, 0, struct.pack(">H", 1)),
            full_box(b"iloc", 0, 0, b"\x44\0", struct.pack(">H", len(items)), places),
            full_box(b"iinf", 0, 0, struct.pack(">H", len(items)), infos),
            full_box(b"iref", 0, 0, references) if references else b"",
            box(b"iprp", box(b"ipco", stored), full_box(b"ipma", 0, 1, struct.pack(">I", len(items)), links)),
        )  # fmt: skip

    head = file(0)
    data = b"".join(data for _, data, _ in items)
    path.write_bytes(file(len(head) + 8) + box(b"mdat", data))
    return path
