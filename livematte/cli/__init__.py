"""The ``livematte`` command: parse, call, print. Heavy modules are imported inside the commands.

Exit codes: 0 good, 1 failed, 2 usage, 130 interrupted.
"""

from __future__ import annotations

import os
import sys
import threading

import typer

from livematte.cli import terminal
from livematte.cli.app import app
from livematte.errors import LivematteError

INTERRUPTED = 130

_Usage: type[Exception] = typer.BadParameter.__mro__[1]
"""What the parser raises for everything a user typed wrong."""

_MEANT = {
    "float_parsing": "give a number",
    "int_parsing": "give a whole number",
    "greater_than_equal": "give {ge} or more",
    "less_than_equal": "give {le} or less",
}
"""What a wrong value should have been, by the parser's name of the fault."""


def main(args: list[str] | None = None) -> None:
    """Run one command and end the process with its exit code."""
    _speak_utf8()
    code = 1
    try:
        code = run(args)
    finally:
        _flush()
    if any(thread.name.startswith("livematte-") for thread in threading.enumerate()):
        os._exit(code)  # a thread was given up, and Python's own end waits for C code or dies of it
    sys.exit(code)


def run(args: list[str] | None = None) -> int:
    """Run one command; its exit code. Errors are one line on stderr unless LIVEMATTE_TRACEBACK is set."""
    try:
        code = app(args, prog_name="livematte", standalone_mode=False)
        return code if isinstance(code, int) else 0
    except _Usage as error:
        context = getattr(error, "ctx", None)
        command = context.command_path if context is not None else "livematte"
        message = _wrong_value(error) or getattr(error, "format_message", error.__str__)()
        if message:  # none where a group without a command has shown its help
            terminal.error(f"{message.rstrip('.')}; see {command} --help")
        return 2
    except LivematteError as error:
        _traceback_if_wanted()
        terminal.error(str(error), kind=type(error).__name__, notes=error.notes)
        return error.exit_code
    except (KeyboardInterrupt, typer.Abort):
        terminal.error("interrupted", kind="Interrupted")
        return INTERRUPTED
    except BrokenPipeError:  # `livematte probe … | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        _traceback_if_wanted()
        what = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        terminal.error(
            f"this is a bug in livematte: {what}. Please report it with the command you ran and the output "
            "of the same command with LIVEMATTE_TRACEBACK=1 set",
            kind="Bug",
        )
        return 1


def _wrong_value(error: Exception) -> str:
    """What was typed and what is meant, which some versions of the parser leave to the error's cause."""
    details, option = getattr(error.__cause__, "errors", None), getattr(error, "param", None)
    if details is None or option is None:
        return ""
    (detail, *_) = details()
    known = _MEANT.get(detail["type"])
    meant = detail["msg"] if known is None else known.format(**detail.get("ctx", {}))
    name = option.opts[0] if option.opts[0].startswith("-") else option.metavar or option.name
    return f"{name} {detail['input']!r}: {meant}"


def _traceback_if_wanted() -> None:
    if os.environ.get("LIVEMATTE_TRACEBACK", "") not in ("", "0"):
        import traceback

        traceback.print_exc()


def _speak_utf8() -> None:
    """A console with another encoding shows '?' instead of failing on a file name."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="replace")


def _flush() -> None:
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
