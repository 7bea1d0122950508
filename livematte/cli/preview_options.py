"""Options and display of ``livematte live --preview``."""

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
"""Options whose value may be omitted, with the value used then."""


class BarePreview(TyperCommand):
    """Command class: ``--preview`` needs no value, and the help lists the installed sinks."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help page. The sinks are looked up only here, because the lookup takes time."""
        names = ", ".join(f"[b]{name}[/b]" for name in registry.names("sinks"))
        for option in self.params:
            if isinstance(option, TyperOption) and option.help:
                option.help = option.help.replace("{outputs}", names)
        super().format_help(ctx, formatter)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the arguments; ``--preview`` without a value means ``auto``."""
        return super().parse_args(ctx, insert_bare_values(args))


def insert_bare_values(args: list[str]) -> list[str]:
    """Insert the value from :data:`BARE` after each option that has no value."""
    filled = []
    for following, arg in enumerate(args, 1):
        alone = arg in BARE and (following == len(args) or args[following].startswith("-"))
        filled += [arg, BARE[arg]] if alone else [arg]
    return filled


def split_backgrounds(given: list[str]) -> list[str]:
    """Split at commas; the name of an existing file that contains commas is not split."""
    return [name for text in given for name in ([text] if Path(text).exists() else text.split(",")) if name]


@dataclass(frozen=True)
class Screen:
    """View of a preview, the reason for its choice, and the backgrounds of the hot key ``b``."""

    view: View
    reason: str
    backgrounds: list[str]

    @property
    def covers_notes(self) -> bool:
        """True if the view would hide lines on standard error."""
        return self.view.name == "terminal"

    def show(self, session: Session, ended: Callable[[], bool]) -> bool:
        """Show a session; return True if the session must end, False if only the preview was closed.

        Args:
            ended: called before each picture; returns True if the session must end.

        Raises:
            LivematteError: the session ended because of this error.
        """
        from livematte.preview.panel import Panel
        from livematte.preview.preview import Preview, models_here

        panel = Panel(session, self.backgrounds, models_here(), message=self.reason)
        preview = Preview(session, self.view, panel)
        ends = preview.run(ended) or all(sink.name == NULL_SINK for sink in session.sinks)
        if preview.trouble:
            terminal.note(preview.trouble)
        if not ends:
            terminal.note("the preview is closed; the session continues until Ctrl-C")
        return ends


def _check_background(background: str) -> None:
    """Raise UsageError for a background that the hot key could not use."""
    from livematte.streaming.session import open_live_background

    try:
        open_live_background(background, "cover").close()
    except UsageError as error:
        raise UsageError(f"preview-backgrounds: {error}") from error


@contextmanager
def open_preview(
    view_name: str | None, backgrounds: list[str] | None, placeholder: object
) -> Iterator[Screen | None]:
    """Open the preview view that ``--preview`` selects; None without ``--preview``.

    Args:
        view_name: as given to ``--preview``.
        backgrounds: as given to ``--preview-backgrounds``; each is opened once, without ``--preview`` too.
        placeholder: offered as a background.

    Raises:
        OutputError: the view is not available.
        UsageError: the view is unknown, a background cannot be used, or ``--json`` would write into the same
            terminal.
    """
    given = split_backgrounds(backgrounds or [])
    for each in given:
        _check_background(each)
    if view_name is None:
        yield None
        return
    from livematte.preview.panel import BACKGROUNDS
    from livematte.preview.preview import open_view

    view, reason = open_view(view_name)
    try:
        if view.name == "terminal" and terminal.is_json() and sys.stdout.isatty():
            raise UsageError(
                "--json and --preview terminal both write to this terminal: redirect stdout to a file "
                "(> events.jsonl), or use --preview window"
            )
        terminal.note(reason)
        yield Screen(view, reason, given or [*([str(placeholder)] if placeholder else []), *BACKGROUNDS])
    finally:
        view.close()
