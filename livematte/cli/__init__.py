"""The ``livematte`` command: parse, call, print. Heavy modules are imported inside the commands.

Exit codes: 0 success, 1 failure, 2 usage error, 130 interrupted.
"""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

import typer

import livematte
from livematte import registry
from livematte.cli import streams, terminal
from livematte.cli.app import COMMANDS, app
from livematte.cli.corrections import corrected
from livematte.cli.interrupt import handled, raise_interrupt, request_stop
from livematte.cli.system_errors import system_reason
from livematte.errors import LivematteError, UsageError
from livematte.printable import quoted

INTERRUPTED = 130

_ParserError: type[Exception] = typer.BadParameter.__mro__[1]
"""Base class of the parser's errors for wrong arguments."""

_EXPECTED = {
    "float_parsing": "give a number",
    "int_parsing": "give a whole number",
    "greater_than_equal": "give {ge} or more",
    "less_than_equal": "give {le} or less",
}
"""Advice for a wrong value, by the parser's error type."""


def main(args: list[str] | None = None) -> None:
    """Run one command and end the process with its exit code."""
    terminal.set_command_began(livematte._imported_at)
    guard = streams.guard_streams(request_stop)
    code = 1
    try:
        with handled(raise_interrupt):
            code = run(args)
    finally:
        sys.stdout.flush()
    if guard is not None and guard.error is not None and code == 0:
        code = 1
        if not guard.reader_is_gone:
            terminal.error(f"standard output cannot be written: {guard.error.strerror or guard.error}")
    if any(thread.name.startswith("livematte-") for thread in threading.enumerate()):
        os._exit(code)  # an abandoned thread runs C code: a normal exit would wait for it or crash
    sys.exit(code)


def run(args: list[str] | None = None) -> int:
    """Run one command and return its exit code.

    An error prints one line on stderr, and a traceback if LIVEMATTE_TRACEBACK is set.
    """
    try:
        _check_folder()
        code = app(args, prog_name="livematte", standalone_mode=False)
        return code if isinstance(code, int) else 0
    except _ParserError as error:
        if right := corrected(sys.argv[1:] if args is None else args, _command_names()):
            terminal.error(right)
            return 2
        context = getattr(error, "ctx", None)
        command = context.command_path if context is not None else "livematte"
        message = _wrong_value(error) or getattr(error, "format_message", error.__str__)()
        if message:  # empty if a group without a command has printed its help
            terminal.error(f"{message.rstrip('.')}; see {command} --help")
        return 2
    except LivematteError as error:
        _traceback_if_wanted()
        terminal.error(str(error), kind=type(error).__name__, notes=error.notes)
        return error.exit_code
    except (KeyboardInterrupt, typer.Abort):
        terminal.error("interrupted", kind="Interrupted")
        return INTERRUPTED
    except Exception as error:
        _traceback_if_wanted()
        system = system_reason(error)
        if system:
            terminal.error(system, kind="System")
            return 1
        what = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        terminal.error(
            f"this is a bug in livematte: {what}. Please report the command and its output with the variable "
            "LIVEMATTE_TRACEBACK=1 set",
            kind="Bug",
        )
        return 1


def _check_folder() -> None:
    """Raise UsageError if the current folder was deleted: no relative path can be found then."""
    try:
        Path.cwd()
    except OSError as error:
        raise UsageError("the current folder does not exist any more: change to another one") from error


def _command_names() -> set[str]:
    return {*COMMANDS, *registry.names("commands")}


def _wrong_value(error: Exception) -> str:
    """Return the wrong value and advice; some versions of the parser have these only in the error's cause."""
    details, option = getattr(error.__cause__, "errors", None), getattr(error, "param", None)
    if details is None or option is None:
        return ""
    (detail, *_) = details()
    advice = _EXPECTED.get(detail["type"])
    expected = detail["msg"] if advice is None else advice.format(**detail.get("ctx", {}))
    name = option.opts[0] if option.opts[0].startswith("-") else option.metavar or option.name
    return f"{name} {quoted(detail['input'])}: {expected}"


def _traceback_if_wanted() -> None:
    if os.environ.get("LIVEMATTE_TRACEBACK", "") not in ("", "0"):
        import traceback

        traceback.print_exc()
