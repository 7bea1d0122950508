"""Late Fusion as livematte's engine sees it. Importing this imports neither torch nor a runtime."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from livematte.device import choose_device
from livematte.errors import ModelError, UsageError
from livematte.frame import Array, Matte
from livematte.protocols import State
from livematte.runtime import Input, Network, Pending, Program, open_network
from livematte.weights import Card, read_card, sha256, user_weights, verified

if TYPE_CHECKING:
    from torch import nn

STRIDE = 32
BUDGET = 160 * 288
"""Pixels a picture is shrunk to unless a size is asked for: what 2 cores matte at video rate."""

ASPECT_TOLERANCE = 0.08
"""How far the shrunk picture's aspect may be from the frame's."""

_HERE = Path(__file__).parent
_INPUT = Input("rgb", "uint8", (1, None, None, 3), (1, 160, 288, 3))
_OUTPUTS = ("alpha", "foreground", "background", "blend")
_EXTRAS = ("foreground_probability", "background_probability", "blend")


class LateFusionModel:
    """A :class:`livematte.protocols.Model` without state. Not thread-safe: one thread calls it.

    Args:
        network: runs :func:`program`.
        size: long side of the picture the network sees; 0 chooses by :data:`BUDGET`.
        extras: whether a matte carries the maps of eq. 2 besides alpha.
    """

    def __init__(self, card: Card, network: Network, size: int = 0, extras: bool = False) -> None:
        if size and not STRIDE <= size <= 4096:
            raise UsageError(
                f"size {size} cannot be meant: the long side is {STRIDE} to 4096 pixels, 0 for automatic"
            )
        self.card = card
        self.network = network
        self._size, self._extras = size, extras

    @property
    def in_flight(self) -> int:
        """How many pictures to keep under way with :meth:`submit` for full speed."""
        return self.network.in_flight

    def input_size(self, height: int, width: int) -> tuple[int, int]:
        """Multiples of 32 of the frame's aspect: near the area budget, or of the long side asked for."""
        return choose_size(height, width, self._size)

    def submit(self, rgb: Array) -> PendingMatte:
        """Begin a picture (h, w, 3) uint8 and fetch its matte later, in order; ``rgb`` must not change."""
        height, width = rgb.shape[:2]
        down, right = -height % STRIDE, -width % STRIDE
        if down or right:
            rgb = np.pad(rgb, ((0, down), (0, right), (0, 0)), mode="edge")
        return PendingMatte(self.network.submit(rgb[None]), height, width, self._extras)

    def __call__(self, rgb: Array, state: State | None) -> tuple[Matte, State]:
        """Matte one picture; see :class:`livematte.protocols.Model`. The state is always None."""
        return self.submit(rgb).result(), None


class PendingMatte:
    """A matte under way."""

    def __init__(self, pending: Pending, height: int, width: int, extras: bool) -> None:
        self._pending, self._height, self._width, self._extras = pending, height, width, extras

    def result(self) -> Matte:
        """Wait for it; once only."""
        alpha, *maps = (a[0, : self._height, : self._width] for a in self._pending.result())
        extras: Mapping[str, Array] = dict(zip(_EXTRAS, maps, strict=True)) if self._extras else {}
        return Matte(alpha, None, extras)


@lru_cache(maxsize=64)  # asked for every frame
def choose_size(height: int, width: int, long_side: int = 0) -> tuple[int, int]:
    """The multiples of 32 to shrink a frame to.

    Among sizes whose aspect is within :data:`ASPECT_TOLERANCE` of the frame's, the one nearest to the area
    budget; the nearest aspect where none is that close. With ``long_side`` the long side is that, rounded.
    """
    if height < 1 or width < 1:
        raise UsageError(f"a frame of {width}x{height} pixels has nothing to matte")
    aspect = width / height
    if long_side:
        long = max(STRIDE, round(long_side / STRIDE) * STRIDE)
        short = max(STRIDE, round(long * min(aspect, 1 / aspect) / STRIDE) * STRIDE)
        return (short, long) if aspect >= 1 else (long, short)
    steps = range(STRIDE, 1025, STRIDE)
    sizes = [(h, w) for h in steps for w in steps if 0.6 * BUDGET <= h * w <= 1.4 * BUDGET]

    def cost(size: tuple[int, int]) -> tuple[float, float]:
        off = abs(np.log(size[1] / size[0] / aspect))
        area = abs(np.log(size[0] * size[1] / BUDGET))
        return max(0.0, off - np.log(1 + ASPECT_TOLERANCE)), area + off

    return min(sizes, key=cost)


def program(name: str, card: Card, weights: str | Path | None, precision: str) -> Program:
    """The network with its weights, in the forms it can be run in.

    Raises:
        WeightsError: a weight file is missing, damaged, a pickle or of another architecture.
        ModelError: no weights are shipped and none were given.
    """
    if weights is not None:
        path = user_weights(weights)
        if path.suffix.lower() == ".onnx":
            kind = "int8" if ".int8" in path.name else "fp32"
            return Program(name, sha256(path), (_INPUT,), _OUTPUTS, None, path, kind)
        return Program(name, sha256(path), (_INPUT,), _OUTPUTS, partial(_module, name, path))
    float_file, int8_file = card.file("fp16"), card.file("int8")
    if float_file is None:
        raise ModelError(
            f"no weights are shipped for {name}: train it with the recipe in its README and pass them with "
            "--weights, or use --model late-fusion-live"
        )
    onnx = verified(int8_file) if int8_file and precision != "fp32" else None
    key = int8_file.sha256 if onnx and int8_file else float_file.sha256
    return Program(name, key, (_INPUT,), _OUTPUTS, partial(_shipped, name, card), onnx)


def _module(name: str, path: Path) -> nn.Module:
    from livematte.models.late_fusion.export import deployed

    module: nn.Module = deployed(name, path)
    return module


def _shipped(name: str, card: Card) -> nn.Module:
    file = card.file("fp16")
    assert file is not None
    return _module(name, verified(file))


def _build(
    name: str,
    card_file: str,
    device: str = "auto",
    runtime: str = "auto",
    precision: str = "auto",
    threads: int | None = None,
    streams: int = 1,
    weights: str | Path | None = None,
    size: int | None = None,
    extras: bool = False,
) -> LateFusionModel:
    card = read_card(_HERE / card_file)
    forms = program(name, card, weights, precision)
    network = open_network(forms, choose_device(device), runtime, precision, threads or 0, streams)
    return LateFusionModel(card, network, size or 0, extras)


def late_fusion_live(**options: Any) -> LateFusionModel:
    """The live size, with shipped weights.

    Keyword arguments: ``device`` (auto, cpu, cuda[:N]), ``runtime`` (auto, openvino, onnxruntime, torch),
    ``precision`` (auto, int8, fp32), ``threads`` (None: all cores), ``streams`` (runs side by side, for
    :meth:`LateFusionModel.submit`), ``weights`` (a file of one's own), ``size`` (long side the network sees,
    None: automatic), ``extras`` (the maps of eq. 2 in each matte).
    """
    return _build("late-fusion-live", "card-live.toml", **options)


def late_fusion(**options: Any) -> LateFusionModel:
    """The size printed in the paper; no weights are shipped. Arguments as :func:`late_fusion_live`."""
    return _build("late-fusion", "card.toml", **options)
