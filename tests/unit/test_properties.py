"""Properties of what reads text that others wrote, with examples that Hypothesis finds."""

from __future__ import annotations

import asyncio
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from livematte.errors import LivematteError
from livematte.kernels.color.css import parse_color
from livematte.matting.backgrounds import fit_picture
from livematte.printable import printable, shortened
from livematte.profile import read_profile
from livematte.streaming.control_client import receive
from livematte.streaming.control_link import encode_line

FEW = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
JSON = st.recursive(SCALARS, lambda it: st.lists(it, max_size=3) | st.dictionaries(st.text(), it, max_size=3))
CHANNEL = st.integers(0, 255)


@FEW
@given(CHANNEL, CHANNEL, CHANNEL, st.booleans())
def test_a_written_colour_is_read_back(red: int, green: int, blue: int, upper: bool) -> None:
    text = f"{red:02x}{green:02x}{blue:02x}"
    assert parse_color("#" + (text.upper() if upper else text)) == (red, green, blue)


@FEW
@given(st.text(max_size=40))
def test_any_text_is_a_colour_or_none(text: str) -> None:
    found = parse_color(text)
    assert found is None or (len(found) == 3 and all(0 <= each <= 255 for each in found))


@FEW
@given(st.dictionaries(st.text(), JSON, max_size=4), st.integers(1, 50))
def test_a_message_arrives_as_it_was_in_any_pieces(message: dict[str, Any], piece: int) -> None:
    data = encode_line(message)
    assert data.count(b"\n") == 1 and data.isascii()

    async def read() -> dict[str, object]:
        reader = asyncio.StreamReader(limit=1 << 20)
        for start in range(0, len(data), max(piece, len(data) // 30)):
            reader.feed_data(data[start : start + max(piece, len(data) // 30)])
        return await receive(reader)

    assert asyncio.run(read()) == message


@FEW
@given(st.binary(max_size=300) | st.text(max_size=200).map(lambda text: text.encode("utf-8", "replace")))
def test_any_profile_is_read_or_refused_in_one_line(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "profile.toml"
    path.write_bytes(data)
    try:
        read_profile(path, "live")
    except LivematteError as error:
        assert len(printable(str(error)).splitlines()) == 1


@FEW
@given(
    st.tuples(st.integers(1, 40), st.integers(1, 40)), st.tuples(st.integers(1, 40), st.integers(1, 40)),
    st.sampled_from(["cover", "contain", "stretch"]),
)  # fmt: skip
def test_a_fitted_picture_has_the_size_of_the_frame_and_no_new_colours(
    size: tuple[int, int], wanted: tuple[int, int], fit: str
) -> None:
    out = fit_picture(np.full((*size, 3), 200, np.uint8), *wanted, fit)
    assert out.shape == (*wanted, 3) and out.dtype == np.uint8
    assert out.max() <= 200 and (fit == "contain" or out.min() == 200)


@FEW
@given(st.lists(st.text(max_size=300), max_size=6).map(" ".join), st.integers(60, 200))
def test_shortened_text_is_as_short_as_asked_and_keeps_its_beginning_and_end(text: str, most: int) -> None:
    short = shortened(text, most)
    assert len(short) <= most
    assert short == text or ("…" in short and short[:10] == text[:10] and short[-10:] == text[-10:])


def test_what_is_said_about_a_long_value_remains() -> None:
    path = "/long/" + "x" * 100_000 + "/in.mp4"
    line = shortened(f"{path} is also the input: give the output another name")
    assert line.startswith("/long/xxx") and line.endswith(
        "/in.mp4 is also the input: give the output another name"
    )
    words = shortened(f"background {'ab ' * 30_000}: no such file; allowed are a colour, a file, blur")
    assert words.startswith("background ab") and words.endswith(
        "no such file; allowed are a colour, a file, blur"
    )


def test_an_error_is_one_line_without_control_characters() -> None:
    error = LivematteError("first\n  second\x1b[31m " + "z" * 5000)
    assert str(error).startswith(r"first second\x1b[31m zzz") and len(str(error)) == 300
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


@pytest.mark.parametrize("text", ["\x1b[31m", "\u202e", "\x9b"])
def test_foreign_control_characters_never_reach_a_terminal(text: str) -> None:
    assert text[0] not in printable(text)
