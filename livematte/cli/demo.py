"""``livematte demo``."""

from __future__ import annotations

import shlex
import shutil
import sys
from collections.abc import Callable
from contextlib import ExitStack, suppress
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
    terminal.say("Next, your own video in place of the bundled one:")
    clip, background = shown_path(bundled.clip_path()), shown_path(bundled.background_path())
    terminal.say(
        f"  {own_command()} render {clip} {shown_path(folder / 'mine.mp4')} --background {background}"
    )


def own_command() -> str:
    """Return the command that was typed, as it works when it is pasted into the same terminal."""
    started = Path(sys.argv[0])
    if started.name == "__main__.py":  # python -m livematte
        return f"{shown_path(Path(sys.executable))} -m livematte"
    found = shutil.which("livematte")
    if found is not None and (not started.exists() or Path(found).resolve() == started.resolve()):
        return "livematte"
    return shown_path(started)


def shown_path(path: Path) -> str:
    """Return a path for a shell, relative to the current folder where that is possible."""
    with suppress(ValueError):
        path = path.absolute().relative_to(Path.cwd())
    text = str(path)
    if sys.platform == "win32":
        return f'"{text}"' if " " in text else text
    return shlex.quote(text)
