"""The house rules that a machine can keep: who may import whom, who may name whom, and where torch may be."""

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
"""Training and network building blocks; nobody gets here by rendering."""

NAMES = re.compile(
    r"late[-_ ]?fusion|jm[-_ ]?net|poma[-_ ]?gan|ada[-_ ]?matting|\bfba\b|\bobs\b|\bzoom\b", re.I
)
"""Papers and programs: known to models/ and plugins/ only."""

MAY_NAME = {CORE / "options" / "groups.py"}

LONGEST = 400
"""Lines. The aim is 300; this is where it stops being a matter of taste."""


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
    """Full names of what is imported below ``node``; ``from a import b`` gives ``a.b``.

    ``module_level`` leaves out what only runs in functions or only exists for type checkers, ``any_system``
    what has a branch for Windows and one for the others.
    """
    for child in ast.iter_child_nodes(node):
        if any_system and is_for_one_system(child):
            continue
        if isinstance(child, ast.Import):
            yield from (alias.name for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            assert child.level == 0, "relative imports hide which room is meant"
            yield from (f"{child.module}.{alias.name}" for alias in child.names)
        elif module_level and (
            isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)) or is_type_checking(child)
        ):
            continue
        else:
            yield from imports(child, module_level=module_level, any_system=any_system)


def test_every_import_contract_is_kept() -> None:
    """Layers, no circles, no sibling of a model or plug-in: ``[tool.importlinter]`` in pyproject.toml."""
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
    """Identifiers and string constants, docstrings left out."""
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
    assert not loud, f"{short(path)} imports {loud}, which sends: use livematte.quiet.import_quietly"


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
    assert not found, f"{short(path)} needs {found}, which Windows has not"


@pytest.mark.parametrize("path", [*CORE_FILES, *OUTER_FILES], ids=short)
def test_a_file_is_read_in_one_sitting(path: Path) -> None:
    lines = len(path.read_text(encoding="utf-8").splitlines())
    assert lines <= LONGEST, f"{short(path)} has {lines} lines: which two ideas are in it?"
    assert path.name not in ("utils.py", "helpers.py", "common.py", "misc.py"), (
        "a file is named after its idea"
    )


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
    """What weights were trained on may allow less than Apache-2.0 does."""
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
    """Else pip refuses to install anything on that Python."""
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
