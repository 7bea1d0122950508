"""The committed weights that a training continues from: complete and described."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from livematte.models.late_fusion.network import late_fusion_live
from livematte.training.initialization import warm_start, weights_crops

_ROOT = Path(__file__).resolve().parents[3]
_FILES = sorted(_ROOT.glob("models/*/training/*.safetensors"))


@pytest.mark.parametrize("file", _FILES, ids=lambda file: file.parts[-3])
def test_the_readme_beside_the_weights_has_their_sum_and_their_crops(file: Path) -> None:
    readme = (file.parent / "README.md").read_text(encoding="utf-8")
    assert hashlib.sha256(file.read_bytes()).hexdigest() in readme
    assert f"{weights_crops(file):,}" in readme


def test_a_run_of_late_fusion_live_continues_from_them() -> None:
    network = late_fusion_live()
    counters = sum(name.endswith("num_batches_tracked") for name in network.state_dict())
    loaded, missing = warm_start(network, _ROOT / "models/late_fusion/training/late-fusion-live.safetensors")
    assert loaded == len(network.state_dict()) - counters
    assert missing == counters
