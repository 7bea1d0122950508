"""Timecode of later pictures, compared with labels that are counted out one by one."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from itertools import islice

import pytest

from livematte.video.timecode import add_seconds, read_timecode


def labels(per_second: int) -> Iterator[str]:
    """Yield drop-frame labels in order, as SMPTE ST 12-1 states the rule."""
    while True:
        for minute in range(24 * 60):
            for second in range(60):
                skipped = per_second // 15 if minute % 10 and second == 0 else 0
                for part in range(skipped, per_second):
                    yield f"{minute // 60:02}:{minute % 60:02}:{second:02};{part:02}"


@pytest.mark.parametrize("per_second", [30, 60])
def test_drop_frame_labels_are_those_that_are_counted_out(per_second: int) -> None:
    rate = Fraction(per_second * 1000, 1001)
    counted = list(islice(labels(per_second), 2 * 3600 * per_second))
    for number in range(0, len(counted), 601):
        assert add_seconds("00:00:00;00", number / rate, rate) == counted[number]
    for number in range(1800, len(counted), 3601):
        assert add_seconds(counted[number], -1777 / rate, rate) == counted[number - 1777]


@pytest.mark.parametrize(
    ("first", "seconds", "rate", "expected"),
    [
        ("01:00:00:00", Fraction(2), Fraction(25), "01:00:02:00"),
        ("01:00:00;00", Fraction(2), Fraction(30000, 1001), "01:00:02;00"),
        ("01:00:59.28", Fraction(3 * 1001, 30000), Fraction(30000, 1001), "01:01:00.03"),
        ("09:59:59:23", Fraction(1001, 24000), Fraction(24000, 1001), "10:00:00:00"),
        ("23:59:59:24", Fraction(1, 25), Fraction(25), "00:00:00:00"),
        ("23:59:59;29", Fraction(1001, 30000), Fraction(30000, 1001), "00:00:00;00"),
        ("00:00:00:00", Fraction(-1, 25), Fraction(25), "23:59:59:24"),
        ("10:00:00:110", Fraction(10, 120), Fraction(120), "10:00:01:00"),
        ("01:00:00;05", Fraction(1), Fraction(25), "01:00:01:05"),  # no drop-frame count at 25
        ("01:00:00;05", Fraction(0), None, "01:00:00;05"),
        ("01:00:00:05", Fraction(1), None, None),
        ("one o'clock", Fraction(0), Fraction(25), None),
    ],
)
def test_a_later_picture(first: str, seconds: Fraction, rate: Fraction | None, expected: str | None) -> None:
    assert add_seconds(first, seconds, rate) == expected


def test_the_tag_is_found_in_any_spelling() -> None:
    assert read_timecode(({"title": "x"}, {"TIMECODE": "01:00:00:00 "})) == "01:00:00:00"
    assert read_timecode(({"timecode": ""}, {})) is None
