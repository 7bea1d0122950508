"""``livematte demo``."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from livematte.cli import options, terminal

if TYPE_CHECKING:
    from livematte.progress import Progress


def demo(
    folder: Annotated[
        Path, typer.Option("--folder", "-o", metavar="FOLDER", help="Where the results go.")
    ] = Path("demo"),
    as_json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Render a bundled clip on a picture, blurred and transparent, and say where the results are."""
    terminal.configure(as_json=as_json, quiet=quiet)
    from livematte import demo as bundled

    with ExitStack() as shown:

        def display(title: str) -> Callable[[Progress], None]:
            shown.close()
            return shown.enter_context(terminal.display(title))

        results = bundled.run(folder, display=display)
    terminal.event_if_json("done", results=[{"path": result.path, "what": result.what} for result in results])
    terminal.say(f"from {bundled.clip_path()}:")
    wide = max(len(str(result.path)) for result in results)
    for result in results:
        speed = f", {result.report.fps:.0f} frames a second" if result.report else ""
        terminal.say(f"  {result.path!s:<{wide}}  {result.what}{speed}")
    terminal.say("Now yours:  livematte render me.mp4 out.mp4 --background beach.jpg")
