"""What the engine needs of its parts: one or two methods each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Protocol, runtime_checkable

from livematte.frame import Array, ColorInfo, Frame, Matte

State = Any
"""What a model or filter carries from frame to frame; opaque to everyone else. None starts a new shot."""


@dataclass(frozen=True)
class SourceInfo:
    """What a source knows of itself before its first frame."""

    name: str
    height: int
    width: int
    """Size after rotation: the size of the frames."""
    format: str
    time_base: Fraction
    average_rate: Fraction | None = None
    """Frames a second; None where it means nothing (a single image)."""
    frames: int | None = None
    """How many frames are expected; an estimate, None where unknown."""
    seconds: Fraction | None = None
    color: ColorInfo = field(default_factory=ColorInfo)
    sample_aspect: Fraction = Fraction(1)
    details: Mapping[str, Any] = field(default_factory=dict)
    """Codec, container, streams: what ``livematte probe`` prints."""


@runtime_checkable
class Source(Protocol):
    """Where frames come from."""

    @property
    def info(self) -> SourceInfo:
        """Known once the source is open."""
        ...

    def __iter__(self) -> Iterator[Frame]:
        """Frames in presentation order; once only. Raises InputError when the source breaks for good."""
        ...

    def close(self) -> None:
        """Let go of file or device; safe to call twice, also from another thread."""
        ...


@runtime_checkable
class Model(Protocol):
    """A network and all that surrounds it.

    Entry points in the group ``livematte.models`` are factories of such, with the keyword options
    ``weights``, ``size``, ``device``, ``runtime``, ``precision``, ``threads``, ``streams`` and ``extras``:
    whether mattes carry the network's further maps. One of them called ``trimap`` is what a refiner then
    gets: (h, w) float32 with 0 background, 0.5 unknown and 1 foreground, or (3, h, w) their probabilities.
    """

    def __call__(self, rgb: Array, state: State | None) -> tuple[Matte, State]:
        """Matte one picture. ``state=None`` begins a new shot.

        Args:
            rgb: (h, w, 3) uint8 RGB of the size :meth:`input_size` asked for.
            state: what the last call gave.

        Returns:
            The matte, at the size of ``rgb``, and the next state.
        """
        ...

    def input_size(self, height: int, width: int) -> tuple[int, int]:
        """The (height, width) to shrink a ``height`` x ``width`` frame to for this model."""
        ...


@runtime_checkable
class GpuModel(Model, Protocol):
    """A model that may be given pictures that are on a GPU, CuPy's arrays; others get NumPy's."""

    takes_gpu_arrays: bool


class PendingMatte(Protocol):
    """A matte under way."""

    def result(self) -> Matte:
        """Wait for it; once only."""
        ...


@runtime_checkable
class AheadModel(Model, Protocol):
    """A model without state that works on several pictures side by side."""

    @property
    def in_flight(self) -> int:
        """How many pictures to keep under way for full speed."""
        ...

    def submit(self, rgb: Array) -> PendingMatte:
        """Begin a picture and return at once; mattes are fetched in the order of the pictures."""
        ...


@runtime_checkable
class TrimapModel(Protocol):
    """A network that mattes with the help of a trimap: what ``--refine`` runs where a matte is in doubt.

    Entry points in the group ``livematte.refiners`` are factories of such, with the keyword options of a
    model's factory that apply: ``device``, ``runtime``, ``precision``, ``threads``, ``weights``. One with
    test-time augmentation also names a keyword ``augment``, false unless it is asked for.
    """

    stride: int
    """Pictures come in multiples of this on both axes."""

    def refine(self, rgb: Array, trimap: Array) -> Matte:
        """Matte one picture, or a part of one, without memory of the last. One thread calls it.

        Args:
            rgb: (h, w, 3) uint8 RGB, h and w multiples of :attr:`stride`.
            trimap: (h, w) uint8, 0 background, 128 unknown, 255 foreground.

        Returns:
            alpha (h, w) float32 in [0, 1], mixed with the first network's the more that is in doubt, and
            alone where somebody drew the trimap: a network that shall not correct what the trimap knows
            gives exactly 0 and 1 there. foreground (h, w, 3) float32 straight RGB in
            [0, 1], or None where it gives none; of use where alpha is neither 0 nor 1.
        """
        ...


@runtime_checkable
class GpuTrimapModel(TrimapModel, Protocol):
    """A refiner whose ``rgb`` may be on a GPU, CuPy's array, where its matte then is; others get NumPy's. The
    trimap is NumPy's for all.
    """

    takes_gpu_arrays: bool


@runtime_checkable
class Background(Protocol):
    """What is put behind people."""

    transparent: bool
    """No picture at all: the output carries alpha."""

    def __call__(self, frame: Frame, alpha: Array) -> Frame:
        """The background for ``frame``: same size, format and colour. The caller does not change it.

        Args:
            frame: the picture it goes behind, with its time.
            alpha: (h, w) float32 alpha of ``frame`` at the network's size, for a background that is made
                from the picture itself.
        """
        ...

    def close(self) -> None:
        """Let go of what it reads."""
        ...


@runtime_checkable
class Sink(Protocol):
    """Where frames go."""

    def write(self, frame: Frame) -> None:
        """Take the next frame, in pts order; it is borrowed. Raises OutputError when it cannot."""
        ...

    def close(self) -> None:
        """Finish what is whole. Exactly one of ``close`` and ``abort`` is called, once."""
        ...

    def abort(self) -> None:
        """Finish after an error or an interruption: keep what plays, never raise."""
        ...


@runtime_checkable
class GpuSink(Sink, Protocol):
    """A sink that may be given frames whose planes are on a GPU, CuPy's arrays; others get NumPy's. All work
    on them is done when it gets them.
    """

    @property
    def takes_gpu_frames(self) -> bool:
        """Known once the sink is open."""
        ...


@dataclass(frozen=True)
class LiveFormat:
    """What a live output is sent.

    Attributes:
        width, height: of every frame, both even.
        rate: frames a second, kept by repeating and skipping.
        alpha: frames are ``yuva420p``, straight colour; otherwise opaque ``yuv420p`` or ``nv12``, which may
            change on the way. 8 bits always; matrix and range stand in ``Frame.color`` and may change too.
    """

    width: int
    height: int
    rate: Fraction
    alpha: bool = False


@runtime_checkable
class LiveSink(Protocol):
    """Where live frames go: a camera that other programs see, a mixer, a window.

    Entry points in the group ``livematte.sinks`` are factories of such: ``factory(format: LiveFormat,
    **options)``; they raise OutputError or UsageError with the command that mends it. A factory with a true
    attribute ``wants_alpha`` is made for a transparent background, used where none is asked for.
    """

    name: str
    notes: list[str]
    """One line for each thing a user should know; grows."""

    def send(self, frame: Frame) -> None:
        """Show a frame, now. One thread calls it, at the pace of the format.

        The frame is borrowed, but never written to later. ``pts`` counts frame times of the output from 0
        in ``time_base`` 1 / rate; skipped ones leave gaps. The same planes come again where nothing newer is
        there. Must not block longer than a frame lasts.

        Raises:
            OutputError: gone for good. What may come back is waited for without an error.
        """
        ...

    @property
    def watched(self) -> bool | None:
        """Whether anybody looks; None where that cannot be known. Cheap: asked a few times a second."""
        ...

    def close(self) -> None:
        """Let go of it. Safe twice and after an error, never raises."""
        ...
