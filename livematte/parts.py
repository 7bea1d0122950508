"""Parts that a caller or a plug-in made (models, sources, sinks ...): their names and errors in messages."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import FunctionType

from livematte.errors import LivematteError
from livematte.registry import reason


def title(kind: str, part: object) -> str:
    """The name of a part in an error message: its kind, and its card's name or its class."""
    try:
        name = getattr(getattr(part, "card", None), "name", None) or getattr(part, "__name__", None)
    except Exception:
        name = None
    return f"the {kind} {name if isinstance(name, str) else type(part).__name__}"


@contextmanager
def named_errors(kind: str, part: object, error: type[LivematteError]) -> Iterator[None]:
    """Turn whatever a caller's own part raises into ``error``, which names the part; its cause is chained.

    Errors of livematte pass through, and every exception of livematte's own parts, which are bugs.
    """
    try:
        yield
    except LivematteError:
        raise
    except Exception as raised:
        named = part if isinstance(part, (type, FunctionType)) else type(part)
        if named.__module__.partition(".")[0] == "livematte":
            raise
        raise error(f"{title(kind, part)} failed: {reason(raised)}") from raised
