"""Rules for the source code that are checked automatically: imports, dependencies, names and docstrings."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.layers import check_contracts

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[1]
CORE = ROOT / "livematte"

TORCH_ROOMS = {"encoders", "training"}
"""Training and network building blocks; a render does not import them."""

NAMES = re.compile(
    r"late[-_ ]?fusion|jm[-_ ]?net|poma[-_ ]?gan|ada[-_ ]?matting|\bfba\b|\bobs\b|\bzoom\b", re.I
)
"""Names of papers and programs, which may occur only in models/ and plugins/."""

MAY_NAME = {CORE / "options" / "groups.py"}

LONGEST = 400
"""Maximum number of lines of a file; the recommended maximum is 300."""

QUESTION_WORDS = ("What", "How", "Who", "Whom", "Whose", "Whether", "Where", "Which", "When", "Why")
"""A docstring must not begin with one of these: it says what the object is or does, as a statement."""


def files(room: Path) -> list[Path]:
    return sorted(p for p in room.rglob("*.py") if "__pycache__" not in p.parts) if room.is_dir() else []


CORE_FILES = files(CORE)
OUTER_FILES = [*files(ROOT / "models"), *files(ROOT / "plugins")]


def short(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")


def is_for_one_system(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) == "sys.platform == 'win32'"


def imports(node: ast.AST, *, module_level: bool = False, any_system: bool = False) -> Iterator[str]:
    """Yield the full names of all imports below ``node``; ``from a import b`` gives ``a.b``.

    ``module_level`` skips imports in functions and for type checkers only; ``any_system`` skips branches for
    one operating system.
    """
    for child in ast.iter_child_nodes(node):
        if any_system and is_for_one_system(child):
            continue
        if isinstance(child, ast.Import):
            yield from (alias.name for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            assert child.level == 0, "use absolute imports"
            yield from (f"{child.module}.{alias.name}" for alias in child.names)
        elif module_level and (
            isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)) or is_type_checking(child)
        ):
            continue
        else:
            yield from imports(child, module_level=module_level, any_system=any_system)


def test_every_import_contract_is_kept() -> None:
    """Layers, no cycles, independent models and plug-ins: ``[tool.importlinter]`` in pyproject.toml."""
    kept, report = check_contracts()
    assert kept, report


def test_contributing_shows_the_layers_of_the_contract() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    (contract,) = (c for c in project["tool"]["importlinter"]["contracts"] if c["type"] == "layers")
    layers = [set(layer.split(" : ")) for layer in reversed(contract["layers"])]
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d) \| (.+?) \|", text, re.M)
    shown = [set(re.findall(r"`(\w+)(?:\.py|/)`", names)) for _, names in rows]
    assert [int(number) for number, _ in rows] == list(range(len(layers)))
    assert shown == layers


def names_and_strings(module: ast.Module) -> Iterator[str]:
    """Yield identifiers and string constants, without docstrings."""
    documentation = {
        id(node.value)
        for node in ast.walk(module)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    for node in ast.walk(module):
        for field in ("id", "attr", "arg", "name", "module"):
            value = getattr(node, field, None)
            if isinstance(value, str):
                yield value
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in documentation:
            yield node.value


@pytest.mark.parametrize("path", [p for p in CORE_FILES if p not in MAY_NAME], ids=short)
def test_the_core_names_no_paper_and_no_program(path: Path) -> None:
    assert not NAMES.search(path.relative_to(CORE).as_posix().replace("/", " "))
    wrong = {
        text
        for text in names_and_strings(tree(path))
        if NAMES.search(text.replace("_", " ")) or NAMES.search(text)
    }
    assert not wrong, (
        f"{short(path)} names {wrong}: only models/, plugins/ and livematte/options/groups.py may"
    )


@pytest.mark.parametrize("path", CORE_FILES, ids=short)
def test_torch_is_imported_where_it_is_needed_only(path: Path) -> None:
    if TORCH_ROOMS & set(path.relative_to(CORE).parts) or path.name.startswith("torch_"):
        return
    names = {name.split(".")[0] for name in imports(tree(path), module_level=True)}
    assert "torch" not in names, f"{short(path)} slows every start: import torch in the function"


def imported_after(code: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys; print(' '.join(sys.modules))"],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    return set(done.stdout.splitlines()[-1].split())


@pytest.mark.parametrize("path", [*CORE_FILES, *OUTER_FILES, *files(ROOT / "benchmarks")], ids=short)
def test_runtimes_with_telemetry_are_imported_by_import_quietly(path: Path) -> None:
    loud = {name for name in imports(tree(path)) if name.split(".")[0] in ("openvino", "onnxruntime")}
    assert not loud, (
        f"{short(path)} imports {loud}, which sends telemetry: use livematte.quiet.import_quietly"
    )


def test_the_render_path_never_imports_torch() -> None:
    code = """
import livematte.api, livematte.tools.bench, livematte.tools.demo, livematte.inference
from livematte import registry
for name in registry.names("models"):
    registry.load("models", name)
