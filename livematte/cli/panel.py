"""Command ``livematte panel``."""

from __future__ import annotations

from typing_extensions import Unpack

from livematte.cli import terminal
from livematte.cli.parameters import takes
from livematte.options.commands import PanelCommand, PanelOptions


@takes(PanelCommand)
def panel(**options: Unpack[PanelOptions]) -> None:
    """Control live sessions and render files in a browser, on this computer only.

    The page also works as a dock in a streaming program, and its addresses from hardware keys: see
    docs/panel.md. Sessions go on when the panel ends.

    [bold]Examples[/bold]

    [cyan]livematte panel --backgrounds ~/Pictures/rooms --open[/cyan]
    [cyan]livematte panel --profiles ~/livematte --files ~/Videos[/cyan]
    """
    from livematte.panel.server import serve, token_file

    if options["token_file"]:
        print(token_file())
        return

    def ready(address: str) -> None:
        terminal.event_if_json("ready", address=address)
        terminal.say(f"panel: {address}")
        if options["open"]:
            import webbrowser

            webbrowser.open(address)

    serve(
        port=options["port"],
        profiles=options["profiles"],
        backgrounds=options["backgrounds"] or (),
        files=options["files"] or (),
        ready=ready,
    )
