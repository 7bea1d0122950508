"""The network is the paper's: sec. 3.2, table 1, eq. 2."""

import pytest
import torch
from torch import nn

from livematte.inference.encoders import EfficientNetLite0, ResNet50
from livematte.models.jmnet.network import (
    FOREGROUND,
    UNKNOWN,
    Aspp,
    Guides,
    jmnet,
    jmnet_live,
    probabilities,
)

TABLE_1 = {
    "pose.conv.0": (256, 256, 3),
    "pose.conv.1": (256, 256, 3),
    "pose.conv.2": (256, 256, 3),
    "pose.conv4": (256, 25, 1),
    "trimap.conv.0": (281, 256, 3),
    "trimap.conv.1": (256, 256, 3),
    "trimap.conv.2": (256, 256, 3),
    "trimap.conv4": (256, 29, 1),
    "trimap.refine.0": (32, 32, 3),
    "trimap.refine.1": (32, 32, 3),
    "trimap.refine.2": (32, 32, 3),
    "trimap.refine4": (32, 3, 3),
    "matting.skip1": (284, 256, 3),
    "matting.conv1.0": (512, 256, 3),
    "matting.conv1.1": (256, 128, 3),
    "matting.conv1.2": (128, 64, 3),
    "matting.skip2": (92, 64, 3),
    "matting.conv2.0": (128, 64, 3),
    "matting.conv2.1": (64, 64, 3),
    "matting.conv2.2": (64, 32, 3),
    "matting.conv3.0": (63, 32, 3),
    "matting.conv3.1": (32, 32, 3),
    "matting.conv3_3": (32, 1, 3),
}
"""Rows with a kernel: channels in (the "Concat" row above, where there is one), channels out, kernel."""

LAST = {"pose.conv4", "trimap.refine4", "matting.conv3_3"}


@pytest.fixture(scope="module")
def live():
    torch.manual_seed(0)
    return jmnet_live()


@pytest.fixture(scope="module")
def printed():
    with torch.device("meta"):  # the structure alone: 48 million weights are not wanted here
        return jmnet()


def conv(network, row):
    """The convolution of a row, with or without what follows it."""
    layer = network.get_submodule(row)
    return layer if isinstance(layer, nn.Conv2d) else layer[0]


def rows(network):
    """Table 1 of a network."""
    convs = {row: conv(network, row) for row in TABLE_1}
    return {row: (c.in_channels, c.out_channels, c.kernel_size[0]) for row, c in convs.items()}


def test_every_row_of_table_1_and_no_other(printed):
    assert rows(printed) == TABLE_1
    subnetworks = (printed.pose, printed.trimap, printed.matting)
    assert sum(isinstance(m, nn.Conv2d) for s in subnetworks for m in s.modules()) == len(TABLE_1)


def test_the_live_size_has_the_same_rows_narrower(live):
    own = rows(live)
    assert [k for *_, k in own.values()] == [k for *_, k in TABLE_1.values()]
    assert all(own[name][1] <= TABLE_1[name][1] for name in own)
    assert [own[n][1] for n in ("pose.conv4", "trimap.refine4", "matting.conv3_3")] == [25, 3, 1]


def test_all_but_the_last_of_each_subnetwork_have_normalisation_and_relu(printed):
    for name in TABLE_1:
        layer = printed.get_submodule(name)
        if name in LAST:
            assert isinstance(layer, nn.Conv2d)
        else:
            assert [type(m) for m in layer] == [nn.Conv2d, nn.BatchNorm2d, nn.ReLU]


def test_parameter_counts(live, printed):
    assert sum(p.numel() for p in live.parameters()) == 3_443_079
    assert sum(p.numel() for p in printed.parameters()) == 48_439_415


def test_printed_encoder_is_resnet_50_at_stride_8_and_four_atrous_branches(printed):
    assert isinstance(printed.encoder, ResNet50)
    assert printed.encoder.layer4[2].conv2.dilation == (4, 4)
    branches = printed.aspp.branches
    assert [b.dilation[0] for b in branches] == [6, 12, 18, 24]
    assert all((b.in_channels, b.out_channels) == (2048, 256) for b in branches)


def test_live_encoder_takes_the_names_of_the_light_encoder(live):
    own = {k.removeprefix("encoder.") for k in live.state_dict() if k.startswith("encoder.")}
    assert own == set(EfficientNetLite0().state_dict())


def test_live_multiply_adds_at_160x288_are_below_two_thousand_million(live):
    total = 0

    def count(module, _, output):
        nonlocal total
        total += output.shape[-2] * output.shape[-1] * module.weight.numel()

    hooks = [m.register_forward_hook(count) for m in live.modules() if isinstance(m, nn.Conv2d)]
    live.eval()
    with torch.inference_mode():
        live(torch.rand(1, 3, 160, 288))
    for hook in hooks:
        hook.remove()
    assert total == 1_300_272_480


