"""The adapter: any size, two inputs, and what becomes of the trimap's known pixels."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from livematte.errors import ModelError, WeightsError
from livematte.inference import RUNTIMES
from livematte.models.adamatting import model as adapter
from livematte.models.adamatting.deployed import DeployedAdaMatting
from livematte.models.adamatting.network import adamatting_live
from livematte.protocols import TrimapModel


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    torch.manual_seed(5)
    path = tmp_path_factory.mktemp("weights") / "untrained.safetensors"
    save_file(adamatting_live().state_dict(), path)
    return path


@pytest.fixture(scope="module")
def refiner(weights):
    return adapter.adamatting_live(device="cpu", runtime="torch", weights=weights)


def example(height, width):
    rng = np.random.default_rng(0)
    rgb = rng.integers(0, 256, (height, width, 3), np.uint8)
    return rgb, rng.choice(np.array([0, 128, 255], np.uint8), (height, width))


def test_it_is_a_trimap_model(refiner):
    assert isinstance(refiner, TrimapModel) and refiner.stride == 32


@pytest.mark.parametrize("size", [(64, 96), (50, 71), (1, 1)])
def test_matte_has_the_pictures_size(refiner, size):
    matte = refiner.refine(*example(*size))
    assert matte.alpha.shape == size and matte.alpha.dtype == np.float32 and matte.foreground is None
    assert matte.alpha.min() >= 0 and matte.alpha.max() <= 1
    adapted = matte.extras["adapted_trimap"]
    assert adapted.shape == size and {*np.unique(adapted).tolist()} <= {0.0, 0.5, 1.0}


def test_alpha_is_that_of_the_network_where_trimaps_do_not_agree(refiner, weights):
    torch.manual_seed(5)
    network = adamatting_live().eval()
    rgb, trimap = example(64, 64)
    matte = refiner.refine(rgb, trimap)
    labels = torch.from_numpy(np.round(trimap / 127.5).astype(np.float32) / 2)[None, None]
    with torch.inference_mode():
        out = network(torch.from_numpy(rgb).permute(2, 0, 1)[None].float() / 255, labels)
    agree = (trimap != 128) & (matte.extras["adapted_trimap"] == np.round(trimap / 127.5) / 2)
    np.testing.assert_allclose(matte.alpha[~agree], out.alpha[0, 0].numpy()[~agree], atol=1e-5)
    np.testing.assert_array_equal(
        matte.extras["adapted_trimap"], out.trimap.argmax(1)[0].numpy().astype(np.float32) / 2
    )


class Steered(torch.nn.Module):
    """A network whose adapted trimap is given."""

    def __init__(self, classes):
        super().__init__()
        self.inner = adamatting_live()
        self.logits = 2 * torch.nn.functional.one_hot(torch.tensor(classes), 3).float().movedim(-1, 0)[None]

    def forward(self, rgb, trimap):
        return self.inner(rgb, trimap)._replace(trimap=self.logits)


def test_alpha_is_exact_where_both_trimaps_agree_and_only_there():
    torch.manual_seed(0)
    classes = np.arange(32 * 32).reshape(32, 32) % 3
    given = np.repeat(np.array([[0], [128], [255], [0]], np.uint8), 8, 0).repeat(32, 1)
    rgb = np.zeros((1, 32, 32, 3), np.uint8)
    deployed = DeployedAdaMatting(Steered(classes.tolist()))
    with torch.inference_mode():
        alpha, adapted = deployed(torch.from_numpy(rgb), torch.from_numpy(given[None]))
    alpha, adapted = alpha[0].numpy(), adapted[0].numpy()
    np.testing.assert_array_equal(adapted, classes.astype(np.float32) / 2)
    agree_0, agree_1 = (given == 0) & (classes == 0), (given == 255) & (classes == 2)
    assert (alpha[agree_0] == 0).all() and (alpha[agree_1] == 1).all()
    other = alpha[~(agree_0 | agree_1)]
    assert other.min() > 0 and other.max() < 1


def test_settled_it_holds_to_the_trimap_given(weights):
    held = adapter.adamatting_live(device="cpu", runtime="torch", weights=weights, trust_trimap=True)
    rgb, trimap = example(64, 64)
    alpha = held.refine(rgb, trimap).alpha
    assert (alpha[trimap == 0] == 0).all() and (alpha[trimap == 255] == 1).all()


@pytest.mark.parametrize("runtime", [r for r in RUNTIMES if r != "torch"])
def test_every_runtime_gives_the_same(runtime, weights, refiner, tmp_path, monkeypatch):
    monkeypatch.setenv("LIVEMATTE_CACHE", str(tmp_path))
    other = adapter.adamatting_live(device="cpu", runtime=runtime, weights=weights)
    for size in ((64, 96), (40, 40)):
        rgb, trimap = example(*size)
        wanted, got = refiner.refine(rgb, trimap), other.refine(rgb, trimap)
        same = wanted.extras["adapted_trimap"] == got.extras["adapted_trimap"]
        assert same.mean() > 0.999
        np.testing.assert_allclose(got.alpha[same], wanted.alpha[same], atol=1e-4)


def test_printed_size_without_weights_says_that_none_are_shipped():
    with pytest.raises(ModelError, match="no weights are shipped for adamatting: .* adamatting-live"):
        adapter.adamatting(device="cpu")


def test_weights_of_the_other_size_are_refused_when_the_model_is_opened(weights):
    with pytest.raises(WeightsError, match="does not fit this model"):
        adapter.adamatting(device="cpu", runtime="torch", weights=weights)


def test_importing_the_adapter_imports_neither_torch_nor_a_runtime():
    code = (
        "import sys, livematte.models.adamatting.model;"
        "assert not {'torch', 'openvino', 'onnxruntime'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
