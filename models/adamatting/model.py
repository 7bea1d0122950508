"""The refiners of AdaMatting that livematte opens by name.

Importing this imports neither torch nor a runtime.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from livematte.frame import Array
from livematte.inference import Input
from livematte.inference.adapters import NetworkRefiner, open_refiner
from livematte.inference.model_spec import RGB, ModelSpec

LIVE = ModelSpec(
    "adamatting-live",
    Path(__file__).parent / "card-live.toml",
    network="livematte.models.adamatting.network:adamatting_live",
    deployed="livematte.models.adamatting.deployed:DeployedAdaMatting",
    outputs=("alpha", "adapted"),
    extras=("adapted_trimap",),
    inputs=(RGB, Input("trimap", "uint8", (1, None, None), (1, 160, 288))),
)
PRINTED = replace(
    LIVE,
    name="adamatting",
    card=LIVE.card.with_name("card.toml"),
    network="livematte.models.adamatting.network:adamatting",
    instead="adamatting-live",
)


def _encode(trimap: Array) -> Array:
    """The trimap (h, w) uint8 as (1, h, w), unchanged: the network reads 0, 128 and 255."""
    return trimap[None]


def adamatting_live(**options: Any) -> NetworkRefiner:
    """The live size. Arguments: :func:`livematte.inference.adapters.open_refiner`.

    Alpha is exactly 0 or 1 where the given trimap and the trimap adapted by the network agree on background
    or foreground. Known pixels that the network classifies differently get the network's alpha;
    ``trust_trimap=True`` gives all known pixels the alpha of the given trimap instead.
    ``extras["adapted_trimap"]`` is (h, w) float32: 0 background, 0.5 unknown, 1 foreground.
    """
    return open_refiner(LIVE, _encode, **{"trust_trimap": False, **options})


def adamatting(**options: Any) -> NetworkRefiner:
    """The size printed in the paper; no weights are shipped. Arguments as :func:`adamatting_live`."""
    return open_refiner(PRINTED, _encode, **{"trust_trimap": False, **options})
