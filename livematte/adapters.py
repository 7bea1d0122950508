"""From a paper's network to what the engine talks to. Importing this imports neither torch nor a runtime."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from livematte.device import choose_device, namespace
from livematte.errors import ModelError, UsageError
from livematte.frame import Array, Matte
from livematte.kernels.copies import along
from livematte.protocols import State
from livematte.runtime import Input, Network, Pending, Program, open_network
from livematte.runtime.halves import Halves
from livematte.weights import Card, read_card, sha256, user_weights, verified

if TYPE_CHECKING:
    from torch import nn

BUDGET = 192 * 352
"""Pixels a picture is shrunk to unless a size is asked for: what 2 cores matte at video rate."""

ASPECT_TOLERANCE = 0.08
"""How far the shrunk picture's aspect may be from the frame's."""

RGB = Input("rgb", "uint8", (1, None, None, 3), (1, 160, 288, 3))
"""What a network without a trimap takes."""

FOREGROUND = "foreground_rgb"
"""An output of this name, (1, H, W, 3) straight RGB in [0, 1], becomes :attr:`Matte.foreground`."""


@dataclass(frozen=True)
class Shipped:
    """One size of a paper's network, as its folder ships it.

    Attributes:
        card: the model card's file; weights lie beside it in ``weights/``.
        deployed: builds the torch module from a weight file, in eval mode, taking ``inputs`` and giving
            ``outputs``; importing torch is its business. Alpha (1, H, W) comes first, of the input's size;
            further maps are (1, h, w) or (1, C, h, w), of that size or smaller.
        extras: what the further outputs are called in :attr:`Matte.extras`.
        stride: heights and widths are padded to multiples of this.
        instead: another model to try where no weights are shipped.
        batches: whether what ``deployed`` builds takes several pictures at once, then the first length of all
            inputs and outputs; false keeps it at one.
    """

    name: str
    card: Path
    deployed: Callable[[Path], nn.Module]
    outputs: tuple[str, ...] = ("alpha",)
    extras: tuple[str, ...] = ()
    inputs: tuple[Input, ...] = (RGB,)
    stride: int = 32
    instead: str = ""
    batches: bool = True


class NetworkModel:
    """A :class:`livematte.protocols.Model` without state. Not thread-safe: one thread calls it.

    Args:
        network: runs :func:`program`.
        size: long side of the picture the network sees; 0 chooses by :data:`BUDGET`.
        extras: whether a matte carries the network's further maps.
    """

    takes_gpu_arrays = True

    def __init__(
        self, shipped: Shipped, card: Card, network: Network, size: int = 0, extras: bool = False
    ) -> None:
        if size and not shipped.stride <= size <= 4096:
            raise UsageError(
                f"size {size} cannot be meant: the long side is {shipped.stride} to 4096 pixels, "
                "0 for automatic"
            )
        self.card = card
        self.network = network
        self._shipped, self._size = shipped, size
        self._extras = shipped.extras if extras else ()

    @property
    def in_flight(self) -> int:
        """How many pictures to keep under way with :meth:`submit` for full speed."""
        return self.network.in_flight

    @property
    def notes(self) -> list[str]:
        """One line for each thing a user should know of how it ran, such as memory that was used up."""
        return list(getattr(self.network, "notes", ()))

    def warm(self, height: int, width: int) -> None:
        """Run on black pictures, so that the first frame of ``height`` x ``width`` is not the slow one."""
        black = np.zeros((*self.input_size(height, width), 3), np.uint8)
        for pending in [self.submit(black) for _ in range(self.in_flight)]:
            pending.result()

    def input_size(self, height: int, width: int) -> tuple[int, int]:
        """Multiples of the stride, of the frame's aspect: near the area budget, or of the size asked for."""
        return choose_size(height, width, self._size, self._shipped.stride)

    def submit(self, rgb: Array) -> PendingMatte:
        """Begin a picture (h, w, 3) uint8 and fetch its matte later, in order; ``rgb`` must not change.

        Where the network keeps arrays on a GPU and ``rgb`` is there, so is the matte.
        """
        height, width = rgb.shape[:2]
        pending = self.network.submit(padded(rgb, self._shipped.stride)[None])
        return PendingMatte(pending, height, width, self._shipped.outputs, self._extras)

    def __call__(self, rgb: Array, state: State | None) -> tuple[Matte, State]:
        """Matte one picture; see :class:`livematte.protocols.Model`. The state is always None."""
        return self.submit(rgb).result(), None


