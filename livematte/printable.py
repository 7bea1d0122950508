"""Text that others wrote (file names, tags, device names), made safe for a terminal."""

from __future__ import annotations

import re

_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters (C0, DEL, C1), which start escape sequences; line separators and changes of the writing
direction; bytes of a file name that are no text."""


def printable(text: str, keep: str = "") -> str:
    """Return ``text`` with each control character, except those in ``keep``, as its escape (ESC as x1b)."""
    return _UNSAFE.sub(lambda found: found[0] if found[0] in keep else _escaped(found[0]), text)


def shorten(text: str, most: int) -> str:
    """Return ``text``, without its middle if it has more than ``most`` characters."""
    if len(text) <= most:
        return text
    half = most // 2
    return f"{text[:half]} … ({len(text) - 2 * half} characters left out) … {text[-half:]}"


def _escaped(character: str) -> str:
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")


def quoted(text: object) -> str:
    """Return a file name or a typed word in quotes. Unlike in ``repr``, backslashes are not doubled."""
    return f"'{printable(str(text))}'"
