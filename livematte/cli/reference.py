"""The tables of options in ``docs/options.md``: ``python -m livematte.cli.reference docs/options.md``."""

from __future__ import annotations

import sys
from pathlib import Path

from livematte.options import BenchOptions, ImageOptions, LiveOptions, RenderOptions, TrimapOptions
from livematte.options.commands import COMMANDS
from livematte.options.declaration import REQUIRED, Declared, declared, plain

CALLS = {
    "render": RenderOptions, "image": ImageOptions, "trimap": TrimapOptions, "live": LiveOptions,
    "bench": BenchOptions,
}  # fmt: skip
"""The commands that are a call of Python, too."""

HEAD = """# Options

Made from the declarations by `python -m livematte.cli.reference docs/options.md`; a test compares it.

In Python the same names are keywords, with `_` for `-`: `livematte.render(..., keep_islands=True)`. A profile
(`--profile FILE`, for `live` and `render`) takes them with `-` or `_`. Where Python's form differs the third
column says its name: `delay` is in seconds, `sink_options` a mapping by output, `width` and `height` numbers.
`--no-NAME` switches off what is on by default.
"""


def document() -> str:
    """The whole page."""
    boxes: dict[str, list[str]] = {}
    for each, commands in _rows():
        box = boxes.setdefault(each.option.panel or "Others", [])
        box.append(_row(each, commands))
    lines = [HEAD]
    for title, rows in boxes.items():
        lines += [f"## {title}", "", "| option | default | in Python | taken by | |", "|---|---|---|---|---|"]
        lines += [*rows, ""]
    return "\n".join(lines)


def _rows() -> list[tuple[Declared, list[str]]]:
    """Every option once for each of its help texts and defaults, with the commands that take it so."""
    rows: dict[tuple[object, ...], tuple[Declared, list[str]]] = {}
    for command, group in COMMANDS.items():
        for each in declared(group):
            if each.option.command:
                key = (each.command_name, each.option.help, str(each.command_default))
                rows.setdefault(key, (each, []))[1].append(command)
    return list(rows.values())


def _row(each: Declared, commands: list[str]) -> str:
    option, default = each.option, each.command_default
    short = [flag for flag in option.flags if not flag.startswith("--")]
    value = "" if each.command_type is bool or not option.metavar else f" {option.metavar}"
    cells = [
        ", ".join(f"`{flag}{value}`" for flag in [each.flag, *short]),
        "required" if default is REQUIRED else "" if default in (None, "") else f"`{_shown(default)}`",
        _in_python(each, commands),
        ", ".join(f"`{command}`" for command in commands),
        plain(option.help, "`"),
    ]
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _shown(default: object) -> str:
    return {True: "on", False: "off"}[default] if isinstance(default, bool) else str(default)


def _in_python(each: Declared, commands: list[str]) -> str:
    names = [
        own.name
        for command in commands
        if command in CALLS
        for own in declared(CALLS[command])
        if each.name == own.name or (not own.option.command and own.option.help == each.option.help)
    ]
    return ", ".join(f"`{name}`" for name in dict.fromkeys(names))


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(document(), encoding="utf-8")
