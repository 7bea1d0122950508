"""Draw a preview in a window, with tkinter."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from livematte.errors import OutputError
from livematte.frame import Array

WIDTH, HEIGHT = 640, 480
"""Maximum size of a picture in pixels."""
_BACKGROUND = "#1b1b1b"
_COLORS = {"plain": "#e0e0e0", "good": "#7ddc7d", "alarm": "#ff7b72", "dim": "#9a9a9a"}
_OPENED: list[WindowView] = []
"""Windows, never freed: Tcl aborts the process if garbage collection in another thread frees its
interpreter."""


class WindowView:
    """A :class:`livematte.preview.preview.View` in a window. Only the main thread may call its methods.

    Raises:
        OutputError: tkinter or a display is missing, or this is not the main thread.
    """

    fps = 15.0
    name = "window"

    def __init__(self, title: str = "livematte preview") -> None:
        if threading.current_thread() is not threading.main_thread():
            raise OutputError("only the main thread can open a window")
        try:
            import tkinter
        except ImportError as error:
            raise OutputError(
                "this Python has no tkinter: install python3-tk, python3-tkinter or python-tk"
            ) from error
        self._tk: Any = tkinter
        try:
            self._root = tkinter.Tk(className="livematte")
        except tkinter.TclError as error:
            raise OutputError(f"there is no display: {error}") from error
        _OPENED.append(self)
        self.closed = False
        self._pressed: list[str] = []
        self._root.withdraw()  # until the first picture
        self._root.title(title)
        self._root.configure(background=_BACKGROUND)
        self._root.protocol("WM_DELETE_WINDOW", self._on_close)
        self._root.bind("<Key>", lambda event: self._pressed.append(event.char.lower()))
        self._photo = tkinter.PhotoImage(master=self._root)
        self._picture = tkinter.Label(self._root, image=self._photo, background=_BACKGROUND, borderwidth=0)
        self._picture.configure(width=WIDTH, height=WIDTH * 9 // 16)
        self._picture.pack()
        self._texts: list[tkinter.Label] = []
        self._started = False
        self._shown: Array | None = None
        self._height = WIDTH * 9 // 16

    def _on_close(self) -> None:
        self.closed = True
        self._root.withdraw()

    def max_picture_size(self, lines: int) -> tuple[int, int]:
        """Return the maximum (height, width) of the picture in pixels."""
        return HEIGHT, WIDTH

    def keys(self) -> list[str]:
        """Process the events of the window; return the keys pressed since the last call."""
        if not self.closed:
            self._root.update()
        pressed, self._pressed = self._pressed, []
        return [key for key in pressed if key]

    def show(self, picture: Array | None, lines: Sequence[tuple[str, str]]) -> None:
        """Show a picture and lines, which are (text, tone).

        The picture is drawn only if it is a new object.
        """
        if self.closed:
            return
        if not self._started:
            self._started = True
            self._root.deiconify()
        if picture is not None and picture is not self._shown:
            height, width = picture.shape[:2]
            if height > self._height:
                self._height = height
                self._picture.configure(height=height)
            head = f"P6 {width} {height} 255 ".encode()
            self._photo.configure(data=head + picture.tobytes(), format="PPM")
            self._shown = picture
        while len(self._texts) < len(lines):
            text = self._tk.Label(
                self._root, font="TkFixedFont", background=_BACKGROUND, anchor="w", justify="left"
            )
            text.configure(wraplength=WIDTH - 16)
            text.pack(fill="x", padx=8)
            self._texts.append(text)
        for label, (text, tone) in zip(self._texts, lines, strict=False):
            label.configure(text=text, foreground=_COLORS.get(tone, _COLORS["plain"]))
        for label in self._texts[len(lines) :]:
            label.destroy()
        del self._texts[len(lines) :]
        self._root.update()

    def close(self) -> None:
        """Close the window. May be called twice."""
        self.closed = True
        with suppress(self._tk.TclError):
            self._root.destroy()
