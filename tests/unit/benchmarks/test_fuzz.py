"""The search for files that livematte answers with more than one line."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import pytest

from benchmarks import fuzz, fuzztargets
from benchmarks.fuzzcases import Case, make_case
from benchmarks.fuzztargets import run_case

PROFILE = Case("profile", "profile.txt", b"size = 288\n")


def test_a_seed_and_a_number_determine_a_case() -> None:
    corpus = [PROFILE, Case("split", "split.txt", b'{"train": [], "val": []}')]
    first = [make_case(corpus, 3, number) for number in range(50)]
    assert first == [make_case(corpus, 3, number) for number in range(50)]
    assert first != [make_case(corpus, 4, number) for number in range(50)]
    assert {each.kind for each in first} == {"profile", "split"}
    assert sum(each.data not in (corpus[0].data, corpus[1].data) for each in first) > 40


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("profile", b"size = "),
        ("card", b"[model]"),
        ("split", b"[1]"),
        ("control", b"[" * 9999),
        ("background", b"blur:x"),
    ],
)
def test_a_bad_file_that_is_refused_in_one_line_is_no_fault(kind: str, data: bytes, tmp_path: Path) -> None:
    assert run_case(Case(kind, f"{kind}.txt", data), tmp_path) == ""


def test_another_error_is_a_fault_with_its_place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def broken(path: Path) -> None:
        raise ZeroDivisionError(path)

    monkeypatch.setitem(fuzztargets.TARGETS, "profile", broken)
    fault = run_case(PROFILE, tmp_path)
    assert "ZeroDivisionError" in fault
    assert fuzz.signature(fault) == fuzz.signature(fault.replace("12", "34"))


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no signals of this kind")
def test_the_end_of_a_worker_is_a_fault_and_the_next_case_runs(tmp_path: Path) -> None:
    worker = fuzz.Worker(tmp_path, 1)
    code = """
import os, signal, sys
for line in sys.stdin:
    if line == "7\\n":
        os.kill(os.getpid(), signal.SIGSEGV)
    print('{"fault": ""}', flush=True)
"""
    worker._command = [sys.executable, "-c", code]
    assert worker.run(7) == f"ended: exit code {-signal.SIGSEGV}"
    assert worker.run(8) == ""
    worker.close()
