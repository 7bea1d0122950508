"""Adapters from a network to the model protocols of the engine. Imports neither torch nor a runtime."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from livematte.device import choose_device, namespace
from livematte.device.transfer import to_same_device
from livematte.errors import UsageError
from livematte.frame import Array, Matte
from livematte.inference import Network, Pending, open_network
from livematte.inference.model_spec import FOREGROUND, ModelSpec, load_program
from livematte.inference.split_inference import SplitInference
from livematte.inference.weights import ModelCard, read_card
from livematte.protocols import State

PIXEL_BUDGET = 192 * 352
"""Number of pixels of the network input that 2 cores process at video rate: live sessions start with it, and
files get it from models whose card names no other size."""

ASPECT_TOLERANCE = 0.08
"""Maximum relative difference between the aspect ratios of the network input and the frame."""


class NetworkModel:
    """A :class:`livematte.protocols.Model` without state. Not thread-safe: one thread calls it.

    Args:
        network: runs the program of :func:`load_program`.
        size: long side of the network input in pixels; 0 selects it by the ``input`` of the card.
        extras: True adds the further maps of the network to mattes.
    """

    takes_gpu_arrays = True

    def __init__(
        self, spec: ModelSpec, card: ModelCard, network: Network, size: int = 0, extras: bool = False
    ) -> None:
        if size and not spec.stride <= size <= 4096:
            raise UsageError(f"size {size} is invalid: use a long side of {spec.stride} to 4096 pixels, or 0")
        self.card = card
        self.network = network
        self._spec, self._size = spec, size
        self._extras = spec.extras if extras else ()

    @property
    def in_flight(self) -> int:
        """Number of pictures to keep in flight with :meth:`submit` for full speed."""
        return self.network.in_flight

    @property
    def notes(self) -> list[str]:
        """Messages for the user, one line each, e.g. about exhausted memory."""
        return list(getattr(self.network, "notes", ()))

    def warm_up(self, height: int, width: int) -> None:
        """Run on black pictures, so that the first ``height`` x ``width`` frame is not slow."""
        black = np.zeros((*self.input_size(height, width), 3), np.uint8)
        for pending in [self.submit(black) for _ in range(self.in_flight)]:
            pending.result()

    def input_size(self, height: int, width: int) -> tuple[int, int]:
        """Return multiples of the stride with the frame's aspect ratio, near the budget or requested size."""
        return choose_size(height, width, self._size, self._spec.stride, self.card.pixels or PIXEL_BUDGET)

    def submit(self, rgb: Array) -> PendingNetworkMatte:
        """Start a picture (h, w, 3) uint8. Fetch mattes in submission order; do not modify ``rgb`` before.

        If the network keeps arrays on a GPU and ``rgb`` is there, the matte is also there.
        """
        height, width = rgb.shape[:2]
        pending = self.network.submit(pad_to_stride(rgb, self._spec.stride)[None])
        return PendingNetworkMatte(pending, height, width, self._spec.outputs, self._extras)

    def __call__(self, rgb: Array, state: State | None) -> tuple[Matte, State]:
        """Matte one picture; see :class:`livematte.protocols.Model`. The state is always None."""
        return self.submit(rgb).result(), None


class PendingNetworkMatte:
    """A matte that is being computed."""

    def __init__(
        self, pending: Pending, height: int, width: int, outputs: tuple[str, ...], extras: tuple[str, ...]
    ) -> None:
        self._pending, self._height, self._width = pending, height, width
        self._outputs, self._extras = outputs, extras

    def result(self) -> Matte:
        """Wait for the matte and return it. Call this once only."""
        return _matte(self._pending.result(), self._height, self._width, self._outputs, self._extras)


def _matte(
    arrays: tuple[Array, ...], height: int, width: int, outputs: tuple[str, ...], extras: tuple[str, ...]
) -> Matte:
    """Return the network's outputs as a matte, without the padding."""
    foreground, maps = None, []
    for name, array in zip(outputs, arrays, strict=True):
        if name == FOREGROUND:
            foreground = array[0, :height, :width]
        else:
            maps.append(array[0][..., :height, :width])
    return Matte(maps[0], foreground, dict(zip(extras, maps[1:], strict=True)) if extras else {})


class NetworkRefiner:
    """A :class:`livematte.protocols.TrimapModel`. Not thread-safe: one thread calls it.

    Args:
        encode: converts a trimap (h, w) uint8 to the network's trimap input, (1, h, w) or (1, h, w, C). The
            trimap is padded to multiples of the stride and always in host memory.
        trust_trimap: True sets the alpha of known trimap pixels to 0 or 1, whatever the network returns.
    """

    takes_gpu_arrays = True

    def __init__(
        self,
        spec: ModelSpec,
        card: ModelCard,
        network: Network,
        encode: Callable[[Array], Array],
        trust_trimap: bool = True,
    ) -> None:
        self.card, self.network, self.stride = card, network, spec.stride
        self._spec, self._encode, self._trust_trimap = spec, encode, trust_trimap
        self._split = SplitInference(spec.outputs, spec.stride)

    @property
    def notes(self) -> list[str]:
        """Messages for the user, one line each, e.g. about exhausted memory."""
        return [*getattr(self.network, "notes", ()), *self._split.notes]

    def refine(self, rgb: Array, trimap: Array) -> Matte:
        """Return alpha (h, w) and, if the network estimates it, foreground for ``rgb`` (h, w, 3) uint8.

        If memory runs out, the picture is processed in halves and :attr:`notes` gets a line. The matte is on
        the device of ``rgb``.

        Args:
            trimap: (h, w) uint8: 0 background, 128 unknown, 255 foreground.
        """
        height, width = trimap.shape
        arrays = self._split.run(
            self._maps, pad_to_stride(rgb, self.stride), pad_to_stride(trimap, self.stride)
        )
        matte = _matte(arrays, height, width, self._spec.outputs, self._spec.extras)
        if not self._trust_trimap:
            return matte
        guide, xp = to_same_device(trimap, matte.alpha), namespace(matte.alpha)
        alpha = xp.where(guide == 128, matte.alpha, np.float32(1 / 255) * guide).astype(np.float32)
        return Matte(alpha, matte.foreground, matte.extras)

    def _maps(self, picture: Array, guide: Array) -> tuple[Array, ...]:
        encoded = to_same_device(namespace(guide).ascontiguousarray(self._encode(guide)), picture)
        return self.network(picture[None], encoded)


