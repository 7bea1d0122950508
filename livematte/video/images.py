"""Pictures out: one file for one frame, or a numbered sequence of PNG as a Sink."""

from __future__ import annotations

import os
import secrets
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
from livematte.video.color import as_rgb
from livematte.video.grey import alpha_of
from livematte.video.landing import Landing, beside, explain
from livematte.video.pixels import Converter, to_video_frame, writable_planes

STILLS = {
    ".png": "png", ".jpg": "mjpeg", ".jpeg": "mjpeg", ".webp": "libwebp", ".bmp": "bmp", ".tif": "tiff",
    ".tiff": "tiff",
}  # fmt: skip
"""File extension to FFmpeg encoder."""

_NO_ALPHA = {"mjpeg", "bmp"}


def write_image(path: str | Path, frame: Frame, *, alpha: bool | None = None) -> None:
    """Write one picture: PNG and TIFF (16 bits where the frame has more than 8), WebP, JPEG, BMP.

    Args:
        path: its extension says which.
        frame: any format; YUV is converted with its own matrix and range.
        alpha: carry straight alpha; None does where both frame and file type have it.

    Raises:
        UsageError: an unknown extension, or alpha asked of JPEG or BMP.
        OutputError: the folder is missing or not writable, or the disk full.
    """
    path = Path(path)
    library = check_image(path, alpha=bool(alpha))
    keep = frame.pixel_format.alpha and library not in _NO_ALPHA if alpha is None else alpha
    grey = frame.pixel_format.gray and library == "png"
    landing = Landing(path)
    try:
        landing.file.write(StillEncoder(library, alpha=keep, grey=grey)(frame))
    except (av.error.FFmpegError, OSError, ValueError) as error:
        landing.discard()
        raise OutputError(explain(landing.file.error or error, path)) from error
    landing.commit()


def check_image(path: Path, *, alpha: bool) -> str:
    """The FFmpeg encoder for a picture of that extension, which can carry ``alpha`` where that is wanted.

    Raises:
        UsageError: an unknown extension, or alpha asked of JPEG or BMP.
    """
    library = STILLS.get(path.suffix.lower())
    if library is None:
        raise UsageError(f"{path}: cannot write {path.suffix or 'no extension'}, only {', '.join(STILLS)}")
    if alpha and library in _NO_ALPHA:
        raise UsageError(
            f"{path}: {path.suffix} has no transparency: write .png, .webp or .tiff, or choose a background"
        )
    return library


class StillEncoder:
    """Frames to the bytes of picture files, each on its own."""

    def __init__(self, library: str, *, alpha: bool, grey: bool = False) -> None:
        self._library, self._alpha, self._grey = library, alpha, grey
        self._converter = Converter()
        self._context: VideoCodecContext | None = None
        self._layout: tuple[int, int, str] | None = None

    def __call__(self, frame: Frame) -> bytes:
        """The whole file for ``frame``."""
        picture = self._grey_picture(frame) if self._grey else self._colours(frame)
        layout = (picture.width, picture.height, picture.format.name)
        if self._context is None or self._layout != layout:
            self._context, self._layout = self._open(picture), layout
        picture.pts, picture.time_base = None, Fraction(1, 25)
        (packet,) = self._context.encode(picture)
        return bytes(packet)

    def _open(self, picture: VideoFrame) -> VideoCodecContext:
        context = CodecContext.create(self._library, "w")
        assert isinstance(context, VideoCodecContext)
        context.width, context.height = picture.width, picture.height
        context.pix_fmt, context.time_base = picture.format.name, Fraction(1, 25)
        context.thread_count = 1  # several would hold pictures back
        if self._library == "mjpeg":
            context.qscale = True
            context.global_quality = 2
            context.color_range = 2
        elif self._library == "libwebp":
            context.options = {"lossless": "1"} if self._alpha else {"quality": "92"}
        elif self._library == "png":
            context.options = {"compression_level": "4"}
        return context

    def _colours(self, frame: Frame) -> VideoFrame:
        picture = to_video_frame(frame, drop_alpha=not self._alpha)
        target = as_rgb(frame.color)
        deep = frame.pixel_format.depth > 8
        if self._library == "mjpeg":
            return self._jpeg(picture, frame)
        if self._library == "libwebp":
            return self._converter(picture, "bgra", frame.color, target)
        if self._library == "bmp":
            return self._converter(picture, "bgr24", frame.color, target)
        order = "be" if self._library == "png" else "le"
        name = {(False, False): "rgb24", (True, False): "rgba", (False, True): f"rgb48{order}",
                (True, True): f"rgba64{order}"}[self._alpha, deep]  # fmt: skip
        return self._converter(picture, name, frame.color, target)

    def _jpeg(self, picture: VideoFrame, frame: Frame) -> VideoFrame:
        # JFIF is always BT.601 at full range; 4:4:4, since a still is looked at closely.
        target = replace(frame.color, matrix="bt601", full_range=True, matrix_tag=5, range_tag=2)
        return self._converter(picture, "yuvj444p", frame.color, target)

    @staticmethod
    def _grey_picture(frame: Frame) -> VideoFrame:
        alpha, _ = alpha_of(frame)
        deep = frame.pixel_format.depth > 8
        out = VideoFrame(frame.width, frame.height, "gray16be" if deep else "gray")
        (plane,) = writable_planes(out, "yuv420p" if not deep else "yuv420p12le")
        if deep:
            full = alpha.astype(np.uint32) * 65535 // frame.pixel_format.maximum
            plane[...] = full.astype(np.uint16).byteswap()
        else:
            np.copyto(plane, alpha)
        return out


