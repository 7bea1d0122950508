"""The adapter: sizes, weights, and that eq. 2's maps come along when asked for."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from livematte.errors import ModelError, UsageError, WeightsError
from livematte.models.late_fusion import model as adapter
from livematte.models.late_fusion.network import late_fusion_live


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    torch.manual_seed(5)
    path = tmp_path_factory.mktemp("weights") / "untrained.safetensors"
    save_file(late_fusion_live().state_dict(), path)
    return path


@pytest.fixture(scope="module")
def model(weights):
    return adapter.late_fusion_live(device="cpu", runtime="torch", weights=weights, extras=True)


def picture(height, width):
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


@pytest.mark.parametrize("size", [-1, 5, 100_000])
def test_impossible_size_is_a_usage_error(size, weights):
    with pytest.raises(UsageError, match="long side of 32 to 4096"):
        adapter.late_fusion_live(device="cpu", runtime="torch", weights=weights, size=size)


def test_matte_has_the_pictures_size_also_where_that_is_no_multiple_of_32(model):
    for size in ((64, 96), (50, 71), (1, 1)):
        matte, state = model(picture(*size), None)
        assert state is None and matte.alpha.shape == size and matte.alpha.dtype == np.float32
        assert matte.alpha.min() >= 0 and matte.alpha.max() <= 1


def test_padding_leaves_a_whole_picture_as_it_is(model):
    rgb = picture(64, 96)
    cut = rgb[:40, :70]
    padded = np.pad(cut, ((0, 24), (0, 26), (0, 0)), mode="edge")
    np.testing.assert_array_equal(model(cut, None)[0].alpha, model(padded, None)[0].alpha[:40, :70])


def test_alpha_is_that_of_the_network_itself(model, weights):
    network = late_fusion_live().eval()
    torch.manual_seed(5)
    network.load_state_dict(late_fusion_live().state_dict())
    rgb = picture(64, 64)
    with torch.inference_mode():
        expected = network(torch.from_numpy(rgb).permute(2, 0, 1)[None].float() / 255).alpha[0, 0]
    np.testing.assert_allclose(model(rgb, None)[0].alpha, expected, atol=1e-5)


def test_extras_are_the_maps_of_equation_2(model):
    matte, _ = model(picture(64, 64), None)
    f, b, blend = (matte.extras[n] for n in ("foreground_probability", "background_probability", "blend"))
    np.testing.assert_allclose(matte.alpha, blend * f + (1 - blend) * (1 - b), atol=1e-5)


def test_extras_come_only_when_asked_for(weights):
    plain = adapter.late_fusion_live(device="cpu", runtime="torch", weights=weights)
    assert not plain(picture(32, 32), None)[0].extras


def test_printed_size_without_weights_says_that_none_are_shipped():
    with pytest.raises(ModelError, match="no weights are shipped for late-fusion: train it .* --weights"):
        adapter.late_fusion(device="cpu")


def test_weights_of_the_other_size_are_refused_when_the_model_is_opened(weights):
    for runtime in ("torch", "openvino"):
        with pytest.raises(WeightsError, match="does not fit this model"):
            adapter.late_fusion(device="cpu", runtime=runtime, weights=weights)


def test_weights_that_are_not_there_are_named(tmp_path):
    with pytest.raises(WeightsError, match=r"none\.safetensors do not exist"):
        adapter.late_fusion_live(device="cpu", weights=tmp_path / "none.safetensors")


def test_asking_for_int8_with_fp32_weights_is_refused(weights):
    with pytest.raises(ModelError, match="no int8 weights"):
        adapter.late_fusion_live(device="cpu", precision="int8", weights=weights)


def test_importing_the_adapter_imports_neither_torch_nor_a_runtime():
    code = (
        "import sys, livematte.models.late_fusion.model;"
        "assert not {'torch', 'openvino', 'onnxruntime', 'cv2'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("node", "floats"),
    [
        ("/network/encoder/_conv_stem/Conv", True),
        ("/network/encoder/_act/Clip", True),
        ("/network/encoder/_blocks.1/_depthwise_conv/Conv", True),
        ("/network/encoder/_blocks.10/_depthwise_conv/Conv", False),
        ("/network/encoder/_blocks.6/Add", False),
        ("/network/foreground/side/Conv", False),
        ("/network/fusion/blend/Conv", False),
        ("/network/fusion/convs/convs.0/convs.0.0/Conv", False),
        ("/network/Mul", True),
        ("/network/Add", True),
        ("/network/Sigmoid", True),
        ("/network/background/blocks.2/up/ConvTranspose", False),
    ],
)
def test_which_layers_stay_in_float(node, floats):
    assert adapter.LIVE.int8.keeps_float(node) == floats


def test_sums_of_the_heads_are_not_rounded_in_what_is_shipped():
    import onnx

    nodes = onnx.load(str(adapter.LIVE.card.parent / "weights" / "late-fusion-live.int8.onnx")).graph.node
    heads = {node.output[0] for node in nodes if adapter.LIVE.int8.is_head(node.name)}
    assert len(heads) == 3
    assert {node.op_type for node in nodes if set(node.input) & heads} == {"Sigmoid"}
