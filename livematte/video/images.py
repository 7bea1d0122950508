"""Write still images: one file for one frame, or numbered pictures as a Sink."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av.error
import numpy as np
from av.codec.context import CodecContext
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame

from livematte.errors import OutputError, UsageError
from livematte.frame import Frame
from livematte.protocols import SourceInfo
from livematte.sudden_end import before_sudden_end
from livematte.video.alpha_video import extract_alpha
from livematte.video.atomic_file import (
    AtomicFile,
    describe_write_error,
    replace_file,
    sibling_path,
    temporary_path,
)
from livematte.video.color import as_rgb
from livematte.video.container import exists
from livematte.video.embed_profile import can_hold_profile, embed_profile
from livematte.video.encoders import CONTAINERS
from livematte.video.linear_light import linear_picture
from livematte.video.picture_sequence import (
    PATTERN,
    find_sequence,
    is_sequence,
    numbered_files,
    printf_pattern,
)
from livematte.video.pixels import Converter, to_video_frame, view_planes, writable_planes
from livematte.video.written_files import record_written

STILLS = {
    ".png": "png", ".jpg": "mjpeg", ".jpeg": "mjpeg", ".webp": "libwebp", ".bmp": "bmp", ".tif": "tiff",
    ".tiff": "tiff", ".exr": "exr",
}  # fmt: skip
"""FFmpeg encoder by file extension."""

_NO_ALPHA = {"mjpeg", "bmp"}


def is_numbered(path: Path) -> bool:
    """True where an output is numbered pictures, not a video or a file that has exactly this name."""
    return (
        bool(PATTERN.search(printf_pattern(path).name))
        and path.suffix.lower() not in CONTAINERS
        and not exists(path)
    )


def write_image(path: str | Path, frame: Frame, *, alpha: bool | None = None) -> None:
    """Write one picture: PNG and TIFF (16 bits if the frame has more than 8), WebP, JPEG, BMP, or OpenEXR in
    half floats (linear light, multiplied by alpha).

    Args:
        path: its extension selects the format.
        frame: any pixel format; YUV is converted with its own matrix and range. A profile in its
            ``color.icc`` is embedded; BMP and OpenEXR cannot hold one.
        alpha: True to write straight alpha; None writes it if both the frame and the file format have it.

    Raises:
        UsageError: the extension is unknown, or ``alpha`` is True for JPEG or BMP.
        OutputError: the folder is missing or not writable, or the disk is full.
    """
    path = Path(path)
    library = check_image(path, alpha=bool(alpha))
    keep = frame.pixel_format.alpha and library not in _NO_ALPHA if alpha is None else alpha
    grey = frame.pixel_format.gray and library == "png"
    file = AtomicFile(path)
    try:
        file.file.write(StillEncoder(library, alpha=keep, grey=grey)(frame))
    except (av.error.FFmpegError, OSError, ValueError) as error:
        file.discard()
        raise OutputError(describe_write_error(file.file.error or error, path)) from error
    file.commit()


def can_keep_profile(path: str | Path) -> bool:
    """Return True if pictures with the extension of ``path`` can hold an ICC profile."""
    return can_hold_profile(STILLS.get(Path(path).suffix.lower(), ""))


def check_image(path: Path, *, alpha: bool) -> str:
    """Return the FFmpeg encoder for the extension of ``path`` and check that it supports ``alpha``.

    Raises:
        UsageError: the extension is unknown, or ``alpha`` is True for JPEG or BMP.
    """
    library = STILLS.get(path.suffix.lower())
    if library is None:
        raise UsageError(f"{path}: unsupported extension {path.suffix!r}: use {', '.join(STILLS)}")
    if alpha and library in _NO_ALPHA:
        raise UsageError(
            f"{path}: {path.suffix} does not support alpha: use .png, .webp, .tiff or .exr, or choose"
            " a background"
        )
    return library


class StillEncoder:
    """Encodes frames to complete image files, each independently."""

    def __init__(self, library: str, *, alpha: bool, grey: bool = False) -> None:
        self._library, self._alpha, self._grey = library, alpha, grey
        self._converter = Converter()
        self._context: VideoCodecContext | None = None
        self._layout: tuple[int, int, str, Fraction] | None = None

    def __call__(self, frame: Frame) -> bytes:
        """Return the complete image file of ``frame``."""
        if self._grey and self._library != "png":
            frame = _grey_frame(frame)
        if self._library == "exr":
            picture = self._linear_picture(frame)
        else:
            grey = self._grey and self._library == "png"
            picture = self._grey_picture(frame) if grey else self._color_picture(frame)
        layout = (picture.width, picture.height, picture.format.name, frame.sample_aspect)
        if self._context is None or self._layout != layout:
            self._context, self._layout = self._open(picture, frame.sample_aspect), layout
        picture.pts, picture.time_base = None, Fraction(1, 25)
        (packet,) = self._context.encode(picture)
        encoded, icc = bytes(packet), frame.color.icc
        return embed_profile(self._library, encoded, icc) if icc and not frame.pixel_format.gray else encoded

    def _open(self, picture: VideoFrame, aspect: Fraction) -> VideoCodecContext:
        context = CodecContext.create(self._library, "w")
        assert isinstance(context, VideoCodecContext)
        context.width, context.height = picture.width, picture.height
        context.pix_fmt, context.time_base = picture.format.name, Fraction(1, 25)
        context.sample_aspect_ratio = aspect
        context.thread_count = 1  # several threads would delay pictures
        if self._library == "mjpeg":
            context.qscale = True
            context.global_quality = 2
            context.color_range = 2
        elif self._library == "libwebp":
            context.options = {"lossless": "1"} if self._alpha else {"quality": "92"}
        elif self._library == "png":
            context.options = {"compression_level": "4"}
        elif self._library == "exr":
            context.options = {"compression": "zip16", "format": "half"}
        return context

    def _color_picture(self, frame: Frame) -> VideoFrame:
        picture = to_video_frame(frame, drop_alpha=not self._alpha)
        target = as_rgb(frame.color)
        deep = frame.pixel_format.depth > 8
        if self._library == "mjpeg":
            return self._jpeg_picture(picture, frame)
        if self._library == "libwebp":
            return self._converter(picture, "bgra", frame.color, target)
        if self._library == "bmp":
            return self._converter(picture, "bgr24", frame.color, target)
        order = "be" if self._library == "png" else "le"
        name = {(False, False): "rgb24", (True, False): "rgba", (False, True): f"rgb48{order}",
                (True, True): f"rgba64{order}"}[self._alpha, deep]  # fmt: skip
        return self._converter(picture, name, frame.color, target)

    def _jpeg_picture(self, picture: VideoFrame, frame: Frame) -> VideoFrame:
        # JFIF is always BT.601 at full range; 4:4:4, because still pictures are viewed closely.
        target = replace(frame.color, matrix="bt601", full_range=True, matrix_tag=5, range_tag=2)
        return self._converter(picture, "yuvj444p", frame.color, target)

    def _linear_picture(self, frame: Frame) -> VideoFrame:
        if frame.pixel_format.gray:
            return linear_picture(frame, None)
        opacity = None
        if self._alpha:  # from the frame: swscale reduces alpha to 8 bits
            opacity = frame.planes[3].astype(np.float32) / np.float32(frame.pixel_format.maximum)
        picture, target = to_video_frame(frame, drop_alpha=True), as_rgb(frame.color)
        name = picture.format.name
        if not frame.pixel_format.rgb:  # 12 bits also of 8-bit YUV, whose chroma is interpolated
            name = "gbrp12le"
            picture = self._converter(picture, name, frame.color, target)
        rgb = Frame(view_planes(picture, name), name, frame.pts, frame.time_base, color=target)
        return linear_picture(rgb, opacity)

    @staticmethod
    def _grey_picture(frame: Frame) -> VideoFrame:
        alpha, _ = extract_alpha(frame)
        deep = frame.pixel_format.depth > 8
        out = VideoFrame(frame.width, frame.height, "gray16be" if deep else "gray")
        (plane,) = writable_planes(out, "yuv420p" if not deep else "yuv420p12le")
        if deep:
            full = alpha.astype(np.uint32) * 65535 // frame.pixel_format.maximum
            plane[...] = full.astype(np.uint16).byteswap()
        else:
            np.copyto(plane, alpha)
        return out


def _grey_frame(frame: Frame) -> Frame:
    """Return alpha as a frame of one plane."""
    alpha, full = extract_alpha(frame)
    depth = frame.pixel_format.depth
    name = "gray" if depth == 8 else f"gray{depth}le"
    color = replace(frame.color, matrix="bt709", full_range=full, matrix_tag=1, range_tag=2 if full else 1)
    return replace(frame, planes=(alpha,), format=name, color=color)


class ImageSequenceSink:
    """Numbered pictures (protocols.Sink), which appear in their folder when all are complete.

    They have the numbers of a sequence that is read, else they are counted from 1. Pictures of an older
    sequence under the same pattern that are not replaced are moved away.

    Attributes:
        path: the pattern, e.g. ``frames/%06d.png``.
        notes: lost properties, the location of older pictures, and of an incomplete sequence.
        frames: number of frames written.
    """

    def __init__(self, pattern: Path, info: SourceInfo, *, alpha: bool, grey: bool) -> None:
        pattern = printf_pattern(pattern)
        if pattern.suffix.lower() not in STILLS:
            raise UsageError(f"{pattern}: numbered pictures can be {', '.join(STILLS)}")
        library = check_image(pattern, alpha=alpha)
        try:
            assert pattern.name % 1
        except (TypeError, ValueError):
            raise UsageError(f"{pattern}: use one pattern such as %04d, and %% for a percent sign") from None
        self.path, self.frames = pattern, 0
        self.notes = ["numbered pictures have no audio, times or tags"]
        if (aspect := info.sample_aspect) != 1:
            self.notes.append(
                f"numbered pictures have pixels of {aspect.numerator}:{aspect.denominator}, as the source: "
                "the PNG files say so, but many picture viewers show them as square"
            )
        self._alpha, self._done = alpha, False
        self._first = info.details.get("first_number")
        self._writing: Path | None = None
        """The picture that is perhaps not complete."""
        self._folder = pattern.parent.resolve()
        if self._folder.exists() and not self._folder.is_dir():
            raise OutputError(f"{self._folder} is not a folder")
        if not self._folder.parent.is_dir():
            raise OutputError(f"folder {self._folder.parent} does not exist: create it first")
        self._check_source(info.details.get("path"))
        self._temporary = temporary_path(self._folder)
        try:
            if self._folder.exists() and not os.access(self._folder, os.W_OK):
                raise PermissionError(13, "not writable")
            self._temporary.mkdir()
        except OSError as error:
            raise OutputError(describe_write_error(error, pattern)) from error
        self._encode = StillEncoder(library, alpha=alpha, grey=grey)
        self._forget = before_sudden_end(self._put_away)

    def _put_away(self) -> None:
        if self._writing is not None:
            self._writing.unlink(missing_ok=True)
        self.abort()

    def write(self, frame: Frame) -> None:
        """Write one picture.

        Raises:
            OutputError: the disk is full or fails, or alpha is required and the frame has none.
        """
        if self._alpha and not frame.pixel_format.alpha:
            raise OutputError(
                f"{self.path}: the frame has no alpha (pixel format {frame.format}), but alpha is required"
            )
        number = self.frames + 1 if self._first is None else self._first + frame.pts
        self._writing = picture = self._temporary / (self.path.name % number)
        try:
            picture.write_bytes(self._encode(frame))
        except (av.error.FFmpegError, OSError, ValueError) as error:
            picture.unlink(missing_ok=True)  # do not keep an incomplete picture
            raise OutputError(describe_write_error(error, self.path, self.frames)) from error
        self.frames += 1
        self._writing = None

    def close(self) -> None:
        """Move the pictures to their folder. Files with the same names are replaced."""
        if self._done:
            return
        self._done = True
        self._forget()
        try:
            if not self._folder.exists():
                self._temporary.rename(self._folder)
                record_written(self.path, numbered_files(self.path))
                return
            self._move_older({picture.name for picture in self._temporary.iterdir()})
            for picture in sorted(self._temporary.iterdir()):
                replace_file(picture, self._folder / picture.name)
            self._temporary.rmdir()
            record_written(self.path, numbered_files(self.path))
        except OSError as error:
            raise OutputError(
                f"{describe_write_error(error, self.path)} (the pictures are in {self._temporary})"
            ) from error

    def _check_source(self, source: str | None) -> None:
        """Raise UsageError if the source is pictures in the same folder that this sequence would replace."""
        if source is None or not is_sequence(source):
            return
        inputs = {file.resolve() for file in find_sequence(source).files}
        if any(file.resolve() in inputs for file in numbered_files(self.path)):
            raise UsageError(f"{self.path} is also the input: give the output another name or folder")

    def _move_older(self, replaced: set[str]) -> None:
        """Move pictures with other numbers out of the folder, so that two sequences are not mixed."""
        older = [file for file in numbered_files(self.path) if file.name not in replaced]
        if not older:
            return
        folder = sibling_path(self._folder, "older")
        folder.mkdir()
        for file in older:
            file.rename(folder / file.name)
        what = "1 picture" if len(older) == 1 else f"{len(older)} pictures"
        self.notes.append(f"{what} of an older sequence {self.path} had other numbers: moved to {folder}")

    def abort(self) -> None:
        """Keep the pictures so far: in their folder if it did not exist, else in ``<folder>.partial``."""
        if self._done:
            return
        self._done = True
        self._forget()
        if self.frames == 0:
            shutil.rmtree(self._temporary, ignore_errors=True)
            self.notes.append(f"{self.path}: stopped before the first picture; no file was kept")
            return
        folder = self._folder if not self._folder.exists() else sibling_path(self._folder, "partial")
        self._temporary.rename(folder)
        self.notes.append(f"stopped early: {folder} holds the first {self.frames} pictures")
