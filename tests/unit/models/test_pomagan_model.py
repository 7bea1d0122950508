"""The adapter: alpha and segmentation of the network, as the engine gets them."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from livematte.errors import ModelError, WeightsError
from livematte.inference.encoders import EfficientNetLite0
from livematte.models.pomagan import model as adapter
from livematte.models.pomagan.network import pomagan_live
from livematte.models.pomagan.training import TrainedPOMAGAN


@pytest.fixture(scope="module")
def network():
    """Untrained, its maps are grey all over; so with statistics of its input, and louder."""
    torch.manual_seed(5)
    network = pomagan_live().train()
    with torch.no_grad():
        for _ in range(4):
            network(torch.rand(2, 3, 64, 64))
        for generator in (network.segmentation, network.alpha):
            generator.decoder.out.weight *= 20
    return network.eval()


@pytest.fixture(scope="module")
def weights(network, tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "untrained.safetensors"
    save_file(network.state_dict(), path)
    return path


@pytest.fixture(scope="module")
def model(weights):
    return adapter.pomagan_live(device="cpu", runtime="torch", weights=weights, extras=True)


def picture(height, width):
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


def test_matte_has_the_pictures_size_also_where_that_is_no_multiple_of_32(model):
    for size in ((64, 96), (50, 71), (1, 1)):
        matte, state = model(picture(*size), None)
        assert state is None and matte.alpha.shape == size and matte.alpha.dtype == np.float32
        assert matte.alpha.min() >= 0 and matte.alpha.max() <= 1


def test_alpha_and_segmentation_are_those_of_the_network_itself(model, network):
    rgb = picture(64, 64)
    with torch.inference_mode():
        expected = network(torch.from_numpy(rgb).permute(2, 0, 1)[None].float() / 255)
    matte = model(rgb, None)[0]
    assert matte.alpha.std() > 0.05 and matte.extras["segmentation"].std() > 0.05
    np.testing.assert_allclose(matte.alpha, expected.alpha[0, 0], atol=1e-4)
    np.testing.assert_allclose(matte.extras["segmentation"], expected.segmentation[0, 0], atol=1e-4)


def test_onnx_runtime_gives_the_same_alpha(model, weights):
    other = adapter.pomagan_live(device="cpu", runtime="onnxruntime", weights=weights)
    rgb = picture(64, 96)
    np.testing.assert_allclose(other(rgb, None)[0].alpha, model(rgb, None)[0].alpha, atol=1e-3)
    assert not other(rgb, None)[0].extras


def test_printed_size_without_weights_says_that_none_are_shipped():
    with pytest.raises(ModelError, match=r"no weights are shipped for pomagan: .* --model pomagan-live"):
        adapter.pomagan(device="cpu")


def test_weights_of_the_other_size_are_refused(weights):
    with pytest.raises(WeightsError, match="does not fit this model"):
        adapter.pomagan(device="cpu", runtime="torch", weights=weights)


def test_weights_as_a_training_leaves_them_are_taken_without_the_rest(model, network, tmp_path):
    trained = TrainedPOMAGAN(network, (4, 4, 4), EfficientNetLite0())
    path = tmp_path / "average.safetensors"
    save_file({k: v.contiguous() for k, v in trained.state_dict().items()}, path)
    own = adapter.pomagan_live(device="cpu", runtime="torch", weights=path)
    rgb = picture(64, 64)
    np.testing.assert_array_equal(own(rgb, None)[0].alpha, model(rgb, None)[0].alpha)


def test_importing_the_adapter_imports_neither_torch_nor_a_runtime():
    code = (
        "import sys, livematte.models.pomagan.model;"
        "assert not {'torch', 'openvino', 'onnxruntime', 'cv2'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("node", "floats"),
    [
        ("/network/segmentation/encoder/_conv_stem/Conv", True),
        ("/network/segmentation/encoder/_blocks.1/_depthwise_conv/Conv", True),
        ("/network/segmentation/encoder/_blocks.10/_depthwise_conv/Conv", False),
        ("/network/segmentation/residual/residual.0/Add", False),
        ("/network/segmentation/decoder/Concat_2", False),
        ("/network/segmentation/decoder/Sigmoid", True),
        ("/network/alpha/picture_encoding/layers.0/layers.0.0/Conv", True),
        ("/network/alpha/segmentation_encoding/layers.1/layers.1.0/Conv", False),
        ("/network/alpha/decoder/ups.0/ups.0.0/ConvTranspose", False),
        ("/network/alpha/decoder/out/Conv", True),
        ("/Mul", True),
    ],
)
def test_which_layers_stay_in_float(node, floats):
    assert adapter.LIVE.int8.keeps_float(node) == floats
