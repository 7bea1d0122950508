"""Cards, hashes and the refusal of what could run code or does not fit."""

import hashlib
import sys

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from livematte.errors import ModelError, UsageError, WeightsError
from livematte.inference import weights

CARD = """
name = "tiny"
licence = "CC0"
[[files]]
name = "tiny.safetensors"
precision = "fp16"
sha256 = "{}"
"""


def tiny():
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))


@pytest.fixture
def card(tmp_path):
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "tiny.safetensors").write_bytes(b"abc")
    (tmp_path / "card.toml").write_text(CARD.format(hashlib.sha256(b"abc").hexdigest().upper()))
    return weights.read_card(tmp_path / "card.toml")


def test_card_names_its_facts_and_files(card):
    assert card.name == "tiny" and card.facts["licence"] == "CC0"
    assert card.file("fp16").path.name == "tiny.safetensors" and card.file("int8") is None


def test_file_with_the_cards_hash_is_accepted(card):
    assert weights.verified_path(card.file("fp16")) == card.file("fp16").path


def test_changed_file_is_refused_with_both_hashes(card):
    card.file("fp16").path.write_bytes(b"abd")
    with pytest.raises(WeightsError) as caught:
        weights.verified_path(card.file("fp16"))
    for data in (b"abc", b"abd"):
        assert hashlib.sha256(data).hexdigest() in str(caught.value)


def test_missing_file_is_named(card):
    card.file("fp16").path.unlink()
    with pytest.raises(WeightsError, match=r"tiny\.safetensors cannot be read: No such file"):
        weights.verified_path(card.file("fp16"))


@pytest.mark.parametrize(
    ("text", "said"),
    [("name = ", "not TOML"), ("x = 1", "lacks 'name'"), ("name='a'\n[[files]]\nname='b'", "lacks")],
)
def test_broken_card_is_a_model_error(tmp_path, text, said):
    (tmp_path / "card.toml").write_text(text)
    with pytest.raises(ModelError, match=said):
        weights.read_card(tmp_path / "card.toml")


def test_card_of_a_registered_model_is_found_without_importing_it():
    module = "livematte.models.late_fusion.model"
    before = module in sys.modules
    assert weights.find_card("late-fusion-live").name == "late-fusion-live"
    assert weights.find_card("late-fusion").name == "late-fusion"
    assert (module in sys.modules) == before


def test_card_of_an_unknown_model_is_a_usage_error():
    with pytest.raises(UsageError, match="did you mean 'late-fusion-live'"):
        weights.find_card("late-fusion-life")


@pytest.mark.parametrize("name", ["a.pth", "a.PT", "a.ckpt", "a.pkl", "pytorch_model.bin"])
def test_pickles_are_refused_with_the_reason_and_the_way_out(tmp_path, name):
    (tmp_path / name).write_bytes(b"")
    with pytest.raises(WeightsError, match=r"pickle, which can run any code.*save_file"):
        weights.check_user_weights(tmp_path / name)


def test_user_file_must_be_there_and_of_a_known_kind(tmp_path):
    with pytest.raises(WeightsError, match="do not exist"):
        weights.check_user_weights(tmp_path / "no.safetensors")
    with pytest.raises(WeightsError, match=r"allowed are \.safetensors and \.onnx"):
        weights.check_user_weights(tmp_path / "a.h5")


def test_half_precision_fills_a_float_module(tmp_path):
    one, two = tiny(), tiny()
    save_file({k: v.half() for k, v in one.state_dict().items() if v.dim()}, tmp_path / "w.safetensors")
    weights.load_into(two, tmp_path / "w.safetensors")
    assert two[0].weight.dtype == torch.float32
    torch.testing.assert_close(two[0].weight, one[0].weight, atol=1e-3, rtol=1e-3)


def test_unfit_tensors_are_counted_by_kind_and_named(tmp_path):
    tensors = tiny().state_dict()
    del tensors["1.bias"]
    tensors["0.weight"] = torch.zeros(4, 3, 5, 5)
    tensors["head.bias"] = torch.zeros(1)
    save_file(tensors, tmp_path / "w.safetensors")
    with pytest.raises(WeightsError) as caught:
        weights.load_into(tiny(), tmp_path / "w.safetensors")
    said = str(caught.value)
    assert "1 missing (1.bias)" in said and "1 unexpected (head.bias)" in said
    assert "0.weight (4, 3, 5, 5) where (4, 3, 3, 3) is expected" in said and "\n" not in said


@pytest.mark.parametrize("data", [b"", b"hello", b"\xff" * 64])
def test_what_is_no_safetensors_is_refused(tmp_path, data):
    (tmp_path / "w.safetensors").write_bytes(data)
    with pytest.raises(WeightsError, match="not a complete safetensors file"):
        weights.load_into(tiny(), tmp_path / "w.safetensors")


def test_metadata_of_safetensors_is_read_without_the_tensors(tmp_path):
    path = tmp_path / "w.safetensors"
    save_file(tiny().state_dict(), path, metadata={"model": "m"})
    assert weights.read_safetensors_metadata(path) == {"model": "m"}
    save_file(tiny().state_dict(), path)
    assert weights.read_safetensors_metadata(path) == {}
    path.write_bytes((2**40).to_bytes(8, "little") + b"{}")  # a header that declares 1 TB
    with pytest.raises(WeightsError, match="not a complete safetensors file"):
        weights.read_safetensors_metadata(path)


def test_truncated_safetensors_is_refused(tmp_path):
    save_file(tiny().state_dict(), tmp_path / "w.safetensors")
    whole = (tmp_path / "w.safetensors").read_bytes()
    (tmp_path / "w.safetensors").write_bytes(whole[:-10])
    with pytest.raises(WeightsError, match="not a complete safetensors file"):
        weights.load_into(tiny(), tmp_path / "w.safetensors")


def test_small_files_keep_the_limit_by_storing_the_largest_tensor_in_8_bits(tmp_path):
    module = nn.Sequential(nn.Conv2d(8, 64, 3), nn.Conv2d(64, 8, 1))
    limit = 64 * 8 * 9 + 64 * 4 + 1024 + 72 * 4 + 4 * 128
    reduced = weights.save_within_limit(
        module.state_dict(), tmp_path / "w.safetensors", limit, {"model": "m"}
    )
    assert reduced == ["0.weight"]
    stored = load_file(tmp_path / "w.safetensors")
    assert stored["0.weight"].dtype == torch.int8 and stored["1.weight"].dtype == torch.float16
    assert stored["0.bias"].dtype == torch.float32
    other = nn.Sequential(nn.Conv2d(8, 64, 3), nn.Conv2d(64, 8, 1))
    weights.load_into(other, tmp_path / "w.safetensors")
    step = module[0].weight.abs().amax(dim=(1, 2, 3), keepdim=True) / 127
    assert ((other[0].weight - module[0].weight).abs() <= step / 2 + 1e-6).all()


def test_sha256_is_that_of_the_whole_file(tmp_path):
    data = np.random.default_rng(0).integers(0, 256, 3_000_000, dtype=np.uint8).tobytes()
    (tmp_path / "a").write_bytes(data)
    assert weights.sha256(tmp_path / "a") == hashlib.sha256(data).hexdigest()
