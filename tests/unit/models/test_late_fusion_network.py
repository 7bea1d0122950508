"""The network is the paper's: sec. 3.2, 3.3 and figure 2."""

import pytest
import torch
from torch import nn

from livematte.models.late_fusion import losses
from livematte.models.late_fusion.network import late_fusion, late_fusion_live
from livematte.models.late_fusion.recipe import late_fusion_live_recipe
from livematte.training.steps import LARGE, Step


@pytest.fixture(scope="module")
def live():
    torch.manual_seed(0)
    return late_fusion_live()


@pytest.fixture(scope="module")
def printed():
    with torch.device("meta"):  # the structure alone: 45 million weights are not wanted here
        return late_fusion()


def test_parameter_counts(live, printed):
    assert sum(p.numel() for p in live.parameters()) == 4_235_067
    assert sum(p.numel() for p in printed.parameters()) == 45_075_339


@pytest.mark.parametrize("which", ["live", "printed"])
def test_two_decoders_of_five_blocks_share_one_encoder(which, request):
    network = request.getfixturevalue(which)
    for decoder in (network.foreground, network.background):
        assert len(decoder.blocks) == 5
        assert all(isinstance(block.up, nn.ConvTranspose2d) for block in decoder.blocks)
    assert not {id(p) for p in network.foreground.parameters()} & {
        id(p) for p in network.background.parameters()
    }
    assert not hasattr(network.foreground, "encoder") and isinstance(network.encoder, nn.Module)


@pytest.mark.parametrize("which", ["live", "printed"])
def test_skips_bring_every_encoder_feature_but_the_deepest(which, request):
    network = request.getfixturevalue(which)
    skips = [b.conv[0].in_channels - b.up.out_channels for b in network.foreground.blocks]
    assert skips == [*reversed(network.encoder.channels[:-1]), 0]


@pytest.mark.parametrize(
    ("which", "widths"), [("live", [16, 16, 8, 8, 8]), ("printed", [256, 256, 128, 128, 64])]
)
def test_fusion_is_five_3x3_convolutions_and_a_sigmoid_layer_without_down_sampling(which, widths, request):
    fusion = request.getfixturevalue(which).fusion
    convs = [m for m in fusion.convs.modules() if isinstance(m, nn.Conv2d)]
    assert [c.out_channels for c in convs] == widths
    assert all(
        m.kernel_size == (3, 3) and m.stride == (1, 1) for m in [*convs, fusion.image[0], fusion.blend]
    )


def test_printed_encoder_is_densenet_201(printed):
    blocks = [len(block) for block in printed.encoder.blocks]
    assert blocks == [6, 12, 48, 32] and printed.encoder.channels == (64, 128, 256, 896, 1920)
    layers = sum(isinstance(m, nn.Conv2d) for m in printed.encoder.modules())
    assert layers + 1 == 201  # and the classifier that the paper leaves away


@pytest.mark.parametrize("size", [(32, 32), (64, 96)])
def test_maps_have_the_pictures_size_and_lie_in_0_to_1(live, size):
    live.eval()
    with torch.inference_mode():
        out = live(torch.rand(2, 3, *size))
    for tensor in out[:4]:
        assert tensor.shape == (2, 1, *size) and tensor.min() >= 0 and tensor.max() <= 1


def test_printed_size_runs():
    torch.manual_seed(0)
    network = late_fusion().eval()
    with torch.inference_mode():
        out = network(torch.rand(1, 3, 64, 32), sides=True)
    assert out.alpha.shape == (1, 1, 64, 32)
    assert [s.shape[-2:] for s in out.foreground_sides] == [(4, 2), (8, 4), (16, 8), (32, 16), (64, 32)]


def test_alpha_is_equation_2_of_the_other_maps(live):
    live.eval()
    with torch.inference_mode():
        alpha, f, b, blend, *_ = live(torch.rand(1, 3, 64, 64))
    torch.testing.assert_close(alpha, blend * f + (1 - blend) * (1 - b))


