"""The virtual camera: what other programs see as a webcam (pyvirtualcam)."""

from __future__ import annotations

import contextlib
import sys
from typing import Any

from livematte.errors import MissingExtraError, OutputError, UsageError
from livematte.frame import Frame
from livematte.plugins.virtualcam import loopback, troubles
from livematte.plugins.virtualcam.picture import Packer
from livematte.protocols import LiveFormat

_NATIVE = {"v4l2loopback": "I420", "obs": "NV12" if sys.platform == "win32" else "I420",
           "unitycapture": "I420"}  # fmt: skip
"""What each back-end turns least of; OBS's takes NV12 on Windows and makes UYVY of I420 on macOS."""


def virtualcam(
    format: LiveFormat,
    *,
    device: str | None = None,
    backend: str | None = None,
    pixel_format: str | None = None,
) -> VirtualCamera:
    """Open the virtual camera.

    Args:
        format: what will be sent; opaque.
        device: '/dev/video10' on Linux, a camera's name on Windows; the first free one otherwise.
        backend: 'v4l2loopback' (Linux), 'obs' (Windows, macOS) or 'unitycapture' (Windows); what is there
            otherwise.
        pixel_format: 'I420' or 'NV12'; what the back-end likes best otherwise.

    Raises:
        MissingExtraError: pyvirtualcam is not installed.
        UsageError: transparency, an odd size, or a back-end or pixel format that there is not.
        OutputError: it cannot be opened; the line says what mends it.
    """
    try:
        import pyvirtualcam
        from pyvirtualcam.camera import BACKENDS
    except ImportError as error:
        raise MissingExtraError("the virtual camera", "virtualcam") from error
    if format.alpha:
        raise UsageError("a virtual camera shows no transparency: give a --background, or use another --to")
    if format.width % 2 or format.height % 2:
        raise UsageError(f"a virtual camera is even in size, not {format.width}x{format.height}")
    if backend is not None and backend not in BACKENDS:
        raise UsageError(troubles.unknown_backend(backend, list(BACKENDS)))
    if pixel_format not in (None, "I420", "NV12"):
        raise UsageError(
            f"unknown pixel format {pixel_format!r} of a virtual camera: allowed are I420 and NV12"
        )
    chosen = pixel_format or _NATIVE.get(backend or next(iter(BACKENDS), ""), "I420")
    try:
        camera = pyvirtualcam.Camera(
            width=format.width,
            height=format.height,
            fps=float(format.rate),
            fmt=pyvirtualcam.PixelFormat[chosen],
            device=device,
            backend=backend,
        )
    except Exception as error:  # back-ends raise whatever their system raises
        on_linux = sys.platform.startswith("linux")
        there = loopback.look() if on_linux else None
        raise OutputError(troubles.told(str(error), device, there)) from error
    return VirtualCamera(camera, format, chosen)


class VirtualCamera:
    """Frames shown by a virtual camera (protocols.LiveSink). Made by :func:`virtualcam`.

    Attributes:
        name: 'virtualcam'.
        notes: one line with the device and its pixel format, then what is worth knowing.
        device: what other programs open.
    """

    name = "virtualcam"

    def __init__(self, camera: Any, format: LiveFormat, pixel_format: str) -> None:
        self.device = str(camera.device)
        self._camera = camera
        self._packer = Packer(format.height, format.width, interleaved=pixel_format == "NV12")
        self._openers: loopback.Openers | None = None
        if camera.backend == "v4l2loopback":
            with contextlib.suppress(OSError):
                loopback.begin_stream(self.device)
            self._openers = loopback.Openers(self.device)
        size = f"{format.width}x{format.height} {pixel_format} {float(format.rate):.4g} fps"
        self.notes = self._packer.notes
        self.notes.append(f"virtual camera {self.device} ({camera.backend}): {size}")

    def send(self, frame: Frame) -> None:
        """Show a frame.

        Raises:
            OutputError: the back-end has closed.
        """
        if self._camera is None:
            raise OutputError(f"the virtual camera {self.device} is closed")
        try:
            self._camera.send(self._packer(frame))
        except (RuntimeError, OSError) as error:
            raise OutputError(
                f"the virtual camera {self.device} takes no pictures any more: {error}"
            ) from error

    @property
    def watched(self) -> bool | None:
        """Whether a program has the camera open, on Linux; None elsewhere."""
        return None if self._openers is None else self._openers.any()

    def close(self) -> None:
        """Let go of the camera. Safe twice; never raises."""
        camera, self._camera = self._camera, None
        if camera is not None:
            with contextlib.suppress(Exception):
                camera.close()
