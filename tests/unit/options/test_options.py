"""The declarations of options: one place says all, and every reader of it agrees."""

from __future__ import annotations

import ast
import inspect
import json
import os
import shutil
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

import livematte
from livematte import api
from livematte.assets import clip_path
from livematte.cli import reference
from livematte.cli.app import app
from livematte.errors import ModelError, OptionError, UsageError
from livematte.inference.runtime_choice import PRECISIONS
from livematte.matting import backgrounds, temporal
from livematte.matting.upsampling import METHODS
from livematte.networks import load_model
from livematte.options import (
    CHANGES,
    BenchOptions,
    ImageOptions,
    LiveOptions,
    LoadOptions,
    MatterOptions,
    MattesOptions,
    RenderOptions,
    TrimapOptions,
)
from livematte.options.commands import COMMANDS
from livematte.options.declaration import Declared, complete, declared, defaults, keywords, names
from livematte.options.many import RenderManyOptions
from livematte.preview.preview import PLACES
from livematte.streaming.session import Session
from livematte.tools.bench import bench
from livematte.video.hardware import HWACCELS

ROOT = Path(__file__).parents[3]
CORE = ROOT / "livematte"
SNAPSHOT = Path(__file__).with_name("help.tsv")

CALLS: list[tuple[Any, type]] = [
    (livematte.render, RenderOptions),
    (livematte.render_many, RenderManyOptions),
    (livematte.image, ImageOptions),
    (livematte.mattes, MattesOptions),
    (livematte.Matter, MatterOptions),
    (livematte.live, LiveOptions),
    (api.trimap, TrimapOptions),
    (load_model, LoadOptions),
    (bench, BenchOptions),
]
EVERY = {each.name: each for name in ("render", "live") for each in declared(COMMANDS[name])}


def parameters(command: Any, path: str = "") -> Iterator[list[str]]:
    """A line for each parameter of a command and those below it: all that its help page says of it."""
    for each in command.params:
        typed = each.opts[0].startswith("-")
        if each.name in ("help", "install_completion", "show_completion"):
            continue
        default = None if each.default is ... or "unset" in repr(each.default).lower() else each.default
        cells = [
            path,
            " ".join([*each.opts, *each.secondary_opts]) if typed else each.metavar,
            each.metavar,
            getattr(each, "rich_help_panel", None),
            default,
            "required" if each.required else None,
            each.help,
        ]
        yield ["-" if cell is None else str(cell) for cell in cells]
    for name, below in getattr(command, "commands", {}).items():
        yield from parameters(below, f"{path} {name}".strip())


def in_boxes(rows: Iterator[list[str]]) -> dict[tuple[str, str], list[list[str]]]:
    """The lines of each box of each help page, in order."""
    boxes = defaultdict(list)
    for row in rows:
        boxes[row[0], row[3]].append(row[1:])
    return boxes


def test_help_says_what_it_said() -> None:
    """Change ``help.tsv`` with a help text: command, flags, metavar, box, default, required, text."""
    there = in_boxes(iter([row[0] or "-", *row[1:]] for row in parameters(typer.main.get_command(app))))
    kept = in_boxes(line.split("\t") for line in SNAPSHOT.read_text(encoding="utf-8").splitlines())
    assert there == kept


def test_the_page_of_options_is_made_of_the_declarations() -> None:
    page = ROOT / "docs" / "options.md"
    written = page.read_text(encoding="utf-8")
    assert written == reference.document(), f"python -m livematte.cli.reference {page}"


@pytest.mark.parametrize(("call", "group"), CALLS, ids=lambda each: each.__name__)
def test_a_call_shows_its_options(call: Any, group: type) -> None:
    shown = inspect.signature(call).parameters
    for each in declared(group):
        assert shown[each.name].default == each.option.default
        assert f"        {each.name}: " in call.__doc__
    assert not any(each.kind is inspect.Parameter.VAR_KEYWORD for each in shown.values())


