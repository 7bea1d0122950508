"""Frame, matte and background become the pictures that sinks want; all of it on the frame's own planes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np

from livematte import debugview
from livematte import refine as refinement
from livematte.backgrounds import ON_GPU, Color
from livematte.contracts import check_behind
from livematte.errors import UsageError
from livematte.frame import PIXEL_FORMATS, Array, ColorInfo, Frame, Matte, PixelFormat
from livematte.kernels import cpu, twins
from livematte.kernels.copies import OnCpu, matte_on_host, to_gpu, to_host
from livematte.kernels.cuda_launch import on_gpu
from livematte.protocols import Background
from livematte.refine import FullAlpha
from livematte.refiners import Refined, TileRefiner, refined_colors
from livematte.trimap import trimap_of

PICTURE = frozenset({"picture"})
KINDS = PICTURE | {"alpha", "foreground", "debug", "trimap"}


@dataclass(frozen=True)
class Composed:
    """What one frame became; None for what was not wanted. The arrays belong to the caller.

    Attributes:
        picture: the person before the background, opaque, in the frame's format (less its alpha); with a
            transparent background the straight foreground in :func:`alpha_twin` of the format.
        alpha: full range in one plane: format ``gray``, ``gray10le`` or ``gray12le``, the frame's depth.
        foreground: straight foreground colour, black where alpha is 0; the frame's format less its alpha.
        debug: what the model saw and thought; see :mod:`livematte.debugview`.
        trimap: what the matte leaves in doubt, one ``gray`` plane of 0, 128 and 255 at the frame's size.
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
    """``straight`` and its alpha in one frame."""
    name = alpha_twin(straight.format)
    luma, *chroma = twins.split_planes(straight)
    if PIXEL_FORMATS[name].chroma != straight.pixel_format.chroma:  # 4:2:0 becomes 4:2:2
        chroma = [plane.repeat(2, axis=0)[: straight.height] for plane in chroma]
    return straight.with_planes((luma, *chroma, alpha), name)


class Compositor:
    """Makes the output of one frame. Without a refiner it keeps nothing from frame to frame, so threads may
    share one.
    """

    def __init__(
        self, *, refine: str = "guided", foreground: bool = True, refiner: TileRefiner | None = None
    ) -> None:
        """Choose how.

        Args:
            refine: ``guided`` or ``none``: how alpha comes to full size.
            foreground: take the old background's colour out of hair and edges.
            refiner: decides where the model is in doubt; for the frames of one video, in order.

        Raises:
            UsageError: unknown ``refine``.
        """
        refinement.check_method(refine)
        self._refine, self._foreground, self._refiner = refine, foreground, refiner

    def __call__(
        self,
        frame: Frame,
        matte: Matte,
        background: Background,
        want: frozenset[str] = PICTURE,
        small: Array | None = None,
    ) -> Composed:
        """Composite one frame.

        Args:
            matte: at the network's size.
            want: any of :data:`KINDS`.
            small: (3, h, w) float32, the frame's planes at the size of the matte, where they are at hand.

        Returns:
            Pictures, alpha and foreground where ``frame`` is; trimap and debug view in the computer's memory.

        Raises:
            UsageError: something else is wanted.
            ModelError: the refiner is broken.
            InputError: the background gives what does not fit the frame.
        """
        if not want <= KINDS:
            odd = ", ".join(sorted(want - KINDS))
            raise UsageError(f"cannot compose {odd!r}: allowed are {', '.join(sorted(KINDS))}")
        trimap = _grey_frame(frame, trimap_of(matte, frame.size)) if "trimap" in want else None
        if want == {"trimap"}:
            return Composed(trimap=trimap)
        if want == PICTURE and self._in_one_pass(frame) and not background.transparent:
            return Composed(self._picture(frame, matte, background, small))
        work = self._begin(frame, matte, small)
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
            debugview.grid(frame, work.seen(matte)) if "debug" in want else None,
            trimap,
        )

    def full_matte(self, frame: Frame, matte: Matte, small: Array | None = None) -> Matte:
        """The matte at the frame's size, alpha (H, W) float32 in [0, 1] and straight foreground (H, W, 3)
        RGB: in the computer's memory, wherever ``frame`` is.
        """
        work = self._begin(frame, matte, small)
        alpha = to_host(work.alpha.plane) * np.float32(1 / frame.pixel_format.maximum)
        rgb = to_host(twins.to_rgb(work.straight())) * np.float32(1 / 255)
        extras = {name: to_host(values) for name, values in matte.extras.items()}
        return Matte(alpha, rgb, extras)

    def _in_one_pass(self, frame: Frame) -> bool:
        """Whether alpha at full size need not be stored to make a picture."""
        return on_gpu(frame.planes[0]) and self._refiner is None and not frame.pixel_format.alpha

    def _picture(self, frame: Frame, matte: Matte, background: Background, small: Array | None) -> Frame:
        from livematte.kernels import cuda_frame

        small = _small(frame, matte, small)
        maps = refinement.coefficients(frame, matte.alpha, small, self._refine)
        colors = refinement.colors(frame, matte, small, method=self._refine) if self._foreground else None
        behind = _behind(background, frame, matte.alpha)
        planes = cuda_frame.guided_composite(frame, behind, *maps, colors)
        return frame.with_planes(planes)

    def _begin(self, frame: Frame, matte: Matte, small: Array | None) -> _Work:
        small = _small(frame, matte, small)
        plane, kinds = refinement.enlarged_alpha(frame, matte.alpha, small, self._refine)
        refined = None
        thought = matte
        if self._refiner is not None:
            refined = self._refiner(frame, matte, plane)
            plane, kinds = refined.plane, twins.tile_kinds(refined.plane, refined.maximum)
            thought = replace(matte, alpha=refined.small_alpha(*matte.alpha.shape))
        alpha = refinement.within_own(frame, plane, kinds)
        colors = None
        if self._foreground and refinement.may_be_soft(alpha):
            if refined is not None:
                colors = refined_colors(frame, thought, small, refined)
            else:
                colors = refinement.colors(frame, matte, small, method=self._refine)
        return _Work(frame, alpha, colors, small, thought.alpha, refined)


