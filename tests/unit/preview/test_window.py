"""The preview in a real window, on a display that nobody sees."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from importlib.util import find_spec

import pytest

from livematte.errors import OutputError
from livematte.preview.window import WindowView

needs_xvfb = pytest.mark.skipif(
    shutil.which("Xvfb") is None or find_spec("tkinter") is None, reason="needs Xvfb and tkinter"
)

PROGRAM = """
import numpy as np
from livematte.preview.window import WindowView
view = WindowView()
root = view._root
picture = np.zeros((90, 160, 3), np.uint8)
picture[:, :80] = 255, 0, 0
view.show(picture, [("viewers see the live picture", "good"), ("second", "plain")])
assert view._photo.get(10, 10) == (255, 0, 0) and view._photo.get(150, 80) == (0, 0, 0)
assert [text.cget("text") for text in view._texts] == ["viewers see the live picture", "second"]
root.focus_force()
root.update()
for key in ("b", "plus", "Q", "Shift_L", "Left"):
    root.event_generate(f"<KeyPress-{key}>")
assert view.keys() == ["b", "+", "q"], "no arrows, no Shift alone"
assert view.keys() == []
tall = np.full((480, 270, 3), 9, np.uint8)
view.show(tall, [("one", "alarm")])
assert view._photo.get(269, 479) == (9, 9, 9) and len(view._texts) == 1
height = root.winfo_height()
view.show(picture, [("one", "alarm")])
root.update()
assert root.winfo_height() == height, "it does not shrink again"
root.tk.call(*root.tk.splitlist(root.protocol("WM_DELETE_WINDOW")))
assert view.closed and view.keys() == []
view.show(picture, [])
view.close()
view.close()
print("whole")
"""


@needs_xvfb
def test_picture_lines_keys_and_the_close_button() -> None:
    read, write = os.pipe()
    server = subprocess.Popen(
        ["Xvfb", "-displayfd", str(write), "-screen", "0", "1024x768x24", "-nolisten", "tcp"],
        pass_fds=[write],
        stderr=subprocess.DEVNULL,
    )
    try:
        os.close(write)
        with os.fdopen(read) as told:
            display = told.readline().strip()
        assert display, "Xvfb did not start"
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM],
            env={**os.environ, "DISPLAY": f":{display}"},
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0 and done.stdout == "whole\n", done.stderr
    finally:
        server.terminate()
        server.wait()


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="there is always a display")
@pytest.mark.skipif(find_spec("tkinter") is None, reason="needs tkinter")
def test_without_a_display_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    with pytest.raises(OutputError, match="there is no display"):
        WindowView()


def test_without_tkinter_the_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tkinter", None)
    with pytest.raises(OutputError, match="python3-tk"):
        WindowView()


def test_another_thread_than_the_main_one_is_refused() -> None:
    said: list[str] = []

    def body() -> None:
        try:
            WindowView()
        except OutputError as error:
            said.append(str(error))

    thread = threading.Thread(target=body)
    thread.start()
    thread.join()
    assert said == ["only the main thread can open a window"]
