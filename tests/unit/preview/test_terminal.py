"""The preview in a terminal: cells worked out by hand, keys of a real pseudo-terminal."""

from __future__ import annotations

import io
import os
import sys
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from livematte.errors import OutputError
from livematte.preview.keys import TerminalKeys, parse_keys
from livematte.preview.terminal import COLUMNS, ROWS, TerminalView, half_block_cells, render_cells

RED, BLUE, BLACK = (255, 0, 0), (0, 0, 255), (0, 0, 0)


def test_two_rows_of_pixels_are_one_of_cells() -> None:
    picture = np.array([[RED, BLUE], [BLUE, BLUE], [RED, RED]], np.uint8)
    assert half_block_cells(picture).tolist() == [
        [[*RED, *BLUE], [*BLUE, *BLUE]],
        [[*RED, *BLACK], [*RED, *BLACK]],
    ]


def test_upper_pixels_are_the_foreground_and_a_colour_is_sent_once() -> None:
    cells = half_block_cells(np.array([[RED, RED, BLUE], [BLUE, BLUE, BLUE]], np.uint8))
    assert render_cells(cells, None, true_color=True) == (
        "\x1b[1;1H\x1b[38;2;255;0;0;48;2;0;0;255m▀▀\x1b[38;2;0;0;255;48;2;0;0;255m▀\x1b[0m"
    )


def test_only_what_changed_is_sent() -> None:
    before = half_block_cells(np.zeros((6, 5, 3), np.uint8))
    after = before.copy()
    after[1, 2, :3] = RED
    assert render_cells(before, before, true_color=True) == ""
    assert render_cells(after, before, true_color=True) == "\x1b[2;3H\x1b[38;2;255;0;0;48;2;0;0;0m▀\x1b[0m"


@pytest.mark.parametrize(
    ("rgb", "number"),
    [
        ((0, 0, 0), 16),
        ((255, 255, 255), 231),
        ((255, 0, 0), 196),
        ((95, 135, 175), 16 + 36 + 12 + 3),
        ((50, 50, 50), 236),  # grey 48; the cube has only 0 and 95
        ((12, 10, 9), 232),  # grey 8
    ],
)
def test_256_colours_are_the_nearest(rgb: tuple[int, int, int], number: int) -> None:
    cells = half_block_cells(np.array([[rgb], [rgb]], np.uint8))
    assert (
        render_cells(cells, None, true_color=False) == f"\x1b[1;1H\x1b[38;5;{number};48;5;{number}m▀\x1b[0m"
    )


def test_arrows_and_function_keys_are_no_keys() -> None:
    assert parse_keys("b\x1b[Av\x1bOP\x1b[15~Q\x1bx+\n\x7f") == ["b", "v", "q", "+"]
    assert parse_keys("\x1b") == [] and parse_keys("") == []


class KeysOf:
    """Keys from a list, as a terminal gives them."""

    def __init__(self, *keys: str) -> None:
        self.keys = list(keys)
        self.closed = 0

    def read(self) -> list[str]:
        keys, self.keys = self.keys, []
        return keys

    def close(self) -> None:
        self.closed += 1


def console(system: Any = "truecolor", *, width: int = 40, height: int = 12) -> Console:
    return Console(
        file=io.StringIO(),
        force_terminal=True,
        color_system=system,
        width=width,
        height=height,
        legacy_windows=False,
        _environ={},
    )


def sent(screen: Console) -> str:
    file = screen.file
    assert isinstance(file, io.StringIO)
    text = file.getvalue()
    file.truncate(0)
    file.seek(0)
    return text


def test_it_draws_picture_and_lines_and_then_only_changes() -> None:
    screen = console()
    view = TerminalView(screen, KeysOf())
    assert sent(screen) == "", "nothing before there is something to show"
    view.show(None, [])
    assert sent(screen) == "\x1b[?1049h\x1b[H\x1b[?25l\x1b[2J"
    picture = np.full((4, 3, 3), 7, np.uint8)
    view.show(picture, [("viewers see the live picture", "good"), ("x" * 99, "plain")])
    drawn = sent(screen)
    cell = "\x1b[38;2;7;7;7;48;2;7;7;7m▀▀▀"
    assert drawn.startswith(f"\x1b[2J\x1b[1;1H{cell}\x1b[2;1H{cell}\x1b[0m\x1b[3;1H")
    assert "\x1b[32mviewers see the live picture\x1b[0m" in drawn
    assert "x" * 38 + "…" in drawn and "x" * 39 not in drawn
    view.show(picture, [("a", "plain"), ("b", "plain")])
    assert sent(screen) == "\x1b[3;1Ha\x1b[K\x1b[4;1Hb\x1b[K"
    view.show(None, [("a", "plain")])
    assert sent(screen) == "\x1b[2J\x1b[1;1Ha\x1b[K"


def test_the_picture_leaves_room_for_the_lines_and_never_costs_too_much() -> None:
    assert TerminalView(console(), KeysOf()).max_picture_size(5) == (14, 40)
    assert TerminalView(console(width=300, height=100), KeysOf()).max_picture_size(5) == (2 * ROWS, COLUMNS)
    assert TerminalView(console(width=20, height=3), KeysOf()).max_picture_size(5) == (2, 20)