def _behind(background: Background, frame: Frame, alpha: Array) -> Frame:
    """The background where ``frame`` is. InputError where it gave something else."""
    if isinstance(background, ON_GPU) or not on_gpu(frame.planes[0]):
        return check_behind(background, background(frame, alpha), frame)
    here = OnCpu().up(frame)
    made = check_behind(background, background(here, to_host(alpha)), here)
    return made.with_planes(tuple(map(to_gpu, made.planes)))


def _small(frame: Frame, matte: Matte, small: Array | None) -> Array:
    if small is None or small.shape[1:] != matte.alpha.shape:
        return twins.small_planes(frame, *matte.alpha.shape)
    return small


@dataclass(frozen=True)
class _Work:
    """One frame under way: what several outputs share."""

    frame: Frame
    alpha: FullAlpha
    colors: tuple[Array, Array] | None
    """F̂, B̂; None where the picture itself is the foreground."""
    small: Array
    small_alpha: Array
    refined: Refined | None

    def seen(self, matte: Matte) -> list[debugview.Cell]:
        rgb = to_host(twins.rgb_from_codes(self.small, self.frame))
        refined = self.refined and replace(self.refined, plane=to_host(self.refined.plane))
        return debugview.cells(rgb, matte_on_host(matte), refined)

    def over(self, background: Frame) -> Frame:
        return self._frame(background)

    def straight(self) -> Frame:
        return self._frame(None)

    def _frame(self, background: Frame | None) -> Frame:
        given = (background, self.alpha.plane, self.alpha.kinds, self.colors)
        return self.frame.with_planes(twins.composite(self.frame, *given), opaque_twin(self.frame.format))


def _grey_frame(like: Frame, plane: Array) -> Frame:
    """One plane, full range, uint16 of the frame's depth or uint8, at the time of ``like``."""
    depth = like.pixel_format.depth
    name = "gray" if plane.dtype == np.uint8 else f"gray{depth}le"
    color = replace(like.color, full_range=True, range_tag=2)
    return replace(like, planes=(plane,), format=name, color=color)


def warm_up(format: str = "yuv420p") -> None:
    """Load the compiled loops, and compile them on a machine's first run (some 15 s), for frames of
    ``format``.

    Called in a thread while a model loads, it takes that wait from the first frame.
    """
    layout = PIXEL_FORMATS[format]
    dtype = np.uint8 if layout.depth == 8 else np.uint16
    chroma = layout.chroma_size(32, 32)
    planes = tuple(np.zeros(size, dtype) for size in ((32, 32), chroma, chroma))
    if layout.alpha:
        planes += (np.full((32, 32), layout.maximum, dtype),)
    color = ColorInfo("rgb", full_range=True) if layout.rgb else ColorInfo()
    frame = Frame(cpu.join_planes(planes[:3], layout) + planes[3:], format, 0, Fraction(1), color=color)
    alpha = np.tile(np.linspace(0, 1, 8, dtype=np.float32), (8, 1))
    cpu.small_rgb(frame, 8, 8)
    for foreground in (True, False):
        Compositor(foreground=foreground)(frame, Matte(alpha), Color((0, 0, 0)))
