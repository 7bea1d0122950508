"""The table of true alphas: its rows, and what a weights file alone gives."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

from benchmarks import truealpha
from livematte.evaluation.truth import Case, Truth

ALPHA = np.tile(np.linspace(0, 0.9, 64, dtype=np.float32), (64, 1))
FRAME = Truth(np.zeros((64, 64, 3), np.uint8), ALPHA)


def test_a_row_has_means_of_each_kind_and_the_time_of_a_frame() -> None:
    cases = {"stills": [Case("a", lambda: iter([FRAME]))], "clips": [Case("b", lambda: iter([FRAME] * 3))]}

    def make(stack: ExitStack) -> truealpha.MattingMethod:
        return lambda rgb: ALPHA + np.float32(0.01)

    means = truealpha.measure(make, cases)
    assert means["stills"]["MAD"] == pytest.approx(10, rel=1e-3)
    assert means["clips"]["dtSSD"] == 0 and means["clips"]["ms"] >= 0
    text = truealpha.table({"one": means}, "stills")
    assert text.splitlines()[0].endswith("| fgMSE x 1000 | ms |")
    assert text.splitlines()[2].startswith("| one | 10.00 | 0.10 |") and "| - | - |" in text


def test_weights_alone_are_the_only_rows(tmp_path: Path) -> None:
    file = tmp_path / "mine.safetensors"
    file.write_bytes(b"")
    options = {"device": "cpu", "runtime": "auto", "precision": "auto", "models": None, "refiners": None}
    options |= {"rvm": None, "mediapipe_python": None}
    names = [
        name
        for name, _ in truealpha.methods(
            truealpha.argparse.Namespace(
                **options, weights=[truealpha._weights(str(file))], sizes=truealpha._sizes("352,512")
            )
        )
    ]
    assert [name.partition(" with ")[2] for name in names] == [
        "mine.safetensors, 352 px",
        "mine.safetensors, 512 px",
    ]
    everything = truealpha.argparse.Namespace(**options, weights=[], sizes=[512])
    rows = [name for name, _ in truealpha.methods(everything)]
    assert len(rows) > 4 and sum("refined by" in name for name in rows) >= 2
