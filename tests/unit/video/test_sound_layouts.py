"""The nearest layout of an encoder is the one in which most channels have a place."""

from __future__ import annotations

import pytest

from livematte.video.sound_layouts import LAYOUTS, nearest_layouts, same_channels


@pytest.mark.parametrize(
    ("codec", "layout", "nearest"),
    [
        ("opus", "2.1", "5.1"), ("opus", "3.1", "5.1"), ("opus", "4.0", "5.1"), ("opus", "5.0(side)", "5.1"),
        ("opus", "quad(side)", "quad"), ("opus", "7.0", "7.1"), ("opus", "octagonal", "7.1"),
        ("aac", "quad", "5.0"), ("aac", "3.0(back)", "4.0"), ("aac", "hexagonal", "5.0"),
        ("aac", "7.1", "7.1"),
        ("aac", "downmix", "stereo"), ("aac", "mono", "mono"),
    ],
)  # fmt: skip
def test_the_nearest_layout_has_a_place_for_most_channels(codec: str, layout: str, nearest: str) -> None:
    assert nearest_layouts(layout, LAYOUTS[codec])[0] == nearest


def test_surround_behind_and_beside_are_alike_but_a_bass_is_no_centre() -> None:
    assert same_channels("5.1", "5.1(side)") and same_channels("6.1(back)", "6.1")
    assert not same_channels("2.1", "3.0") and not same_channels("7.1", "7.1(wide)")
