"""Run every command of livematte once: python every_command.py FOLDER RESULTS.

FOLDER holds clip.mp4, people/, home/ and scratch/ for temporary files. RESULTS gets, for each, how it ended
and what was left in the latter two.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

CONFIG = """
[steps.joint]
iterations = 2
batch = 2
sizes = [[64, 64]]
"""
MATTES = "import livematte; assert sum(1 for _ in livematte.mattes('clip.mp4', size=96)) == 12"
SMALL = "--size 96 --threads 1"
LIVE = f"live --input clip.mp4 --to none --resolution 160x96 --seconds 60 --name watched {SMALL}"
TRAIN = "train late-fusion-live --data people --out run --step joint --config plan.toml --workers"

COMMANDS = (
    "--help", "--version --verbose", "version", "models", "devices", "probe clip.mp4",
    "doctor",  # tries every runtime
    f"render clip.mp4 out.mp4 -b blur {SMALL}",
    f"image clip.mp4 exact.png --runtime openvino --precision fp32 {SMALL}",  # converted from torch
    f"trimap clip.mp4 trimap.png {SMALL}",
    f"bench clip.mp4 --frames 20 {SMALL}",
    f"eval --data people --count 1 --out scores {SMALL}",
    "demo --folder demo",
    f"{TRAIN} 2",
    LIVE,
    *(f"ctl {what} --session watched"
      for what in ("stats", "pause", "resume", "background green", "blur 20")),
    "ctl model late-fusion-live --session watched", "ctl stop --session watched",
    "obs status", "obs setup", "obs remove", "obs script",
)  # fmt: skip
"""What is typed after ``livematte``."""

FAILS = ("doctor", "obs status", "obs setup", "obs remove")
"""These may: nobody answers them, something is missing here."""

ENOUGH = {"demo": 4.0}
"""Seconds after which a command that takes long is interrupted; it ends with 130 then."""

OWN = (".cache", ".config", ".local/state", ".local/share", "Library/Caches", "Library/Application Support")
"""Where in a home a folder called livematte is ours."""


def strangers(home: Path) -> list[str]:
    """What lies in ``home`` that is in no folder of livematte's."""
    ours = [home / place / "livematte" for place in OWN]
    files = (path for path in home.rglob("*") if not path.is_dir())
    return sorted(
        str(path.relative_to(home)) for path in files if not any(own in path.parents for own in ours)
    )


def started(command: str, folder: Path) -> subprocess.Popen[bytes]:
    arguments = ["-c", MATTES] if command == "mattes" else ["-m", "livematte", *command.split()]
    with open(folder / "said.txt", "ab") as said:
        said.write(f"\n$ {command}\n".encode())
        said.flush()
        return subprocess.Popen(
            [sys.executable, *arguments], cwd=folder, stdout=said, stderr=said, stdin=subprocess.DEVNULL
        )


def main() -> None:
    folder, results = Path(sys.argv[1]), []
    (folder / "plan.toml").write_text(CONFIG)
    home, scratch = folder / "home", folder / "scratch"
    live: subprocess.Popen[bytes] | None = None
    for command in (*COMMANDS, "mattes"):
        begin = time.monotonic()
        process = started(command, folder)
        if command == LIVE:
            live = process
            while not list(home.rglob("control/*")) and live.poll() is None and time.monotonic() < begin + 60:
                time.sleep(0.1)
            continue
        try:
            code = process.wait(ENOUGH.get(command.split()[0], 200.0))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGINT)
            code = process.wait(60)
        if command.startswith("ctl stop") and live is not None:
            results.append({"command": LIVE, "code": live.wait(60), "seconds": 0, "left": []})
        left = [
            *strangers(home),
            *(f"TMP/{name}" for name in sorted(path.name for path in scratch.iterdir())),
        ]
        seconds = round(time.monotonic() - begin, 2)
        results.append({"command": command, "code": code, "seconds": seconds, "left": left})
    Path(sys.argv[2]).write_text(json.dumps(results, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
