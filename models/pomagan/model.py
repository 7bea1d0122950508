"""The models of POMAGAN that livematte opens by name.

Importing this imports neither torch nor a runtime.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from livematte.inference.adapters import NetworkModel, open_model
from livematte.inference.model_spec import Int8Nodes, ModelSpec

LIVE = ModelSpec(
    "pomagan-live",
    Path(__file__).parent / "card-live.toml",
    network="livematte.models.pomagan.network:pomagan_live",
    deployed="livematte.models.pomagan.deployed:DeployedPOMAGAN",
    outputs=("alpha", "segmentation"),
    extras=("segmentation",),
    training_prefix="deployable.",  # a checkpoint also holds discriminators and perceptual features
    # Float: the first layers of each encoder, the output layers and all arithmetic.
    int8=Int8Nodes(
        eight_bit=r"/(Conv|ConvTranspose|Relu|Clip|Concat)(_\d+)?$|(_blocks|residual)\.\d+/Add$",
        keep_float=r"/out/|_conv_stem|encoder/_act/|_blocks\.[01]/|encoding/layers\.0/",
    ),
)
PRINTED = replace(
    LIVE,
    name="pomagan",
    card=LIVE.card.with_name("card.toml"),
    network="livematte.models.pomagan.network:pomagan",
    instead="pomagan-live",
)


def pomagan_live(**options: Any) -> NetworkModel:
    """The live size. Arguments: :func:`livematte.inference.adapters.open_model`.

    With ``extras`` a matte has ``segmentation`` (h, w), float32 in [0, 1].
    """
    return open_model(LIVE, **options)


def pomagan(**options: Any) -> NetworkModel:
    """The size printed in the paper; no weights are shipped. Arguments as :func:`pomagan_live`."""
    return open_model(PRINTED, **options)
