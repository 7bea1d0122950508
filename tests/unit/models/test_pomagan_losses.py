"""Equations 2 to 11 against numbers worked by hand."""

import math

import pytest
import torch

from livematte.errors import WeightsError
from livematte.models.pomagan import losses
from livematte.models.pomagan.training import VGG19Features


def flat(value, channels=1):
    return torch.full((1, channels, 4, 4), value)


def identity_features(x):
    return [x] * 5


def test_binary_is_what_covers_more_than_half_a_pixel():
    values = torch.tensor([0.0, 0.5, 0.51, 1.0])
    assert losses.binary(values).tolist() == [0, 0, 1, 1]


def test_combined_puts_the_picture_over_a_background():  # eq. 8
    torch.testing.assert_close(losses.combined(flat(0.8, 3), flat(0.25), flat(0.4, 3)), flat(0.5, 3))


def test_segmentation_adds_map_and_foreground():  # eq. 4: |1 - 0.5| + 0.6 * |1 - 0.5|
    out = losses.segmentation(flat(0.6, 3), flat(0.5), flat(1.0))
    assert out.item() == pytest.approx(0.5 + 0.3)


def test_alpha_adds_map_foreground_and_combined_picture():  # eq. 9
    # |1 - 0.5| + 0.6 * 0.5 + |0.6 - 0.2| * 0.5
    out = losses.alpha(flat(0.6, 3), flat(0.5), flat(1.0), flat(0.2, 3))
    assert out.item() == pytest.approx(0.5 + 0.3 + 0.2)


def test_perceptual_weighs_five_layers_and_sums_over_pairs():  # eq. 3
    out = losses.perceptual(
        identity_features, losses.VGG19_WEIGHTS, (flat(0.2), flat(0.5, 3)), (flat(0.6), flat(0.3, 3))
    )
    weights = 1 / 32 + 1 / 16 + 1 / 8 + 1 / 4 + 1
    assert out.item() == pytest.approx(weights * (0.4 + 0.2))
    assert all(0 < c <= 1 for c in (*losses.VGG19_WEIGHTS, *losses.EFFICIENTNET_WEIGHTS))


def test_perceptual_looks_at_shrunk_pictures_where_asked():
    seen = []

    def features(x):
        seen.append(tuple(x.shape))
        return [x] * 5

    losses.perceptual(features, losses.VGG19_WEIGHTS, (flat(0.2),), (flat(0.6),), scale=0.5)
    assert seen == [(1, 3, 2, 2)] * 2


def test_border_is_dilated_minus_eroded():  # figure 3
    mask = torch.zeros(1, 1, 50, 50)
    mask[..., 20:30, 10:25] = 1
    where = losses.border(mask, 0.04)  # 2 pixels
    expected = torch.zeros_like(mask)
    expected[..., 18:32, 8:27] = 1
    expected[..., 22:28, 12:23] = 0
    assert torch.equal(where, expected)


def test_the_pictures_own_edge_is_no_border():
    mask = torch.ones(1, 1, 20, 20)
    assert not losses.border(mask, 0.1).any()
    mask[..., :10] = 0
    assert torch.equal(losses.border(mask, 0.1)[0, 0, 0].nonzero().flatten(), torch.tensor([8, 9, 10, 11]))


def test_border_losses_are_the_others_inside_the_border():  # eq. 6 and 10
    where = torch.zeros(1, 1, 4, 4)
    where[..., 0] = 1  # a quarter of the pixels
    rgb, room = flat(0.6, 3), flat(0.2, 3)
    s = losses.segmentation_border(rgb, flat(0.5), flat(1.0), where)
    a = losses.alpha_border(rgb, flat(0.5), flat(1.0), room, where)
    assert s.item() == pytest.approx(0.8 / 4)
    assert a.item() == pytest.approx(1.0 / 4)


def test_adversarial_losses_are_cross_entropies_summed_over_three_scales():  # eq. 7, 11
    sure = [torch.full((1, 1, n, n), math.log(0.8 / 0.2)) for n in (8, 4, 2)]
    assert losses.fooling(sure).item() == pytest.approx(-3 * math.log(0.8))
    assert losses.telling_apart(sure, sure).item() == pytest.approx(-3 * (math.log(0.8) + math.log(0.2)))


def test_vgg_gives_five_layers_at_five_sizes():
    generator = torch.Generator().manual_seed(0)
    widths, given, inputs = (64, 64, 0, 128, 128, 0, *(256,) * 4, 0, *(512,) * 4, 0, 512), {}, 3
    index = 0
    for width in widths:
        if width:
            given[f"features.{index}.weight"] = 0.05 * torch.randn(width, inputs, 3, 3, generator=generator)
            given[f"features.{index}.bias"] = torch.zeros(width)
            inputs, index = width, index + 2
        else:
            index += 1
    features = VGG19Features({**given, "classifier.0.weight": torch.zeros(1)})
    with torch.inference_mode():
        out = features(torch.rand(1, 3, 32, 32))
    assert [tuple(f.shape[1:]) for f in out] == [
        (64, 32, 32), (128, 16, 16), (256, 8, 8), (512, 4, 4), (512, 2, 2)
    ]  # fmt: skip
    assert all(f.min() >= 0 for f in out)
    del given["features.28.bias"]
    with pytest.raises(WeightsError, match=r"no tensor features\.28\.bias \(512,\)"):
        VGG19Features(given)
