"""Cards, hashes and the refusal of what could run code or does not fit."""

import hashlib
import sys

import numpy as np
import onnx
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from livematte.device import choose_device
from livematte.errors import ModelError, UsageError, WeightsError
from livematte.inference import Input, Program, open_network, weights

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


def test_changed_file_is_refused_with_the_beginning_of_both_hashes(card):
    card.file("fp16").path.write_bytes(b"abd")
    with pytest.raises(WeightsError) as caught:
        weights.verified_path(card.file("fp16"))
    for data in (b"abc", b"abd"):
        assert hashlib.sha256(data).hexdigest()[:12] in str(caught.value)


def test_missing_file_is_named(card):
    card.file("fp16").path.unlink()
    with pytest.raises(WeightsError, match=r"tiny\.safetensors cannot be read: No such file"):
        weights.verified_path(card.file("fp16"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name = ", "not TOML"),
        ("x = 1", "lacks 'name'"),
        ("name='a'\n[[files]]\nname='b'", "lacks"),
        ("name = 3", "name must be text"),
        ("name='a'\nfiles = 3", "files must be tables"),
        ("name='a'\nfiles = ['x']", "files must be tables"),
        ("name='a'\nmetrics = [1]", "metrics must be tables"),
        (f"{CARD}\n[metrics]\nfp16 = 2", "metrics must be tables"),
        ("name='a'\n[[files]]\nname='b'\nprecision='fp16'\nsha256=7", "sha256 must be text"),
    ],
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


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_weights_that_are_not_finite_are_refused_and_named(tmp_path, value, dtype):
    tensors = {k: v.to(dtype) if v.dim() else v for k, v in tiny().state_dict().items()}
    tensors["0.weight"][1, 2, 0, 0] = value
    save_file(tensors, tmp_path / "w.safetensors")
    with pytest.raises(WeightsError, match=r"NaN or infinite numbers in 1 tensors \(0\.weight\)"):
        weights.load_into(tiny(), tmp_path / "w.safetensors")


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_an_onnx_file_that_is_not_finite_is_refused(tmp_path, value):
    with pytest.raises(WeightsError, match=r"NaN or infinite numbers in 1 tensors \(weight\)"):
        weights.check_onnx(onnx_file(tmp_path, value))


def onnx_file(folder, value=1.0):
    """An ONNX file that multiplies by one weight, which is that value."""
    ends = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1]) for name in ("x", "y")]
    weight = onnx.numpy_helper.from_array(np.array([value], np.float32), "weight")
    node = onnx.helper.make_node("Mul", ["x", "weight"], ["y"], name="times")
    graph = onnx.helper.make_graph([node], "g", ends[:1], ends[1:], [weight])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, str(folder / "w.onnx"))
    return folder / "w.onnx"


@pytest.mark.parametrize("old", [b"times", b"weight", b"\x01x", b"\x01y"])
def test_a_name_in_an_onnx_file_that_is_not_utf8_is_one_line(tmp_path, old):
    path = onnx_file(tmp_path)
    path.write_bytes(path.read_bytes().replace(old, old[:-1] + b"\xff"))
    with pytest.raises(WeightsError, match=r"w\.onnx is not a complete ONNX file: .*UTF-8") as caught:
        weights.check_onnx(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("runtime", ["openvino", "onnxruntime"])
@pytest.mark.parametrize("old", [b"\x01x", b"\x01y"])
def test_no_runtime_fails_otherwise_on_a_name_that_is_not_utf8(tmp_path, old, runtime):
    path = onnx_file(tmp_path)
    path.write_bytes(path.read_bytes().replace(old, b"\x01\xff"))
    forms = Program("toy", "0" * 64, (Input("x", "float32", (1,), (1,)),), ("y",), None, path, "fp32")
    with pytest.raises(WeightsError, match=r"w\.onnx"):
        open_network(forms, choose_device("cpu"), runtime)


@pytest.mark.parametrize("data", [b"", b"hello", b"\xff" * 64, bytes(64)])
def test_what_is_no_onnx_is_refused(tmp_path, data):
    (tmp_path / "w.onnx").write_bytes(data)
    with pytest.raises(WeightsError, match="not a complete ONNX file"):
        weights.check_onnx(tmp_path / "w.onnx")


@pytest.mark.parametrize("runtime", ["openvino", "onnxruntime"])
def test_an_onnx_file_with_other_inputs_is_refused(tmp_path, runtime):
    image = Input("rgb", "float32", (1,), (1,))
    forms = Program("toy", "0" * 64, (image,), ("y",), None, onnx_file(tmp_path), "fp32")
    with pytest.raises(WeightsError, match="it has the inputs x instead of rgb"):
        open_network(forms, choose_device("cpu"), runtime)
