"""Islands go, people and what hangs on to them stay."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from livematte.matting.components import remove_small_components

Alpha = NDArray[np.float32]


def empty() -> Alpha:
    return np.zeros((160, 288), np.float32)


def test_a_faint_island_goes_and_the_person_stays_to_the_last_bit() -> None:
    person = empty()
    person[40:160, 100:180] = 1
    person[36:40, 100:180] = 0.3
    alpha = person.copy()
    alpha[20:40, 20:50] = 0.45
    np.testing.assert_array_equal(remove_small_components(alpha), person)


def test_a_small_solid_island_goes() -> None:
    alpha = empty()
    alpha[40:160, 100:180] = 1
    alpha[10:16, 10:16] = 1
    out = remove_small_components(alpha)
    assert out[:, :50].max() == 0 and out[100, 140] == 1


def test_a_second_person_far_away_stays() -> None:
    alpha = empty()
    alpha[20:160, 60:160] = 1
    alpha[60:90, 220:232] = 0.9
    np.testing.assert_array_equal(remove_small_components(alpha), alpha)


def test_someone_far_behind_a_face_close_up_stays_and_specks_between_them_go() -> None:
    alpha = empty()
    alpha[20:160, 0:200] = 1  # 28000 pixels
    alpha[40:64, 240:248] = 1  # 192: 0.7 % of them, 0.4 % of the picture
    both = alpha.copy()
    alpha[10:14, 220:228] = 1  # 32: less than SMALLEST of the picture
    np.testing.assert_array_equal(remove_small_components(alpha), both)


def test_more_islands_than_sixteen_bits_count_are_told_apart() -> None:
    alpha = np.zeros((800, 800), np.float32)
    alpha[:600:2, ::2] = 0.1  # 120000 specks: with 16 bits some would take the person's number
    alpha[700:780, 300:500] = 1
    out = remove_small_components(alpha)
    assert out[:600].max() == 0 and out[700:780, 300:500].min() == 1


def test_hair_that_hangs_on_by_a_faint_strand_stays() -> None:
    alpha = empty()
    alpha[60:160, 100:180] = 1
    alpha[40:60, 139] = 0.2
    alpha[30:40, 130:150] = 0.4
    np.testing.assert_array_equal(remove_small_components(alpha), alpha)


def test_an_arm_that_touches_by_a_corner_stays() -> None:
    alpha = empty()
    alpha[60:160, 100:180] = 1
    alpha[50:60, 180:200] = 0.4
    np.testing.assert_array_equal(remove_small_components(alpha), alpha)


def test_a_room_with_nobody_but_a_ghost_becomes_empty() -> None:
    alpha = empty()
    alpha[40:100, 100:180] = 0.4
    assert remove_small_components(alpha).max() == 0


def test_an_empty_and_a_full_picture_stay() -> None:
    assert remove_small_components(empty()).max() == 0
    assert remove_small_components(np.ones((160, 288), np.float32)).min() == 1


def test_a_veil_over_the_room_goes_even_where_it_touches_a_person() -> None:
    person = empty()
    person[60:160, 100:180] = 1
    person[60:160, 97:100] = 0.1
    alpha = person.copy()
    alpha[60:160, 0:97] = 0.12
    np.testing.assert_array_equal(remove_small_components(alpha), person)
