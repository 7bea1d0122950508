"""The network is the paper's: sec. 3.1 and 3.2; and it learns by sec. 3.3."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from livematte.inference.encoders import EfficientNetLite0
from livematte.models.fba import losses
from livematte.models.fba.encoding import encode_trimap
from livematte.models.fba.network import (
    POOLS,
    PyramidPooling,
    StandardisedConv2d,
    bins,
    fba,
    fba_live,
)
from livematte.models.fba.recipe import fba_live_recipe, fba_recipe
from livematte.training.loop import warm_start


@pytest.fixture(scope="module")
def live():
    torch.manual_seed(0)
    return fba_live()


@pytest.fixture(scope="module")
def printed():
    with torch.device("meta"):  # the structure alone: 35 million weights are not wanted here
        return fba()


def convolutions(module):
    return [m for m in module.modules() if isinstance(m, nn.Conv2d)]


def test_parameter_counts(live, printed):
    assert sum(p.numel() for p in live.parameters()) == 3_574_079
    assert sum(p.numel() for p in printed.parameters()) == 34_685_191


def test_live_tile_costs_at_most_1_2_g_multiply_adds(live):
    total = 0

    def count(layer, _, out):
        nonlocal total
        total += out.shape[-2] * out.shape[-1] * layer.weight.numel()

    hooks = [m.register_forward_hook(count) for m in convolutions(live)]
    with torch.inference_mode():
        live.eval()(torch.rand(1, 3, 64, 64), torch.rand(1, 6, 64, 64))
    for hook in hooks:
        hook.remove()
    assert 16 * total < 1.2e9  # a tile of 256x256


def test_printed_encoder_has_9_channels_and_dilation_for_stride_in_layers_3_and_4(printed):
    encoder = printed.encoder
    assert encoder.conv1.in_channels == 9
    assert [len(getattr(encoder, f"layer{n}")) for n in (1, 2, 3, 4)] == [3, 4, 6, 3]
    for layer, dilation in ((encoder.layer3, 2), (encoder.layer4, 4)):
        assert {c.stride for c in convolutions(layer)} == {(1, 1)}
        assert layer[-1].conv2.dilation == (dilation, dilation)


def test_printed_size_has_standardised_weights_and_groups_of_32_channels(printed):
    norms = [m for m in printed.modules() if isinstance(m, (nn.GroupNorm, nn.BatchNorm2d))]
    assert norms and all(isinstance(m, nn.GroupNorm) for m in norms)
    assert {m.num_channels // m.num_groups for m in norms} == {32}
    rest = [c for c in convolutions(printed) if not isinstance(c, StandardisedConv2d)]
    assert rest == [*convolutions(printed.full), printed.out]  # where no norm follows


def test_printed_decoder_has_seven_convolutions_three_upsamplings_and_seven_outputs(printed):
    decoder = [*convolutions(printed.bottom), *convolutions(printed.ups), *convolutions(printed.full)]
    assert len([*decoder, printed.out]) == 7 and printed.out.out_channels == 7
    assert len(printed.ups) + 1 == 3
    skips = [c.in_channels for c in convolutions(printed.ups)]
    assert skips == [256 + 256, 256 + 64]  # layer 1, stem
    assert printed.full[0][0].in_channels == 64 + 9


@pytest.mark.parametrize("which", ["live", "printed"])
def test_pyramid_pooling_has_four_levels_beside_the_features(which, request):
    network = request.getfixturevalue(which)
    width = network.pool.convs[0][0].out_channels
    assert POOLS == (1, 2, 3, 6) and len(network.pool.convs) == 4
    assert network.bottom[0][0].in_channels == network.encoder.channels[-1] + 4 * width


def test_live_size_has_the_norms_of_its_encoder(live):
    assert not any(isinstance(m, nn.GroupNorm) for m in live.modules())
    assert not any(isinstance(m, StandardisedConv2d) for m in live.modules())


@pytest.mark.parametrize("size", [(8, 8), (5, 9), (1, 1), (13, 2)])
@pytest.mark.parametrize("count", POOLS)
def test_bins_are_those_of_adaptive_pooling(size, count):
    x = torch.rand(2, 3, *size)
    torch.testing.assert_close(bins(x, count), functional.adaptive_avg_pool2d(x, count))


def test_pooled_means_reach_every_pixel():
    pool = PyramidPooling(2, 3, nn.Conv2d, None).eval()
    x = torch.zeros(1, 2, 6, 6)
    x[..., 0, 0] = 36.0
    means = pool(x)[:, 2:5]  # the branch of one bin
    expected = pool.convs[0](torch.ones(1, 2, 1, 1)).expand(1, 3, 6, 6)
    torch.testing.assert_close(means, expected)


def test_standardised_filters_have_mean_0_and_variance_1():
    conv = StandardisedConv2d(3, 4, 3, bias=False)
    with torch.no_grad():
        conv.weight.mul_(7).add_(2)
    basis = torch.eye(27).reshape(27, 3, 3, 3)
    filters = conv(basis)[:, :, 0, 0]
    torch.testing.assert_close(filters.mean(0), torch.zeros(4), atol=1e-5, rtol=0)
    torch.testing.assert_close(filters.var(0, correction=0), torch.ones(4), atol=1e-4, rtol=0)


def test_live_encoder_is_at_first_the_plain_one_and_takes_its_tensors_by_name(live, tmp_path):
    from safetensors.torch import save_file

    torch.manual_seed(3)
    plain = EfficientNetLite0()
    own = live.encoder.state_dict()
    assert {n: t.shape for n, t in plain.state_dict().items()} == {
        n: t.shape for n, t in own.items() if not n.startswith("_trimap_stem")
    }
    network = fba_live()
    save_file({f"encoder.{k}": v for k, v in plain.state_dict().items()}, tmp_path / "plain.safetensors")
    taken, _ = warm_start(network, tmp_path / "plain.safetensors")
    assert taken == len(plain.state_dict())
    rgb = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        expected = plain.eval()(rgb)
        got = network.eval().encoder(torch.cat((rgb, torch.rand(1, 6, 64, 64)), 1))
    for a, b in zip(got, expected, strict=True):
        torch.testing.assert_close(a, b)


def test_live_stem_is_one_convolution_of_nine_channels(live):
    encoder = fba_live().encoder.eval()
    nn.init.normal_(encoder._trimap_stem.weight)
    whole = torch.cat((encoder._conv_stem.weight, encoder._trimap_stem.weight), 1)
    x = torch.rand(1, 9, 32, 32)
    scaled = torch.cat(((x[:, :3] * 255 - 127) / 128, x[:, 3:]), 1)
    seen = []
    encoder._bn0.register_forward_hook(lambda _, args, __: seen.append(args[0]))
    encoder(x)
    torch.testing.assert_close(seen[0], functional.conv2d(scaled, whole, None, 2, 1))


@pytest.mark.parametrize("size", [(32, 32), (64, 96), (35, 51), (1, 7)])
def test_layers_have_the_pictures_size_and_lie_in_0_to_1(live, size):
    live.eval()
    with torch.inference_mode():
        out = live(torch.rand(2, 3, *size), torch.rand(2, 6, *size))
    assert [tuple(x.shape) for x in out] == [(2, n, *size) for n in (1, 3, 3)]
    assert all(x.min() >= 0 and x.max() <= 1 for x in out)


def test_alpha_is_clamped_and_reaches_0_and_1_itself():
    network = fba_live().eval()
    nn.init.zeros_(network.out.weight)
    for bias, expected in ((-0.3, 0.0), (0.25, 0.25), (1.4, 1.0)):
        nn.init.constant_(network.out.bias, bias)
        with torch.inference_mode():
            out = network(torch.rand(1, 3, 32, 32), torch.rand(1, 6, 32, 32))
        assert (out.alpha == expected).all()
        torch.testing.assert_close(out.foreground, torch.sigmoid(torch.full((1, 3, 32, 32), bias)))


def test_printed_size_runs():
    torch.manual_seed(0)
    network = fba().eval()
    with torch.inference_mode():
        out = network(torch.rand(1, 3, 32, 24), torch.rand(1, 6, 32, 24))
    assert out.alpha.shape == (1, 1, 32, 24) and out.background.shape == (1, 3, 32, 24)
    assert 0 < out.alpha.std() < 1


def example(size=64):
    yy, xx = np.mgrid[:size, :size]
    distance = np.hypot(yy - size / 2, xx - size / 2) - size / 4
    alpha = torch.from_numpy(np.clip(0.5 - distance / 6, 0, 1).astype(np.float32))[None, None]
    trimap = np.where(np.abs(distance) < 6, 128, np.where(distance < 0, 255, 0)).astype(np.uint8)
    rng = torch.Generator().manual_seed(0)
    F, B = (torch.rand(1, 3, 4, 4, generator=rng) for _ in range(2))
    F, B = (functional.interpolate(x, (size, size), mode="bilinear") for x in (F, B))
    encoding = torch.from_numpy(encode_trimap(trimap)).permute(2, 0, 1)[None]
    batch = {"alpha": alpha, "foreground": F, "background": B, "encoding": encoding}
    return batch | {"rgb": losses.over(F, B, alpha)}


def test_gradients_reach_every_parameter():
    torch.manual_seed(0)
    network = fba_live()
    fba_live_recipe.enter(fba_live_recipe.plan(1, 1).steps[0], network)
    batch = {k: torch.cat((v, v.flip(-1))) for k, v in example().items()}
    sum(losses.terms(network(batch["rgb"], batch["encoding"]), batch).values()).backward()
    silent = [n for n, p in network.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert silent == []


def test_a_few_iterations_lower_the_loss():
    torch.manual_seed(1)
    network = fba_live()
    step = fba_live_recipe.plan(1, 1).steps[0]
    fba_live_recipe.enter(step, network)
    assert not any(m.training for m in network.encoder.modules() if isinstance(m, nn.BatchNorm2d))
    optimizer = torch.optim.AdamW(network.parameters(), lr=3e-3)
    values = []
    for _ in range(10):
        loss = sum(fba_live_recipe.losses(step, network, example(), "network").values())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        values.append(loss.item())
    assert min(values[-2:]) < 0.8 * values[0]


def test_the_printed_plan_is_the_papers():  # sec. 3.6
    main, fine = fba_recipe.plan(1, 1).steps
    assert main.batch == fine.batch == 1
    assert main.sizes == ((640, 640), (480, 480), (320, 320))
    assert {main.rate(i) for i in (0, 7, 999_999)} == {1e-5} and fine.rate(3) == 1e-6
    assert main.iterations == 8 * fine.iterations  # 40 and 5 epochs