@pytest.mark.parametrize(("call", "group"), CALLS, ids=lambda each: each.__name__)
def test_a_wrong_keyword_is_one_line_with_a_hint(call: Any, group: type, tmp_path: Path) -> None:
    own = [each.name for each in inspect.signature(call).parameters.values() if each.name not in names(group)]
    given = [tmp_path / f"{each}.mp4" for each in own if each in ("input", "inputs", "output", "out_dir")]
    name = declared(group)[0].name
    with pytest.raises(OptionError, match=f"unknown option '{name}x': did you mean '{name}'") as refused:
        call(*given, **{f"{name}x": 1})
    assert isinstance(refused.value, TypeError) and isinstance(refused.value, UsageError)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"size": "160"}, "size '160' is invalid: use a whole number"),
        ({"size": True}, "size True is invalid: use a whole number"),
        ({"size": 16}, "size 16 is invalid: use 32 to 4096 pixels"),
        ({"keep_islands": 1}, "keep_islands 1 is invalid: use True or False"),
        ({"temporal": None}, "temporal None is invalid: use on, strong or off"),
        ({"start": [2]}, "start [2] is invalid: use a number or text"),
        ({"alpha_out": 3}, "alpha_out 3 is invalid: use text"),
        ({"refine_budget": 0}, "refine budget 0 is invalid: use more than 0 milliseconds"),
        ({"threads": 0}, "threads 0 is invalid: use 1 or more"),
    ],
)
def test_a_wrong_value_is_one_line(wrong: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError) as refused:
        livematte.render("in.mp4", "out.mp4", **wrong)
    assert str(refused.value) == says


def test_a_model_that_is_none_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="the model int lacks __call__"):
        livematte.render(clip_path(), tmp_path / "x.mp4", model=5)  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())


def test_defaults_are_fine_themselves() -> None:
    for group in COMMANDS.values():
        for each in declared(group):
            if each.option.default is not ...:
                each.check(each.option.default)
        complete(group, defaults(group))


def test_the_command_line_gives_the_defaults_of_python() -> None:
    """What nobody typed becomes the keywords of the call, with its defaults."""
    for group in COMMANDS.values():
        untyped = {each.command_name: each.command_default for each in declared(group) if each.option.command}
        given = {name: value for name, value in untyped.items() if value is not ...}
        assert complete(group, keywords(group, given)) == defaults(group)


def test_choices_are_those_of_the_rooms_that_use_them() -> None:
    assert set(EVERY["temporal"].choices) == set(temporal.MODES)
    assert set(EVERY["fit"].choices) == set(backgrounds.FITS)
    assert EVERY["hwaccel"].choices == HWACCELS
    assert EVERY["preview"].choices == PLACES
    assert EVERY["precision"].choices == PRECISIONS
    assert set(EVERY["refine"].option.examples) == set(METHODS)


def test_a_session_can_change_what_is_declared_so() -> None:
    for name in CHANGES:
        assert isinstance(getattr(Session, name), property) and getattr(Session, name).fset is not None
    below: Any = typer.main.get_command(app).commands["ctl"]  # type: ignore[attr-defined]
    assert set(CHANGES) <= set(below.commands)


# One declaration is enough


ADDED = """
    throw_away: Annotated[int | None, Option(None, "Thrown away.", "N", MATTE, least=3)]
"""

