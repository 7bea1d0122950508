"""Draw a preview in a terminal, two pixels per character cell. Works over SSH."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Protocol

import numpy as np
from rich.console import Console
from rich.text import Text

from livematte.errors import OutputError
from livematte.frame import Array
from livematte.preview.job_control import JobControl
from livematte.preview.keys import TerminalKeys
from livematte.printable import printable
from livematte.sudden_end import before_sudden_end

COLUMNS, ROWS = 96, 27
"""Maximum size of a picture in character cells; more would only take more time."""
_UPPER_HALF = "▀"
_CUBE = np.array([0, 95, 135, 175, 215, 255])
_STYLES = {"good": "green", "alarm": "bold red", "dim": "dim"}


class Keys(Protocol):
    """A source of keys."""

    def read(self) -> list[str]:
        """Return the keys pressed since the last call. Never waits."""
        ...

    def close(self) -> None:
        """Stop reading keys."""
        ...


def half_block_cells(picture: Array) -> Array:
    """Convert a picture to character cells: the upper pixel is the foreground, the lower the background.

    Args:
        picture: (h, w, 3) uint8 RGB; a missing last row is black.

    Returns:
        (ceil(h / 2), w, 6) uint8: R, G, B of the upper pixel, then of the lower pixel.
    """
    if len(picture) % 2:
        picture = np.concatenate([picture, np.zeros_like(picture[:1])])
    return np.concatenate([picture[::2], picture[1::2]], axis=2)


def render_cells(cells: Array, before: Array | None, *, true_color: bool) -> str:
    """Return the ECMA-48 sequences that draw ``cells`` in the upper left corner of a terminal.

    Args:
        cells: from :func:`half_block_cells`.
        before: the cells that are shown now, of the same shape. Only the changed span of each row is drawn.
        true_color: use 24-bit colours; else the nearest of the 256 colours of xterm.
    """
    changed = np.ones(cells.shape[:2], bool) if before is None else (cells != before).any(2)
    sent = []
    for row in np.flatnonzero(changed.any(1)).tolist():
        (spots,) = np.nonzero(changed[row])
        first, end = int(spots[0]), int(spots[-1]) + 1
        span = cells[row, first:end]
        colors = _true_colors(span) if true_color else _palette_colors(span)
        sent.append(f"\x1b[{row + 1};{first + 1}H")
        last = ""
        for color in colors:
            sent.append(_UPPER_HALF if color == last else f"\x1b[{color}m{_UPPER_HALF}")
            last = color
    return "".join([*sent, "\x1b[0m"]) if sent else ""


def _true_colors(span: Array) -> list[str]:
    return [f"38;2;{r};{g};{b};48;2;{x};{y};{z}" for r, g, b, x, y, z in span.tolist()]


def _palette_colors(span: Array) -> list[str]:
    """Return colour codes of xterm: the nearer of the colour cube 16..231 and the greys 232..255."""
    rgb = span.reshape(-1, 3).astype(int)
    level = np.digitize(rgb, (48, 115, 155, 195, 235))
    cube = _CUBE[level]
    step = np.clip(np.rint((rgb.mean(1) - 8) / 10), 0, 23).astype(int)
    grey = np.repeat(8 + 10 * step[:, None], 3, 1)
    nearer = ((grey - rgb) ** 2).sum(1) < ((cube - rgb) ** 2).sum(1)
    numbers = np.where(nearer, 232 + step, 16 + level @ np.array([36, 6, 1]))
    return [f"38;5;{upper};48;5;{lower}" for upper, lower in numbers.reshape(-1, 2).tolist()]


class TerminalView:
    """A :class:`livematte.preview.preview.View` on standard error; standard output stays free.

    Args:
        console: console to draw on.
        keys: source of the keys.

    Raises:
        OutputError: standard error is not a terminal, or the terminal cannot show pictures.
    """

    fps = 10.0
    name = "terminal"

    def __init__(self, console: Console | None = None, keys: Keys | None = None) -> None:
        self.closed = False
        if console is None:
            if not sys.stderr.isatty():
                raise OutputError("standard error is not a terminal")
            console = Console(stderr=True, highlight=False)
        system = console.color_system
        if console.legacy_windows or system not in ("truecolor", "256"):
            kind = os.environ.get("TERM") or "unknown"
            raise OutputError(f"this terminal (TERM {kind}) has fewer than 256 colours")
        if not console.encoding.lower().startswith("utf"):
            raise OutputError(f"this terminal has the encoding {console.encoding}: set it to UTF-8")
        self._console, self._true_color = console, system == "truecolor"
        self._drawn: Array | None = None
        self._shape: tuple[object, ...] = ()
        self._keys, self._own_keys = keys, keys is None
        self._started = self._on_screen = False

    def max_picture_size(self, lines: int) -> tuple[int, int]:
        """Return the maximum (height, width) of the picture in pixels, with ``lines`` lines of text."""
        rows = max(1, min(ROWS, self._console.height - lines))
        return 2 * rows, max(2, min(COLUMNS, self._console.width))

    def keys(self) -> list[str]:
        """Return the keys pressed since the last call."""
        return self._keys.read() if self._keys is not None and self._on_screen else []

    def show(self, picture: Array | None, lines: Sequence[tuple[str, str]]) -> None:
        """Draw what changed. Lines are (text, tone). The first call switches to the alternate screen."""
        if not self._started:
            self._start()
        if self._jobs.stop_asked:
            self._leave()
            self._jobs.stop()
        if not self._jobs.in_foreground():  # continued in the background: the terminal is the shell's
            return
        if not self._on_screen:
            self._enter()
        elif self._jobs.take_continued():  # another program drew here meanwhile
            self._enter_again()
        cells = None if picture is None else half_block_cells(picture)
        shape = (self._console.size, None if cells is None else cells.shape, len(lines))
        sent = ""
        if shape != self._shape:
            sent, self._shape, self._drawn = "\x1b[2J", shape, None
        if cells is not None:
            sent += render_cells(cells, self._drawn, true_color=self._true_color)
        self._drawn = cells
        top = 1 if cells is None else len(cells) + 1
        for number, (text, tone) in enumerate(lines):
            sent += f"\x1b[{top + number};1H{self._line(text, tone)}\x1b[K"
        self._console.file.write(sent)
        self._console.file.flush()

    def _start(self) -> None:
        self._started = True
        self._jobs = JobControl()
        self._forget = before_sudden_end(self.close)

    def _enter(self) -> None:
        self._on_screen = True
        if self._own_keys:
            self._keys = TerminalKeys()
        self._console.set_alt_screen(True)
        self._console.show_cursor(False)
        self._jobs.take_continued()
        self._shape = ()  # draw everything

    def _enter_again(self) -> None:
        if isinstance(self._keys, TerminalKeys):
            self._keys.resume()
        self._console.set_alt_screen(True)
        self._console.show_cursor(False)
        self._shape = ()

    def _leave(self) -> None:
        if not self._on_screen:
            return
        self._on_screen = False
        if self._keys is not None and self._own_keys:
            self._keys.close()
        self._console.show_cursor(True)
        self._console.set_alt_screen(False)

    def _line(self, text: str, tone: str) -> str:
        with self._console.capture() as drawn:
            line = Text(printable(text), style=_STYLES.get(tone, ""), no_wrap=True, overflow="ellipsis")
            line.truncate(self._console.width - 1, overflow="ellipsis")
            self._console.print(line, end="")
        return drawn.get()

    def close(self) -> None:
        """Restore the terminal. May be called twice."""
        if self.closed:
            return
        self.closed = True
        if not self._started:
            return
        self._forget()
        self._jobs.close()
        self._leave()
        if self._keys is not None:
            self._keys.close()