def pad_to_stride(picture: Array, stride: int) -> Array:
    """Repeat the last row and column of ``picture`` up to multiples of ``stride``."""
    bottom, right = -picture.shape[0] % stride, -picture.shape[1] % stride
    if not (bottom or right):
        return picture
    pad = namespace(picture).pad
    return pad(picture, ((0, bottom), (0, right), *((0, 0),) * (picture.ndim - 2)), mode="edge")


@lru_cache(maxsize=64)  # called for every frame
def choose_size(
    height: int, width: int, long_side: int = 0, stride: int = 32, budget: int = PIXEL_BUDGET
) -> tuple[int, int]:
    """Return the (height, width), multiples of ``stride``, to which a frame is scaled.

    Among sizes whose aspect ratio is within :data:`ASPECT_TOLERANCE` of the frame's, this is the nearest to
    ``budget``, in pixels; if there is none, the nearest aspect ratio. ``long_side`` sets the long side,
    rounded. Neither makes a frame larger than it is, except for frames below :data:`PIXEL_BUDGET`.
    """
    if height < 1 or width < 1:
        raise UsageError(f"frame size {width}x{height} is invalid: use at least 1x1 pixels")
    aspect = width / height
    if long_side:
        largest = max(*choose_size(height, width, 0, stride), -(-max(height, width) // stride) * stride)
        long = max(stride, min(round(long_side / stride) * stride, largest))
        short = max(stride, round(long * min(aspect, 1 / aspect) / stride) * stride)
        return (short, long) if aspect >= 1 else (long, short)
    steps = range(stride, 1025, stride)
    budget = min(budget, max(height * width, PIXEL_BUDGET))
    sizes = [(h, w) for h in steps for w in steps if 0.6 * budget <= h * w <= 1.4 * budget]

    def cost(size: tuple[int, int]) -> tuple[float, float]:
        off = abs(np.log(size[1] / size[0] / aspect))
        area = abs(np.log(size[0] * size[1] / budget))
        return max(0.0, off - np.log(1 + ASPECT_TOLERANCE)), area + off

    return min(sizes, key=cost)


def _open(
    spec: ModelSpec,
    device: str,
    runtime: str,
    precision: str,
    threads: int | None,
    streams: int,
    batch: int,
    weights: str | Path | None,
) -> tuple[ModelCard, Network]:
    card = read_card(spec.card)
    forms = load_program(spec, card, weights, precision)
    chosen_device = choose_device(device, runtime)
    return card, open_network(forms, chosen_device, runtime, precision, threads or 0, streams, batch)


def open_model(
    spec: ModelSpec,
    *,
    device: str = "auto",
    runtime: str = "auto",
    precision: str = "auto",
    threads: int | None = None,
    streams: int = 1,
    batch: int = 0,
    weights: str | Path | None = None,
    size: int | None = None,
    extras: bool = False,
) -> NetworkModel:
    """Create a model. Used by the entry points of models.

    Args:
        device: auto, cpu, cuda[:N], directml[:N], coreml.
        runtime: auto, openvino, onnxruntime, torch, tensorrt.
        precision: auto, int8, fp32, fp16, bf16.
        threads: CPU threads; None for all cores.
        streams: concurrent runs, for :meth:`NetworkModel.submit`; use more than one for files only.
        batch: pictures per torch run; 0 with several ``streams`` on a GPU uses as many as its memory allows.
        weights: path of a custom weight file.
        size: long side of the network input in pixels; None for automatic.
        extras: True adds the further maps of the network to mattes.
    """
    card, network = _open(spec, device, runtime, precision, threads, streams, batch, weights)
    return NetworkModel(spec, card, network, size or 0, extras)


def open_refiner(
    spec: ModelSpec,
    encode: Callable[[Array], Array],
    *,
    device: str = "auto",
    runtime: str = "auto",
    precision: str = "auto",
    threads: int | None = None,
    weights: str | Path | None = None,
    trust_trimap: bool = True,
    **_: Any,
) -> NetworkRefiner:
    """Create a refiner. Arguments as :func:`open_model` and :class:`NetworkRefiner`."""
    card, network = _open(spec, device, runtime, precision, threads, 1, 1, weights)
    return NetworkRefiner(spec, card, network, encode, trust_trimap)
