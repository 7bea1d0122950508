"""JMNet as livematte's engine sees it. Importing this imports neither torch nor a runtime."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from livematte.adapters import NetworkModel, Shipped, open_model

if TYPE_CHECKING:
    from torch import nn

_HERE = Path(__file__).parent


def _deployed(name: str, weights: Path) -> nn.Module:
    from livematte.models.jmnet.export import deployed

    return deployed(name, weights)


def _shipped(name: str, card: str, instead: str = "") -> Shipped:
    return Shipped(
        name,
        _HERE / card,
        partial(_deployed, name),
        outputs=("alpha", "heatmaps", "trimap"),
        extras=("heatmaps", "trimap"),
        instead=instead,
    )


LIVE = _shipped("jmnet-live", "card-live.toml")
PRINTED = _shipped("jmnet", "card.toml", instead="jmnet-live")


def jmnet_live(**options: Any) -> NetworkModel:
    """The live size. Arguments: :func:`livematte.adapters.open_model`.

    With ``extras`` a matte carries ``heatmaps`` (25, h/8, w/8), one for each joint of BODY_25, and ``trimap``
    (3, h, w), the probabilities of background, unknown and foreground; both float32 in [0, 1].
    """
    return open_model(LIVE, **options)


def jmnet(**options: Any) -> NetworkModel:
    """The size printed in the paper; no weights are shipped. Arguments as :func:`jmnet_live`."""
    return open_model(PRINTED, **options)