class ImageSequenceSink:
    """Numbered PNG files (protocols.Sink), counted from 1; they appear in their folder when all are whole.

    Attributes:
        path: the pattern, ``frames/%06d.png``.
        notes: what could not be kept, and what became of a sequence cut short.
        frames: how many were written.
    """

    def __init__(self, pattern: Path, info: SourceInfo, *, alpha: bool, grey: bool) -> None:
        if pattern.suffix.lower() != ".png":
            raise UsageError(f"{pattern}: numbered pictures are written as .png")
        self.path, self.frames = pattern, 0
        self.notes = ["numbered pictures carry no sound, times or tags"]
        self._alpha, self._done = alpha, False
        self._folder = pattern.parent.resolve()
        if self._folder.exists() and not self._folder.is_dir():
            raise OutputError(f"{self._folder} is not a folder")
        if not self._folder.parent.is_dir():
            raise OutputError(f"folder {self._folder.parent} does not exist: make it first")
        self._making = self._folder.with_name(f"{self._folder.name}.rendering-{secrets.token_hex(2)}")
        try:
            if self._folder.exists() and not os.access(self._folder, os.W_OK):
                raise PermissionError(13, "not writable")
            self._making.mkdir()
        except OSError as error:
            raise OutputError(explain(error, pattern)) from error
        self._encode = StillEncoder("png", alpha=alpha, grey=grey)

    def write(self, frame: Frame) -> None:
        """One more picture.

        Raises:
            OutputError: the disk is full or fails, or alpha is written and the frame has none.
        """
        if self._alpha and not frame.pixel_format.alpha:
            raise OutputError(
                f"{self.path}: a frame without alpha ({frame.format}) came where alpha is written"
            )
        picture = self._making / (self.path.name % (self.frames + 1))
        try:
            picture.write_bytes(self._encode(frame))
        except (av.error.FFmpegError, OSError, ValueError) as error:
            picture.unlink(missing_ok=True)  # half a picture is none
            raise OutputError(explain(error, self.path, self.frames)) from error
        self.frames += 1

    def close(self) -> None:
        """Put the pictures in their folder, over older ones of the same names."""
        if self._done:
            return
        self._done = True
        try:
            if not self._folder.exists():
                self._making.rename(self._folder)
                return
            for picture in sorted(self._making.iterdir()):
                shutil.move(picture, self._folder / picture.name)
            self._making.rmdir()
        except OSError as error:
            raise OutputError(f"{explain(error, self.path)} (pictures are in {self._making})") from error

    def abort(self) -> None:
        """Keep the pictures so far: in their folder if there was none, else in ``<folder>.partial``."""
        if self._done:
            return
        self._done = True
        if self.frames == 0:
            shutil.rmtree(self._making, ignore_errors=True)
            self.notes.append(f"{self.path}: stopped before the first picture; nothing is left")
            return
        kept = self._folder if not self._folder.exists() else beside(self._folder, "partial")
        self._making.rename(kept)
        self.notes.append(f"stopped early: {kept} holds the first {self.frames} pictures")
