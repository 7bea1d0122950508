"""Still pictures in HEIF files (HEIC, AVIF) that consist of several coded items: tiles, and transparency.

Phones store a photo as a grid of tiles. FFmpeg gives each tile as a stream of its own, whose id is the number
of the item. This module reads from the boxes how they belong together (ISO/IEC 23008-12, 14496-12), and puts
the picture together.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import av.error
from av.container.input import InputContainer
from av.filter.graph import Graph
from av.video.frame import VideoFrame

from livematte.errors import InputError
from livematte.video.clean_aperture import crop_to_aperture, find_aperture
from livematte.video.mp4_boxes import read_boxes

if TYPE_CHECKING:
    from livematte.video.orientation import Orientation  # NumPy: the process that tries files needs none

_LARGEST_INDEX = 1 << 24
"""Bytes of the largest index that is read."""

_ALPHA = (b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha\0", b"urn:mpeg:hevc:2015:auxid:1\0")


@dataclass(frozen=True)
class Grid:
    """A picture of one or several tiles of the same size.

    Attributes:
        items: numbers of the tiles, row by row.
        size: (height, width) of the picture, cut out of the tiles from the upper left; None for one tile.
    """

    items: tuple[int, ...]
    columns: int = 1
    size: tuple[int, int] | None = None


@dataclass(frozen=True)
class HeifPicture:
    """The primary picture of a file.

    Attributes:
        alpha: its transparency, if it has one.
        properties: boxes that describe it, by type, in their order.
    """

    color: Grid
    alpha: Grid | None
    properties: Sequence[tuple[bytes, bytes]]

    @property
    def orientation(self) -> Orientation:
        """Rotation and mirroring, which apply in the order of the properties."""
        return _orientation(self.properties)

    @property
    def is_composed(self) -> bool:
        """True if the picture is not just one stream of FFmpeg."""
        cropped = find_aperture(self.properties) is not None
        return self.alpha is not None or self.color.size is not None or cropped


def read_heif(container: InputContainer, path: str | Path) -> HeifPicture | None:
    """Return how the picture of a HEIF file is stored; None for other files, and for HEIF sequences.

    Raises:
        InputError: the file is damaged, or its picture is of a kind that cannot be read whole.
    """
    if not container.format.name.startswith("mov") or not Path(path).is_file():
        return None
    with open(path, "rb") as file:
        file.seek(0, 2)
        found = {kind: (begin, end) for kind, begin, end in read_boxes(file, 0, file.tell())}
        if b"meta" not in found or b"moov" in found:
            return None
        begin, end = found[b"meta"]
        if end - begin > _LARGEST_INDEX:
            raise InputError(f"{path}: the index of its picture is damaged (too large)")
        file.seek(begin)
        content = file.read(end - begin)
        file.seek(0)
        try:
            index = _Index(content)
            if index.primary is None or not index.kinds:
                return None
            return index.picture(file, path)
        except (IndexError, ValueError, KeyError) as error:
            raise InputError(f"{path}: the index of its picture is damaged ({error})") from error


class _Reader:
    """Reads big-endian numbers."""

    def __init__(self, data: bytes) -> None:
        self._file = io.BytesIO(data)

    def bytes(self, count: int) -> bytes:
        data = self._file.read(count)
        if len(data) < count:
            raise ValueError("it ends early")
        return data

    def number(self, count: int) -> int:
        return int.from_bytes(self.bytes(count), "big")


class _Index:
    """The content of a ``meta`` box."""

    def __init__(self, content: bytes) -> None:
        self.primary: int | None = None
        self.kinds: dict[int, bytes] = {}
        self.references: list[tuple[bytes, int, tuple[int, ...]]] = []
        self.properties: dict[int, list[tuple[bytes, bytes]]] = {}
        self._places: dict[int, tuple[int, list[tuple[int, int]]]] = {}
        self._own_data = b""
        stored: list[tuple[bytes, bytes]] = []
        for kind, data in _children(content[4:]):
            if kind == b"pitm":
                self.primary = int.from_bytes(data[4 : 6 if data[0] == 0 else 8], "big")
            elif kind == b"iinf":
                for entry, info in _children(data[6 if data[0] == 0 else 8 :]):
                    if entry == b"infe" and info[0] >= 2:
                        wide = 2 if info[0] == 2 else 4
                        number = int.from_bytes(info[4 : 4 + wide], "big")
                        self.kinds[number] = info[6 + wide : 10 + wide]
            elif kind == b"iref":
                self._read_references(data)
            elif kind == b"iloc":
                self._read_places(_Reader(data))
            elif kind == b"idat":
                self._own_data = data
            elif kind == b"iprp":
                for part, values in _children(data):
                    if part == b"ipco":
                        stored = _children(values)
                    elif part == b"ipma":
                        self._read_properties(_Reader(values), stored)

    def _read_references(self, data: bytes) -> None:
        wide = 2 if data[0] == 0 else 4
        for kind, values in _children(data[4:]):
            reader = _Reader(values)
            begin, count = reader.number(wide), reader.number(2)
            self.references.append((kind, begin, tuple(reader.number(wide) for _ in range(count))))

    def _read_places(self, reader: _Reader) -> None:
        version, _ = reader.number(1), reader.bytes(3)
        offset_length, base_index = reader.number(1), reader.number(1)
        offset, length, base = offset_length >> 4, offset_length & 15, base_index >> 4
        index = base_index & 15 if version else 0
        wide = 2 if version < 2 else 4
        for _ in range(reader.number(wide)):
            number = reader.number(wide)
            method = reader.number(2) & 15 if version else 0
            reader.bytes(2)
            begin = reader.number(base)
            extents = []
            for _ in range(reader.number(2)):
                reader.bytes(index)
                extents.append((begin + reader.number(offset), reader.number(length)))
            self._places[number] = method, extents

    def _read_properties(self, reader: _Reader, stored: list[tuple[bytes, bytes]]) -> None:
        version, flags = reader.number(1), reader.number(3)
        for _ in range(reader.number(4)):
            number = reader.number(2 if version == 0 else 4)
            for _ in range(reader.number(1)):
                which = reader.number(2) & 0x7FFF if flags & 1 else reader.number(1) & 0x7F
                if which:
                    self.properties.setdefault(number, []).append(stored[which - 1])

    def picture(self, file: io.BufferedReader, path: str | Path) -> HeifPicture:
        """Return the primary picture. Raises InputError for kinds that are not supported."""
        assert self.primary is not None
        color = self._grid(self.primary, file, path)
        alpha = None
        for kind, begin, to in self.references:
            auxiliary = dict(self.properties.get(begin, ())).get(b"auxC", b"")[4:]
            if kind == b"auxl" and self.primary in to and auxiliary.startswith(_ALPHA):
                alpha = self._grid(begin, file, path)
        if alpha is not None and any(kind == b"prem" for kind, _, _ in self.references):
            raise InputError(
                f"{path}: its colours are multiplied by its transparency, which is not supported for HEIF "
                "files: convert it to PNG"
            )
        return HeifPicture(color, alpha, self.properties.get(self.primary, ()))

    def _grid(self, item: int, file: io.BufferedReader, path: str | Path) -> Grid:
        kind = self.kinds[item]
        if kind in (b"hvc1", b"av01", b"avc1", b"jpeg", b"vvc1", b"evc1"):
            return Grid((item,))
        if kind != b"grid":
            raise InputError(
                f"{path}: its picture is stored as {kind.decode('latin-1')!r}, which cannot be read: convert "
                "it to JPEG or PNG"
            )
        reader = _Reader(self._data(item, file))
        _, flags = reader.number(1), reader.number(1)
        rows, columns = reader.number(1) + 1, reader.number(1) + 1
        wide = 4 if flags & 1 else 2
        width, height = reader.number(wide), reader.number(wide)
        tiles = next((to for what, begin, to in self.references if (what, begin) == (b"dimg", item)), ())
        if len(tiles) != rows * columns or not width or not height:
            raise ValueError(f"{len(tiles)} of {rows * columns} tiles")
        if any(self.kinds.get(tile) not in (b"hvc1", b"av01", b"avc1", b"jpeg") for tile in tiles):
            raise InputError(f"{path}: its picture has nested tiles: convert it to JPEG or PNG")
        return Grid(tiles, columns, (height, width))

    def _data(self, item: int, file: io.BufferedReader) -> bytes:
        method, extents = self._places[item]
        data = b""
        for begin, length in extents:
            if method == 1:
                data += self._own_data[begin : begin + length]
            elif method == 0:
                file.seek(begin)
                data += file.read(min(length, 64))
            else:
                raise ValueError("stored in another item")
        return data


def _children(data: bytes) -> list[tuple[bytes, bytes]]:
    file = io.BytesIO(data)
    return [(kind, data[begin:end]) for kind, begin, end in read_boxes(file, 0, len(data))]


def _orientation(properties: Sequence[tuple[bytes, bytes]]) -> Orientation:
    import numpy as np

    from livematte.video.orientation import Orientation

    stored = np.arange(6).reshape(2, 3)
    upright = stored
    for kind, data in properties:
        if kind == b"irot" and data:
            upright = np.rot90(upright, data[0] & 3)  # anticlockwise
        elif kind == b"imir" and data:
            upright = upright[:, ::-1] if data[0] & 1 else upright[::-1]
    for transpose in (False, True):
        for mirror_x in (False, True):
            for mirror_y in (False, True):
                tried = stored.T if transpose else stored
                tried = tried[:: -1 if mirror_y else 1, :: -1 if mirror_x else 1]
                if tried.shape == upright.shape and (tried == upright).all():
                    return Orientation(transpose, mirror_x, mirror_y)
    raise AssertionError("turns and mirrors are one of these")


def decode_heif(container: InputContainer, picture: HeifPicture, path: str | Path) -> VideoFrame:
    """Decode all items of a picture and return what of it is shown, as stored.

    Raises:
        InputError: an item is missing or broken.
    """
    wanted = {*picture.color.items, *(picture.alpha.items if picture.alpha else ())}
    decoded = _decode_items(container, wanted)
    if missing := len(wanted - decoded.keys()):
        raise InputError(
            f"{path}: {missing} of the {len(wanted)} parts of its picture cannot be decoded: it is damaged"
        )
    whole = _join(picture.color, decoded, path)
    if picture.alpha is not None:
        whole = _with_alpha(whole, _join(picture.alpha, decoded, path), path)
    if (aperture := find_aperture(picture.properties)) is None:
        return whole
    try:
        return crop_to_aperture(whole, aperture)
    except ValueError as error:
        raise InputError(f"{path}: the index of its picture is damaged ({error})") from error


def _decode_items(container: InputContainer, wanted: set[int]) -> Mapping[int, VideoFrame]:
    streams = [stream for stream in container.streams.video if stream.id in wanted]
    decoded: dict[int, VideoFrame] = {}
    decoders = {stream.id: stream.codec_context for stream in streams if stream.codec_context is not None}
    for each in decoders.values():
        each.thread_type = "SLICE"
    try:
        for packet in container.demux(*streams):
            item = packet.stream.id
            if item in decoded or (decoder := decoders.get(item)) is None:
                continue
            try:
                frames = decoder.decode(packet)
                frames = frames or (decoder.decode(None) if packet.size else [])
            except (av.error.FFmpegError, ValueError):
                continue
            if frames and not frames[0].is_corrupt:
                decoded[item] = frames[0]
    except (av.error.FFmpegError, OSError):
        pass  # what is missing is reported by the caller
    return decoded


def _join(grid: Grid, decoded: Mapping[int, VideoFrame], path: str | Path) -> VideoFrame:
    """Put the tiles of a picture together."""
    tiles = [decoded[item] for item in grid.items]
    first = tiles[0]
    if grid.size is None:
        return first
    layouts = {(tile.width, tile.height, tile.format.name) for tile in tiles}
    height, width = grid.size
    rows = len(tiles) // grid.columns
    if len(layouts) > 1 or first.width * grid.columns < width or first.height * rows < height:
        raise InputError(f"{path}: the tiles of its picture do not fit together; the file is damaged")
    graph = Graph()
    inputs = [
        graph.add_buffer(width=tile.width, height=tile.height, format=tile.format, time_base=Fraction(1, 25))
        for tile in tiles
    ]
    last = graph.add("crop", f"w={width}:h={height}:x=0:y=0:exact=1")
    if len(tiles) > 1:
        stack = graph.add("xstack", f"inputs={len(tiles)}:grid={grid.columns}x{rows}")
        for number, source in enumerate(inputs):
            source.link_to(stack, 0, number)
        stack.link_to(last)
    else:
        inputs[0].link_to(last)
    last.link_to(graph.add("buffersink"))
    graph.configure()
    for source, tile in zip(inputs, tiles, strict=True):
        tile.pts = 0
        source.push(tile)
        source.push(None)
    whole = graph.vpull()
    _copy_color(whole, first)
    return whole


def _copy_color(to: VideoFrame, source: VideoFrame) -> None:
    to.colorspace, to.color_range = source.colorspace, source.color_range
    to.color_primaries, to.color_trc = source.color_primaries, source.color_trc
    to.pts = 0


def _with_alpha(color: VideoFrame, alpha: VideoFrame, path: str | Path) -> VideoFrame:
    """Return ``color`` with the luma of ``alpha``, full range, as a further plane."""
    import numpy as np

    from livematte.video.pixels import JPEG_RANGE_FORMATS, writable_planes

    if (color.width, color.height) != (alpha.width, alpha.height):
        raise InputError(f"{path}: its transparency has another size than its picture; the file is damaged")
    name = JPEG_RANGE_FORMATS.get(color.format.name, color.format.name)
    if name.startswith("gray"):
        name = "yuv420p" if name == "gray" else "yuv420p10le"
        grey, color = color, color.reformat(format=name)
        _copy_color(color, grey)
    if name == "yuv420p12le":  # FFmpeg has no such format with alpha
        name, deep = "yuv422p12le", color
        color = color.reformat(format=name)
        _copy_color(color, deep)
    joined = name.replace("yuv4", "yuva4").replace("gbrp", "gbrap")
    out = VideoFrame(color.width, color.height, joined)
    source = *writable_planes(color, name), writable_planes(alpha, _luma_format(alpha))[0]
    depths = [max(part.bits for part in each.format.components) for each in (color, alpha)]
    for number, (target, plane) in enumerate(zip(writable_planes(out, joined), source, strict=True)):
        if number < 3 or depths[0] == depths[1]:
            target[...] = plane
        else:
            top, bottom = (1 << depths[0]) - 1, (1 << depths[1]) - 1
            target[...] = (plane.astype(np.uint32) * top + bottom // 2) // bottom
    _copy_color(out, color)
    if color.format.name.startswith("yuvj"):
        out.color_range = 2
    return out


def _luma_format(frame: VideoFrame) -> str:
    """Return a format of PIXEL_FORMATS whose first plane has the layout of the frame's."""
    bits = max(part.bits for part in frame.format.components)
    return "gray" if bits == 8 else f"gray{bits}le"
