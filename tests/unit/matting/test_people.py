"""Only the largest people, or the one at a point, stay, and the same ones from frame to frame."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from livematte.errors import UsageError
from livematte.matting.people import PeopleFilter, format_people, parse_people


def picture(*people: tuple[int, int]) -> np.ndarray:
    """People as columns (left, right) of 60 rows, with a soft edge on the right."""
    alpha = np.zeros((80, 200), np.float32)
    for left, right in people:
        alpha[20:, left:right] = 1
        for column, soft in ((right, 0.3), (right + 1, 0.1)):
            alpha[20:, column] = np.maximum(alpha[20:, column], soft)
    return alpha


def who(alpha: np.ndarray) -> list[int]:
    """First columns of the regions."""
    there = alpha[50] > 0.5
    return np.flatnonzero(there & ~np.roll(there, 1)).tolist()


def test_all_changes_no_bit() -> None:
    alpha = picture((10, 40), (100, 180))
    assert PeopleFilter()(alpha) is alpha


def test_the_largest_stays_with_its_soft_edge() -> None:
    alpha = picture((10, 40), (100, 180))
    kept = PeopleFilter(1)(alpha)
    assert who(kept) == [100] and np.array_equal(kept[:, 90:], alpha[:, 90:]) and not kept[:, :90].any()


def test_a_number_keeps_that_many() -> None:
    alpha = picture((10, 40), (60, 70), (100, 180))
    assert who(PeopleFilter(2)(alpha)) == [10, 100]
    assert np.array_equal(PeopleFilter(9)(alpha), alpha)
    assert not PeopleFilter(1)(np.zeros((80, 200), np.float32)).any()


def test_a_passer_by_who_is_a_little_larger_does_not_take_the_place() -> None:
    people = PeopleFilter(1)
    assert who(people(picture((10, 50)))) == [10]
    for width in range(2, 70, 4):
        assert who(people(picture((10, 50), (100, 100 + width)))) == [10]
    assert who(people(picture((10, 50), (80, 180)))) == [80], "2.5 times as large"
    assert who(people(picture((10, 50), (80, 130)))) == [80], "and this one stays now"


def test_who_moves_is_followed_and_a_new_shot_begins_anew() -> None:
    people = PeopleFilter(1)
    people(picture((10, 50)))
    for left in range(10, 100, 10):
        assert who(people(picture((left, left + 40), (150, 195)))) == [left]
    people.restart()
    assert who(people(picture((10, 50), (150, 195)))) == [150]


@pytest.mark.parametrize("chosen", [1, (0.15, 0.8)])
def test_another_size_continues(chosen: Any) -> None:
    people = PeopleFilter(chosen)
    people(picture((10, 50)))
    small = picture((10, 50), (100, 160))[::2, ::2]
    kept = people(small)
    assert kept[30, 10] == 1 and not kept[:, 40:].any()
    assert who(people(picture((10, 50), (100, 160)))) == [10]


def test_the_person_at_a_point_stays_whoever_is_larger() -> None:
    people = PeopleFilter((0.15, 0.8))
    for width in range(2, 90, 4):
        assert who(people(picture((10, 50), (100, 100 + width)))) == [10]


def test_nobody_is_kept_until_somebody_is_at_the_point() -> None:
    people = PeopleFilter((0.15, 0.8))
    assert not people(picture((100, 180))).any()
    assert who(people(picture((20, 40), (100, 180)))) == [20]


def test_a_point_beside_everybody_is_refused_and_changes_nothing() -> None:
    people = PeopleFilter()
    people(picture((10, 50), (100, 180)))
    with pytest.raises(UsageError, match=r"nobody is at 0\.4,0\.8: choose a point on a person"):
        people.choose((0.4, 0.8))
    assert people.people is None
    people.choose((0.26, 0.8))  # 2 pixels from the edge
    assert who(people(picture((10, 50), (100, 180)))) == [10]


def test_a_hidden_person_can_be_chosen_instead_and_all_again() -> None:
    people, both = PeopleFilter((0.15, 0.8)), picture((10, 50), (100, 180))
    assert who(people(both)) == [10]
    people.choose((0.7, 0.8))
    assert who(people(both)) == [100]
    people.choose(None)
    assert people(both) is both


def test_who_walks_is_followed_past_somebody_else_and_back() -> None:
    people = PeopleFilter((0.1, 0.8))
    for left in (*range(10, 110, 5), *range(110, 10, -5)):
        assert who(people(picture((left, left + 30), (150, 190)))) == [left]


def test_a_passer_by_who_touches_is_cut_off_and_not_followed() -> None:
    people = PeopleFilter((0.4, 0.8))
    for _ in range(60):
        people(picture((60, 100)))
    for left in (*range(198, 100, -3), *range(100, 198, 3)):  # comes up to the person, and goes again
        kept = people(picture((60, 100), (left, min(198, left + 50))))
        assert kept[50, 60:97].all() and not kept[50, 106:].any(), left
    for left in range(198, 2, -3):  # walks past, behind the person
        people(picture((60, 100), (left, min(198, left + 50))))
    kept = people(picture((60, 100), (0, 40)))
    assert who(kept) == [60] and not kept[:, :50].any(), "parted: the person at the usual place"


def test_a_hand_that_was_apart_for_a_moment_is_not_cut_off() -> None:
    people = PeopleFilter((0.15, 0.8))
    people(picture((10, 60)))
    people(picture((10, 60), (64, 67)))
    whole = picture((10, 68))
    assert np.array_equal(people(whole), whole)


def test_who_follows_through_the_door_is_somebody_else_and_the_person_comes_back() -> None:
    people = PeopleFilter((0.5, 0.8))
    for _ in range(90):
        people(picture((80, 120)))
    for left in range(80, 196, 4):
        assert people(picture((left, min(198, left + 40)))).any()
    for _ in range(40):
        assert not people(np.zeros((80, 200), np.float32)).any()
    assert not people(picture((160, 198))).any(), "a colleague comes in by the same door"
    assert who(people(picture((85, 125)))) == [85], "the chair"


def test_a_cut_forgets_no_place_and_mirroring_moves_it() -> None:
    people, both = PeopleFilter((0.15, 0.8)), picture((10, 50), (120, 190))
    people(both)
    people.restart()
    assert who(people(both)) == [10]
    people.mirror()
    assert who(people(both[:, ::-1])) == [150]
    people.restart()
    assert who(people(both[:, ::-1])) == [150]


@pytest.mark.parametrize(
    ("text", "count"), [("all", None), ("largest", 1), ("3", 3), ("0.25,0.5", (0.25, 0.5)), ("0,1", (0, 1))]
)
def test_words(text: str, count: Any) -> None:
    assert parse_people(text) == count and parse_people(format_people(count)) == count


@pytest.mark.parametrize(
    "text", ["", "0", "10", "-1", "two", "١", "0.5", "0.5,1.1", "0.5,-0.1", "nan,0.5", "0.1,0.2,0.3", "0.5,x"]
)
def test_other_words_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="use all, largest, a number from 1 to 9, or a point such as"):
        parse_people(text)
