"""Read mutated files until the time is over, and keep each file that is answered by more than one line.

    python -m benchmarks.fuzz                     # two minutes, as CI does
    python -m benchmarks.fuzz --seconds 7200 --seed 5 --kind video
    python -m benchmarks.fuzz --again fuzz/3-17-a.png
    python -m benchmarks.fuzz --atheris profile   # guided by coverage; needs pip install atheris

A seed and a number determine a case. The cases run in child processes with limits for memory and CPU time;
a signal, a Python error other than LivematteError, no memory or no end is a fault. A file on which only a
decoder crashes is no fault if ``livematte probe`` reports it in one line, because livematte opens files in a
child process first.
"""

from __future__ import annotations

import argparse
import json
import queue
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from benchmarks.fuzzcases import Case, make_case, make_corpus
from benchmarks.fuzztargets import TARGETS, run_case

CASE_SECONDS = 300.0
"""Time limit of a case that waits without using the CPU; long, because CI machines are busy."""


class Worker:
    """A child process that runs cases; it is started again after a crash."""

    def __init__(self, corpus: Path, seed: int) -> None:
        self._command = [sys.executable, "-m", "benchmarks.fuzztargets", str(corpus), str(seed)]
        self._child: subprocess.Popen[str] | None = None
        self._lines: queue.Queue[str] = queue.Queue()

    def run(self, number: int) -> str:
        """Return the fault of case ``number``: a traceback, ``signal N``, ``hang``, or an empty text."""
        child = self._child = self._child or self._start()
        assert child.stdin is not None
        try:
            print(number, file=child.stdin, flush=True)
            line = self._lines.get(timeout=CASE_SECONDS)
        except (queue.Empty, OSError):
            line = ""
            fault = "hang"
        else:
            fault = "ended"
        if line:
            return str(json.loads(line)["fault"])
        self.close()
        return f"{fault}: exit code {child.returncode}"

    def _start(self) -> subprocess.Popen[str]:
        child = subprocess.Popen(
            self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        self._lines = lines = queue.Queue()

        def listen() -> None:
            assert child.stdout is not None
            for line in child.stdout:
                lines.put(line)
            lines.put("")

        threading.Thread(target=listen, daemon=True).start()
        return child

    def close(self) -> None:
        """End the child process."""
        if self._child is not None:
            self._child.kill()
            self._child.wait()
            self._child = None


def is_shielded(path: Path) -> bool:
    """Return True if the command ``livematte probe`` reports a file that crashes a decoder in one line."""
    done = subprocess.run(
        [sys.executable, "-m", "livematte", "probe", str(path)],
        capture_output=True,
        text=True,
        errors="replace",
    )
    lines = done.stderr.splitlines()
    return done.returncode == 1 and len(lines) == 1 and "bug in livematte" not in lines[0]


def signature(fault: str) -> str:
    """Return what faults with the same reason share: the error and the last place in livematte."""
    places = re.findall(r'File ".*?/((?:livematte|models|plugins)/[^"]+)", line (\d+)', fault)
    last = fault.strip().splitlines()[-1] if fault.strip() else ""
    return f"{places[-1] if places else ''} {re.sub('[0-9]+', 'N', last)[:80]}"


def search(
    corpus: list[Case], seed: int, seconds: float, processes: int, out: Path
) -> tuple[Counter[str], int]:
    """Run cases for ``seconds``; return the number of cases by kind and the number of different faults."""
    counts: Counter[str] = Counter()
    known: set[str] = set()
    lock, numbers = threading.Lock(), iter(range(1 << 62))
    end = time.monotonic() + seconds
    with tempfile.TemporaryDirectory() as folder:
        listed = Path(folder) / "corpus.json"
        listed.write_text(json.dumps(list(_stored(corpus, Path(folder)))), encoding="utf-8")

        def work() -> None:
            worker = Worker(listed, seed)
            while time.monotonic() < end:
                with lock:
                    number = next(numbers)
                case, fault = make_case(corpus, seed, number), worker.run(number)
                with lock:
                    counts[case.kind] += 1
                    if fault and signature(fault) not in known:
                        known.add(signature(fault))
                        if not _report(case, fault, out / f"{seed}-{number}-{case.name}"):
                            known.discard(signature(fault))
                            counts["shielded crashes"] += 1
            worker.close()

        threads = [threading.Thread(target=work) for _ in range(processes)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    return counts, len(known)


def _stored(corpus: list[Case], folder: Path) -> Iterator[tuple[str, str, str]]:
    for number, case in enumerate(corpus):
        path = folder / f"{number}"
        path.write_bytes(case.data)
        yield case.kind, case.name, str(path)


def _report(case: Case, fault: str, path: Path) -> bool:
    """Keep and print a fault; return False if the crash is one that livematte catches."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(case.data)
    if fault.startswith("ended") and case.kind in ("video", "picture") and is_shielded(path):
        path.unlink()
        return False
    print(f"{case.kind} {path}: {fault}", flush=True)
    return True


def run_atheris(kind: str, corpus: list[Case]) -> None:
    """Search in this process, guided by the coverage of Python code, until a fault or Ctrl-C."""
    import atheris

    folder = Path(tempfile.mkdtemp())
    original = next(case for case in corpus if case.kind == kind)
    seeds = folder / "corpus"
    seeds.mkdir()
    (seeds / "0").write_bytes(original.data)
    with atheris.instrument_imports(include=["livematte"]):
        run_case(original, folder)  # the targets import what they read with

    def once(data: bytes) -> None:
        fault = run_case(Case(kind, original.name, data), folder)
        if fault:
            raise RuntimeError(fault)

    atheris.Setup([sys.argv[0], str(seeds)], once)
    atheris.Fuzz()


def main() -> int:
    """Parse the command line and run; return 1 if there is a fault."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=120.0, help="how long to search")
    parser.add_argument("--seed", type=int, default=1, help="another seed gives other cases")
    parser.add_argument("--processes", type=int, default=2, help="child processes")
    parser.add_argument("--kind", choices=sorted(TARGETS), action="append", help="only this kind; repeatable")
    parser.add_argument("--out", type=Path, default=Path("fuzz"), help="folder for files with a fault")
    parser.add_argument("--again", type=Path, metavar="FILE", help="run one kept file in this process")
    parser.add_argument("--atheris", choices=sorted(TARGETS), metavar="KIND", help="search with atheris")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        corpus = make_corpus(Path(folder))
    if given.again is not None:
        name = re.sub(r"^\d+-\d+-", "", given.again.name)
        kind = next(case.kind for case in corpus if case.name == name)
        with tempfile.TemporaryDirectory() as folder:
            fault = run_case(Case(kind, name, given.again.read_bytes()), Path(folder))
        print(fault or "no fault")
        return bool(fault)
    if given.atheris is not None:
        run_atheris(given.atheris, corpus)
        return 0
    wanted = [case for case in corpus if given.kind is None or case.kind in given.kind]
    counts, faults = search(wanted, given.seed, given.seconds, given.processes, given.out)
    cases = ", ".join(f"{count} {kind}" for kind, count in sorted(counts.items()))
    print(f"seed {given.seed}: {cases}; {faults} different faults")
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main())
