"""Licences and the bill of materials come from the installed packages."""

from __future__ import annotations

import json
from importlib.metadata import version

import av.codec
import pytest

from livematte import cli
from livematte.tools import licences
from livematte.tools.licences import Component, bill_of_materials, components, gpl_notes


def test_the_needed_packages_are_listed_with_version_and_licence() -> None:
    found = {each.name: each for each in components()}
    assert found["av"].version == version("av") and found["av"].licence == "BSD-3-Clause"
    assert "numpy" in found["opencv-python-headless"].requires
    assert not {"pytest", "ruff", "mypy"} & set(found), "tools of the development"
    assert all(each.licence for each in found.values())


@pytest.mark.parametrize(
    ("licence", "copyleft"),
    [
        ("GPL-2.0-or-later", True),
        ("GNU General Public License v2 (GPLv2)", True),
        ("LGPL-2.1", False),
        ("GNU Lesser General Public License v3", False),
        ("MIT", False),
    ],
)
def test_the_gpl_is_told_from_the_lgpl(licence: str, copyleft: bool) -> None:
    assert Component("x", "1", licence, ()).copyleft is copyleft


def test_encoders_under_the_gpl_are_named_where_they_are_built_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(licences, "components", list)
    monkeypatch.setattr(av.codec, "codecs_available", {"libx264", "libx265", "aac"})
    (note,) = gpl_notes()
    assert "libx264 and libx265" in note and "GPL" in note
    monkeypatch.setattr(av.codec, "codecs_available", {"aac"})
    assert gpl_notes() == []


def test_every_part_of_the_bill_of_materials_is_found_by_its_reference() -> None:
    bill = json.loads(json.dumps(bill_of_materials()))
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    known = {each["bom-ref"] for each in bill["components"]} | {bill["metadata"]["component"]["bom-ref"]}
    assert f"pkg:pypi/av@{version('av')}" in known
    assert {each["ref"] for each in bill["dependencies"]} == known
    assert all(set(each["dependsOn"]) <= known for each in bill["dependencies"])
    assert bill == bill_of_materials(), "the same every time"


def test_the_command_prints_both(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["version", "--licences"]) == 0
    assert f"numpy {version('numpy')}: " in capsys.readouterr().out
    assert cli.run(["version", "--sbom"]) == 0
    assert json.loads(capsys.readouterr().out)["components"]
