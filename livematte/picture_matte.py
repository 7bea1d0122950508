"""The matte of a whole picture, as Python programs get it."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from dataclasses import KW_ONLY, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import cv2
import numpy as np

from livematte.frame import Channels, Frame, Matte
from livematte.kernels.convert import to_rgb
from livematte.kernels.resize import resize
from livematte.matting.background_choice import resolve_background
from livematte.matting.contracts import background_frame
from livematte.options import FitOption
from livematte.options.declaration import complete
from livematte.options.values import path_text
from livematte.protocols import Background

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from typing_extensions import Unpack

    from livematte.frame import Picture

    Backdrop: TypeAlias = Picture | tuple[int, int, int] | Background
    """A background: text as for ``--background``, a file, a colour (red, green, blue) of 0..255, a picture
    (array, PIL image, tensor) or an object with the methods of :class:`livematte.protocols.Background`."""

_SMALL = 256
"""Long side of the alpha that a blurred background gets; as large as a network's."""


@dataclass(frozen=True, repr=False)
class PictureMatte(Matte):
    """A :class:`Matte` at the size of its picture, with the picture, so that it can be put on backgrounds.

    Attributes:
        alpha: (height, width) float32 in [0, 1].
        foreground: (height, width, 3) float32 in [0, 1], the straight colours of the people, without the
            light of the old background; 0 where alpha is 0. RGB, or BGR where that was asked for.
        frame: the picture as a frame.
        channels: order of the channels of all pictures that this object returns.
    """

    _: KW_ONLY
    alpha: NDArray[np.float32]
    foreground: NDArray[np.float32]
    frame: Frame
    channels: Channels = "rgb"
    opened: OpenBackgrounds = field(default_factory=lambda: OpenBackgrounds(), compare=False)
    """The backgrounds that mattes of one video share."""

    @classmethod
    def from_matte(
        cls, matte: Matte, frame: Frame, channels: Channels = "rgb", opened: OpenBackgrounds | None = None
    ) -> PictureMatte:
        """Return the matte of ``frame`` (at its size, foreground RGB) with ``frame``."""
        assert matte.foreground is not None
        colors = matte.foreground if channels == "rgb" else matte.foreground[..., ::-1]
        return cls(
            alpha=matte.alpha,
            foreground=colors,
            extras=matte.extras,
            frame=frame,
            channels=channels,
            opened=OpenBackgrounds() if opened is None else opened,
        )

    @property
    def picture(self) -> NDArray[np.uint8]:
        """The picture itself, (height, width, 3) uint8."""
        return self._ordered(to_rgb(self.frame))

    def over(self, background: Backdrop, **options: Unpack[FitOption]) -> NDArray[np.uint8]:
        """Return the people in front of another background: (height, width, 3) uint8.

        Args:
            background: text as for ``--background`` (a colour, a file, ``blur``), a path, a colour (red,
                green, blue) of 0..255, a picture, or a :class:`livematte.protocols.Background`. A picture as
                an array has the order of channels of this matte. A video shows its frame at the time of
                this picture.
            **options: ``fit``, for a background of another size: ``cover`` fills and crops, ``contain``
                shows the whole with bars, ``stretch`` changes the aspect ratio.

        Raises:
            UsageError: not a background.
            InputError: a file that cannot be read.
        """
        fit = complete(FitOption, options)["fit"]
        with self.opened.lock:
            found = self.opened.get(background, fit, self.channels)
            if found.transparent:
                behind = np.zeros((*self.frame.size, 3), np.uint8)
            else:
                scale = min(1.0, _SMALL / max(self.frame.size))
                small = resize(self.alpha, *(max(1, round(n * scale)) for n in self.frame.size))
                behind = to_rgb(background_frame(found, self.frame, small))
        alpha = self.alpha[..., None]
        mixed = alpha * (self.foreground * 255) + (1 - alpha) * self._ordered(behind)
        return np.rint(mixed).astype(np.uint8)

    def cutout(self) -> NDArray[np.uint8]:
        """Return the people with transparency: (height, width, 4) uint8, straight RGBA (or BGRA)."""
        colors = np.rint(self.foreground * 255).astype(np.uint8)
        return np.dstack([colors, np.rint(self.alpha * 255).astype(np.uint8)])

    def _ordered(self, rgb: Any) -> NDArray[np.uint8]:
        return rgb if self.channels == "rgb" else np.ascontiguousarray(rgb[..., ::-1])

    def _repr_png_(self) -> bytes:
        """The cut-out as a PNG file, which Jupyter shows inline."""
        bgra = self.cutout() if self.channels == "bgr" else cv2.cvtColor(self.cutout(), cv2.COLOR_RGBA2BGRA)
        _, data = cv2.imencode(".png", bgra)
        return data.tobytes()


class OpenBackgrounds:
    """Backgrounds that stay open while the pictures of one video come. Use it with :attr:`lock` held."""

    CAPACITY = 4

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self._files: OrderedDict[tuple[Any, ...], Background] = OrderedDict()

    def get(self, spec: Any, fit: str, channels: Channels) -> Background:
        """Return the background that ``spec`` names, opened now or earlier. Raises as :meth:`over`."""
        if not isinstance(spec, (str, os.PathLike)):
            return resolve_background(spec, fit, channels)
        key = (path_text("background", spec), isinstance(spec, str), fit, *_version(spec))
        if key not in self._files:
            self._files[key] = resolve_background(spec, fit)
            while len(self._files) > self.CAPACITY:
                self._files.popitem(last=False)[1].close()
        self._files.move_to_end(key)
        return self._files[key]

    def close(self) -> None:
        """Close all of them."""
        with self.lock:
            while self._files:
                self._files.popitem()[1].close()


def _version(path: str | os.PathLike[str]) -> tuple[int, ...]:
    try:
        found = Path(path).stat()
    except (OSError, ValueError):
        return ()
    return found.st_mtime_ns, found.st_size
