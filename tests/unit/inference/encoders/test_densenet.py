"""DenseNet-201 takes published weights under the names that torchvision has given them."""

import re

import pytest
import torch

from livematte.inference.encoders import DenseNet201


@pytest.fixture(scope="module")
def encoder():
    torch.manual_seed(0)
    return DenseNet201()


def published(encoder, old):
    """The encoder's tensors under torchvision's names; ``old`` as in the file that it downloads."""
    out = {"classifier.weight": torch.zeros(1000, 1920), "classifier.bias": torch.zeros(1000)}
    for name, tensor in encoder.state_dict().items():
        new = re.sub(
            r"blocks\.(\d)\.(\d+)", lambda m: f"denseblock{int(m[1]) + 1}.denselayer{int(m[2]) + 1}", name
        )
        new = re.sub(r"transitions\.(\d)", lambda m: f"transition{int(m[1]) + 1}", new)
        if old:
            new = re.sub(r"(denselayer\d+\.)(norm|conv)([12])", r"\1\2.\3", new)
        if not name.endswith("num_batches_tracked"):
            out[f"features.{new}"] = tensor
    return out


@pytest.mark.parametrize("old", [False, True])
def test_published_weights_fit(encoder, old):
    given = published(encoder, old)
    hard = "features.denseblock3.denselayer48." + ("conv.2.weight" if old else "conv2.weight")
    assert given[hard].shape == (32, 128, 3, 3)
    own = DenseNet201()
    own.load_imagenet(given)
    made = own.state_dict()
    for name, tensor in encoder.state_dict().items():
        torch.testing.assert_close(made[name], tensor, rtol=0, atol=0)


def test_weights_that_lack_a_tensor_are_refused(encoder):
    given = published(encoder, old=False)
    del given["features.norm5.weight"]
    with pytest.raises(KeyError, match=r"lack 1 tensors, first 'norm5\.weight'"):
        DenseNet201().load_imagenet(given)
