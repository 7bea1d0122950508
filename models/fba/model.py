"""The refiners of F, B, Alpha Matting that livematte opens by name.

Importing this imports neither torch nor a runtime.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from livematte.device import namespace
from livematte.device.transfer import to_host, to_same_device
from livematte.frame import Array, Matte
from livematte.inference import Input
from livematte.inference.adapters import NetworkRefiner, open_refiner
from livematte.inference.model_spec import FOREGROUND, RGB, ModelSpec

LIVE = ModelSpec(
    "fba-live",
    Path(__file__).parent / "card-live.toml",
    network="livematte.models.fba.network:fba_live",
    deployed="livematte.models.fba.deployed:DeployedFBA",
    outputs=("alpha", FOREGROUND, "background"),
    extras=("background",),
    inputs=(RGB, Input("encoding", "float32", (1, None, None, 6), (1, 160, 288, 6))),
)
PRINTED = replace(
    LIVE,
    name="fba",
    card=LIVE.card.with_name("card.toml"),
    network="livematte.models.fba.network:fba",
    stride=8,
)


class FBARefiner:
    """A :class:`livematte.protocols.TrimapModel`. Not thread-safe: one thread calls it.

    Args:
        refiner: runs the network and gives known pixels the trimap's alpha.
        augment: average over 24 rotated, mirrored and scaled views (sec. 3.7), which takes 24 times as long.
    """

    takes_gpu_arrays = True

    def __init__(self, refiner: NetworkRefiner, augment: bool = False) -> None:
        self.card, self.network, self.stride = refiner.card, refiner.network, refiner.stride
        self._refiner, self._augment = refiner, augment

    @property
    def notes(self) -> list[str]:
        """Messages for the user about past runs; see :attr:`NetworkRefiner.notes`."""
        return self._refiner.notes

    def refine(self, rgb: Array, trimap: Array) -> Matte:
        """Alpha and straight foreground after the fusion of sec. 3.4; known pixels have the trimap's alpha.

        Args:
            rgb: (h, w, 3) uint8 RGB. If it is on a GPU, so is the matte, except with augmentation.
            trimap: (h, w) uint8, 0 background, 128 unknown, 255 foreground.

        Returns:
            The matte; its ``extras["background"]`` is (h, w, 3) float32 RGB in [0, 1].
        """
        from livematte.kernels.fusion import fuse_layers  # imports OpenCV

        if self._augment:
            from livematte.models.fba.augmentation import mean_of_views

            rgb = to_host(rgb)
            alpha, foreground, background = mean_of_views(self._layers, rgb, trimap)
        else:
            alpha, foreground, background = self._layers(rgb, trimap)
        foreground, background, alpha = fuse_layers(rgb, foreground, background, alpha)
        guide = to_same_device(trimap, alpha)
        known = guide.astype(np.float32) * np.float32(1 / 255)
        settled = namespace(alpha).where(guide == 128, alpha, known)
        return Matte(settled, foreground, {"background": background})

    def _layers(self, rgb: Array, trimap: Array) -> tuple[Array, Array, Array]:
        matte = self._refiner.refine(rgb, trimap)
        return matte.alpha, matte.foreground, matte.extras["background"].transpose(1, 2, 0)


def _encode(trimap: Array) -> Array:
    from livematte.models.fba.encoding import encode_trimap

    return encode_trimap(trimap)[None]


def fba_live(augment: bool = False, **options: Any) -> FBARefiner:
    """The live size.

    Args:
        augment: see :class:`FBARefiner`.
        options: see :func:`livematte.inference.adapters.open_refiner`.
    """
    return FBARefiner(open_refiner(LIVE, _encode, **options), augment)


def fba(augment: bool = False, **options: Any) -> FBARefiner:
    """The size printed in the paper; no weights are shipped. Arguments as :func:`fba_live`."""
    return FBARefiner(open_refiner(PRINTED, _encode, **options), augment)
