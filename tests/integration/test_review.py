"""``--report``: the doubtful moments of a whole render."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import livematte
from livematte.errors import OutputError, UsageError
from livematte.frame import Array, Matte
from livematte.offline.review import Review
from tests import clips


class HalfAwayAtTwenty:
    """A model that loses half of the person in frames 20 to 22."""

    def __init__(self) -> None:
        self.frame = -1

    def input_size(self, height: int, width: int) -> tuple[int, int]:
        return 96, 160

    def __call__(self, rgb: Array, state: Any) -> tuple[Matte, Any]:
        self.frame += 1
        alpha = np.zeros(rgb.shape[:2], np.float32)
        alpha[20:, 50:110] = 1
        if 20 <= self.frame <= 22:
            alpha[60:] *= 0.4
        return Matte(alpha), None


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return clips.make_clip(tmp_path / "a <b> & c.mp4", frames=40, size=(96, 160))


def test_a_report_names_the_bad_moment_and_no_other(clip: Path, tmp_path: Path) -> None:
    page, facts = tmp_path / "r.html", tmp_path / "r.json"
    done = livematte.render(clip, tmp_path / "o.mp4", model=HalfAwayAtTwenty(), temporal="off", report=facts)
    assert facts in done.outputs and done.frames == 40
    found = json.loads(facts.read_text())
    assert (found["input"], found["frames"]) == (clip.name, 40)
    (moment,) = found["moments"]
    assert 20 <= moment["frame"] <= 23 and moment["doubt"] > 0.1
    assert moment["seconds"] == pytest.approx(moment["frame"] / 25, abs=0.01)
    livematte.render(clip, model=HalfAwayAtTwenty(), temporal="off", report=page)
    text = page.read_text(encoding="utf-8")
    assert text.count("<img ") == 1 and "a &lt;b&gt; &amp; c.mp4" in text and "<script" not in text


def test_times_are_those_of_the_output(clip: Path, tmp_path: Path) -> None:
    facts = tmp_path / "r.json"
    model = HalfAwayAtTwenty()
    livematte.render(clip, model=model, temporal="off", report=facts, start="0.4")
    (moment,) = json.loads(facts.read_text())["moments"]
    assert moment["seconds"] == pytest.approx(moment["frame"] / 25, abs=0.01), "the output begins at 0"


def test_a_stopped_render_keeps_the_report_so_far(clip: Path, tmp_path: Path) -> None:
    stop, facts = threading.Event(), tmp_path / "r.json"
    done = livematte.render(
        clip, tmp_path / "o.mp4", model=HalfAwayAtTwenty(), report=facts, stop=stop,
        progress=lambda so_far: stop.set(),
    )  # fmt: skip
    assert done.interrupted and json.loads(facts.read_text())["frames"] >= done.frames


@pytest.mark.parametrize("name", ["r.pdf", "r", "r.mp4"])
def test_other_forms_are_refused_before_the_work(clip: Path, tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match=r"\.html or \.json"):
        livematte.render(clip, tmp_path / "o.mp4", report=tmp_path / name)
    assert not (tmp_path / "o.mp4").exists()


def test_a_report_of_the_user_is_not_replaced_and_a_missing_folder_is_one_line(
    clip: Path, tmp_path: Path
) -> None:
    (tmp_path / "mine.html").write_text("my page")
    with pytest.raises(UsageError, match="already exists"):
        livematte.render(clip, model=HalfAwayAtTwenty(), report=tmp_path / "mine.html", overwrite=False)
    model = HalfAwayAtTwenty()
    with pytest.raises(OutputError, match="no"):
        livematte.render(clip, model=model, report=tmp_path / "no" / "r.html")
    assert model.frame <= 0, "before the work"


def test_a_name_that_is_no_text_is_shown_as_far_as_it_is(tmp_path: Path) -> None:
    for target in (tmp_path / "r.html", tmp_path / "r.json"):
        Review().write(target, "a\udcff.mp4")
        assert "a" in target.read_text(encoding="utf-8") and ".mp4" in target.read_text(encoding="utf-8")
