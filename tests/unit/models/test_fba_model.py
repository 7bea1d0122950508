"""The refiner: encoding, fusion, what is known stays, and test-time augmentation."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from livematte.errors import ModelError, WeightsError
from livematte.kernels.fusion.reference import fuse_layers as fuse_layers_reference
from livematte.models.fba import model as adapter
from livematte.models.fba.augmentation import mean_of_views
from livematte.models.fba.encoding import SIGMAS, encode_trimap
from livematte.models.fba.network import fba_live
from livematte.protocols import TrimapModel


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(5)
    network = fba_live().eval()
    with torch.no_grad():
        torch.nn.init.normal_(network.encoder._trimap_stem.weight, std=0.1)
        network.out.weight.mul_(60)
    return network


@pytest.fixture(scope="module")
def weights(network, tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "untrained.safetensors"
    save_file(network.state_dict(), path)
    return path


@pytest.fixture(scope="module")
def refiner(weights):
    return adapter.fba_live(device="cpu", runtime="torch", weights=weights)


def example(height, width, seed=0):
    rng = np.random.default_rng(seed)
    rgb = rng.integers(0, 256, (height, width, 3), np.uint8)
    trimap = np.full((height, width), 128, np.uint8)
    trimap[: height // 4], trimap[height - height // 4 :] = 0, 255
    return rgb, trimap


def test_encoding_is_a_gaussian_of_the_distance_to_the_known():  # sec. 3.1
    trimap = np.full((60, 80), 128, np.uint8)
    trimap[10, 20], trimap[50, 70] = 0, 255
    out = encode_trimap(trimap)
    assert out.shape == (60, 80, 6) and out.dtype == np.float32
    for known, (y, x) in ((0, (10, 20)), (3, (50, 70))):
        for number, sigma in enumerate(SIGMAS):
            assert out[y, x, known + number] == 1
            # 3 down and 4 across: at distance 5
            assert out[y + 3, x + 4, known + number] == pytest.approx(np.exp(-25 / (2 * sigma**2)), rel=1e-4)


def test_a_mask_that_is_empty_is_encoded_as_far_away():
    out = encode_trimap(np.full((9, 9), 255, np.uint8))
    assert (out[..., :3] == 0).all() and (out[..., 3:] == 1).all()
    assert (encode_trimap(np.full((9, 9), 128, np.uint8)) == 0).all()


def test_it_is_a_trimap_model(refiner):
    assert isinstance(refiner, TrimapModel) and refiner.stride == 32


@pytest.mark.parametrize("size", [(64, 96), (50, 71), (5, 3)])
def test_the_matte_has_the_pictures_size_and_known_pixels_are_exact(refiner, size):
    rgb, trimap = example(*size)
    matte = refiner.refine(rgb, trimap)
    assert matte.alpha.shape == size and matte.foreground.shape == (*size, 3)
    assert matte.extras["background"].shape == (*size, 3)
    for layer in (matte.alpha, matte.foreground, matte.extras["background"]):
        assert layer.dtype == np.float32 and layer.min() >= 0 and layer.max() <= 1
    assert (matte.alpha[trimap == 0] == 0).all() and (matte.alpha[trimap == 255] == 1).all()


def test_where_foreground_is_known_its_colour_is_the_pictures(refiner):
    rgb, trimap = example(64, 64)
    matte = refiner.refine(rgb, trimap)
    np.testing.assert_allclose(matte.foreground[trimap == 255] * 255, rgb[trimap == 255], atol=0.01)


def test_what_is_unknown_is_the_networks_prediction_fused(refiner, network):
    rgb, trimap = example(64, 96)
    with torch.inference_mode():
        tensors = (rgb.astype(np.float32) / 255, encode_trimap(trimap))
        out = network(*(torch.from_numpy(t).permute(2, 0, 1)[None] for t in tensors))
    alpha, F, B = (x[0].permute(1, 2, 0).numpy() for x in out)
    unknown = trimap == 128
    assert alpha[unknown].std() > 0.01
    expected = fuse_layers_reference(rgb, F, B, alpha[..., 0])
    matte = refiner.refine(rgb, trimap)
    got = (matte.foreground, matte.extras["background"], matte.alpha)
    for a, b in zip(got, expected, strict=True):
        np.testing.assert_allclose(a[unknown], b[unknown], atol=1e-4)


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_every_runtime_says_the_same_at_every_size(refiner, weights, runtime):
    other = adapter.fba_live(device="cpu", runtime=runtime, precision="fp32", weights=weights, threads=1)
    for size in ((64, 96), (96, 64), (32, 160)):  # bins of the pyramid pooling depend on it
        one, two = (r.refine(*example(*size)) for r in (refiner, other))
        np.testing.assert_allclose(one.alpha, two.alpha, atol=2e-3)
        np.testing.assert_allclose(one.foreground, two.foreground, atol=2e-3)


def as_layers(rgb, trimap):
    """Layers that turn with the picture."""
    color = rgb.astype(np.float32) / 255
    return trimap.astype(np.float32) / 255, color, 1 - color


def test_turned_and_mirrored_views_are_turned_back():  # sec. 3.7
    rgb, trimap = example(20, 33)
    for mean, one in zip(mean_of_views(as_layers, rgb, trimap, (1.0,)), as_layers(rgb, trimap), strict=True):
        np.testing.assert_allclose(mean, one, atol=1e-6)


def test_there_are_eight_different_views_at_each_scale():
    rgb, trimap = example(8, 12)
    seen = []

    def predict(picture, guide):
        assert picture.shape[:2] == guide.shape and set(np.unique(guide)) <= {0, 128, 255}
        seen.append((guide.shape, picture.tobytes()))
        return as_layers(picture, guide)

    alpha, _, _ = mean_of_views(predict, rgb, trimap)
    assert alpha.shape == (8, 12) and len(seen) == len(set(seen)) == 24
    assert {shape for shape, _ in seen} == {(6, 9), (9, 6), (8, 12), (12, 8), (10, 15), (15, 10)}


def test_a_mean_over_views_differs_and_keeps_what_is_known(refiner, weights):
    augmented = adapter.fba_live(True, device="cpu", runtime="torch", weights=weights)
    rgb, trimap = example(40, 64)
    one, mean = (r.refine(rgb, trimap) for r in (refiner, augmented))
    assert mean.alpha.shape == (40, 64) and np.abs(one.alpha - mean.alpha).max() > 1e-3
    assert (mean.alpha[trimap != 128] == one.alpha[trimap != 128]).all()


def test_printed_size_without_weights_says_that_none_are_shipped():
    with pytest.raises(ModelError, match="no weights are shipped for fba: train it .* --weights"):
        adapter.fba(device="cpu")


def test_weights_of_the_other_size_are_refused(weights):
    with pytest.raises(WeightsError, match="does not fit this model"):
        adapter.fba(device="cpu", runtime="torch", weights=weights)


def test_importing_the_adapter_imports_neither_torch_nor_a_runtime():
    code = (
        "import sys, livematte.models.fba.model;"
        "assert not {'torch', 'openvino', 'onnxruntime', 'cv2', 'numba'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
