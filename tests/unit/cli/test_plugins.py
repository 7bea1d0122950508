"""Commands that an installed package adds by an entry point."""

from __future__ import annotations

from pathlib import Path

import pytest

from livematte import cli, registry
from livematte.errors import ModelError

APP = """
import typer
app = typer.Typer(help="Talk to the mixer.")

@app.command()
def hello(): typer.echo("hello from outside")

@app.command()
def other(): ...
"""


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package with one command that works and one that cannot be imported."""
    (tmp_path / "mixer_commands.py").write_text(APP, encoding="utf-8")
    declare(
        tmp_path, "mixer", "[livematte.commands]\nmixer = mixer_commands:app\nbroken = not_there_at_all:app\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))


def declare(folder: Path, package: str, entry_points: str | bytes) -> None:
    """Install a package in ``folder`` that declares these entry points."""
    facts = folder / f"{package.replace('-', '_').replace('.', '_')}-1.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1\n", encoding="utf-8")
    given = entry_points if isinstance(entry_points, bytes) else entry_points.encode()
    (facts / "entry_points.txt").write_bytes(given)


@pytest.fixture(autouse=True)
def nothing_was_said() -> None:
    registry.warn_once.cache_clear()


@pytest.mark.usefixtures("installed")
def test_a_package_brings_a_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["mixer", "hello"]) == 0
    assert capsys.readouterr().out == "hello from outside\n"


@pytest.mark.usefixtures("installed")
def test_help_lists_it_and_leaves_out_what_cannot_be_loaded(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["--help"]) == 0
    out = capsys.readouterr().out
    assert "Talk to the mixer." in out and "render" in out and "broken" not in out


@pytest.mark.usefixtures("installed")
def test_a_command_that_cannot_be_loaded_says_why(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["broken"]) == 1
    assert "'broken' of the package mixer is installed but cannot be loaded: No module named 'not_there" in (
        capsys.readouterr().err
    )


def test_without_the_package_the_command_is_unknown(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["mixer", "hello"]) == 2
    assert "No such command 'mixer'" in capsys.readouterr().err


BREAKS = {
    "syntax": "def (:",
    "exit": "import sys; sys.exit('no')",
    "exits_well": "raise SystemExit(0)",
    "own": "class Stop(BaseException): ...\nraise Stop('enough\\nof it')",
    "deep": "def f(): f()\nf()",
    "attribute": "",
    "generator": "raise GeneratorExit",
    "nul": "x = 1\0",
}


@pytest.fixture(params=BREAKS)
def broken(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A package ``noisy`` whose module and whose model's package end their import in some way."""
    name = f"noisy_{request.param}"
    (tmp_path / name).mkdir()
    (tmp_path / name / "__init__.py").write_text(BREAKS[request.param], encoding="utf-8")
    lines = [f"[livematte.{group}]\nnoisy = {name}.below:app\n" for group in ("commands", "models", "sinks")]
    declare(tmp_path, "noisy", "".join(lines))
    monkeypatch.syspath_prepend(str(tmp_path))
    return str(request.param)


def test_a_plug_in_that_ends_its_import_is_named_and_skipped(
    broken: str, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    assert cli.run(["--help"]) == 0
    assert "render" in capsys.readouterr().out
    (said,) = caplog.messages
    assert "note: 'noisy' of the package noisy is installed but cannot be loaded" in said and "\n" not in said
    assert cli.run(["models"]) == 0
    out = capsys.readouterr().out
    assert "late-fusion-live" in out and "noisy: problem: " in out
    assert cli.run(["noisy"]) == 1
    err = capsys.readouterr().err
    assert err.startswith("livematte: error: 'noisy' of the package noisy") and err.count("\n") == 1
    for group in ("models", "sinks"):
        with pytest.raises(ModelError, match="cannot be loaded"):
            registry.load(group, "noisy")


def test_ctrl_c_during_an_import_stays_ctrl_c(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "slow_one.py").write_text("raise KeyboardInterrupt", encoding="utf-8")
    declare(tmp_path, "slow", "[livematte.sinks]\nslow = slow_one:sink\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(KeyboardInterrupt):
        registry.load("sinks", "slow")


def test_a_command_that_is_no_typer_app_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    declare(tmp_path, "odd", "[livematte.commands]\nodd = math:pi\nempty = typer:Typer\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in ("odd", "empty"):
        assert cli.run([name]) == 1
        assert f"'{name}' of the package odd is installed but is not a Typer app" in capsys.readouterr().err
    assert cli.run(["--help"]) == 0


@pytest.mark.parametrize("package", ["aaa", "zzz", "Livematte-Extra", "livematte.models"])
def test_a_name_of_livematte_stays_its_own_and_a_note_says_so(
    package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    declare(
        tmp_path,
        package,
        "[livematte.models]\nlate-fusion-live = os:getcwd\n[livematte.sinks]\nvirtualcam = os:getcwd\n"
        "[livematte.commands]\nrender = os:getcwd\n",
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    assert registry.entry("models", "late-fusion-live").module == "livematte.models.late_fusion.model"
    assert registry.entry("sinks", "virtualcam").module == "livematte.plugins.virtualcam.sink"
    assert cli.run(["--help"]) == 0
    shown = package.lower().replace(".", "-")
    assert [said.split(":")[1].strip() for said in caplog.messages] == ["note"] * 3
    assert f"model 'late-fusion-live' of the package {shown} is not used: livematte has one" in caplog.text
    assert f"command 'render' of the package {shown} is not used" in caplog.text


@pytest.mark.parametrize("data", [b"\xff\xfe[x]", b"[livematte.models]\nno equals sign", b"x = y"])
def test_a_broken_list_of_entry_points_hides_only_its_own(
    data: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    declare(tmp_path, "torn", data)
    monkeypatch.syspath_prepend(str(tmp_path))
    assert "late-fusion-live" in registry.names("models")
    assert cli.run(["models"]) == 0
    assert "late-fusion-live" in capsys.readouterr().out
