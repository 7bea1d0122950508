"""Text that others wrote (file names, tags, device names), made safe for a terminal."""

from __future__ import annotations

import re

_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters (C0, DEL, C1), which start escape sequences; line separators and changes of the writing
direction; bytes of a file name that are no text."""


def printable(text: str, keep: str = "") -> str:
    """Return ``text`` with each control character, except those in ``keep``, as its escape (ESC as x1b)."""
    return _UNSAFE.sub(lambda found: found[0] if found[0] in keep else _escaped(found[0]), text)


def one_line(text: str) -> str:
    """Return ``text`` printable, with each line break and the white space around it as one space."""
    return printable(" ".join(filter(None, (line.strip() for line in text.splitlines()))))


LONGEST_LINE = 300
"""Characters of an error message. Only names and values that somebody gave make one longer."""
_WORDS = (60, 40, 24)
"""Characters that remain of each long word, such as a path, the first number that suffices."""


def shortened(text: str, most: int = LONGEST_LINE) -> str:
    """Return ``text`` with at most ``most`` characters: the middle of long words is left out, so that what is
    said about a value of 100,000 characters remains.
    """
    if len(text) <= most:
        return text
    longest = max(re.findall(r"\S+", text), key=len, default="")
    remain = len(longest) - (len(text) - most)
    if remain >= _WORDS[0]:
        return text.replace(longest, _without_middle(longest, remain), 1)
    for length in _WORDS:
        found = _with_short_words(text, length)
        if len(found) <= most:
            return found
    return _without_middle(found, most, most // 3)


def error_line(text: str) -> str:
    """Return an error message as one printable line of at most :data:`LONGEST_LINE` characters."""
    return shortened(one_line(_without_middle(text, 20 * LONGEST_LINE)))


def _with_short_words(text: str, most: int) -> str:
    """Return ``text``, each word with at most ``most`` characters."""
    return re.sub(r"\S+", lambda word: _without_middle(word[0], most), text)


def _without_middle(text: str, most: int, first: int | None = None) -> str:
    """Return at most ``most`` characters of ``text``, ``first`` of them from its beginning."""
    if len(text) <= most:
        return text
    first = most // 2 if first is None else first
    return f"{text[:first]}…{text[len(text) - (most - first - 1) :]}"


def _escaped(character: str) -> str:
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")


def quoted(text: object) -> str:
    """Return a file name or a typed word in quotes. Unlike in ``repr``, backslashes are not doubled."""
    return f"'{printable(str(text))}'"
