"""How large a picture a network sees."""

import numpy as np
import pytest

from livematte import adapters


@pytest.mark.parametrize(
    ("frame", "small"),
    [
        ((720, 1280), (192, 352)),
        ((1080, 1920), (192, 352)),
        ((1920, 1080), (352, 192)),
        ((480, 640), (224, 288)),
        ((512, 512), (256, 256)),
        ((721, 1281), (192, 352)),
    ],
)
def test_sizes_for_common_frames(frame, small):
    assert adapters.choose_size(*frame) == small


@pytest.mark.parametrize("aspect", np.geomspace(1 / 4, 4, 60))
def test_every_usual_aspect_is_kept_within_tolerance_near_the_budget(aspect):
    height, width = adapters.choose_size(1000, round(1000 * aspect))
    assert height % 32 == width % 32 == 0
    assert abs(np.log(width / height / aspect)) <= np.log(1.085)
    assert 0.6 <= height * width / adapters.BUDGET <= 1.4


def test_long_side_asked_for_is_given_as_a_multiple_of_32():
    assert adapters.choose_size(720, 1280, 512) == (288, 512)
    assert adapters.choose_size(1280, 720, 500) == (512, 288)
    assert adapters.choose_size(100, 10000, 320) == (32, 320)
