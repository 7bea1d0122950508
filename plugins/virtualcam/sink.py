"""The sink ``virtualcam``: a virtual camera that other programs list as a webcam (pyvirtualcam)."""

from __future__ import annotations

import contextlib
import sys
from typing import Any

from livematte.errors import MissingExtraError, OutputError, UsageError
from livematte.frame import Frame
from livematte.plugins.virtualcam import error_messages, loopback
from livematte.plugins.virtualcam.picture import Packer
from livematte.protocols import LiveFormat

_PREFERRED_FORMAT = {"v4l2loopback": "I420", "obs": "NV12" if sys.platform == "win32" else "I420",
           "unitycapture": "I420"}  # fmt: skip
"""Pixel format with the least conversion. OBS uses NV12 on Windows, and converts I420 to UYVY on macOS."""


def virtualcam(
    format: LiveFormat,
    *,
    device: str | None = None,
    backend: str | None = None,
    pixel_format: str | None = None,
) -> VirtualCamera:
    """Open the virtual camera.

    Args:
        format: format of the frames, without alpha.
        device: '/dev/video10' on Linux, the name of a camera on Windows. None: the first free one.
        backend: 'v4l2loopback' (Linux), 'obs' (Windows, macOS) or 'unitycapture' (Windows). None: the
            first that works.
        pixel_format: 'I420' or 'NV12'. None: the best for the back-end.

    Raises:
        MissingExtraError: pyvirtualcam is not installed.
        UsageError: the format has alpha or an odd size, or the back-end or pixel format is unknown.
        OutputError: the camera cannot be opened; the message says how to fix it.
    """
    try:
        import pyvirtualcam
        from pyvirtualcam.camera import BACKENDS
    except ImportError as error:
        raise MissingExtraError("the virtual camera", "virtualcam") from error
    if format.alpha:
        raise UsageError(
            "a virtual camera has no transparency: use another --background, or another sink (--to)"
        )
    if format.width % 2 or format.height % 2:
        raise UsageError(
            f"size {format.width}x{format.height} is invalid for a virtual camera: use even numbers"
        )
    if backend is not None and backend not in BACKENDS:
        raise UsageError(error_messages.unknown_backend(backend, list(BACKENDS)))
    if pixel_format not in (None, "I420", "NV12"):
        raise UsageError(f"unknown pixel format {pixel_format!r} of a virtual camera: use I420 or NV12")
    chosen = pixel_format or _PREFERRED_FORMAT.get(backend or next(iter(BACKENDS), ""), "I420")
    try:
        camera = pyvirtualcam.Camera(
            width=format.width,
            height=format.height,
            fps=float(format.rate),
            fmt=pyvirtualcam.PixelFormat[chosen],
            device=device,
            backend=backend,
        )
    except Exception as error:  # back-ends raise errors of many types
        on_linux = sys.platform.startswith("linux")
        status = loopback.read_status() if on_linux else None
        raise OutputError(error_messages.translate_error(str(error), device, status)) from error
    return VirtualCamera(camera, format, chosen)


class VirtualCamera:
    """A virtual camera (protocols.LiveSink). Created by :func:`virtualcam`.

    Attributes:
        name: 'virtualcam'.
        notes: one line with the device and its pixel format, and one for each slow conversion.
        device: the device that other programs open.
    """

    name = "virtualcam"

    def __init__(self, camera: Any, format: LiveFormat, pixel_format: str) -> None:
        self.device = str(camera.device)
        self._camera = camera
        self._packer = Packer(format.height, format.width, interleaved=pixel_format == "NV12")
        self._viewers: loopback.ViewerDetector | None = None
        if camera.backend == "v4l2loopback":
            with contextlib.suppress(OSError):
                loopback.start_streaming(self.device)
            self._viewers = loopback.ViewerDetector(self.device)
        size = f"{format.width}x{format.height} {pixel_format} {float(format.rate):.4g} fps"
        self.notes = self._packer.notes
        self.notes.append(f"virtual camera {self.device} ({camera.backend}): {size}")

    def send(self, frame: Frame) -> None:
        """Show a frame.

        Raises:
            OutputError: the camera is closed, or the back-end failed.
        """
        if self._camera is None:
            raise OutputError(f"the virtual camera {self.device} is closed")
        try:
            self._camera.send(self._packer(frame))
        except (RuntimeError, OSError) as error:
            raise OutputError(
                f"the virtual camera {self.device} no longer accepts pictures: {error}; restart livematte"
            ) from error

    @property
    def watched(self) -> bool | None:
        """True if another program has the camera open; None if unknown, such as outside Linux."""
        return None if self._viewers is None else self._viewers.is_open()

    def close(self) -> None:
        """Close the camera. May be called twice; never raises."""
        camera, self._camera = self._camera, None
        if camera is not None:
            with contextlib.suppress(Exception):
                camera.close()
