"""F, B, Alpha Matting as livematte sees it: a refiner. Importing this imports neither torch nor a runtime."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from livematte.adapters import FOREGROUND, RGB, NetworkRefiner, Shipped, open_refiner
from livematte.device import namespace
from livematte.frame import Array, Matte
from livematte.kernels.copies import along, to_host
from livematte.runtime import Input

if TYPE_CHECKING:
    from torch import nn

_HERE = Path(__file__).parent
_ENCODING = Input("encoding", "float32", (1, None, None, 6), (1, 160, 288, 6))


class FBARefiner:
    """A :class:`livematte.protocols.TrimapModel`. Not thread-safe: one thread calls it.

    Args:
        refiner: runs the network, giving known pixels the trimap's alpha.
        augment: average over 24 turned, flipped and scaled views (sec. 3.7), which takes 24 times as long.
    """

    takes_gpu_arrays = True

    def __init__(self, refiner: NetworkRefiner, augment: bool = False) -> None:
        self.card, self.network, self.stride = refiner.card, refiner.network, refiner.stride
        self._refiner, self._augment = refiner, augment

    @property
    def notes(self) -> list[str]:
        """What a user should know of its runs."""
        return self._refiner.notes

    def refine(self, rgb: Array, trimap: Array) -> Matte:
        """Alpha and straight foreground after the fusion of sec. 3.4; known pixels have the trimap's alpha.

        Args:
            rgb: (h, w, 3) uint8 RGB. On a GPU the matte is, too, but not with augmentation.
            trimap: (h, w) uint8, 0 background, 128 unknown, 255 foreground.

        Returns:
            The matte; ``background`` (h, w, 3) float32 RGB in [0, 1] is among its extras.
        """
        from livematte.kernels.twins import fuse_layers  # OpenCV comes along

        if self._augment:
            from livematte.models.fba.augmentation import mean_of_views

            rgb = to_host(rgb)
            alpha, foreground, background = mean_of_views(self._layers, rgb, trimap)
        else:
            alpha, foreground, background = self._layers(rgb, trimap)
        foreground, background, alpha = fuse_layers(rgb, foreground, background, alpha)
        guide = along(trimap, alpha)
        known = guide.astype(np.float32) * np.float32(1 / 255)
        settled = namespace(alpha).where(guide == 128, alpha, known)
        return Matte(settled, foreground, {"background": background})

    def _layers(self, rgb: Array, trimap: Array) -> tuple[Array, Array, Array]:
        matte = self._refiner.refine(rgb, trimap)
        return matte.alpha, matte.foreground, matte.extras["background"].transpose(1, 2, 0)


def _encode(trimap: Array) -> Array:
    from livematte.models.fba.encoding import encode_trimap

    return encode_trimap(trimap)[None]


def _deployed(name: str, weights: Path) -> nn.Module:
    from livematte.models.fba.export import deployed

    return deployed(name, weights)


def _shipped(name: str, card: str, stride: int) -> Shipped:
    return Shipped(
        name,
        _HERE / card,
        partial(_deployed, name),
        outputs=("alpha", FOREGROUND, "background"),
        extras=("background",),
        inputs=(RGB, _ENCODING),
        stride=stride,
    )


LIVE = _shipped("fba-live", "card-live.toml", 32)
PRINTED = _shipped("fba", "card.toml", 8)


def fba_live(augment: bool = False, **options: Any) -> FBARefiner:
    """The live size. ``augment``: :class:`FBARefiner`; others: :func:`livematte.adapters.open_refiner`."""
    return FBARefiner(open_refiner(LIVE, _encode, **options), augment)


def fba(augment: bool = False, **options: Any) -> FBARefiner:
    """The size printed in the paper; no weights are shipped. Arguments as :func:`fba_live`."""
    return FBARefiner(open_refiner(PRINTED, _encode, **options), augment)
