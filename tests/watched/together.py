"""Run commands of livematte one after another in this process: python together.py RESULTS COMMAND...

Libraries are loaded once, by the first command that needs them. RESULTS gets a line of JSON for each command.
"""

from __future__ import annotations

import json
import sys


def run(command: str) -> int:
    """A command's exit code; ``mattes`` stands for the Python function."""
    if command == "mattes":
        import livematte

        return 0 if sum(1 for _ in livematte.mattes("clip.mp4", size=96)) == 12 else 1
    from livematte import cli
    from livematte.cli import terminal

    sys.argv = ["livematte", *command.split()]
    terminal.configure(as_json=False, quiet=False)
    return cli.run(command.split())


def main() -> None:
    results, *commands = sys.argv[1:]
    for command in commands:
        print(f"\n$ {command}", flush=True)
        code = run(command)
        sys.stdout.flush()
        with open(results, "a", encoding="utf-8") as file:
            file.write(json.dumps({"command": command, "code": code}) + "\n")


if __name__ == "__main__":
    main()