class PendingMatte:
    """A matte under way."""

    def __init__(
        self, pending: Pending, height: int, width: int, outputs: tuple[str, ...], extras: tuple[str, ...]
    ) -> None:
        self._pending, self._height, self._width = pending, height, width
        self._outputs, self._extras = outputs, extras

    def result(self) -> Matte:
        """Wait for it; once only."""
        return _matte(self._pending.result(), self._height, self._width, self._outputs, self._extras)


def _matte(
    arrays: tuple[Array, ...], height: int, width: int, outputs: tuple[str, ...], extras: tuple[str, ...]
) -> Matte:
    """What a network gave, without what was padded."""
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
        encode: what the network takes of a trimap (h, w) uint8, as an array (1, h, w) or (1, h, w, C); the
            trimap comes padded to multiples of the stride, in the computer's memory wherever the picture is.
        settle: whether pixels that the trimap knows get its alpha, whatever the network says.
    """

    takes_gpu_arrays = True

    def __init__(
        self,
        shipped: Shipped,
        card: Card,
        network: Network,
        encode: Callable[[Array], Array],
        settle: bool = True,
    ) -> None:
        self.card, self.network, self.stride = card, network, shipped.stride
        self._shipped, self._encode, self._settle = shipped, encode, settle
        self._halves = Halves(shipped.outputs, shipped.stride)

    @property
    def notes(self) -> list[str]:
        """One line for each thing a user should know of how it ran, such as memory that was used up."""
        return [*getattr(self.network, "notes", ()), *self._halves.notes]

    def refine(self, rgb: Array, trimap: Array) -> Matte:
        """Alpha (h, w) and, where the network gives it, foreground, of ``rgb`` (h, w, 3) uint8.

        Out of memory halves the picture and goes on; :attr:`notes` then has a line that says so. The matte is
        where ``rgb`` is.

        Args:
            trimap: (h, w) uint8: 0 background, 128 unknown, 255 foreground.
        """
        height, width = trimap.shape
        arrays = self._halves.run(self._maps, padded(rgb, self.stride), padded(trimap, self.stride))
        matte = _matte(arrays, height, width, self._shipped.outputs, self._shipped.extras)
        if not self._settle:
            return matte
        guide, own = along(trimap, matte.alpha), namespace(matte.alpha)
        alpha = own.where(guide == 128, matte.alpha, np.float32(1 / 255) * guide).astype(np.float32)
        return Matte(alpha, matte.foreground, matte.extras)

    def _maps(self, picture: Array, guide: Array) -> tuple[Array, ...]:
        encoded = along(namespace(guide).ascontiguousarray(self._encode(guide)), picture)
        return self.network(picture[None], encoded)


def padded(picture: Array, stride: int) -> Array:
    """``picture`` with its last row and column repeated up to multiples of ``stride``."""
    down, right = -picture.shape[0] % stride, -picture.shape[1] % stride
    if not (down or right):
        return picture
    pad = namespace(picture).pad
    return pad(picture, ((0, down), (0, right), *((0, 0),) * (picture.ndim - 2)), mode="edge")


@lru_cache(maxsize=64)  # asked for every frame
def choose_size(height: int, width: int, long_side: int = 0, stride: int = 32) -> tuple[int, int]:
    """The multiples of ``stride`` to shrink a frame to.

    Among sizes whose aspect is within :data:`ASPECT_TOLERANCE` of the frame's, the one nearest to the area
    budget; the nearest aspect where none is that close. With ``long_side`` the long side is that, rounded.
    """
    if height < 1 or width < 1:
        raise UsageError(f"a frame of {width}x{height} pixels has nothing to matte")
    aspect = width / height
    if long_side:
        long = max(stride, round(long_side / stride) * stride)
        short = max(stride, round(long * min(aspect, 1 / aspect) / stride) * stride)
        return (short, long) if aspect >= 1 else (long, short)
    steps = range(stride, 1025, stride)
    sizes = [(h, w) for h in steps for w in steps if 0.6 * BUDGET <= h * w <= 1.4 * BUDGET]

    def cost(size: tuple[int, int]) -> tuple[float, float]:
        off = abs(np.log(size[1] / size[0] / aspect))
        area = abs(np.log(size[0] * size[1] / BUDGET))
        return max(0.0, off - np.log(1 + ASPECT_TOLERANCE)), area + off

    return min(sizes, key=cost)


def program(shipped: Shipped, card: Card, weights: str | Path | None, precision: str) -> Program:
    """The network with its weights, in the forms it can be run in.

    Raises:
        WeightsError: a weight file is missing, damaged, a pickle or of another architecture.
        ModelError: no weights are shipped and none were given.
    """
    name, inputs, outputs = shipped.name, shipped.inputs, shipped.outputs
    if weights is not None:
        path = user_weights(weights)
        if path.suffix.lower() == ".onnx":
            kind = "int8" if ".int8" in path.name else "fp32"
            return Program(name, sha256(path), inputs, outputs, None, path, kind)
        own = partial(shipped.deployed, path)
        return Program(name, sha256(path), inputs, outputs, own, batches=shipped.batches)
    float_file, int8_file = card.file("fp16"), card.file("int8")
    if float_file is None:
        instead = f", or use --model {shipped.instead}" if shipped.instead else ""
        raise ModelError(
            f"no weights are shipped for {name}: train it with the recipe in its README and pass them with "
            f"--weights{instead}"
        )
    onnx = verified(int8_file) if int8_file and precision != "fp32" else None
    key = int8_file.sha256 if onnx and int8_file else float_file.sha256

    def build() -> nn.Module:
        return shipped.deployed(verified(float_file))

    return Program(name, key, inputs, outputs, build, onnx, batches=shipped.batches)


def _open(
    shipped: Shipped,
    device: str,
    runtime: str,
    precision: str,
    threads: int | None,
    streams: int,
    batch: int,
    weights: str | Path | None,
) -> tuple[Card, Network]:
    card = read_card(shipped.card)
    forms = program(shipped, card, weights, precision)
    where = choose_device(device, runtime)
    return card, open_network(forms, where, runtime, precision, threads or 0, streams, batch)


def open_model(
    shipped: Shipped,
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
    """What a model's entry point gives.

    Args:
        device: auto, cpu, cuda[:N], directml[:N], coreml.
        runtime: auto, openvino, onnxruntime, torch, tensorrt.
        precision: auto, int8, fp32, fp16, bf16.
        threads: of the CPU; None for all cores.
        streams: runs side by side, for :meth:`NetworkModel.submit`; more than one is for files.
        batch: pictures in one run of torch; 0 with several ``streams`` on a GPU is what its memory allows.
        weights: a file of one's own.
        size: long side the network sees; None for automatic.
        extras: whether mattes carry the network's further maps.
    """
    card, network = _open(shipped, device, runtime, precision, threads, streams, batch, weights)
    return NetworkModel(shipped, card, network, size or 0, extras)


def open_refiner(
    shipped: Shipped,
    encode: Callable[[Array], Array],
    *,
    device: str = "auto",
    runtime: str = "auto",
    precision: str = "auto",
    threads: int | None = None,
    weights: str | Path | None = None,
    settle: bool = True,
    **_: Any,
) -> NetworkRefiner:
    """What a refiner's entry point gives. Arguments as :func:`open_model` and :class:`NetworkRefiner`."""
    card, network = _open(shipped, device, runtime, precision, threads, 1, 1, weights)
    return NetworkRefiner(shipped, card, network, encode, settle)
