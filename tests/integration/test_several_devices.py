"""What needs the whole video in order is refused with several devices and with a cluster, in one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from livematte import cli
from tests.clips import make_clip


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (
            ["--frame", "head"],
            "several devices cannot follow people with one camera: use one device with --frame",
        ),
        (
            ["--keep", "0.5,0.5"],
            "several devices cannot follow one person: use one device with --keep and a point",
        ),
    ],
)
@pytest.mark.parametrize("where", [["OUT", "--device", "cpu,cpu"], ["--out-dir", "DIR", "--cluster", "auto"]])
def test_following_people_needs_one_device(
    words: list[str], reason: str, where: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clip = make_clip(tmp_path / "clip.mp4", frames=5, size=(96, 160))
    target = tmp_path / "results"
    where = [
        str(target / "out.mp4") if each == "OUT" else str(target) if each == "DIR" else each for each in where
    ]
    assert cli.run(["render", str(clip), *where, *words]) == 2
    assert reason in capsys.readouterr().err.replace("\n", " ") and not list(target.glob("*.mp4"))
