"""The models of JMNet that livematte opens by name.

Importing this imports neither torch nor a runtime.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from livematte.inference.adapters import NetworkModel, open_model
from livematte.inference.model_spec import Int8Nodes, ModelSpec

LIVE = ModelSpec(
    "jmnet-live",
    Path(__file__).parent / "card-live.toml",
    network="livematte.models.jmnet.network:jmnet_live",
    deployed="livematte.models.jmnet.deployed:DeployedJMNet",
    outputs=("alpha", "heatmaps", "trimap"),
    extras=("heatmaps", "trimap"),
    # Float: the first layers, the last layer of each subnetwork, all arithmetic, and the concatenations of
    # table 1: their parts have different ranges, and one common range would be too coarse. Measured: they are
    # no slower in float.
    int8=Int8Nodes(
        eight_bit=r"/(Conv|Relu|Clip)(_\d+)?$|_blocks\.\d+/Add$",
        keep_float=r"_conv_stem|encoder/_act/|_blocks\.[01]/|/(conv4|refine4|conv3_3)/Conv$",
    ),
)
PRINTED = replace(
    LIVE,
    name="jmnet",
    card=LIVE.card.with_name("card.toml"),
    network="livematte.models.jmnet.network:jmnet",
    instead="jmnet-live",
)


def jmnet_live(**options: Any) -> NetworkModel:
    """The live size. Arguments: :func:`livematte.inference.adapters.open_model`.

    With ``extras`` a matte has ``heatmaps`` (25, h/8, w/8), one for each joint of BODY_25, and ``trimap``
    (3, h, w), the probabilities of background, unknown and foreground; both float32 in [0, 1].
    """
    return open_model(LIVE, **options)


def jmnet(**options: Any) -> NetworkModel:
    """The size printed in the paper; no weights are shipped. Arguments as :func:`jmnet_live`."""
    return open_model(PRINTED, **options)
