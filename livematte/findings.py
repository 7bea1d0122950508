"""What a check of the machine found: the words of ``livematte doctor``, which plug-ins speak, too."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Entry points in the group ``livematte.checks`` are functions without parameters that give a list of
    these; they look, change nothing, take a few seconds at most, and tell no password.

    Attributes:
        name: what was looked at, a few words: 'exclusive_caps'.
        good: True where it works, False where it must be mended, None where it is only told or not needed.
        what: what was found, one line.
        mend: what to do, one line with the very command; empty where nothing is to be done.
        group: under which heading it is shown.
    """

    name: str
    good: bool | None
    what: str
    mend: str = ""
    group: str = ""
