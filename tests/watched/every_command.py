"""Run every command of livematte once: python every_command.py FOLDER RESULTS.

FOLDER holds clip.mp4, people/, home/ and scratch/ for temporary files. RESULTS gets, for each command, how it
ended, and what each process left in the latter two.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
CONFIG = """
[steps.joint]
iterations = 2
batch = 2
sizes = [[64, 64]]
"""
SMALL = "--size 96 --threads 1"
LIVE = f"live --input clip.mp4 --to none --resolution 160x96 --seconds 60 --name watched {SMALL}"
TRAIN = "train late-fusion-live --data people --out run --step joint --config plan.toml --workers 2"
DEMO = "demo --folder demo"
WATCH = f"watch incoming --out-dir watched {SMALL}"

ALONE = (LIVE, DEMO, TRAIN, WATCH)
"""Each in a process of its own: others speak to the first, one is interrupted, the last starts others."""

TOGETHER = (
    "--help", "--version --verbose", "version", "models", "devices", "probe clip.mp4",
    "doctor",  # tries every runtime
    f"render clip.mp4 out.mp4 -b blur {SMALL}",
    f"trimap clip.mp4 trimap.png {SMALL}",
    f"bench clip.mp4 --frames 20 {SMALL}",
    f"eval --data people --count 1 --out scores {SMALL}",
    "obs status", "obs setup", "obs remove", "obs script",
    "panel --token-file", "farm status results", "farm cancel results", "farm retry results",
    "mattes",
    f"image clip.mp4 exact.png --runtime openvino --precision fp32 {SMALL}",  # converted from torch
)  # fmt: skip
"""What is typed after ``livematte``, in one process."""

STEERING = (
    *(f"ctl {what} --session watched"
      for what in ("stats", "pause", "resume", "background green", "blur 20")),
    "ctl choke 1 --session watched", "ctl feather 1 --session watched", "ctl keep all --session watched",
    "ctl frame off --session watched", "ctl mirror on --session watched", "ctl delay 0 --session watched",
    "ctl to none --session watched", "ctl freeze --session watched", "ctl resume --session watched",
    "ctl camera nowhere --session watched",
    "ctl size 96 --session watched", "ctl refine none --session watched",
    "ctl model late-fusion-live --session watched", "ctl stop --session watched",
)  # fmt: skip
"""Likewise, while the live session runs."""

COMMANDS = (*ALONE, *TOGETHER, *STEERING)

FAILS = (
    "doctor", "obs status", "obs setup", "obs remove", "ctl camera nowhere --session watched",
    "farm status results", "farm cancel results", "farm retry results", "ctl freeze --session watched",
)  # fmt: skip
"""These may: nobody answers them, something is missing here."""

INTERRUPTED = (DEMO, WATCH)
"""They take long, so they are interrupted in the first of their files, and end with 130 unless quicker."""

OWN = (".cache", ".config", ".local/state", ".local/share", "Library/Caches", "Library/Application Support")
"""Where in a home a folder called livematte is ours."""


def strangers(home: Path) -> list[str]:
    """What lies in ``home`` that is in no folder of livematte's."""
    ours = [home / place / "livematte" for place in OWN]
    files = (path for path in home.rglob("*") if not path.is_dir())
    return sorted(
        str(path.relative_to(home)) for path in files if not any(own in path.parents for own in ours)
    )


def left(folder: Path) -> list[str]:
    """What lies where nothing should."""
    scratch = sorted(path.name for path in (folder / "scratch").iterdir())
    return [*strangers(folder / "home"), *(f"TMP/{name}" for name in scratch)]


def started(words: Sequence[str], folder: Path) -> subprocess.Popen[bytes]:
    with open(folder / "said.txt", "ab") as said:
        said.write(f"\n$ {' '.join(words)}\n".encode())
        said.flush()
        return subprocess.Popen(
            [sys.executable, *words], cwd=folder, stdout=said, stderr=said, stdin=subprocess.DEVNULL
        )


def until(true: Callable[[], Any], process: subprocess.Popen[bytes]) -> None:
    """Wait until something is true, or the process has ended, or for a minute."""
    end = time.monotonic() + 60
    while not true() and process.poll() is None and time.monotonic() < end:
        time.sleep(0.05)


def together(commands: Sequence[str], folder: Path) -> list[dict[str, Any]]:
    """Run them in one process; a command that is not told of was not reached."""
    told = folder / "told.jsonl"
    told.unlink(missing_ok=True)
    code = started([str(HERE / "together.py"), str(told), *commands], folder).wait(400)
    lines = told.read_text(encoding="utf-8").splitlines() if told.exists() else []
    codes = {found["command"]: found["code"] for found in map(json.loads, lines)}
    results = [{"command": command, "code": codes.get(command, "not reached")} for command in commands]
    whole = f"all from {commands[0]} to {commands[-1]}"
    return [*results, {"command": whole, "code": code, "left": left(folder)}]


def main() -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)  # in a shell's job it may be ignored
    folder = Path(sys.argv[1])
    (folder / "plan.toml").write_text(CONFIG)
    results = together(TOGETHER, folder)

    demo = started(["-m", "livematte", *DEMO.split()], folder)
    until(lambda: list((folder / "demo").glob("*")), demo)
    demo.send_signal(signal.SIGINT)
    results.append({"command": DEMO, "code": demo.wait(60), "left": left(folder)})

    (folder / "incoming").mkdir()
    watch = started(["-m", "livematte", *WATCH.split()], folder)
    until(lambda: (folder / "watched").exists(), watch)
    watch.send_signal(signal.SIGINT)
    results.append({"command": WATCH, "code": watch.wait(60), "left": left(folder)})

    train = started(["-m", "livematte", *TRAIN.split()], folder)
    results.append({"command": TRAIN, "code": train.wait(200), "left": left(folder)})

    live = started(["-m", "livematte", *LIVE.split()], folder)
    until(lambda: list((folder / "home").rglob("control/*")), live)
    results += together(STEERING, folder)
    results.append({"command": LIVE, "code": live.wait(60), "left": left(folder)})
    Path(sys.argv[2]).write_text(json.dumps(results, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
