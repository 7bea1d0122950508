"""``livematte eval`` as a user meets it."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from livematte import cli
from tests.people import draw_people

FAST = ("--size", "96", "--threads", "1", "--runtime", "onnxruntime")


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_people(tmp_path_factory.mktemp("eval") / "data", people=5, held_out=3)


def test_eval_says_the_mean_and_the_worst(
    people: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["eval", "--data", str(people), "--out", str(tmp_path / "out"), *FAST]) == 0
    said = capfd.readouterr()
    assert said.out.splitlines()[0].startswith("late-fusion-live, whole pipeline, refine guided: 3 cases of")
    facts = json.loads((tmp_path / "out" / "scores.json").read_text(encoding="utf-8"))
    assert facts["model"] == "late-fusion-live"
    assert [case["name"] for case in facts["cases"]] == ["drawn_002", "drawn_003", "drawn_004"]
    assert set(facts["mean"]) == {"SAD", "MAD", "MSE", "Grad", "Conn", "fgSAD", "fgMSE"}
    for name, mean in facts["mean"].items():
        values = [case["values"][name] for case in facts["cases"]]
        assert mean == pytest.approx(np.mean(values)), name
    (line,) = (line for line in said.out.splitlines() if line.strip().startswith("MAD x 1000"))
    assert line.split()[3] == f"{facts['mean']['MAD']:.2f}"
    worst = sorted((tmp_path / "out" / "worst").iterdir())
    assert len(worst) == 3
    named = max(facts["cases"], key=lambda case: case["values"]["MAD"])["name"]
    assert named in worst[0].name
    assert cv2.imread(str(worst[0])).shape == (96, 4 * 96, 3)
    assert len((tmp_path / "out" / "scores.md").read_text(encoding="utf-8").splitlines()) == 2 + 1 + 3


def test_eval_for_programs(people: Path, capfd: pytest.CaptureFixture[str]) -> None:
    arguments = ["eval", "--data", str(people), "--count", "1", "--moving", "--alone", "--json", *FAST]
    assert cli.run(arguments) == 0
    events = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    done = events[-1]
    assert done["event"] == "done"
    assert done["judged"] == "network alone"
    assert done["cases"][0]["frames"] == 6
    assert set(done["mean"]) == {"SAD", "MAD", "MSE", "Grad", "Conn", "dtSSD", "MESSDdt"}


def test_the_band_is_another_region(people: Path, tmp_path: Path) -> None:
    found = {}
    for name, options in (("whole", ()), ("band", ("--band",))):
        out = tmp_path / name
        given = ["eval", "--data", str(people), "--count", "1", "--out", str(out), "--quiet", *FAST, *options]
        assert cli.run(given) == 0
        found[name] = json.loads((out / "scores.json").read_text(encoding="utf-8"))
    assert found["band"]["region"] == "unknown band"
    assert found["band"]["mean"]["SAD"] <= found["whole"]["mean"]["SAD"]
    assert found["band"]["mean"]["MAD"] > found["whole"]["mean"]["MAD"]


def test_refining_changes_the_figures(people: Path, tmp_path: Path) -> None:
    means = []
    for refine in ("none", "guided"):
        out = tmp_path / refine
        given = ["eval", "--data", str(people), "--refine", refine, "--out", str(out), "--quiet", *FAST]
        assert cli.run(given) == 0
        means.append(json.loads((out / "scores.json").read_text(encoding="utf-8"))["mean"]["MAD"])
    assert means[0] != means[1]


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (["--data", "nowhere"], 1, "nowhere: no such folder"),
        (["--data", "."], 1, "has no pictures with a true alpha"),
        ([], 2, "--data"),
        (["--data", "{people}", "--model", "nobody"], 2, "unknown model 'nobody'"),
        (["--data", "{people}", "--refine", "wish"], 2, "'wish'"),
        (["--data", "{people}", "--count", "0"], 2, "--count"),
        (["--data", "{people}", "--temporal", "wish"], 2, "'wish'"),
    ],
)
def test_what_cannot_be_meant_is_one_line(
    people: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    options: list[str],
    code: int,
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    given = [option.format(people=people) for option in options]
    assert cli.run(["eval", *given]) == code
    err = capfd.readouterr().err
    assert err.startswith("livematte: error: ") and said in err
    assert len(err.splitlines()) == 1


def test_eval_that_cannot_write_says_so(
    people: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    out = str(tmp_path / "file")
    assert cli.run(["eval", "--data", str(people), "--count", "1", "--out", out, "--quiet", *FAST]) == 1
    assert "cannot be written" in capfd.readouterr().err


def test_refiner_options_want_a_refiner(people: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["eval", "--data", str(people), "--refine-budget", "20", *FAST]) == 2
    assert "--refine-budget needs a refiner" in capfd.readouterr().err
