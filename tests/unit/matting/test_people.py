"""Only the largest people stay, and the same ones from frame to frame."""

from __future__ import annotations

import numpy as np
import pytest

from livematte.errors import UsageError
from livematte.matting.people import PeopleFilter, parse_people


def picture(*people: tuple[int, int]) -> np.ndarray:
    """People as columns (left, right) of 60 rows, with a soft edge on the right."""
    alpha = np.zeros((80, 200), np.float32)
    for left, right in people:
        alpha[20:, left:right] = 1
        alpha[20:, right] = 0.3
        alpha[20:, right + 1] = 0.1
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


def test_another_size_continues() -> None:
    people, other = PeopleFilter(1), PeopleFilter()
    people(picture((10, 50)))
    other.take_over(people, 40, 100)
    small = picture((10, 50), (100, 160))[::2, ::2]
    kept = other(small)
    assert kept[30, 10] == 1 and not kept[:, 40:].any()


@pytest.mark.parametrize(("text", "count"), [("all", None), ("largest", 1), ("3", 3)])
def test_words(text: str, count: int | None) -> None:
    assert parse_people(text) == count


@pytest.mark.parametrize("text", ["", "0", "10", "-1", "two", "١"])
def test_other_words_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="use all, largest or a number from 1 to 9"):
        parse_people(text)
