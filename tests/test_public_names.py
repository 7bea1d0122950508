"""What others may import: a name that appears or goes away is a change that users notice.

``python -m tests.test_public_names`` writes ``public_names.txt`` anew; CHANGELOG.md says what changed.
"""

from __future__ import annotations

import inspect
from importlib import import_module
from pathlib import Path
from types import ModuleType

LISTED = Path(__file__).with_name("public_names.txt")
MODULES = (
    "livematte",
    "livematte.api",
    "livematte.errors",
    "livematte.frame",
    "livematte.progress",
    "livematte.protocols",
)


def own_names(module: ModuleType) -> list[str]:
    """``__all__``, or the classes and functions that are defined there."""
    if hasattr(module, "__all__"):
        return sorted(module.__all__)
    return sorted(
        name
        for name, value in vars(module).items()
        if not name.startswith("_")
        and (inspect.isclass(value) or inspect.isfunction(value))
        and value.__module__ == module.__name__
    )


def public_names() -> list[str]:
    return [f"{name}.{own}" for name in MODULES for own in own_names(import_module(name))]


def test_public_names_are_those_that_are_listed() -> None:
    assert public_names() == LISTED.read_text(encoding="utf-8").split(), (
        "if it is meant: python -m tests.test_public_names, and a line in CHANGELOG.md"
    )


def test_every_name_of_the_package_is_there() -> None:
    import livematte

    assert [name for name in livematte.__all__ if not hasattr(livematte, name)] == []


if __name__ == "__main__":
    LISTED.write_text("\n".join(public_names()) + "\n", encoding="utf-8")
