"""Opens and checks the parts of a live session."""

from __future__ import annotations

import os
from fractions import Fraction
from typing import Any

from livematte.clock import Clock
from livematte.errors import InputError, UsageError
from livematte.matting.background_choice import resolve_background
from livematte.matting.backgrounds import STRONGEST_BLUR, WEAKEST_LIVE_BLUR, Blur, is_blur
from livematte.options import DEFAULT_BACKGROUND, LiveOptions, PathLike
from livematte.protocols import Background, LiveFormat, Source
from livematte.video.camera import list_cameras, open_camera, open_file_camera
from livematte.video.camera_devices import find_camera
from livematte.video.file_camera import is_url
from livematte.video.pixel_limit import limit_pixels


def open_placeholder(spec: PathLike | Background, fit: str, format: LiveFormat) -> Background:
    """Open the placeholder. Raises UsageError with a message that begins with ``placeholder``."""
    try:
        placeholder = resolve_background(spec, fit)
    except UsageError as error:
        raise UsageError(f"placeholder: {error}") from error
    if placeholder.transparent and not format.alpha:
        raise UsageError("placeholder transparent: the output has no transparency; use a colour or a picture")
    return placeholder


def open_live_background(spec: PathLike | Background, fit: str) -> Background:
    """Open the background. Raises UsageError, also for a blur so weak that the room would be recognisable."""
    background = resolve_background(spec, fit)
    if isinstance(background, Blur) and background.strength < WEAKEST_LIVE_BLUR:
        background.close()
        raise UsageError(
            f"blur {background.strength:g} would show the room: use {WEAKEST_LIVE_BLUR:g} to "
            f"{STRONGEST_BLUR:g}"
        )
    return background


def live_format(width: int, height: int, rate: Fraction | float) -> LiveFormat:
    """Check the output format. Raises UsageError."""
    if width % 2 or height % 2 or not (64 <= width <= 7680 and 64 <= height <= 4320):
        raise UsageError(f"resolution {width}x{height} is invalid: use even numbers, 64x64 to 7680x4320")
    return LiveFormat(width, height, Fraction(rate).limit_denominator(1001))


class BackgroundOpener:
    """Opens the backgrounds of a session, fitted into the picture as its options say.

    Attributes:
        spec: the background as it was given: a colour, a file, ``blur:N`` ...
    """

    def __init__(self, options: LiveOptions, *, transparent: bool) -> None:
        """Take the options; ``transparent`` says whether the default background is."""
        self._options = options
        default = "transparent" if transparent else DEFAULT_BACKGROUND
        given = options["background"]
        self.spec: PathLike | Background = default if given is None else given

    def __call__(self, spec: PathLike | Background) -> Background:
        """Open a background. Raises as :func:`open_live_background`."""
        with limit_pixels(self._options):
            return open_live_background(spec, self._options["fit"])

    def placeholder(self, format: LiveFormat) -> Background | None:
        """Open the placeholder, if the options name one. Raises as :func:`open_placeholder`."""
        spec = self._options["placeholder"]
        with limit_pixels(self._options):
            return None if spec is None else open_placeholder(spec, self._options["fit"], format)

    @property
    def blur(self) -> float | None:
        """Standard deviation of the blur in pixels for a height of 720; None for other backgrounds."""
        spec = resolve_background(self.spec, self._options["fit"]) if is_blur(self.spec) else self.spec
        return spec.strength if isinstance(spec, Blur) else None


class SourceOpener:
    """Opens the camera of a session, or the file that replaces it; may be called repeatedly."""

    def __init__(self, options: LiveOptions, format: LiveFormat, clock: Clock | None) -> None:
        """Take the options. Raises UsageError if they name both a camera and a file."""
        if options["camera"] is not None and options["input"] is not None:
            raise UsageError("--camera and --input are two sources: use only one")
        self._options, self._format, self._clock = options, format, clock
        self._camera = options["camera"] or "auto"

    @property
    def given(self) -> str | None:
        """The camera as it was given; None for the first one, and if a file replaces it."""
        return self._options["camera"]

    def with_camera(self, camera: str | None) -> SourceOpener:
        """Return an opener for a camera; this one if it opens that already."""
        if self._options["input"] is None and camera == self._options["camera"]:
            return self
        options: Any = {**self._options, "camera": camera, "input": None}
        return SourceOpener(options, self._format, self._clock)

    def __call__(self) -> Source:
        """Open the source. Raises InputError if it is not available."""
        if (file := self._options["input"]) is not None:
            with limit_pixels(self._options):
                return open_file_camera(os.fspath(file), self._clock)
        opened = open_camera(
            self._camera,
            size=(self._format.height, self._format.width),
            rate=self._format.rate,
            pixel_format=self._options["pixel_format"],
            clock=self._clock,
        )
        self._camera = opened.camera.id  # after unplugging, wait for this camera, not one of the same name
        return opened

    def missing_note(self) -> str | None:
        """Return a note if the camera is missing; it may be connected later. Raises InputError for a file."""
        if (file := self._options["input"]) is not None:
            if not is_url(os.fspath(file)):
                with limit_pixels(self._options):
                    open_file_camera(os.fspath(file)).close()
            return None
        try:
            find_camera(self._camera, list_cameras())
        except InputError as error:
            return f"waiting for the camera: {error}"
        return None
