"""Colours of still pictures with an ICC profile or in linear light, converted to sRGB for the reader."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from av.container.input import InputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from livematte.errors import InputError
from livematte.frame import Array, ColorInfo
from livematte.video.color import as_rgb
from livematte.video.linear_light import (
    BRIGHT,
    exr_matrix,
    has_alpha,
    is_linear,
    linear_format,
    linear_to_srgb,
)
from livematte.video.pixels import Converter

if TYPE_CHECKING:
    from livematte.video.color_profile import ColorProfile

ProfileUse = Literal["convert", "keep", "ignore"]
"""Use of an ICC profile: its colours are converted to sRGB; it is given in ``ColorInfo.icc`` if it is one of
RGB, else converted; it is ignored.
"""

SRGB = ColorInfo("rgb", True, primaries=1, transfer=13, matrix_tag=0, range_tag=2)

_WHOLE_FILE = ("apng", "mov", "avif")
"""Demuxers whose packets are parts of a picture file: the profile is read from the file."""

_MAX_WAITING = 64
"""Pictures whose colours are remembered until they are decoded; a decoder has fewer under way."""


@dataclass(frozen=True)
class _Meaning:
    """Meaning of the numbers of one picture.

    Attributes:
        profile: its ICC profile.
        matrix: (3, 3) from its linear RGB to BT.709.
        content: the file or its content, if it must be decoded again.
        problem: why the profile cannot be used.
    """

    profile: ColorProfile | None = None
    matrix: Array | None = None
    content: bytes | Path | None = None
    problem: str = ""


_PLAIN = _Meaning()


def holds_pictures(container: InputContainer) -> bool:
    """Return True if each packet is a complete picture file."""
    return container.format.name == "image2" or container.format.name.endswith("_pipe")


class PictureColors:
    """The colours of the pictures of one file. It runs in the thread of the decoder.

    Args:
        path: the file; a pipe is not read here.
        use: see :data:`ProfileUse`.
        notes: a line is appended for each change.
    """

    def __init__(
        self, container: InputContainer, path: str | Path, use: ProfileUse, notes: list[str]
    ) -> None:
        self._path, self._use, self._notes = Path(path), use, notes
        self._converter = Converter()
        self._by_packet = holds_pictures(container)
        self._by_pts: dict[int | None, _Meaning] = {}
        self._whole = _PLAIN
        if container.format.name.startswith(_WHOLE_FILE) and self._may_have_profile(container):
            self._whole = self._read_meaning(self._path)

    def _note(self, line: str) -> None:
        if line not in self._notes:
            self._notes.append(line)

    def _may_have_profile(self, container: InputContainer) -> bool:
        """Return True for a file of one picture, or of a few, but not for a video."""
        if container.format.name == "apng":
            return self._path.is_file()
        if not self._path.is_file():
            return False
        with self._path.open("rb") as file:
            head = file.read(64)
        return head[4:8] == b"ftyp" and any(brand in head for brand in (b"mif1", b"heic", b"heix", b"avif"))

    def take(self, packet: Packet[VideoStream]) -> None:
        """Read the profile of the picture in ``packet``, which goes to the decoder next."""
        if self._by_packet and packet.size:
            self._by_pts[packet.pts] = self._read_meaning(bytes(packet))
            if len(self._by_pts) > _MAX_WAITING:
                del self._by_pts[next(iter(self._by_pts))]

    def _read_meaning(self, content: bytes | Path) -> _Meaning:
        if isinstance(content, bytes):
            try:
                matrix = exr_matrix(content)
            except InputError as error:
                return _Meaning(problem=f"{error}: they are treated as those of sRGB")
            if matrix is not None:
                return _Meaning(matrix=matrix)
        if self._use == "ignore":
            return _PLAIN
        from livematte.video.color_profile import embedded_profile, parse_profile  # Pillow: pictures only

        icc = embedded_profile(content)
        if icc is None:
            return _PLAIN
        try:
            profile = parse_profile(icc)
        except InputError as error:
            return _Meaning(problem=f"{error}: the colours are treated as sRGB")
        return _Meaning(profile, content=content if profile.space == "CMYK" else None)

    def _meaning(self, frame: VideoFrame) -> _Meaning:
        found = self._by_pts.get(frame.pts, self._whole)
        if found.problem:
            self._note(found.problem)
        if found.profile is not None and found.profile.space == "GRAY" and not _is_grey(frame):
            self._note("the colour profile is one of grey, the picture is coloured: it is treated as sRGB")
            return _PLAIN
        if found.profile is not None and found.profile.space == "CMYK" and not self._is_cmyk(found, frame):
            self._note("the colour profile is one of CMYK, the picture is not: it is treated as sRGB")
            return _PLAIN
        return found

    @staticmethod
    def _is_cmyk(meaning: _Meaning, frame: VideoFrame) -> bool:
        from livematte.video.color_profile import is_cmyk

        return meaning.content is not None and is_cmyk(meaning.content, frame.width, frame.height)

    def describe(self, frame: VideoFrame, format: str, color: ColorInfo) -> tuple[str, ColorInfo]:
        """Return the pixel format and colours of :meth:`convert`, given those of the frame itself."""
        if is_linear(frame):
            return linear_format(frame), SRGB
        profile = self._meaning(frame).profile
        if profile is None:
            return format, color
        if self._keeps(profile):
            return format, replace(color, icc=profile.icc)
        if profile.is_srgb:
            return format, color
        return "gbrap" if profile.space != "CMYK" and has_alpha(frame) else "gbrp", SRGB

    def profile_name(self, frame: VideoFrame) -> str | None:
        """Return the name of the profile of a decoded picture; None if it has none."""
        profile = self._meaning(frame).profile
        return None if profile is None else profile.name

    def _keeps(self, profile: ColorProfile) -> bool:
        return self._use == "keep" and profile.can_be_kept

    def convert(self, frame: VideoFrame, color: ColorInfo) -> VideoFrame:
        """Return ``frame`` in sRGB: itself, unless it is linear or has a profile that is converted.

        Args:
            color: its own colour interpretation.
        """
        meaning = self._meaning(frame)
        profile = meaning.profile
        if is_linear(frame):
            converted, brightest = linear_to_srgb(frame, meaning.matrix)
            if brightest > BRIGHT:
                self._note("light above 1 was cut off: the colours of frames end at white")
        elif profile is None or profile.is_srgb or self._keeps(profile):
            return frame
        else:
            self._note(f"colours were converted from {profile.name} to sRGB")
            if max(component.bits for component in frame.format.components) > 8:
                self._note("their conversion has 8 bits")
            converted = self._to_srgb(frame, color, profile, meaning.content)
        converted.pts, converted.duration = frame.pts, frame.duration
        converted.color_primaries, converted.color_trc = SRGB.primaries, SRGB.transfer
        return converted

    def _to_srgb(
        self, frame: VideoFrame, color: ColorInfo, profile: ColorProfile, content: Any
    ) -> VideoFrame:
        from livematte.video.color_profile import read_cmyk

        if profile.space == "CMYK":
            return VideoFrame.from_ndarray(profile.to_srgb(read_cmyk(content)), format="rgb24")
        name = "rgba" if has_alpha(frame) else "rgb24"
        pixels = self._converter(frame, name, color, as_rgb(color)).to_ndarray()
        colors = pixels[..., :1] if profile.space == "GRAY" else pixels[..., :3]
        rgb = profile.to_srgb(colors)
        return VideoFrame.from_ndarray(
            rgb if name == "rgb24" else np.dstack([rgb, pixels[..., 3]]), format=name
        )


def _is_grey(frame: VideoFrame) -> bool:
    return frame.format.name.startswith(("gray", "ya", "mono"))
