"""POMAGAN as livematte's engine sees it. Importing this imports neither torch nor a runtime."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from livematte.adapters import NetworkModel, Shipped, open_model

if TYPE_CHECKING:
    from torch import nn

_HERE = Path(__file__).parent


def _deployed(name: str, weights: Path) -> nn.Module:
    from livematte.models.pomagan.export import deployed

    return deployed(name, weights)


def _shipped(name: str, card: str, instead: str = "") -> Shipped:
    return Shipped(
        name,
        _HERE / card,
        partial(_deployed, name),
        outputs=("alpha", "segmentation"),
        extras=("segmentation",),
        instead=instead,
    )


LIVE = _shipped("pomagan-live", "card-live.toml")
PRINTED = _shipped("pomagan", "card.toml", instead="pomagan-live")


def pomagan_live(**options: Any) -> NetworkModel:
    """The live size. Arguments: :func:`livematte.adapters.open_model`; ``extras`` is the segmentation."""
    return open_model(LIVE, **options)


def pomagan(**options: Any) -> NetworkModel:
    """The size printed in the paper; no weights are shipped. Arguments as :func:`pomagan_live`."""
    return open_model(PRINTED, **options)