def test_alpha_lies_between_the_bounds_that_the_decoders_give(live):
    live.eval()
    with torch.inference_mode():
        alpha, f, b, *_ = live(torch.rand(1, 3, 64, 64))
    low, high = torch.minimum(f, 1 - b), torch.maximum(f, 1 - b)
    assert ((alpha >= low - 1e-6) & (alpha <= high + 1e-6)).all()


def test_sides_are_one_logit_map_for_each_block_and_only_when_asked(live):
    live.eval()
    with torch.inference_mode():
        some, all_ = live(torch.rand(1, 3, 64, 64)), live(torch.rand(1, 3, 64, 64), sides=True)
    assert len(some.foreground_sides) == len(some.background_sides) == 1
    assert [s.shape[-1] for s in all_.background_sides] == [4, 8, 16, 32, 64]


def test_segmentation_alone_is_the_mean_of_its_bounds(live):
    live.eval()
    with torch.inference_mode():
        out = live.segment(torch.rand(1, 3, 64, 64))
    torch.testing.assert_close(out.alpha, (out.foreground + 1 - out.background) / 2)


def test_gradients_reach_every_parameter():
    torch.manual_seed(0)
    network = late_fusion_live().train()
    rgb, alpha = torch.rand(2, 3, 64, 64), torch.rand(2, 1, 64, 64)
    losses.joint(network(rgb, sides=True), alpha).backward()
    silent = [n for n, p in network.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert silent == []


@pytest.mark.parametrize("name", ["segmentation", "fusion", "joint", "crisp"])
def test_a_few_iterations_lower_the_loss_of_each_training_step(name):
    torch.manual_seed(1)
    network = late_fusion_live()
    for decoder in (network.foreground, network.background):
        # untrained, F-bar + B-bar is 1 and alpha does not depend on the blending weight (eq. 3)
        nn.init.constant_(decoder.blocks[-1].side.bias, 2.0)
    step = Step(name, 8, LARGE, 2, 1e-3, 1e-3)
    late_fusion_live_recipe.enter(step, network)
    yy, xx = torch.meshgrid(torch.arange(32), torch.arange(32), indexing="ij")
    alpha = torch.sigmoid(10 - ((yy - 16) ** 2 + (xx - 16) ** 2).sqrt()).expand(2, 1, 32, 32)
    rgb = 0.2 + 0.6 * alpha.expand(2, 3, 32, 32) + 0.05 * torch.rand(2, 3, 32, 32)
    optimizer = torch.optim.AdamW([p for p in network.parameters() if p.requires_grad], lr=5e-3)
    values = []
    for _ in range(8):
        batch = {"rgb": rgb, "alpha": alpha}
        loss = sum(late_fusion_live_recipe.losses(step, network, batch, "network").values())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        values.append(loss.item())
    assert min(values[-2:]) < 0.95 * values[0]


def test_fusion_step_leaves_the_segmentation_network_as_it_is():
    network = late_fusion_live()
    late_fusion_live_recipe.enter(Step("fusion", 1, LARGE, 2, 1e-3, 1e-3), network)
    thawed = {n.split(".")[0] for n, p in network.named_parameters() if p.requires_grad}
    assert thawed == {"fusion"}
    assert not network.encoder.training and not network.foreground.training and network.fusion.training


def test_joint_step_freezes_all_batch_normalisation():
    network = late_fusion_live()
    late_fusion_live_recipe.enter(Step("joint", 1, LARGE, 2, 1e-3, 1e-3), network)
    assert not any(m.training for m in network.modules() if isinstance(m, nn.BatchNorm2d))


def test_the_last_step_changes_the_whole_encoder():
    network = late_fusion_live()
    (last,) = late_fusion_live_recipe.plan(1, 1).only(["every-size"]).steps
    late_fusion_live_recipe.enter(last, network)
    assert all(p.requires_grad for p in network.parameters())
    assert network.encoder.training
