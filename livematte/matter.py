"""Mattes of pictures that a Python program has: camera frames, uploads, arrays in a notebook."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from livematte.device.execution import ExecutionContext
from livematte.errors import UsageError
from livematte.frame import Frame
from livematte.matting.compositor import Compositor
from livematte.matting.frame_matting import FrameMatting, execution_context
from livematte.offline.engine import full_size_matte
from livematte.options import MatterOptions
from livematte.options.declaration import complete, documented
from livematte.picture_matte import OpenBackgrounds, PictureMatte
from livematte.resolve import frame_device, resolve
from livematte.video.pictures import picture_frame
from livematte.video.pixel_limit import limit_pixels

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from livematte.frame import Picture


@documented(MatterOptions)
class Matter:
    """Computes mattes of pictures, one after another. The network is loaded once, when it is created.

    Raises:
        LivematteError: as :func:`livematte.load_model`.
    """

    def __init__(self, **options: Unpack[MatterOptions]) -> None:
        chosen = complete(MatterOptions, options)
        resolved = resolve(chosen)
        self._channels, self._options = chosen["channels"], chosen
        device, _ = frame_device(resolved.compute)
        self._network = resolved.model()
        self._resolved = resolved.with_refiner()
        self._context = execution_context(device)
        self._video, self._running = threading.Lock(), threading.Lock()
        self._opened = OpenBackgrounds()
        self.reset()

    def __call__(self, picture: Picture) -> PictureMatte:
        """Return the matte of the next picture of a video.

        The network and the temporal filter remember the pictures before it. A picture of another scene or
        size starts anew, also without :meth:`reset`. Pictures count as 30 per second.

        Args:
            picture: (height, width, 3) array or tensor, uint8 with 0..255 or float with 0..1, RGB or as
                ``channels`` says; with 4 channels the last is its own alpha. A PIL image, as its pixels are
                stored. The bytes or the path of a picture file, turned upright.

        Raises:
            UsageError: another thread is using this object for a video.
            OptionError: a picture of another type.
            InputError: a picture of another shape, with values out of range, or that cannot be decoded.
            ModelError: the network returns no valid matte.
        """
        if not self._video.acquire(blocking=False):
            raise UsageError(
                "another thread is using this Matter: the pictures of a video come one after another; use "
                "one Matter for each video, or matter.image(picture) for single pictures"
            )
        try:
            with limit_pixels(self._options):
                frame = picture_frame(picture, self._channels, self._count)
            made = self._compute(frame, self._matting, self._compositor, self._opened)
            self._count += 1
        finally:
            self._video.release()
        return made

    def image(self, picture: Picture) -> PictureMatte:
        """Return the matte of a picture that belongs to no video. Any number of threads may call it.

        The memory of a video is neither used nor changed. Arguments and errors as for a call.
        """
        with limit_pixels(self._options):
            frame = picture_frame(picture, self._channels)
        matting = FrameMatting(self._network, keep_small_components=self._resolved.options["keep_islands"])
        return self._compute(frame, matting, self._resolved.compositor(), OpenBackgrounds())

    def reset(self) -> None:
        """Forget the pictures so far: the next one starts a new video."""
        if not self._video.acquire(blocking=False):
            raise UsageError("another thread is using this Matter: call reset between two pictures")
        try:
            self._count = 0
            self._matting = self._resolved.matting(self._network)
            self._compositor = self._resolved.compositor()
            self._opened.close()
        finally:
            self._video.release()

    def _compute(
        self, frame: Frame, matting: FrameMatting, compositor: Compositor, opened: OpenBackgrounds
    ) -> PictureMatte:
        context: ExecutionContext = self._context
        with self._running:  # a network runs one picture at a time
            here, matte = full_size_matte(frame, matting, compositor, context)
        return PictureMatte.from_matte(matte, here, self._channels, opened)
