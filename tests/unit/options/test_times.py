"""Times as users write them."""

from __future__ import annotations

from fractions import Fraction

import pytest

from livematte.errors import UsageError
from livematte.options.times import FrameLabel, parse_time


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90", 90),
        ("0", 0),
        (" 12.5 ", Fraction(25, 2)),
        (".5", Fraction(1, 2)),
        ("7.", 7),
        ("1:30", 90),
        ("90:00", 5400),
        ("0:01:30.5", Fraction(181, 2)),
        ("01:02:03", 3723),
    ],
)
def test_seconds_minutes_and_hours(text: str, seconds: Fraction) -> None:
    assert parse_time("start", text) == seconds


def test_numbers_stay_as_they_are() -> None:
    assert parse_time("start", 1.25) == 1.25
    assert parse_time("start", -1) == -1  # refused where it is used


@pytest.mark.parametrize(
    ("text", "rate", "frame"),
    [
        ("00:00:30:12", Fraction(25), 762),
        ("0:01:00:00", Fraction(24000, 1001), 1440),
        ("00:01:00;02", Fraction(30000, 1001), 1800),
        ("00:10:00;00", Fraction(30000, 1001), 17982),
        ("00:01:00;04", Fraction(60000, 1001), 3600),
        ("00:01:00;02", Fraction(25), 1502),
        ("00:00:00:00", Fraction(25), 0),
    ],
)
def test_frames_count_at_the_rate_of_the_file(text: str, rate: Fraction, frame: int) -> None:
    label = parse_time("start", text)
    assert isinstance(label, FrameLabel)
    time = label.in_seconds("start", rate)
    assert (frame - 1) / rate < time <= frame / rate


@pytest.mark.parametrize(
    "text", ["", "soon", "1:60", "1:2:3:4:5", "1:60:00", "0:0:0:0", "nan", "inf", "1e3", "00:61:00:00"]
)
def test_other_text_is_refused_with_what_is_allowed(text: str) -> None:
    with pytest.raises(UsageError, match="start .* is invalid: use seconds"):
        parse_time("start", text)


def test_negative_times_and_missing_frames_are_refused() -> None:
    with pytest.raises(UsageError, match="end -1 is invalid: use 0 or more seconds"):
        parse_time("end", "-1")
    label = parse_time("end", "00:00:01:25")
    assert isinstance(label, FrameLabel)
    with pytest.raises(UsageError, match="at 25 frames per second, frames are 00 to 24"):
        label.in_seconds("end", Fraction(25))
    with pytest.raises(UsageError, match="frame rate is unknown"):
        label.in_seconds("end", None)
