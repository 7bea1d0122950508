"""Cooperating processes: they find each other, fail together and stop together."""

import _thread
import os
import sys
import threading
import time
from pathlib import Path

import pytest

from livematte.cli import multiprocess
from livematte.cli.multiprocess import run_together
from livematte.training import TOGETHER

FACTS = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "OWN", TOGETHER)


def python(text):
    return [sys.executable, "-c", text]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_each_process_knows_its_rank_and_where_to_find_the_others(folder):
    text = f"import os; open(os.environ['RANK'], 'w').write(' '.join(os.environ[k] for k in {FACTS}))"
    assert run_together(python(text), 3, {"OWN": "x"}, print) == 0
    rows = [(folder / str(rank)).read_text().split() for rank in range(3)]
    assert [row[:3] for row in rows] == [[str(r), str(r), "3"] for r in range(3)]
    assert len({tuple(row[3:]) for row in rows}) == 1 and rows[0][3] == "x"
    assert not Path(rows[0][4]).parent.exists()


def test_where_one_fails_the_others_are_ended(monkeypatch):
    monkeypatch.setattr(multiprocess, "GRACE", 0.2)
    text = "import os, sys, time; sys.exit(3) if os.environ['RANK'] == '1' else time.sleep(60)"
    began = time.monotonic()
    assert run_together(python(text), 2, {}, print) == 3
    assert time.monotonic() - began < 30


@pytest.mark.skipif(sys.platform == "win32", reason="interrupts another process group there")
@pytest.mark.parametrize("stubborn", [False, True])
def test_ctrl_c_is_passed_on_once_and_a_second_one_ends_them(folder, stubborn):
    end = "time.sleep(60)" if stubborn else "sys.exit(130)"
    text = f"""
import os, pathlib, signal, sys, time
here = pathlib.Path(os.environ['RANK'])
count, end = 0, time.monotonic() + 120
def asked(*_):
    global count
    count += 1
    here.write_text(str(count))
signal.signal(signal.SIGINT, asked)
pathlib.Path('ready' + os.environ['RANK']).touch()
while not count and time.monotonic() < end: time.sleep(0.05)
time.sleep(0.5)
{end}
"""
    said = []

    def interrupt():
        while not ((folder / "ready0").exists() and (folder / "ready1").exists()):
            time.sleep(0.05)
        _thread.interrupt_main()
        if stubborn:
            while not ((folder / "0").exists() and (folder / "1").exists()):
                time.sleep(0.05)
            _thread.interrupt_main()

    threading.Thread(target=interrupt, daemon=True).start()
    assert run_together(python(text), 2, {}, said.append) == 130
    assert [(folder / str(rank)).read_text() for rank in (0, 1)] == ["1", "1"] and len(said) == 1
    assert "WORLD_SIZE" not in os.environ
