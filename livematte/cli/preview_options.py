"""``livematte live --preview``."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from typer.core import TyperCommand, TyperOption

from livematte import registry
from livematte.cli import terminal
from livematte.errors import UsageError
from livematte.options.commands import LiveCommand
from livematte.options.declaration import declared
from livematte.streaming.null_sink import NULL_SINK

if TYPE_CHECKING:
    from livematte.preview.preview import View
    from livematte.streaming.session import Session

BARE = {each.flag: each.option.bare for each in declared(LiveCommand) if each.option.bare is not None}
"""Options that may stand alone, and the value they have then."""


class BarePreview(TyperCommand):
    """A command whose ``--preview`` needs no value, and whose help names the outputs that there are."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help. Names are looked up here: other calls need not wait for it."""
        names = ", ".join(f"[b]{name}[/b]" for name in registry.names("sinks"))
        for option in self.params:
            if isinstance(option, TyperOption) and option.help:
                option.help = option.help.replace("{outputs}", names)
        super().format_help(ctx, formatter)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse, with ``auto`` where ``--preview`` stands alone."""
        return super().parse_args(ctx, with_place(args))


def with_place(args: list[str]) -> list[str]:
    """``args`` with the value of an option in :data:`BARE` after each that stands alone."""
    filled = []
    for at, arg in enumerate(args, 1):
        alone = arg in BARE and (at == len(args) or args[at].startswith("-"))
        filled += [arg, BARE[arg]] if alone else [arg]
    return filled


def split_backgrounds(given: list[str]) -> list[str]:
    """Names between commas; a file with commas in its name stays whole."""
    return [name for text in given for name in ([text] if Path(text).exists() else text.split(",")) if name]


@dataclass(frozen=True)
class Screen:
    """Where a preview is drawn, why there, and what its hot key ``b`` goes through."""

    view: View
    why: str
    backgrounds: list[str]

    @property
    def covers_notes(self) -> bool:
        """Whether lines on standard error would be drawn over."""
        return self.view.name == "terminal"

    def show(self, session: Session, ended: Callable[[], bool]) -> bool:
        """Show a session; whether it is to end then, or only the preview was closed.

        Args:
            ended: asked before each picture whether it is to end.

        Raises:
            LivematteError: why the session ended.
        """
        from livematte.preview.panel import Panel
        from livematte.preview.preview import Preview, models_here

        panel = Panel(session, self.backgrounds, models_here(), message=self.why)
        preview = Preview(session, self.view, panel)
        ends = preview.run(ended) or all(sink.name == NULL_SINK for sink in session.sinks)
        if preview.trouble:
            terminal.note(preview.trouble)
        if not ends:
            terminal.note("the preview is closed; the session goes on, Ctrl-C ends it")
        return ends


@contextmanager
def open_preview(
    place: str | None, backgrounds: list[str] | None, placeholder: object
) -> Iterator[Screen | None]:
    """What ``--preview`` asks for; None where it does not.

    Raises:
        OutputError: there is no such place.
        UsageError: unknown, or other lines would be written into it.
    """
    if place is None:
        yield None
        return
    from livematte.preview.panel import BACKGROUNDS
    from livematte.preview.preview import open_view

    given = split_backgrounds(backgrounds or [])
    view, why = open_view(place)
    try:
        if view.name == "terminal" and terminal.is_json() and sys.stdout.isatty():
            raise UsageError(
                "--json would be written into the preview: send it to a file (> events.jsonl) or use "
                "--preview window"
            )
        terminal.note(why)
        yield Screen(view, why, given or [*([str(placeholder)] if placeholder else []), *BACKGROUNDS])
    finally:
        view.close()
