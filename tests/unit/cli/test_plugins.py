"""Commands that an installed package adds by an entry point."""

from __future__ import annotations

from pathlib import Path

import pytest

from livematte import cli

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
    facts = tmp_path / "mixer-1.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: mixer\nVersion: 1\n", encoding="utf-8")
    (facts / "entry_points.txt").write_text(
        "[livematte.commands]\nmixer = mixer_commands:app\nbroken = not_there_at_all:app\n",
        encoding="utf-8",
    )
    monkeypatch.syspath_prepend(str(tmp_path))


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
    assert "'broken' is installed but cannot be loaded: No module named 'not_there_at_all'" in (
        capsys.readouterr().err
    )


def test_without_the_package_the_command_is_unknown(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["mixer", "hello"]) == 2
    assert "No such command 'mixer'" in capsys.readouterr().err
