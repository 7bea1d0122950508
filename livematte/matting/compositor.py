"""Composites frame, matte and background into the pictures for the sinks, on the frame's own planes."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np

from livematte.device.cuda import on_gpu
from livematte.device.execution import CpuContext
from livematte.device.transfer import matte_to_host, to_gpu, to_host
from livematte.errors import UsageError
from livematte.frame import PIXEL_FORMATS, Array, ColorInfo, Frame, Matte, PixelFormat
from livematte.kernels.composite import composite
from livematte.kernels.convert import (
    join_planes,
    rgb_from_codes,
    small_planes,
    small_rgb,
    split_planes,
    to_rgb,
)
from livematte.kernels.kinds import tile_kinds
from livematte.matting import debug_view
from livematte.matting import upsampling as refinement
from livematte.matting.backgrounds import ON_GPU, Color
from livematte.matting.contracts import background_frame
from livematte.matting.cuts import Cut, wait_for_cut
from livematte.matting.edges import UNCHANGED, Edge
from livematte.matting.framing import Framer
from livematte.matting.refiner import Refined, TileRefiner, refined_colors
from livematte.matting.trimap import trimap_from_matte
from livematte.matting.upsampling import FullAlpha
from livematte.protocols import Background

PICTURE = frozenset({"picture"})
KINDS = PICTURE | {"alpha", "foreground", "debug", "trimap"}


@dataclass(frozen=True)
class Composed:
    """The outputs of one frame; None for those that were not requested. The arrays belong to the caller.

    Attributes:
        picture: the person in front of the background, opaque, in the frame's format (less its alpha); with a
            transparent background the straight foreground in :func:`alpha_twin` of the format.
        alpha: full range in one plane: format ``gray``, ``gray10le`` or ``gray12le``, the frame's depth.
        foreground: straight foreground colour, black where alpha is 0; the frame's format less its alpha.
        debug: the model's input and maps; see :mod:`livematte.matting.debug_view`.
        trimap: one ``gray`` plane of 0, 128 and 255 at the frame's size.
    """

    picture: Frame | None = None
    alpha: Frame | None = None
    foreground: Frame | None = None
    debug: Frame | None = None
    trimap: Frame | None = None


def alpha_twin(format: str) -> str:
    """The format that adds straight alpha to ``format``: yuv420p → yuva420p, gbrp10le → gbrap10le, nv12 →
    yuva420p; the one with the next finer chroma where FFmpeg has none: yuv420p12le → yuva422p12le.
    """
    found = PIXEL_FORMATS[format]
    return _twin(found, alpha=True)


def opaque_twin(format: str) -> str:
    """The format without alpha: yuva420p → yuv420p."""
    found = PIXEL_FORMATS[format]
    return _twin(found, alpha=False) if found.alpha else format


def _twin(like: PixelFormat, *, alpha: bool) -> str:
    fitting = [
        other
        for other in PIXEL_FORMATS.values()
        if (other.depth, other.rgb, other.alpha) == (like.depth, like.rgb, alpha)
        and not (other.interleaved or other.gray)
        and other.chroma[0] <= like.chroma[0]
        and other.chroma[1] <= like.chroma[1]
    ]
    return max(fitting, key=lambda other: sum(other.chroma)).name


def _with_alpha(straight: Frame, alpha: Array) -> Frame:
    """One frame of straight foreground and alpha."""
    name = alpha_twin(straight.format)
    luma, *chroma = split_planes(straight)
    if PIXEL_FORMATS[name].chroma != straight.pixel_format.chroma:  # 4:2:0 becomes 4:2:2
        chroma = [plane.repeat(2, axis=0)[: straight.height] for plane in chroma]
    return straight.with_planes((luma, *chroma, alpha), name)


class Compositor:
    """Makes the outputs of one frame. Without a refiner it has no state, so threads may share one object."""

    def __init__(
        self,
        *,
        refine: str = "guided",
        foreground: bool = True,
        refiner: TileRefiner | None = None,
        edge: Edge = UNCHANGED,
        framer: Framer | None = None,
    ) -> None:
        """Choose the method.

        Args:
            refine: ``guided`` or ``none``: the method that brings alpha to full size.
            foreground: remove the old background's colour from hair and edges.
            refiner: refines alpha where the model is in doubt; for the frames of one video, in order.
            edge: changes of the edge of alpha at full size.
            framer: crops to the people; for the frames of one video, in order.

        Raises:
            UsageError: unknown ``refine``.
        """
        refinement.check_method(refine)
        self._refine, self._foreground, self._refiner, self._edge = refine, foreground, refiner, edge
        self._framer = framer

    def __call__(
        self,
        frame: Frame,
        matte: Matte,
        background: Background,
        want: frozenset[str] = PICTURE,
        small: Array | None = None,
        cut: Cut = False,
        edge: Edge | None = None,
    ) -> Composed:
        """Composite one frame.

        Args:
            matte: at the network's size.
            want: any of :data:`KINDS`.
            small: (3, h, w) float32, the frame's planes at the size of the matte; computed if not given.
            cut: true where the frame begins a new shot; a refiner then restarts.
            edge: for this frame, instead of the compositor's own.

        Returns:
            Pictures, alpha and foreground where ``frame`` is; trimap and debug view in the computer's memory.

        Raises:
            UsageError: an output that is not in :data:`KINDS`.
            ModelError: the refiner is broken.
            InputError: the background returns a frame that does not fit.
        """
        if not want <= KINDS:
            unknown = ", ".join(sorted(want - KINDS))
            raise UsageError(f"cannot compose {unknown!r}: use {', '.join(sorted(KINDS))}")
        if self._framer is not None and self._framer.active:
            frame, matte = self._framer(frame, matte, wait_for_cut(cut))
            small = None
        trimap = _grey_frame(frame, trimap_from_matte(matte, frame.size)) if "trimap" in want else None
        if want == {"trimap"}:
            return Composed(trimap=trimap)
        edge = self._edge if edge is None else edge
        one_pass = want == PICTURE and self._in_one_pass(frame) and not edge.active
        if one_pass and not background.transparent:
            return Composed(self._picture(frame, matte, background, small))
        work = self._begin(frame, matte, small, cut, edge)
        transparent = background.transparent
        straight = work.straight() if "foreground" in want or (transparent and "picture" in want) else None
        picture: Frame | None = None
        if "picture" in want:
            if straight is not None and transparent:
                picture = _with_alpha(straight, work.alpha.plane)
            else:
                picture = work.over(_behind(background, frame, work.small_alpha))
        return Composed(
            picture,
            _grey_frame(frame, work.alpha.plane) if "alpha" in want else None,
            straight if "foreground" in want else None,
            debug_view.grid(frame, work.debug_cells(matte)) if "debug" in want else None,
            trimap,
        )

    def full_matte(self, frame: Frame, matte: Matte, small: Array | None = None, cut: Cut = False) -> Matte:
        """The matte at the frame's size, alpha (H, W) float32 in [0, 1] and straight foreground (H, W, 3)
        RGB: in the computer's memory, wherever ``frame`` is.
        """
        work = self._begin(frame, matte, small, cut, self._edge)
        alpha = to_host(work.alpha.plane) * np.float32(1 / frame.pixel_format.maximum)
        rgb = to_host(to_rgb(work.straight())) * np.float32(1 / 255)
        extras = {name: to_host(values) for name, values in matte.extras.items()}
        return Matte(alpha, rgb, extras)

    def _in_one_pass(self, frame: Frame) -> bool:
        """True if a picture can be made without storing alpha at full size."""
        return on_gpu(frame.planes[0]) and self._refiner is None and not frame.pixel_format.alpha

    def _picture(self, frame: Frame, matte: Matte, background: Background, small: Array | None) -> Frame:
        from livematte.kernels.composite import guided_composite

        small = _small(frame, matte, small)
        maps = refinement.coefficients(frame, matte.alpha, small, self._refine)
        colors = refinement.colors(frame, matte, small, method=self._refine) if self._foreground else None
        behind = _behind(background, frame, matte.alpha)
        planes = guided_composite(frame, behind, *maps, colors)
        return frame.with_planes(planes)

    def _begin(self, frame: Frame, matte: Matte, small: Array | None, cut: Cut, edge: Edge) -> _Work:
        small = _small(frame, matte, small)
        plane, kinds = refinement.enlarged_alpha(frame, matte.alpha, small, self._refine)
        refined = None
        refined_matte = matte
        if self._refiner is not None:
            refined = self._refiner(frame, matte, plane, cut)
            plane, kinds = refined.plane, tile_kinds(refined.plane, refined.maximum)
            refined_matte = replace(matte, alpha=refined.small_alpha(*matte.alpha.shape))
        if edge.active:
            changed = edge(FullAlpha(plane, kinds), frame.pixel_format.maximum)
            plane, kinds = changed.plane, changed.kinds
        alpha = refinement.multiply_own_alpha(frame, plane, kinds)
        colors = None
        if self._foreground and refinement.may_need_colors(alpha):
            if refined is not None:
                colors = refined_colors(frame, refined_matte, small, refined)
            else:
                colors = refinement.colors(frame, matte, small, method=self._refine)
        return _Work(frame, alpha, colors, small, refined_matte.alpha, refined)


def _behind(background: Background, frame: Frame, alpha: Array) -> Frame:
    """The background on the device of ``frame``. InputError for an invalid background frame."""
    if isinstance(background, ON_GPU) or not on_gpu(frame.planes[0]):
        return background_frame(background, frame, alpha)
    here = CpuContext().upload(frame)
    made = background_frame(background, here, to_host(alpha))
    return made.with_planes(tuple(map(to_gpu, made.planes)))


def _small(frame: Frame, matte: Matte, small: Array | None) -> Array:
    if small is None or small.shape[1:] != matte.alpha.shape:
        return small_planes(frame, *matte.alpha.shape)
    return small


@dataclass(frozen=True)
class _Work:
    """The intermediate results of one frame that several outputs share."""

    frame: Frame
    alpha: FullAlpha
    colors: tuple[Array, Array] | None
    """F̂, B̂; None where the picture itself is the foreground."""
    small: Array
    small_alpha: Array
    refined: Refined | None

    def debug_cells(self, matte: Matte) -> list[debug_view.Cell]:
        rgb = to_host(rgb_from_codes(self.small, self.frame))
        refined = self.refined and replace(self.refined, plane=to_host(self.refined.plane))
        return debug_view.cells(rgb, matte_to_host(matte), refined)

    def over(self, background: Frame) -> Frame:
        return self._frame(background)

    def straight(self) -> Frame:
        return self._frame(None)

    def _frame(self, background: Frame | None) -> Frame:
        given = (background, self.alpha.plane, self.alpha.kinds, self.colors)
        return self.frame.with_planes(composite(self.frame, *given), opaque_twin(self.frame.format))


def _grey_frame(like: Frame, plane: Array) -> Frame:
    """One plane, full range, uint16 of the frame's depth or uint8, at the time of ``like``."""
    depth = like.pixel_format.depth
    name = "gray" if plane.dtype == np.uint8 else f"gray{depth}le"
    color = replace(like.color, full_range=True, range_tag=2)
    return replace(like, planes=(plane,), format=name, color=color)


def warm_up(format: str = "yuv420p") -> None:
    """Load the compiled loops for frames of ``format``; the first run on a machine compiles them (about 15
    s).

    Call it in a thread while a model loads, so that the first frame need not wait. An error is ignored here,
    because the first frame raises it again in a thread that can report it.
    """
    with suppress(Exception):
        _run_loops(format)


def _run_loops(format: str) -> None:
    layout = PIXEL_FORMATS[format]
    dtype = np.uint8 if layout.depth == 8 else np.uint16
    chroma = layout.chroma_size(32, 32)
    planes = tuple(np.zeros(size, dtype) for size in ((32, 32), chroma, chroma))
    if layout.alpha:
        planes += (np.full((32, 32), layout.maximum, dtype),)
    color = ColorInfo("rgb", full_range=True) if layout.rgb else ColorInfo()
    frame = Frame(join_planes(planes[:3], layout) + planes[3:], format, 0, Fraction(1), color=color)
    alpha = np.tile(np.linspace(0, 1, 8, dtype=np.float32), (8, 1))
    small_rgb(frame, 8, 8)
    for foreground in (True, False):
        Compositor(foreground=foreground)(frame, Matte(alpha), Color((0, 0, 0)))
