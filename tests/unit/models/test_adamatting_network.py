"""The network is the paper's: sec. 3.2 and figure 2."""

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from livematte.inference.encoders import EfficientNetLite0
from livematte.inference.encoders.resnet import ResNet50
from livematte.models.adamatting import losses
from livematte.models.adamatting.network import (
    ConvLSTM,
    GlobalConv,
    Propagation,
    ResBlock,
    SubPixel,
    adamatting,
    adamatting_live,
)


@pytest.fixture(scope="module")
def live():
    torch.manual_seed(0)
    return adamatting_live()


@pytest.fixture(scope="module")
def printed():
    with torch.device("meta"):  # the structure alone: 53 million weights are not wanted here
        return adamatting()


def trimap(*shape):
    return torch.randint(0, 3, (shape[0], 1, *shape[1:])) / 2


def test_parameter_counts(live, printed):
    assert sum(p.numel() for p in live.parameters()) == 3_367_870
    assert sum(p.numel() for p in printed.parameters()) == 53_397_043


def test_live_size_is_cheap_enough_to_refine_tiles():
    with torch.device("meta"):
        network = adamatting_live().eval()
        counter = FlopCounterMode(display=False)
        with counter, torch.no_grad():
            network(torch.zeros(1, 3, 256, 256), torch.zeros(1, 1, 256, 256))
    assert counter.get_total_flops() / 2 <= 1.2e9


def test_encoders(live, printed):
    assert isinstance(printed.encoder, ResNet50) and printed.encoder.conv1.in_channels == 4  # sec. 4.1
    assert isinstance(live.encoder, EfficientNetLite0)


def test_live_encoder_has_the_tensors_of_one_without_a_trimap_and_one_more(live):
    plain = {k: v.shape for k, v in EfficientNetLite0().state_dict().items()}
    own = {k: v.shape for k, v in live.encoder.state_dict().items()}
    assert {k: own[k] for k in own if k in plain} == plain
    assert own.keys() - plain.keys() == {"trimap_stem.weight"}


def test_live_encoder_starts_as_one_that_sees_no_trimap():
    torch.manual_seed(1)
    network, plain = adamatting_live().eval(), EfficientNetLite0().eval()
    plain.load_state_dict(network.encoder.state_dict(), strict=False)
    rgb = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        for a, b in zip(network.encoder.encode(rgb, trimap(1, 64, 64)), plain(rgb), strict=True):
            torch.testing.assert_close(a, b)


def test_live_stem_sees_each_label_as_a_plane_of_its_own(live):
    network = adamatting_live().eval()
    with torch.no_grad():  # the centre tap of plane n feeds channel n
        network.encoder.trimap_stem.weight[range(3), range(3), 1, 1] = 1
    seen = []
    network.encoder.trimap_stem.register_forward_hook(lambda _, __, out: seen.append(out[0, :3, 4, 4]))
    with torch.inference_mode():
        for label in (0.0, 0.5, 1.0):
            network.encoder.encode(torch.rand(1, 3, 32, 32), torch.full((1, 1, 32, 32), label))
    torch.testing.assert_close(torch.stack(seen), torch.eye(3))


@pytest.mark.parametrize("which", ["live", "printed"])
def test_shortcuts_are_global_convolutions_at_deep_and_middle_or_middle_and_shallow_levels(which, request):
    network = request.getfixturevalue(which)
    assert sorted(map(int, network.trimap_decoder.shortcuts)) == [4, 8, 16]
    assert sorted(map(int, network.alpha_decoder.shortcuts)) == [2, 4, 8]
    for decoder in (network.trimap_decoder, network.alpha_decoder):
        for stride, shortcut in decoder.shortcuts.items():
            assert isinstance(shortcut, GlobalConv)
            level = int(stride).bit_length() - 2
            assert shortcut.left[0].in_channels == network.encoder.channels[level]


@pytest.mark.parametrize("which", ["live", "printed"])
def test_decoders_are_3x3_convolutions_and_sub_pixel_modules(which, request):
    network = request.getfixturevalue(which)
    for decoder, outputs in ((network.trimap_decoder, 3), (network.alpha_decoder, 1)):
        assert [type(m) for m in decoder.ups] == [SubPixel] * 4
        assert all(m[0].kernel_size == (3, 3) for m in decoder.convs)
        assert decoder.last.out_channels == 4 * outputs
    assert not any(isinstance(m, (nn.ConvTranspose2d, nn.Upsample)) for m in network.modules())


@pytest.mark.parametrize("which", ["live", "printed"])
def test_propagation_unit_is_two_res_blocks_and_a_conv_lstm_that_recur_three_times(which, request):
    unit = request.getfixturevalue(which).propagation
    assert [type(m) for m in unit.blocks] == [ResBlock, ResBlock]
    assert isinstance(unit.memory, ConvLSTM) and unit.steps == 3


