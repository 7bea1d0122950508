"""AdaMatting as livematte's engine sees it. Importing this imports neither torch nor a runtime."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from livematte.adapters import RGB, NetworkRefiner, Shipped, open_refiner
from livematte.frame import Array
from livematte.runtime import Input

if TYPE_CHECKING:
    from torch import nn

_HERE = Path(__file__).parent
_TRIMAP = Input("trimap", "uint8", (1, None, None), (1, 160, 288))


def _deployed(name: str, weights: Path) -> nn.Module:
    from livematte.models.adamatting.export import deployed

    return deployed(name, weights)


def _shipped(name: str, card: str, instead: str = "") -> Shipped:
    return Shipped(
        name,
        _HERE / card,
        partial(_deployed, name),
        outputs=("alpha", "adapted"),
        extras=("adapted_trimap",),
        inputs=(RGB, _TRIMAP),
        instead=instead,
    )


LIVE = _shipped("adamatting-live", "card-live.toml")
PRINTED = _shipped("adamatting", "card.toml", instead="adamatting-live")


def _encode(trimap: Array) -> Array:
    """(h, w) uint8 as it is: the network reads 0, 128 and 255."""
    return trimap[None]


def adamatting_live(**options: Any) -> NetworkRefiner:
    """The live size. Arguments: :func:`livematte.adapters.open_refiner`.

    A matte's alpha is exactly 0 or 1 where the trimap given and the one the network adapts it to agree; known
    pixels that the network takes for something else get its alpha (``settle=True`` holds to the trimap
    given). ``extras["adapted_trimap"]`` is (h, w) float32: 0 background, 0.5 unknown, 1 foreground.
    """
    return open_refiner(LIVE, _encode, **{"settle": False, **options})


def adamatting(**options: Any) -> NetworkRefiner:
    """The size printed in the paper; no weights are shipped. As :func:`adamatting_live`."""
    return open_refiner(PRINTED, _encode, **{"settle": False, **options})
