"""The network is the paper's: sec. 3, 3.1, 3.2 and figure 2."""

import pytest
import torch
from torch import nn

from livematte.inference.encoders import EfficientNetLite0
from livematte.models.pomagan.network import ConvEncoder, folded, pomagan, pomagan_live
from livematte.models.pomagan.training import MultiScaleDiscriminator


@pytest.fixture(scope="module")
def live():
    torch.manual_seed(0)
    return pomagan_live().eval()


@pytest.fixture(scope="module")
def printed():
    with torch.device("meta"):  # the structure alone: 105 million weights are not wanted here
        return pomagan()


def count(module):
    return sum(p.numel() for p in module.parameters())


def test_parameter_counts(live, printed):
    assert (count(live.segmentation), count(live.alpha)) == (3_534_905, 311_445)
    assert (count(printed.segmentation), count(printed.alpha)) == (44_635_265, 59_931_121)


def test_live_size_fits_in_8_megabytes_of_fp16(live):
    vectors = sum(v.numel() for v in live.state_dict().values() if v.dim() == 1)  # kept in float32
    assert 2 * count(live) + 2 * vectors < 8_000_000


def test_live_size_takes_at_most_2_billion_multiply_adds():
    from torch.utils.flop_counter import FlopCounterMode

    with torch.device("meta"):
        network, rgb = pomagan_live().eval(), torch.empty(1, 3, 160, 288)
    with FlopCounterMode(display=False) as counter:
        network(rgb)
    assert counter.get_total_flops() / 2e9 == pytest.approx(1.02, abs=0.01)


@pytest.mark.parametrize("which", ["live", "printed"])
def test_two_generators_share_nothing(which, request):
    network = request.getfixturevalue(which)
    parts = [{id(p) for p in part.parameters()} for part in (network.segmentation, network.alpha)]
    assert not parts[0] & parts[1]


@pytest.mark.parametrize(
    ("which", "width", "blocks", "rates", "skips", "decoder"),
    [
        ("live", 80, 2, (1, 2, 3, 4), (112, 40, 24, 16, 0), [64, 40, 32, 16, 8]),
        ("printed", 512, 6, (6, 12, 18, 24), (512, 256, 128, 64), [512, 256, 128, 64]),
    ],
)
def test_segmentation_generator_is_encoder_residual_blocks_aspp_and_deconvolutions(
    which, width, blocks, rates, skips, decoder, request
):
    generator = request.getfixturevalue(which).segmentation
    assert [b.conv1[0].in_channels for b in generator.residual] == [width] * blocks
    assert generator.aspp.rates == rates
    assert [b[0].dilation[0] for b in generator.aspp.branches] == list(rates)
    assert generator.decoder.skips == skips
    ups = [up[0] for up in generator.decoder.ups]
    assert all(isinstance(up, nn.ConvTranspose2d) and up.stride == (2, 2) for up in ups)
    assert [up.out_channels for up in ups] == decoder
    # what a deconvolution takes is what the one before gave and the encoder's feature of that size
    assert [up.in_channels for up in ups] == [
        width, *(d + s for d, s in zip(decoder[:-1], skips[:-1], strict=True))
    ]  # fmt: skip


def test_encoders_are_unets_widths_in_print_and_efficientnet_live(live, printed):
    assert isinstance(live.segmentation.encoder, EfficientNetLite0)
    assert isinstance(printed.segmentation.encoder, ConvEncoder)
    assert printed.segmentation.encoder.channels == (64, 128, 256, 512, 512)


@pytest.mark.parametrize("which", ["live", "printed"])
def test_alpha_generator_has_a_separate_encoding_block_for_the_segmentation(which, request):
    generator = request.getfixturevalue(which).alpha
    picture, segmentation = generator.picture_encoding, generator.segmentation_encoding
    assert picture.layers[0][0].in_channels == 3 and segmentation.layers[0][0].in_channels == 1
    assert not {id(p) for p in picture.parameters()} & {id(p) for p in segmentation.parameters()}
    both = [p + s for p, s in zip(picture.channels, segmentation.channels, strict=True)]
    # its features go into the residual blocks and into every layer of the decoder
    assert generator.residual[0].conv1[0].in_channels == both[-1]
    assert generator.decoder.skips == tuple(reversed(both[:-1]))


def test_segmentation_reaches_alpha_through_residual_blocks_and_through_skips(live):
    torch.manual_seed(1)
    rgb, s = torch.rand(1, 3, 64, 64), torch.rand(1, 1, 64, 64)
    features = live.alpha.segmentation_encoding(s)
    assert [f.shape[-1] for f in features] == [64, 32, 16, 8]
    with torch.inference_mode():
        assert not torch.allclose(live.alpha(rgb, s), live.alpha(rgb, 1 - s), atol=1e-4)


@pytest.mark.parametrize("size", [(32, 32), (32, 96), (160, 64)])
def test_maps_have_the_pictures_size_and_lie_in_0_to_1(live, size):
    with torch.inference_mode():
        out = live(torch.rand(2, 3, *size))
    for map_ in out:
        assert map_.shape == (2, 1, *size) and map_.min() >= 0 and map_.max() <= 1


def test_alpha_is_made_of_the_picture_and_the_segmentation(live):
    rgb = torch.rand(1, 3, 64, 32)
    with torch.inference_mode():
        out = live(rgb)
        torch.testing.assert_close(out.segmentation, live.segmentation(rgb))
        torch.testing.assert_close(out.alpha, live.alpha(rgb, out.segmentation))


def test_printed_size_runs():
    torch.manual_seed(0)
    network = pomagan().eval()
    with torch.inference_mode():
        alpha, segmentation = network(torch.rand(1, 3, 64, 32))
    assert alpha.shape == segmentation.shape == (1, 1, 64, 32)
    assert alpha.min() >= 0 and alpha.max() <= 1 and alpha.std() > 0


def test_gradients_reach_every_parameter():
    torch.manual_seed(0)
    network = pomagan_live().train()
    alpha, segmentation = network(torch.rand(2, 3, 64, 64))
    ((alpha - torch.rand_like(alpha)).abs().mean() + segmentation.square().mean()).backward()
    silent = [n for n, p in network.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert silent == []


def test_folding_batch_normalisation_changes_nothing_but_the_work():
    torch.manual_seed(0)
    network = pomagan_live()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.1, 0.1)
            nn.init.uniform_(module.running_var, 0.5, 2)
            nn.init.uniform_(module.weight, 0.5, 2)
    rgb = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        before = network.eval()(rgb)
        after = folded(network)(rgb)
    assert not any(isinstance(m, nn.BatchNorm2d) for m in network.modules())
    for a, b in zip(before, after, strict=True):
        torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-3)


def test_three_identical_discriminators_see_full_half_and_quarter_size():
    discriminator = MultiScaleDiscriminator(4, (8, 16, 32))
    shapes = [[p.shape for p in scale.parameters()] for scale in discriminator.scales]
    assert shapes[0] == shapes[1] == shapes[2]
    logits = discriminator(torch.rand(2, 4, 64, 96))
    assert [tuple(level.shape) for level in logits] == [(2, 1, 8, 12), (2, 1, 4, 6), (2, 1, 2, 3)]
    sum(level.sum() for level in logits).backward()
    assert all(p.grad is not None for p in discriminator.parameters())