def test_the_end_gives_the_terminal_back_once() -> None:
    screen, keys = console(), KeysOf("q")
    view = TerminalView(screen, keys)
    view.show(None, [])
    assert view.keys() == ["q"] and view.keys() == []
    sent(screen)
    view.close()
    view.close()
    assert sent(screen) == "\x1b[?25h\x1b[?1049l" and keys.closed == 1 and view.closed


def test_a_terminal_that_cannot_is_refused_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(OutputError, match="fewer than 256 colours"):
        TerminalView(console("standard"), KeysOf())
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    with pytest.raises(OutputError, match="standard error is not a terminal"):
        TerminalView()


@pytest.mark.skipif(sys.platform == "win32", reason="pseudo-terminals are POSIX")
def test_keys_come_without_enter_and_the_terminal_is_put_back() -> None:
    program = (
        "import sys, time\n"
        "from livematte.preview.keys import TerminalKeys\n"
        "keys = TerminalKeys()\n"
        "print('ready', flush=True)\n"
        "got = []\n"
        "while 'q' not in got:\n"
        "    got += keys.read()\n"
        "    time.sleep(0.01)\n"
        "keys.close()\n"
        "print('got', *got, flush=True)\n"
    )
    import pty
    import termios

    child, master = pty.fork()
    if child == 0:
        os.execv(sys.executable, [sys.executable, "-c", program])
    kill = threading.Timer(60, os.kill, (child, 9))
    kill.start()
    try:
        before = termios.tcgetattr(master)[3]
        _read_until(master, b"ready")
        assert not termios.tcgetattr(master)[3] & (termios.ICANON | termios.ECHO)
        os.write(master, b"b\x1b[A+q")
        assert "got b + q" in _read_until(master, b"q\r\n")
        assert os.waitpid(child, 0)[1] == 0
        assert termios.tcgetattr(master)[3] == before
    finally:
        kill.cancel()
        os.close(master)


def _read_until(file: int, end: bytes) -> str:
    got = b""
    while end not in got:
        got += os.read(file, 1000)
    return got.decode()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows reads the console, not standard input")
def test_without_a_terminal_there_are_no_keys() -> None:
    end, begin = os.pipe()
    try:
        os.write(begin, b"q")
        keys = TerminalKeys(end)
        assert keys.read() == []
        keys.close()
    finally:
        os.close(end)
        os.close(begin)


JOB = """
import sys, time
import numpy as np
from livematte.preview.terminal import TerminalView
view = TerminalView()
print("ready", flush=True)
while not view.closed:
    view.show(np.zeros((8, 8, 3), np.uint8), [("a line", "")])
    if "q" in view.keys():
        view.close()
    time.sleep(0.02)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="job control of POSIX")
def test_ctrl_z_gives_the_terminal_back_and_fg_draws_again() -> None:
    """A shell's part is played here: the job is a session of its own with a real pseudo-terminal."""
    import pty
    import select
    import signal
    import subprocess
    import termios
    import time

    shell, terminal = pty.openpty()
    drawn = bytearray()

    def until(fact: Callable[[], bool], what: str) -> None:
        end = time.monotonic() + 60
        while not fact():
            assert time.monotonic() < end, f"{what}: {bytes(drawn[-300:])!r}"
            if select.select([shell], [], [], 0.05)[0]:
                drawn.extend(os.read(shell, 1 << 16))

    def echoes() -> bool:
        return bool(termios.tcgetattr(terminal)[3] & termios.ECHO)

    environment = {**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor", "PYTHONUTF8": "1"}
    # the terminal is the job's only where a session without a shell has opened it
    begin = "import fcntl, termios; fcntl.ioctl(2, termios.TIOCSCTTY, 0)" + JOB
    job = subprocess.Popen(
        [sys.executable, "-c", begin], stdin=terminal, stderr=terminal, stdout=subprocess.DEVNULL,
        start_new_session=True, env=environment,
    )  # fmt: skip
    try:
        for _ in range(2):
            until(lambda: b"a line" in drawn and not echoes(), "the picture")
            drawn.clear()
            job.send_signal(signal.SIGTSTP)  # an orphaned group ignores it: it is continued at once
            until(lambda: b"\x1b[?1049l" in drawn, "the shell's screen")
            until(lambda: b"\x1b[?1049h" in drawn and b"a line" in drawn and not echoes(), "the picture")
        drawn.clear()
        termios.tcsetattr(
            terminal,
            termios.TCSANOW,
            [
                *termios.tcgetattr(terminal)[:3],
                termios.ECHO | termios.ICANON,
                *termios.tcgetattr(terminal)[4:],
            ],
        )
        job.send_signal(signal.SIGSTOP)
        job.send_signal(signal.SIGCONT)
        until(lambda: b"\x1b[?1049h" in drawn and not echoes(), "the picture after SIGSTOP")
        os.write(shell, b"q")
        until(lambda: job.poll() is not None, "the end")
        assert job.returncode == 0 and echoes()
    finally:
        job.kill()
        job.wait()
        os.close(shell)
        os.close(terminal)
