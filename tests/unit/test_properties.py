"""Properties of what reads text that others wrote, with examples that Hypothesis finds."""

from __future__ import annotations

import asyncio
import json
import pickle
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from livematte.errors import LivematteError, UsageError
from livematte.frame import PIXEL_FORMATS, ColorInfo, Frame
from livematte.kernels.color.css import parse_color
from livematte.kernels.convert import planes_from_rgb, to_rgb
from livematte.matting.backgrounds import fit_picture
from livematte.options.values import path_text
from livematte.output_paths import output_path
from livematte.printable import LONGEST_LINE, printable, shortened
from livematte.profile import known_options, read_profile
from livematte.streaming.control_client import receive
from livematte.streaming.control_link import encode_line

FEW = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
JSON = st.recursive(SCALARS, lambda it: st.lists(it, max_size=3) | st.dictionaries(st.text(), it, max_size=3))
CHANNEL = st.integers(0, 255)
WORDS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=40)


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
@given(
    st.binary(max_size=300) | st.text(max_size=100).map(lambda text: text.encode("utf-8", "replace") + b"\n")
)
def test_any_bytes_of_another_program_are_a_message_or_refused(data: bytes) -> None:
    async def read() -> dict[str, object]:
        reader = asyncio.StreamReader(limit=1 << 20)
        reader.feed_data(data)
        reader.feed_eof()
        return await receive(reader)

    with suppress(EOFError, ValueError):  # what the control server answers or closes on
        assert isinstance(asyncio.run(read()), dict)


PLAIN = {bool: st.booleans(), int: st.integers(-(10**17), 10**17), float: st.floats(-1e17, 1e17), str: WORDS}


@FEW
@given(st.sampled_from(["live", "render"]), st.data())
def test_what_a_profile_says_is_read_as_it_was_written(
    tmp_path: Path, command: str, data: st.DataObject
) -> None:
    plain = {
        name: next(kind for kind in PLAIN if kind in (get_args(each.command_type) or (each.command_type,)))
        for name, each in known_options(command).items()
        if each.option.form is None and not each.option.path and each.option.bare is None
        and set(PLAIN) & set(get_args(each.command_type) or (each.command_type,))
    }  # fmt: skip
    names = data.draw(st.lists(st.sampled_from(sorted(plain)), unique=True, max_size=6))
    given = {name: data.draw(PLAIN[plain[name]]) for name in names}
    lines = [
        f"{name.replace('_', '-')} = {json.dumps(value, ensure_ascii=False)}" for name, value in given.items()
    ]
    path = tmp_path / "profile.toml"
    path.write_text("\n".join(lines), encoding="utf-8")
    assert read_profile(path, command) == given


@FEW
@given(st.binary(max_size=300) | st.text(max_size=200).map(lambda text: text.encode("utf-8", "replace")))
def test_any_profile_is_read_or_refused_in_one_line(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "profile.toml"
    path.write_bytes(data)
    try:
        read_profile(path, "live")
    except LivematteError as error:
        assert len(printable(str(error)).splitlines()) == 1


OPAQUE = sorted(name for name, each in PIXEL_FORMATS.items() if not each.gray)


@FEW
@given(
    st.sampled_from(OPAQUE),
    st.sampled_from(["bt601", "bt709", "bt2020"]),
    st.booleans(),
    CHANNEL,
    CHANNEL,
    CHANNEL,
)
def test_a_colour_comes_back_from_every_format_matrix_and_range(
    format: str, matrix: str, full: bool, red: int, green: int, blue: int
) -> None:
    color = ColorInfo("rgb", True) if PIXEL_FORMATS[format].rgb else ColorInfo(matrix, full)
    rgb = np.full((6, 8, 3), (red, green, blue), np.uint8)
    frame = Frame(planes_from_rgb(rgb, format, color), format, 0, Fraction(1, 25), color=color)
    assert np.abs(to_rgb(frame).astype(int) - rgb).max() <= 3


@FEW
@given(st.text(max_size=80) | st.text(max_size=3).map(lambda text: text * 2000))
def test_any_text_is_a_path_or_refused_in_one_line(text: str) -> None:
    try:
        assert path_text("input", text) == text
    except UsageError as error:
        assert str(error).startswith("input ") and len(str(error)) <= LONGEST_LINE


@FEW
@given(WORDS.filter(lambda text: text.strip("./ ") != ""))
def test_an_output_in_a_folder_stays_in_it(tmp_path: Path, source: str) -> None:
    made = Path(output_path(f"{tmp_path}/results/", source, ".mp4"))
    assert made.parent == tmp_path / "results" and made.suffix == ".mp4"


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
