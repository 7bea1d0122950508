"""ResNet-50 as He et al. 2016 print it and as its ImageNet weights are published."""

import pytest
import torch
from torch import nn

from livematte.inference.encoders import ResNet50


def with_group_norm(**options):
    return ResNet50(norm=lambda channels: nn.GroupNorm(32, channels), **options)


@pytest.fixture(scope="module")
def encoder():
    torch.manual_seed(0)
    return ResNet50().eval()


def test_it_has_the_published_parameter_count_without_the_classifier(encoder):
    assert sum(p.numel() for p in encoder.parameters()) == 25_557_032 - (2048 * 1000 + 1000)


def test_fifty_layers_with_weights(encoder):
    along = [n for n, m in encoder.named_modules() if isinstance(m, nn.Conv2d) and "downsample" not in n]
    assert len(along) + 1 == 50  # and the classifier


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("conv1.weight", (64, 3, 7, 7)),
        ("bn1.running_var", (64,)),
        ("layer1.0.downsample.0.weight", (256, 64, 1, 1)),
        ("layer2.3.conv2.weight", (128, 128, 3, 3)),
        ("layer3.0.downsample.1.bias", (1024,)),
        ("layer4.2.bn3.weight", (2048,)),
    ],
)
def test_tensors_are_named_as_published(encoder, name, shape):
    assert encoder.state_dict()[name].shape == shape


@pytest.mark.parametrize(
    ("stride", "sizes"), [(32, [32, 16, 8, 4, 2]), (16, [32, 16, 8, 4, 4]), (8, [32, 16, 8, 8, 8])]
)
def test_feature_sizes_and_widths(stride, sizes):
    with torch.inference_mode():
        features = ResNet50(stride).eval()(torch.rand(1, 3, 64, 64))
    assert [f.shape[-1] for f in features] == [f.shape[-2] for f in features] == sizes
    assert tuple(f.shape[1] for f in features) == ResNet50.channels


def test_dilations_of_the_layers_whose_stride_was_taken_away():
    with torch.device("meta"):
        network = ResNet50(8)
    for layer, expected in (
        (network.layer2, [1] * 4),
        (network.layer3, [1] + [2] * 5),
        (network.layer4, [2, 4, 4]),
    ):
        assert [block.conv2.dilation[0] for block in layer] == expected
    assert network.layer2[0].conv2.stride == (2, 2) and network.layer3[0].conv2.stride == (1, 1)


def test_dilation_instead_of_stride_computes_the_same_at_the_coarse_points(encoder):
    """Every second point of the dilated feature is the strided one (à trous)."""
    dilated = ResNet50(16).eval()
    dilated.load_state_dict(encoder.state_dict())
    x = torch.rand(1, 3, 96, 96)
    with torch.inference_mode():
        torch.testing.assert_close(dilated(x)[-1][..., ::2, ::2], encoder(x)[-1], rtol=1e-3, atol=1e-3)


def test_odd_sizes_are_rounded_up(encoder):
    with torch.inference_mode():
        assert [f.shape[-2:] for f in encoder(torch.rand(1, 3, 37, 45))][-1] == (2, 2)


def test_imagenet_mean_and_deviation_are_taken_off_rgb_only():
    network = with_group_norm(inputs=5)
    assert network.mean.flatten().tolist() == pytest.approx([0.485, 0.456, 0.406, 0, 0])
    assert network.deviation.flatten().tolist() == pytest.approx([0.229, 0.224, 0.225, 1, 1])


def test_published_weights_fit_also_with_more_inputs_and_another_norm(encoder):
    published = dict(encoder.state_dict()) | {
        "fc.weight": torch.zeros(1000, 2048),
        "fc.bias": torch.zeros(1000),
    }
    network = with_group_norm(inputs=9)
    network.load_imagenet(published)
    own = network.state_dict()
    torch.testing.assert_close(own["conv1.weight"][:, :3], published["conv1.weight"])
    assert not own["conv1.weight"][:, 3:].any()
    torch.testing.assert_close(own["layer3.4.conv2.weight"], published["layer3.4.conv2.weight"])
    assert not any("running" in name for name in own)


def test_weights_that_lack_a_tensor_are_refused(encoder):
    some = {k: v for k, v in encoder.state_dict().items() if k != "layer4.0.conv1.weight"}
    with pytest.raises(KeyError, match=r"lack 1 tensors, first 'layer4\.0\.conv1\.weight'"):
        ResNet50().load_imagenet(some)


def test_impossible_output_stride_is_refused():
    with pytest.raises(ValueError, match="output_stride 4 is none of 8, 16, 32"):
        ResNet50(4)


def test_convolutions_come_from_the_given_factory():
    class Counted(nn.Conv2d):
        pass

    with torch.device("meta"):
        network = ResNet50(conv=Counted)
    convs = [m for m in network.modules() if isinstance(m, nn.Conv2d)]
    assert len(convs) == 53 and all(type(m) is Counted for m in convs)


def test_gradients_reach_every_parameter():
    torch.manual_seed(0)
    network = ResNet50(8)
    sum((f.square().mean() for f in network(torch.rand(2, 3, 32, 32))), torch.zeros(())).backward()
    assert [n for n, p in network.named_parameters() if p.grad is None or not p.grad.any()] == []