TRIED = """
import json, pickle, sys
import livematte
from livematte import cli
from livematte.offline import parallel
from livematte.options.declaration import complete
from livematte.errors import LivematteError
from livematte.options import LiveOptions, RenderOptions
from livematte.profile import live_options, read_profile
from livematte.resolve import resolve

profile, jobs = sys.argv[1], []
parallel.render_file = lambda job, *_, **__: jobs.append(pickle.loads(pickle.dumps(job)))
for give in (lambda: livematte.render(*sys.argv[2:4], device="cpu,cpu", throw_away=7),
             lambda: cli.run(["render", *sys.argv[2:4], "--device", "cpu,cpu", "--throw-away", "8", "-q"])):
    try:
        give()
    except LivematteError:
        pass  # there is no such video
try:
    livematte.render(*sys.argv[2:4], throw_away="7")
except LivematteError as error:
    refused = str(error)
print(json.dumps({
    "file": livematte.__file__,
    "profiles": [read_profile(profile, "render"), read_profile(profile, "live"), live_options(profile)],
    "default": complete(LiveOptions, {})["throw_away"],
    "jobs": [job.options["throw_away"] for job in jobs],
    "consumed": [resolve(job.options).options["throw_away"] for job in jobs],
    "refused": refused,
}))
"""