@pytest.mark.parametrize("size", [(32, 32), (64, 96)])
def test_shapes_and_ranges(live, size):
    live.eval()
    with torch.inference_mode():
        out = live(torch.rand(2, 3, *size))
    assert out.heatmaps.shape == (2, 25, size[0] // 8, size[1] // 8)
    assert out.trimap.shape == (2, 3, *size)
    for alpha in (out.alpha, out.matting):
        assert alpha.shape == (2, 1, *size) and alpha.min() >= 0 and alpha.max() <= 1


def test_printed_size_runs():
    torch.manual_seed(0)
    network = jmnet().eval()
    with torch.inference_mode():
        out = network(torch.rand(1, 3, 32, 64))
    assert out.alpha.shape == (1, 1, 32, 64) and out.heatmaps.shape == (1, 25, 4, 8)


def test_alpha_is_equation_2_of_the_other_maps(live):
    live.eval()
    with torch.inference_mode():
        out = live(torch.rand(1, 3, 64, 64))
    p = torch.softmax(out.trimap, 1)
    expected = p[:, FOREGROUND] + p[:, UNKNOWN] * out.matting[:, 0]
    torch.testing.assert_close(out.alpha[:, 0], expected)


def test_probabilities_are_a_softmax_that_keeps_the_memory_format():
    logits = (8 * torch.randn(2, 3, 5, 7)).to(memory_format=torch.channels_last)
    torch.testing.assert_close(probabilities(logits), torch.softmax(logits, 1))
    assert probabilities(logits).is_contiguous(memory_format=torch.channels_last)


def test_aspp_sums_its_branches():
    aspp = Aspp(2, 1, (1, 2)).eval()
    for branch in aspp.branches:
        nn.init.constant_(branch.weight, 1.0)
    with torch.inference_mode():
        out = aspp(torch.ones(1, 2, 9, 9))
    assert out[0, 0, 4, 4].item() == pytest.approx(36, rel=1e-4)  # 2 branches x 9 taps x 2 channels
    assert out[0, 0, 0, 0].item() == pytest.approx(16, rel=1e-4)  # a corner has 4 of 9 taps


def guides(trimap_class, posed=1.0, value=0.5):
    trimap = torch.zeros(1, 3, 32, 32)
    trimap[:, trimap_class] = 1
    return Guides(torch.full((1, 25, 4, 4), value), torch.full((1, 1, 1, 1), posed), trimap)


def test_guides_stand_in_for_what_later_subnetworks_see(live):
    live.eval()
    rgb = torch.rand(1, 3, 32, 32)
    with torch.inference_mode():
        own, unknown, solid = live(rgb), live(rgb, guides(UNKNOWN)), live(rgb, guides(FOREGROUND))
        other = live(rgb, guides(UNKNOWN, value=0.9))
    torch.testing.assert_close(unknown.heatmaps, own.heatmaps)  # pose comes first: nobody guides it
    torch.testing.assert_close(unknown.alpha, unknown.matting)  # eq. 2 with U = 1
    assert (solid.alpha == 1).all() and not torch.equal(solid.matting, unknown.matting)
    assert not torch.equal(other.trimap, unknown.trimap)  # the trimap network sees the heatmaps given
    torch.testing.assert_close(solid.trimap, unknown.trimap)  # but not the trimap


def test_where_joints_are_not_known_the_own_heatmaps_go_on_without_gradient(live):
    live.eval()
    rgb = torch.rand(1, 3, 32, 32)
    out = live(rgb, guides(UNKNOWN, posed=0.0))
    torch.testing.assert_close(out.trimap, live(rgb).trimap)
    out.trimap.sum().backward()
    assert live.pose.conv4.weight.grad is None
    live.zero_grad()


def test_skips_bring_shallow_detail_to_the_matting_network(live):
    """Changing Res-1 or Res-2 alone changes alpha_m (sec. 3.2.4)."""
    live.eval()
    shallow = [torch.rand(1, 16, 16, 16), torch.rand(1, 24, 8, 8)]
    rest = torch.rand(1, 25, 4, 4), torch.rand(1, 3, 32, 32), torch.rand(1, 3, 32, 32)
    features = torch.rand(1, 64, 4, 4)
    with torch.inference_mode():
        base = live.matting(features, shallow, *rest)
        for number in (0, 1):
            changed = [x + (i == number) for i, x in enumerate(shallow)]
            assert not torch.allclose(live.matting(features, changed, *rest), base)