def test_global_convolution_sees_kernel_x_kernel_pixels_and_no_more():
    gcn = GlobalConv(1, 1, 7)
    for p in gcn.parameters():
        nn.init.ones_(p) if p.dim() > 1 else nn.init.zeros_(p)
    x = torch.zeros(1, 1, 15, 15)
    x[..., 7, 7] = 1
    seen = gcn(x)[0, 0] > 0
    assert seen[4:11, 4:11].all() and seen.sum() == 49


def test_sub_pixel_module_puts_four_channels_side_by_side():
    up = SubPixel(1, 1)
    with torch.no_grad():
        up.conv.weight.copy_(torch.tensor([1.0, 2.0, 3.0, 4.0]).view(4, 1, 1, 1))
        up.conv.bias.zero_()
    torch.testing.assert_close(up(torch.ones(1, 1, 1, 1))[0, 0], torch.tensor([[1.0, 2.0], [3.0, 4.0]]))


def test_conv_lstm_is_the_cell_of_its_equations():
    torch.manual_seed(2)
    cell = ConvLSTM(2, 3)
    x, h, c = torch.randn(1, 2, 1, 1), torch.randn(1, 3, 1, 1), torch.randn(1, 3, 1, 1)
    with torch.no_grad():
        gates = cell.gates.weight[..., 1, 1] @ torch.cat((x, h), 1).flatten() + cell.gates.bias
        i, f, o = torch.sigmoid(gates[:9]).chunk(3)
        c_next = f * c.flatten() + i * torch.tanh(gates[9:])
        h_next = o * torch.tanh(c_next)
        got_h, got_c = cell(x, h, c)
    torch.testing.assert_close(got_h.flatten(), h_next)
    torch.testing.assert_close(got_c.flatten(), c_next)


@pytest.mark.parametrize("fold", [1, 2])
def test_propagation_remembers_and_sees_picture_trimap_and_alpha(fold):
    torch.manual_seed(3)
    unit = Propagation(4, fold)
    rgb, probabilities, alpha = torch.rand(1, 3, 8, 8), torch.rand(1, 3, 8, 8), torch.rand(1, 1, 8, 8)
    first = unit(rgb, probabilities, alpha)
    assert [a.shape for a in first] == [(1, 1, 8, 8)] * 3
    for changed in (
        unit(1 - rgb, probabilities, alpha),
        unit(rgb, 1 - probabilities, alpha),
        unit(rgb, probabilities, 1 - alpha),
    ):
        assert (changed[0] - first[0]).abs().max() > 1e-6
    again = unit(
        rgb, probabilities, first[0].detach()
    )  # from where the second step began, without its memory
    assert (again[0] - first[1]).abs().max() > 1e-6


@pytest.mark.parametrize("size", [(32, 32), (64, 96)])
def test_maps_have_the_pictures_size_and_alpha_lies_in_0_to_1(live, size):
    live.eval()
    with torch.inference_mode():
        out = live(torch.rand(2, 3, *size), trimap(2, *size))
    assert out.trimap.shape == (2, 3, *size)
    assert len(out.alphas) == 4 and all(a.shape == (2, 1, *size) for a in out.alphas)
    assert out.alpha.shape == (2, 1, *size) and out.alpha.min() >= 0 and out.alpha.max() <= 1


def test_alpha_is_the_expectation_under_the_adapted_trimap(live):
    live.eval()
    with torch.inference_mode():
        out = live(torch.rand(1, 3, 32, 32), trimap(1, 32, 32))
    sure = torch.tensor([200.0, 0.0, 0.0]).view(1, 3, 1, 1).expand(1, 3, 32, 32)
    assert (out._replace(trimap=sure).alpha == 0).all()
    assert (out._replace(trimap=sure.flip(1)).alpha == 1).all()
    torch.testing.assert_close(out._replace(trimap=sure.roll(1, 1)).alpha, out.alphas[-1].clamp(0, 1))


def test_printed_size_runs():
    torch.manual_seed(0)
    network = adamatting().eval()
    with torch.inference_mode():
        out = network(torch.rand(1, 3, 64, 32), trimap(1, 64, 32))
    assert out.alpha.shape == (1, 1, 64, 32) and out.trimap.shape == (1, 3, 64, 32)


@pytest.mark.parametrize("loss", [losses.multitask, losses.multitask_live])
def test_gradients_reach_every_parameter(loss):
    torch.manual_seed(0)
    network = adamatting_live().train()
    output = network(torch.rand(2, 3, 64, 64), trimap(2, 64, 64))
    sum(loss(output, torch.rand(2, 1, 64, 64), network.log_sigma).values()).backward()
    silent = [n for n, p in network.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert silent == []