@pytest.fixture(scope="module")
def edited(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the package as it is but for one more option, declared and nothing else."""
    folder = tmp_path_factory.mktemp("edited")
    ignored = shutil.ignore_patterns("__pycache__", "*.mp4", "*.cu")
    shutil.copytree(CORE, folder / "livematte", ignore=ignored)
    path = folder / "livematte" / "options" / "groups.py"
    text = path.read_text(encoding="utf-8")
    before = "class IslandsOption(TypedDict, total=False):"
    assert text.count(before) == 1
    path.write_text(text.replace(before, before + ADDED), encoding="utf-8")
    return folder


def ran(folder: Path, *command: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(folder), "COLUMNS": "200", "NO_COLOR": "1"}
    done = subprocess.run(
        [sys.executable, *command], env=environment, cwd=folder, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_an_option_that_is_declared_is_on_every_help_page(edited: Path) -> None:
    help = """
from livematte import cli
for name in ("render", "live", "image", "trimap", "eval", "bench", "doctor"):
    print("=====", name)
    cli.run([name, "--help"])
"""
    pages = {page.split()[0]: page for page in ran(edited, "-c", help).split("===== ")[1:]}
    shown = {name for name, page in pages.items() if "--throw-away" in page and "Thrown away." in page}
    assert shown == {"render", "live", "image", "trimap", "eval"}


def test_an_option_that_is_declared_reaches_profiles_python_and_workers(edited: Path, tmp_path: Path) -> None:
    profile = tmp_path / "profile.toml"
    profile.write_text("throw-away = 5", encoding="utf-8")
    said = json.loads(
        ran(edited, "-c", TRIED, str(profile), str(tmp_path / "in.mp4"), str(tmp_path / "out.mp4"))
    )
    assert Path(said["file"]).is_relative_to(edited)
    assert said["profiles"] == 3 * [{"throw_away": 5}] and said["default"] is None
    assert said["jobs"] == said["consumed"] == [7, 8]
    assert said["refused"] == "throw_away '7' is invalid: use a whole number"


@pytest.mark.slow
def test_an_option_that_is_declared_is_a_typed_keyword(edited: Path) -> None:
    (edited / "snippet.py").write_text(
        "from livematte.api import render\n"
        'render("a", "b", throw_away=3)\n'
        'render("a", "b", throw_away="3")\n'
        'render("a", "b", throw_awai=3)\n',
        encoding="utf-8",
    )
    files = [f"livematte/{name}" for name in ("api.py", "options", "errors.py")]
    files.append("snippet.py")
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--follow-imports=skip", f"--cache-dir={os.devnull}", *files],
        cwd=edited,
        capture_output=True,
        text=True,
    )
    said = [line for line in done.stdout.splitlines() if line.startswith("snippet.py")]
    assert [line.split(":")[1] for line in said if " error: " in line] == ["3", "4"], done.stdout
    assert "[arg-type]" in said[0] and 'Unexpected keyword argument "throw_awai"' in said[1]


# Nobody spells options by hand


def functions(path: Path) -> Iterator[tuple[str, list[str]]]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            own = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
            yield node.name, [each.arg for each in own if each.arg not in ("self", "cls")]


HANDED_ON = [
    CORE / "api.py",
    CORE / "tools" / "bench.py",
    *(CORE / "cli").glob("*.py"),
    *(CORE / "streaming").glob("*.py"),
]


@pytest.mark.parametrize("path", HANDED_ON, ids=lambda path: path.relative_to(CORE).as_posix())
def test_no_function_takes_more_than_eight_parameters(path: Path) -> None:
    long = {name: taken for name, taken in functions(path) if len(taken) > 8}
    assert not long


EVERYDAY = {
    "background", "band", "camera", "channels", "cluster", "codec", "count", "crf", "data", "delay",
    "device", "end", "fit", "foreground", "format", "fps", "frame", "frames", "full", "height", "hwaccel",
    "input", "jobs", "json", "keep", "mirror", "model", "moving", "name", "out", "overwrite", "pixel_format",
    "placeholder", "plan", "precision", "preset", "preview", "price", "quiet", "rate", "recursive", "refine",
    "resolution", "regions", "resume", "runtime", "sdr", "seconds", "session", "size", "start", "stats",
    "temporal", "threads", "to", "trimap", "weights", "width",
}  # fmt: skip
"""Options whose names are words that rooms use for other things, too."""

OPTIONS_OF = COMMANDS["render"], COMMANDS["image"], COMMANDS["live"], COMMANDS["eval"], COMMANDS["bench"]


def spelled(path: Path) -> set[str]:
    """Every identifier, parameter, keyword and whole string of a file, less its docstrings."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    said = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    found: set[str] = set()
    for node in ast.walk(tree):
        for field in ("id", "attr", "arg", "name"):
            if isinstance(value := getattr(node, field, None), str):
                found.add(value)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in said:
            found.add(node.value.removeprefix("--").replace("-", "_"))
    return found


def fields(path: Path) -> set[str]:
    """The options that a file declares."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {
        node.target.id
        for node in ast.walk(tree)
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
    }


def taken(path: Path) -> set[str]:
    """Names that a file takes out of options: ``options["size"]``, ``chosen.get("trimap")``."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        held = key = None
        if isinstance(node, ast.Subscript):
            held, key = node.value, node.slice
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args:
            held, key = (node.func.value, node.args[0]) if node.func.attr in ("get", "pop") else (None, None)
        if held is None or not isinstance(key, ast.Constant) or not isinstance(key.value, str):
            continue
        if ast.unparse(held).split(".")[-1] in ("options", "_options", "chosen", "full", "wanted", "own"):
            found.add(key.value)
    return found


def test_an_option_is_spelled_in_three_files_at_most() -> None:
    """A distinctive name (``keep_islands``) stands in three files of ``livematte/`` at most, whether as an
    identifier, parameter, keyword, attribute or string. For an everyday word (:data:`EVERYDAY`) those files
    count that take its value out of options (:func:`taken`). The package that declares options counts as one
    file. Training is apart.
    """
    of_render: dict[str, Declared] = {each.name: each for group in OPTIONS_OF for each in declared(group)}
    files = [path for path in CORE.rglob("*.py") if path.name != "train.py"]
    places: dict[str, set[str]] = defaultdict(set)
    for path in files:
        declares = path.parent.name == "options"
        words = (spelled(path), fields(path) if declares else taken(path))
        for name in of_render:
            if name in words[name in EVERYDAY]:
                places[name].add("options" if declares else path.relative_to(CORE).as_posix())
    assert {name: sorted(found) for name, found in places.items() if len(found) > 3} == {}
    assert all("options" in places[name] for name in of_render)


def test_no_everyday_word_is_one_that_could_be_counted() -> None:
    assert names(RenderOptions) - EVERYDAY == {
        "keep_islands", "refine_weights", "refine_size", "refine_budget", "refine_tta", "alpha_out",
        "foreground_out", "debug_view", "keep_location", "choke", "feather",
    }  # fmt: skip