"""
    assert not imported_after(code) & {"torch", "onnx", "onnxscript", "scipy", "sympy"}


def test_help_starts_without_anything_heavy() -> None:
    code = "import livematte.cli; livematte.cli.run(['render', '--help'])"
    assert not imported_after(code) & {"numpy", "av", "cv2", "numba", "onnxruntime", "openvino", "torch"}


@pytest.mark.parametrize("path", [*CORE_FILES, *OUTER_FILES], ids=short)
def test_nothing_is_posix_only(path: Path) -> None:
    posix = {"fcntl", "grp", "posix", "pty", "pwd", "resource", "syslog", "termios", "tty"}
    found = {name.split(".")[0] for name in imports(tree(path), any_system=True)} & posix
    assert not found, f"{short(path)} needs {found}, which does not exist on Windows"


@pytest.mark.parametrize("path", [*CORE_FILES, *OUTER_FILES], ids=short)
def test_a_file_is_read_in_one_sitting(path: Path) -> None:
    lines = len(path.read_text(encoding="utf-8").splitlines())
    assert lines <= LONGEST, f"{short(path)} has {lines} lines: split it into two files"
    assert path.name not in ("utils.py", "helpers.py", "common.py", "misc.py"), (
        f"{short(path)}: name the file after its content"
    )


DOCUMENTED_FILES = [*CORE_FILES, *OUTER_FILES, *files(ROOT / "benchmarks")]


def docstrings(module: ast.Module) -> Iterator[tuple[int, str]]:
    """Line and text of each docstring: of modules, classes and functions, and the strings after constants."""
    for node in ast.walk(module):
        if not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)):
            continue
        if isinstance(node.value.value, str):
            yield node.lineno, node.value.value


@pytest.mark.parametrize("path", DOCUMENTED_FILES, ids=short)
def test_no_docstring_begins_with_a_question_word(path: Path) -> None:
    question = re.compile(rf"\s*(?:{'|'.join(QUESTION_WORDS)})\b", re.I)
    wrong = [
        f"{short(path)}:{line}: {text.strip().splitlines()[0]}"
        for line, text in docstrings(tree(path))
        if question.match(text)
    ]
    assert not wrong, "\n".join(["begin with a noun or a verb, not with a question word:", *wrong])


def test_docstrings_of_every_kind_are_checked() -> None:
    source = '''
"""Module."""
CONSTANT = 1
"""Constant."""
class Example:
    """Class."""
    field: int
    """Field."""
    async def method(self):
        """Method."""
        if True:
            def inner():
                """Inner."""
'''
    found = {text for _, text in docstrings(ast.parse(source))}
    assert found == {"Module.", "Constant.", "Class.", "Field.", "Method.", "Inner."}


@pytest.mark.parametrize("path", DOCUMENTED_FILES, ids=short)
def test_no_function_name_ends_in_of(path: Path) -> None:
    wrong = [
        f"{short(path)}:{node.lineno}: {node.name}"
        for node in ast.walk(tree(path))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.name.endswith("_of")
    ]
    assert not wrong, "\n".join(["name a function after what it does or returns:", *wrong])


def class_names(node: ast.AST) -> Iterator[str]:
    """Names of the public classes below ``node``, without those defined inside functions."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.ClassDef) and not child.name.startswith("_"):
            yield child.name
        if not isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            yield from class_names(child)


def test_no_two_public_classes_share_a_name() -> None:
    """Variants of a class for different systems in one file count once."""
    places: dict[str, list[str]] = {}
    for path in [*CORE_FILES, *OUTER_FILES]:
        for name in sorted(set(class_names(tree(path)))):
            places.setdefault(name, []).append(short(path))
    shared = [f"{name}: {', '.join(paths)}" for name, paths in places.items() if len(paths) > 1]
    assert not shared, "\n".join(["rename all but one of each:", *shared])


def test_every_package_is_in_the_wheel() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    listed = set(project["tool"]["setuptools"]["packages"])
    mapped = {CORE: "livematte", ROOT / "models": "livematte.models", ROOT / "plugins": "livematte.plugins"}
    there = {
        ".".join([name, *path.parent.relative_to(room).parts])
        for room, name in mapped.items()
        for path in files(room)
    }
    assert listed == there


def test_weights_come_with_their_licence_in_the_wheel() -> None:
    """The licence of the training data can be more restrictive than Apache-2.0."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert "weights/LICENSE" in settings["tool"]["setuptools"]["package-data"]["*"]
    listed = {path for pattern in settings["project"]["license-files"] for path in ROOT.glob(pattern)}
    for folder in (ROOT / "models").glob("*/weights"):
        licence = folder / "LICENSE"
        assert licence in listed and len(licence.read_text(encoding="utf-8")) > 200, short(folder)


def test_every_dependency_is_pinned() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [*project["dependencies"]]
    for extra in ("train", "test", "dev"):
        wanted += project["optional-dependencies"][extra]
    name = re.compile(r"[A-Za-z0-9_.-]+")
    plain = {name.match(line).group().lower() for line in wanted}  # type: ignore[union-attr]
    pins = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pinned = {line.split("==")[0].lower() for line in pins if "==" in line}
    assert plain - {"livematte"} <= pinned


@pytest.mark.parametrize("python", ["3.10", "3.11", "3.12", "3.13"])
def test_every_pin_is_a_version_that_is_allowed(python: str) -> None:
    """Otherwise pip cannot install the package with the constraints on this Python version."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = [project["optional-dependencies"][extra] for extra in ("train", "test", "dev")]
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    here = {"python_version": python, "python_full_version": f"{python}.0"}
    pins = {}
    for pin in (Requirement(line) for line in lines if "==" in line and not line.startswith("#")):
        if pin.marker is None or pin.marker.evaluate(here):
            pins[canonicalize_name(pin.name)] = str(pin.specifier).removeprefix("==")
    for wanted in map(Requirement, chain(project["dependencies"], *extras)):
        if wanted.name != "livematte" and (wanted.marker is None or wanted.marker.evaluate(here)):
            assert wanted.specifier.contains(pins[canonicalize_name(wanted.name)]), wanted
