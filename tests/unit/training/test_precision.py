"""Which arithmetic a training takes where nobody says."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from livematte.training import precision
from livematte.training.losses import laplacian


@pytest.mark.parametrize(("has", "device", "wanted"), [
    (True, "cpu", "bf16"), (False, "cpu", "fp32"), (True, "cuda", "fp32"),
])  # fmt: skip
def test_auto_is_bf16_on_a_cpu_that_has_it(
    monkeypatch: pytest.MonkeyPatch, has: bool, device: str, wanted: str
) -> None:
    monkeypatch.setattr(precision, "cpu_has_bf16", lambda: has)
    assert precision.choose_precision("auto", device) == wanted
    assert precision.choose_precision("bf16", "cpu") == "bf16"


@pytest.mark.parametrize(
    ("flags", "found"), [("sse avx512_bf16", True), ("fpu amx_bf16 x", True), ("avx512f", False)]
)
def test_flags_of_the_processor_are_read_where_torch_does_not_say(
    monkeypatch: pytest.MonkeyPatch, flags: str, found: bool
) -> None:
    for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"):
        monkeypatch.delattr(torch.cpu, name, raising=False)
    monkeypatch.setattr(Path, "read_text", lambda *a, **k: f"flags : {flags}\n")
    assert precision.cpu_has_bf16() is found


def test_no_processor_file_is_no_bf16(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"):
        monkeypatch.delattr(torch.cpu, name, raising=False)

    def missing(*a: object, **k: object) -> str:
        raise FileNotFoundError

    monkeypatch.setattr(Path, "read_text", missing)
    assert not precision.cpu_has_bf16()


def test_the_pyramid_loss_is_exact_under_autocast() -> None:
    a, b = torch.rand(2, 1, 1, 32, 32)
    exact = laplacian(a, b)
    with precision.autocast(torch.device("cpu"), "bf16"):
        assert torch.equal(laplacian(a, b), exact)
