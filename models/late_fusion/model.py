"""Late Fusion as livematte's engine sees it. Importing this imports neither torch nor a runtime."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from livematte.adapters import NetworkModel, Shipped, open_model

if TYPE_CHECKING:
    from torch import nn

_HERE = Path(__file__).parent


def _deployed(name: str, weights: Path) -> nn.Module:
    from livematte.models.late_fusion.export import deployed

    return deployed(name, weights)


def _shipped(name: str, card: str, instead: str = "") -> Shipped:
    return Shipped(
        name,
        _HERE / card,
        partial(_deployed, name),
        outputs=("alpha", "foreground", "background", "blend"),
        extras=("foreground_probability", "background_probability", "blend"),  # eq. 2
        instead=instead,
    )


LIVE = _shipped("late-fusion-live", "card-live.toml")
PRINTED = _shipped("late-fusion", "card.toml", instead="late-fusion-live")


def late_fusion_live(**options: Any) -> NetworkModel:
    """The live size, with shipped weights. Arguments: :func:`livematte.adapters.open_model`."""
    return open_model(LIVE, **options)


def late_fusion(**options: Any) -> NetworkModel:
    """The size printed in the paper; no weights are shipped. Arguments as :func:`late_fusion_live`."""
    return open_model(PRINTED, **options)
