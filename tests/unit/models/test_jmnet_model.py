"""The adapter: alpha, heatmaps and trimap of the network, as the engine gets them, in every runtime."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from livematte.errors import ModelError, WeightsError
from livematte.models.jmnet import model as adapter
from livematte.models.jmnet.network import jmnet_live


@pytest.fixture(scope="module")
def network():
    """Untrained, its maps are grey all over; so with statistics of its input, and louder."""
    torch.manual_seed(5)
    network = jmnet_live().train()
    with torch.no_grad():
        for _ in range(4):
            network(torch.rand(2, 3, 64, 64))
        network.pose.conv4.weight *= 100
        network.trimap.refine4.weight *= 10
        network.matting.conv3_3.weight *= 10
    return network.eval()


@pytest.fixture(scope="module")
def weights(network, tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "untrained.safetensors"
    save_file(network.state_dict(), path)
    return path


def picture(height, width):
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


@pytest.fixture(scope="module")
def model(weights):
    return adapter.jmnet_live(device="cpu", runtime="torch", weights=weights, extras=True)


def test_matte_has_the_pictures_size_also_where_that_is_no_multiple_of_32(model):
    for size in ((64, 96), (50, 71), (1, 1)):
        matte, state = model(picture(*size), None)
        assert state is None and matte.alpha.shape == size and matte.alpha.dtype == np.float32
        assert matte.alpha.min() >= 0 and matte.alpha.max() <= 1
        assert matte.extras["trimap"].shape == (3, *size)


@pytest.mark.parametrize("runtime", ["torch", "onnxruntime", "openvino"])
def test_every_runtime_gives_what_the_network_gives(runtime, weights, network):
    rgb = picture(64, 96)
    with torch.inference_mode():
        expected = network(torch.from_numpy(rgb).permute(2, 0, 1)[None].float() / 255)
    model = adapter.jmnet_live(
        device="cpu", runtime=runtime, precision="fp32", threads=1, weights=weights, extras=True
    )
    matte = model(rgb, None)[0]
    maps = {"heatmaps": expected.heatmaps.clamp(0, 1), "trimap": torch.softmax(expected.trimap, 1)}
    assert matte.alpha.std() > 0.02
    np.testing.assert_allclose(matte.alpha, expected.alpha[0, 0], atol=2e-3)
    assert list(matte.extras) == list(maps)
    for name, wanted in maps.items():
        assert matte.extras[name].shape == wanted.shape[1:] and wanted.std() > 0.02
        np.testing.assert_allclose(matte.extras[name], wanted[0], atol=2e-3)


def test_extras_come_only_when_asked_for(weights):
    plain = adapter.jmnet_live(device="cpu", runtime="torch", weights=weights)
    assert not plain(picture(32, 32), None)[0].extras


def test_printed_size_without_weights_names_the_live_one():
    with pytest.raises(ModelError, match=r"no weights are shipped for jmnet: .* or use --model jmnet-live"):
        adapter.jmnet(device="cpu")


def test_weights_of_the_other_size_are_refused(weights):
    with pytest.raises(WeightsError, match="does not fit this model"):
        adapter.jmnet(device="cpu", weights=weights)


def test_importing_the_adapter_imports_neither_torch_nor_a_runtime():
    code = (
        "import sys, livematte.models.jmnet.model;"
        "assert not {'torch', 'openvino', 'onnxruntime', 'cv2'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("node", "floats"),
    [
        ("/network/encoder/_conv_stem/Conv", True),
        ("/network/encoder/_blocks.1/_depthwise_conv/Conv", True),
        ("/network/encoder/_blocks.10/_depthwise_conv/Conv", False),
        ("/network/encoder/_blocks.6/Add", False),
        ("/network/aspp/branches.2/Conv", False),
        ("/network/aspp/Add_1", True),
        ("/network/pose/conv/conv.0/conv.0.0/Conv", False),
        ("/network/pose/conv4/Conv", True),
        ("/network/trimap/conv4/conv4.0/Conv", False),
        ("/network/trimap/refine/refine.0/refine.0.0/Conv", False),
        ("/network/trimap/refine4/Conv", True),
        ("/network/matting/Concat_4", True),
        ("/network/matting/conv3_3/Conv", True),
        ("/network/Softmax", True),
        ("/network/Add", True),
    ],
)
def test_which_layers_stay_in_float(node, floats):
    assert adapter.LIVE.int8.keeps_float(node) == floats
