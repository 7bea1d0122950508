"""``livematte live --preview``."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand, TyperOption

from livematte import registry
from livematte.cli import options, terminal
from livematte.errors import UsageError
from livematte.streaming.nowhere import NOWHERE

if TYPE_CHECKING:
    from livematte.preview.preview import View
    from livematte.streaming.session import Session

PreviewPlace = Annotated[
    str | None,
    typer.Option(
        "--preview",
        metavar="[auto|window|terminal]",
        help="Show what viewers see and the matte, with hot keys ([b]h[/b] lists them): in a window where "
        "there is a display, in the terminal otherwise.",
        autocompletion=options.one_of("auto", "window", "terminal"),
        rich_help_panel=options.REPORT,
    ),
]
PreviewBackgrounds = Annotated[
    list[str] | None,
    typer.Option(
        "--preview-backgrounds",
        metavar="WHAT,...",
        help="What the hot key [b]b[/b] goes through; otherwise the placeholder, [b]blur[/b] and "
        "[b]green[/b].",
        autocompletion=options.complete_background,
        rich_help_panel=options.REPORT,
    ),
]


OUTPUTS = "{outputs}"
"""Stands in help for the names of what is installed."""


class BarePreview(TyperCommand):
    """A command whose ``--preview`` needs no value, and whose help names the outputs that there are."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help. Names are looked up here: other calls need not wait for it."""
        names = ", ".join(f"[b]{name}[/b]" for name in registry.names("sinks"))
        for option in self.params:
            if isinstance(option, TyperOption) and option.help:
                option.help = option.help.replace(OUTPUTS, names)
        super().format_help(ctx, formatter)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse, with ``auto`` where ``--preview`` stands alone."""
        return super().parse_args(ctx, with_place(args))


def with_place(args: list[str]) -> list[str]:
    """``args`` with ``auto`` after a ``--preview`` that stands alone."""
    filled = []
    for at, arg in enumerate(args, 1):
        alone = arg == "--preview" and (at == len(args) or args[at].startswith("-"))
        filled += [arg, "auto"] if alone else [arg]
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
        ends = preview.run(ended) or all(sink.name == NOWHERE for sink in session.sinks)
        if preview.trouble:
            terminal.note(preview.trouble)
        if not ends:
            terminal.note("the preview is closed; the session goes on, Ctrl-C ends it")
        return ends


@contextmanager
def screen_of(
    place: str | None, backgrounds: list[str] | None, placeholder: str | None
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
        yield Screen(view, why, given or [*([placeholder] if placeholder else []), *BACKGROUNDS])
    finally:
        view.close()
