"""The shipped weights that a training continues from: complete, with the number of crops they have seen."""

from __future__ import annotations

from pathlib import Path

from livematte.models.late_fusion.network import late_fusion_live
from livematte.training.initialization import warm_start, weights_crops

_ROOT = Path(__file__).resolve().parents[3]
_WEIGHTS = _ROOT / "models/late_fusion/weights/late-fusion-live.safetensors"


def test_a_run_of_late_fusion_live_continues_from_them() -> None:
    network = late_fusion_live()
    counters = sum(name.endswith("num_batches_tracked") for name in network.state_dict())
    loaded, missing = warm_start(network, _WEIGHTS)
    assert loaded == len(network.state_dict()) - counters
    assert missing == counters
    card = (_ROOT / "models/late_fusion/card-live.toml").read_text(encoding="utf-8")
    assert f"\ncrops = {weights_crops(_WEIGHTS)}\n" in card
