from __future__ import annotations

import numpy as np
import pytest

from livematte.frame import ColorInfo
from livematte.kernels.hdr import sdr_to_hdr
from livematte.kernels.hdr.curves import hlg, pq

PQ_2020 = ColorInfo("bt2020", primaries=9, transfer=16)
HLG_2020 = ColorInfo("bt2020", primaries=9, transfer=18)


def test_pq_by_the_standards_own_figures() -> None:
    """BT.2408-7, table 1 and BT.2100: 0, 100, 203, 1000 and 10000 cd/m²."""
    codes = pq(np.array([0, 100.0, 203, 1000, 10000]))
    np.testing.assert_allclose(codes, [0, 0.508, 0.581, 0.752, 1], atol=5e-4)


def test_hlg_by_the_standards_own_figures() -> None:
    """BT.2100, table 5: the two pieces meet at a half, and full scene light is full code."""
    np.testing.assert_allclose(hlg(np.array([0, 1 / 48, 1 / 12, 1])), [0, 0.25, 0.5, 1], atol=1e-6)


@pytest.mark.parametrize("color", [PQ_2020, HLG_2020])
def test_greys_stay_grey_and_in_order(color: ColorInfo) -> None:
    greys = np.repeat(np.arange(256, dtype=np.uint8)[:, None, None], 3, 2)
    codes = sdr_to_hdr(greys, color)
    assert codes.shape == (256, 1, 3)
    assert float(np.ptp(codes, axis=2).max()) < 0.05
    assert (np.diff(codes[:, 0, 0]) > 0).all()


def test_the_table_is_as_good_as_the_formula() -> None:
    """Within half a code of 10 bits, worked out anew from sRGB, BT.2087 and PQ."""
    rgb = np.random.default_rng(3).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    code = rgb / 255
    light = np.where(code <= 0.04045, code / 12.92, ((code + 0.055) / 1.055) ** 2.4)
    matrix = np.array([[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]])
    wanted = pq(203 * light @ matrix.T)
    assert np.abs(sdr_to_hdr(rgb, PQ_2020) / 255 - wanted).max() < 0.5 / 1023


def test_primaries_other_than_2020_keep_their_own_colours() -> None:
    red = np.array([[[255, 0, 0]]], np.uint8)
    assert sdr_to_hdr(red, ColorInfo("bt709", primaries=1, transfer=16))[0, 0, 1] < 0.01
    assert sdr_to_hdr(red, PQ_2020)[0, 0, 1] > 80
