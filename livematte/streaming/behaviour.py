"""The behaviour of a live session, and the pictures that it shows instead of the room."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from livematte.errors import UsageError
from livematte.matting.edges import UNCHANGED, Edge
from livematte.matting.framing import OFF
from livematte.protocols import Background, Model
from livematte.streaming.frame_normalizer import CAMERA_FITS
from livematte.streaming.live_matting import LiveMatting

LONGEST_LAG = 0.1
"""Largest age in seconds of a matte that is used for a later picture, with ``lag_ok``: where a person moved
away meanwhile, the room is seen."""


@dataclass(frozen=True)
class Behaviour:
    """Behaviour of a live session; times in seconds.

    Attributes:
        mirror: swap left and right, in the camera's picture only.
        fit_camera: ``crop`` or ``pad``; see :class:`livematte.streaming.frame_normalizer.FrameNormalizer`.
        delay: time from capture to display: steadier, and in step with delayed sound.
        lag_ok: composite each frame at once with the newest matte instead of its own, while that is no older
            than :data:`LONGEST_LAG` and of the same shot: beside a moving person a strip of the room is seen.
        on_demand: close the camera while nobody watches.
        matting: creates the matting of a model, with the filters of the session's options.
        max_age, hold, silence, settle: see :class:`livematte.streaming.gate.Gate`.
        hang: a stage that works longer than this on one frame is replaced.
        retry: pause between two attempts to open a camera that is gone.
        grace: time without any viewer after which the camera is closed.
        govern: change the level with the load.
        edge: changes of the edge of alpha.
        framing: auto-framing, one of :data:`livematte.matting.framing.MODES`.
    """

    mirror: bool = False
    fit_camera: str = "crop"
    delay: float = 0.0
    lag_ok: bool = False
    on_demand: bool = False
    matting: Callable[[Model], LiveMatting] = LiveMatting
    max_age: float = 1.0
    hold: float = 1.0
    silence: float = 0.2
    settle: int = 3
    hang: float = 5.0
    retry: float = 0.5
    grace: float = 5.0
    govern: bool = True
    edge: Edge = UNCHANGED
    framing: str = OFF

    @classmethod
    def from_options(
        cls,
        options: Mapping[str, Any],
        matting: Callable[[Model], LiveMatting],
        edge: Edge,
        framing: str = OFF,
    ) -> Behaviour:
        """The behaviour that the options of a session ask for: those that are fields here."""
        known = {each.name for each in fields(cls)}
        return cls(
            matting=matting,
            edge=edge,
            framing=framing,
            **{name: value for name, value in options.items() if name in known},
        )

    def __post_init__(self) -> None:
        if self.fit_camera not in CAMERA_FITS:
            allowed = ", ".join(CAMERA_FITS)
            raise UsageError(f"fit_camera {self.fit_camera!r} is invalid: allowed are {allowed}")

    @property
    def camera_format(self) -> str:
        """Pixel format of the camera's frames after fitting, for a camera of another shape."""
        return "yuva420p" if self.fit_camera == "pad" else "yuv420p"

    @property
    def holds_camera(self) -> bool:
        """True where the camera stays open while nobody watches."""
        return not self.on_demand


@dataclass(frozen=True)
class Scene:
    """The pictures that viewers see instead of the room.

    Attributes:
        background: behind them.
        placeholder: shown while no picture is good; the background, behind nobody, where not given.
    """

    background: Background
    placeholder: Background | None = None
