"""The models of Late Fusion that livematte opens by name.

Importing this imports neither torch nor a runtime.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from livematte.inference.adapters import NetworkModel, open_model
from livematte.inference.model_spec import Int8Nodes, ModelSpec

LIVE = ModelSpec(
    "late-fusion-live",
    Path(__file__).parent / "card-live.toml",
    network="livematte.models.late_fusion.network:late_fusion_live",
    deployed="livematte.models.late_fusion.deployed:DeployedLateFusion",
    outputs=("alpha", "foreground", "background", "blend"),
    extras=("foreground_probability", "background_probability", "blend"),  # eq. 2
    # Float: the stem, the first two blocks and the arithmetic of eq. 2. Measured: the stem and those blocks
    # in float remove a third of the error. The heads give logits: 8 bits with unrounded sums cost no quality
    # and save a thirteenth of the network's time.
    int8=Int8Nodes(
        eight_bit=r"/(Conv|ConvTranspose|Relu|Clip|Concat)$|_blocks\.\d+/Add$",
        keep_float=r"_conv_stem|encoder/_act/|_blocks\.[01]/",
        head=r"/(side|blend)/Conv$",
    ),
)
PRINTED = replace(
    LIVE,
    name="late-fusion",
    card=LIVE.card.with_name("card.toml"),
    network="livematte.models.late_fusion.network:late_fusion",
    instead="late-fusion-live",
)


def late_fusion_live(**options: Any) -> NetworkModel:
    """The live size, with shipped weights. Arguments: :func:`livematte.inference.adapters.open_model`."""
    return open_model(LIVE, **options)


def late_fusion(**options: Any) -> NetworkModel:
    """The size printed in the paper; no weights are shipped. Arguments as :func:`late_fusion_live`."""
    return open_model(PRINTED, **options)
