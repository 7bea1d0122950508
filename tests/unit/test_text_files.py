"""Whatever is wrong with a TOML or JSON file is one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from livematte.errors import InputError, LivematteError, ModelError
from livematte.inference.weights import read_card
from livematte.profile import read_profile
from livematte.text_files import MAX_BYTES, read_json, read_toml

BROKEN = {
    "nul": (b"a = 1\0", "not TOML"),
    "nested lists": (b"a = " + b"[" * 20_000, "nested too deeply|not TOML"),
    "nested tables": (b"a = " + b"{a=" * 20_000, "nested too deeply|not TOML"),
    "digits": (b"a = " + b"7" * 5000, "a number has too many digits"),
    "latin-1": ("a = 'é'".encode("latin-1"), "not TOML in UTF-8 .byte 5 is 0xe9.: save it"),
    "utf-16": ("a = 1".encode("utf-16"), "not TOML in UTF-8"),
    "picture": (b"\x89PNG\r\n\x1a\n", "not TOML in UTF-8"),
    "cut off": (b"a = 'b", "not TOML"),
    "large": (b"#" * (MAX_BYTES + 1), "larger than 16 MiB"),
}


@pytest.mark.parametrize("kind", BROKEN)
@pytest.mark.parametrize("reader", ["profile", "card"])
def test_what_is_no_toml_is_one_line(tmp_path: Path, kind: str, reader: str) -> None:
    data, said = BROKEN[kind]
    (tmp_path / "a.toml").write_bytes(data)
    with pytest.raises(LivematteError, match=said) as caught:
        read_profile(tmp_path / "a.toml", "live") if reader == "profile" else read_card(tmp_path / "a.toml")
    assert isinstance(caught.value, InputError if reader == "profile" else ModelError)
    assert str(tmp_path / "a.toml") in str(caught.value) and "\n" not in str(caught.value)


def test_a_byte_order_mark_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_bytes(b"\xef\xbb\xbfthreads = 2\r\n")
    assert read_profile(tmp_path / "a.toml", "live") == {"threads": 2}


def test_a_path_that_cannot_be_opened_is_one_line(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "gone", tmp_path / "a\0b"):
        with pytest.raises(InputError, match="cannot be read"):
            read_toml(path, "profile", InputError)


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"[" * 100_000, b"7" * 5000, b"\xff", b'{"a": 1, "a": 2}', b"\0", b"[1,]"],
)
def test_what_is_no_json_is_one_line(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.json").write_bytes(data)
    with pytest.raises(InputError, match="list .*json is not JSON") as caught:
        read_json(tmp_path / "a.json", "list", InputError)
    assert "\n" not in str(caught.value)
