"""``livematte demo``."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from livematte.cli import terminal
from livematte.cli.parameters import takes
from livematte.options.commands import DemoCommand

if TYPE_CHECKING:
    from livematte.progress import Progress


@takes(DemoCommand)
def demo(folder: Path) -> None:
    """Render a bundled clip with a picture, blurred and transparent, and print the paths of the results."""
    from livematte.tools import demo as bundled

    with ExitStack() as shown:

        def display(title: str) -> Callable[[Progress], None]:
            shown.close()
            return shown.enter_context(terminal.display(title))

        results = bundled.run(folder, display=display)
    terminal.event_if_json("done", results=[{"path": result.path, "what": result.what} for result in results])
    terminal.say(f"results for {bundled.clip_path()}:")
    wide = max(len(str(result.path)) for result in results)
    for result in results:
        speed = f", {result.report.fps:.0f} frames per second" if result.report else ""
        terminal.say(f"  {result.path!s:<{wide}}  {result.what}{speed}")
    terminal.say("Next, your own video:  livematte render me.mp4 out.mp4 --background beach.jpg")
