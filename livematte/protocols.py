"""Protocols that the engine requires of its parts, with one or two methods each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Protocol, runtime_checkable

from livematte.frame import Array, ColorInfo, Frame, Matte

State = Any
"""State that a model or filter carries from frame to frame. Opaque to all others. None starts a new shot."""


@dataclass(frozen=True)
class SourceInfo:
    """Properties of a source that are known before its first frame."""

    name: str
    height: int
    width: int
    """Width and height after rotation, i.e. of the frames."""
    format: str
    time_base: Fraction
    average_rate: Fraction | None = None
    """Frames per second; None for a single image."""
    frames: int | None = None
    """Expected number of frames (an estimate); None if unknown."""
    seconds: Fraction | None = None
    color: ColorInfo = field(default_factory=ColorInfo)
    sample_aspect: Fraction = Fraction(1)
    details: Mapping[str, Any] = field(default_factory=dict)
    """Codec, container and streams, as printed by ``livematte probe``."""


@runtime_checkable
class Source(Protocol):
    """A source of frames."""

    @property
    def info(self) -> SourceInfo:
        """Properties of the source; available once it is open."""
        ...

    def __iter__(self) -> Iterator[Frame]:
        """Yield frames in presentation order, once. Raises InputError if the source fails permanently."""
        ...

    def close(self) -> None:
        """Release the file or device. Can be called twice and from any thread."""
        ...


@runtime_checkable
class Model(Protocol):
    """A matting model: a network with its preprocessing and postprocessing.

    Entry points in the group ``livematte.models`` are factories of models with the keyword arguments
    ``weights``, ``size``, ``device``, ``runtime``, ``precision``, ``threads``, ``streams`` and ``extras``
    (True adds
    the further maps of the network to each matte). A map named ``trimap`` is passed to the refiner:
    (h, w) float32 with 0 background, 0.5 unknown and 1 foreground, or (3, h, w) with their probabilities.
    """

    def __call__(self, rgb: Array, state: State | None) -> tuple[Matte, State]:
        """Matte one picture. ``state=None`` starts a new shot.

        Args:
            rgb: (h, w, 3) uint8 RGB of the size that :meth:`input_size` returned.
            state: the state returned by the previous call.

        Returns:
            The matte, at the size of ``rgb``, and the next state.
        """
        ...

    def input_size(self, height: int, width: int) -> tuple[int, int]:
        """Return the (height, width) to which a ``height`` x ``width`` frame must be scaled."""
        ...


@runtime_checkable
class GpuModel(Model, Protocol):
    """A model that may accept CuPy arrays on a GPU. Other models get NumPy arrays."""

    takes_gpu_arrays: bool


class PendingMatte(Protocol):
    """A matte that is being computed."""

    def result(self) -> Matte:
        """Wait for the matte and return it. Call this once only."""
        ...


@runtime_checkable
class AsyncModel(Model, Protocol):
    """A model without state that processes several pictures concurrently."""

    @property
    def in_flight(self) -> int:
        """Number of pictures to keep in flight for full speed."""
        ...

    def submit(self, rgb: Array) -> PendingMatte:
        """Start a picture and return immediately. Results must be fetched in submission order."""
        ...


@runtime_checkable
class TrimapModel(Protocol):
    """A network that computes a matte from a picture and a trimap. ``--refine`` runs it on uncertain regions.

    Entry points in the group ``livematte.refiners`` are factories of such models. They accept the
    keyword arguments of a model factory that apply: ``device``, ``runtime``, ``precision``, ``threads``,
    ``weights``. A model with test-time augmentation also has the keyword ``augment``, False by default.
    """

    stride: int
    """Height and width of pictures must be multiples of this."""

    def refine(self, rgb: Array, trimap: Array) -> Matte:
        """Matte one picture or crop, without temporal state. Called from one thread.

        Args:
            rgb: (h, w, 3) uint8 RGB, h and w multiples of :attr:`stride`.
            trimap: (h, w) uint8, 0 background, 128 unknown, 255 foreground.

        Returns:
            alpha: (h, w) float32 in [0, 1]. The caller blends it with the alpha of the first network, with a
                weight that grows with uncertainty; if the user drew the trimap, it is used without blending.
                A network that must not change known trimap pixels returns exactly 0 and 1 there.
            foreground: (h, w, 3) float32 straight RGB in [0, 1], or None. Used where alpha is neither 0 nor
                1.
        """
        ...


@runtime_checkable
class GpuTrimapModel(TrimapModel, Protocol):
    """A refiner that may accept ``rgb`` as a CuPy array on a GPU and then returns its matte there.

    Other refiners get NumPy arrays. The trimap is always a NumPy array.
    """

    takes_gpu_arrays: bool


@runtime_checkable
class Background(Protocol):
    """A background that is composited behind the people."""

    transparent: bool
    """True if there is no background picture: the output carries alpha."""

    def __call__(self, frame: Frame, alpha: Array) -> Frame:
        """Return the background for ``frame``: same size, format and colour. The caller must not modify it.

        Args:
            frame: the frame it is composited with.
            alpha: (h, w) float32 alpha of ``frame`` at network size, for backgrounds computed from the
                picture.
        """
        ...

    def close(self) -> None:
        """Release the files that it reads."""
        ...


@runtime_checkable
class Sink(Protocol):
    """A destination of frames."""

    def write(self, frame: Frame) -> None:
        """Write the next frame, in pts order. The frame is borrowed. Raises OutputError on failure."""
        ...

    def close(self) -> None:
        """Finish the output. Exactly one of ``close`` and ``abort`` is called, once."""
        ...

    def abort(self) -> None:
        """Finish after an error or an interruption: keep the playable part. Never raises."""
        ...


@runtime_checkable
class GpuSink(Sink, Protocol):
    """A sink that may accept frames with CuPy planes on a GPU. Other sinks get NumPy planes.

    All GPU work on a frame is complete before the frame is passed to the sink.
    """

    @property
    def takes_gpu_frames(self) -> bool:
        """True if frames may be on the GPU. Known once the sink is open."""
        ...


@dataclass(frozen=True)
class LiveFormat:
    """Format of the frames that a live output receives.

    Attributes:
        width, height: of every frame, both even.
        rate: frames per second; kept constant by repeating and skipping frames.
        alpha: if True, frames are ``yuva420p`` with straight colour; otherwise opaque ``yuv420p`` or
            ``nv12``, which may change between frames. Always 8 bits. Matrix and range are in ``Frame.color``
            and may change too.
    """

    width: int
    height: int
    rate: Fraction
    alpha: bool = False


@runtime_checkable
class LiveSink(Protocol):
    """A destination of live frames: a virtual camera, a mixer, a window.

    Entry points in the group ``livematte.sinks`` are factories of live sinks: ``factory(format: LiveFormat,
    **options)``. They raise OutputError or UsageError with the command that fixes the problem. A factory
    whose attribute ``wants_alpha`` is true gets a transparent background by default. A sink may have a
    property ``wanted_background``: the background, as text, that its program asks for at present, or None for
    that of the session. It must be cheap: polled several times per second.
    """

    name: str
    notes: list[str]
    """Messages for the user, one line each. May grow."""

    def send(self, frame: Frame) -> None:
        """Show a frame immediately. Called from one thread, at the frame rate of the format.

        The frame is borrowed, but its planes are never modified later. ``pts`` counts output frames from 0 in
        ``time_base`` 1 / rate; skipped frames leave gaps. If there is no newer picture, the same planes are
        sent again. Must not block longer than one frame interval.

        Raises:
            OutputError: the output failed permanently. If it may come back, wait for it without an error.
        """
        ...

    @property
    def watched(self) -> bool | None:
        """True if anybody is watching; None if unknown. Must be cheap: polled several times per second."""
        ...

    def close(self) -> None:
        """Release the output. Can be called twice and after an error. Never raises."""
        ...


@dataclass(frozen=True)
class Finding:
    """Result of one check of ``livematte doctor``.

    Entry points in the group ``livematte.checks`` are functions without parameters that return a list of
    findings. A check modifies nothing, takes a few seconds at most and reveals no password.

    Attributes:
        name: subject of the check, a few words: 'exclusive_caps'.
        good: True if it works, False if it must be fixed, None for information or if it is not required.
        what: the result, one line.
        fix: the action, one line with the exact command; empty if nothing has to be done.
        group: heading under which it is shown.
    """

    name: str
    good: bool | None
    what: str
    fix: str = ""
    group: str = ""
