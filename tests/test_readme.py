"""The Python examples of the README and of docs/python.md do what they say."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import av
import cv2
import pytest

from livematte.tools import demo

README = Path(__file__).parents[1] / "README.md"
PYTHON = README.parent / "docs" / "python.md"
FRAMES = 8


def examples(page: Path = README) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """With the files that the example names: the beginning of the bundled clip, and its background."""
    with av.open(str(demo.clip_path())) as source, av.open(str(tmp_path / "me.mp4"), "w") as out:
        stream = out.add_stream_from_template(source.streams.video[0])
        for number, packet in enumerate(source.demux(video=0)):
            if number < FRAMES and packet.size:
                packet.stream = stream
                out.mux(packet)
    with av.open(str(tmp_path / "me.mp4")) as made:
        first = next(made.decode(video=0)).to_ndarray(format="bgr24")
    cv2.imwrite(str(tmp_path / "me.jpg"), first)
    shutil.copy(demo.background_path(), tmp_path / "beach.jpg")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("code", examples())
def test_the_example_runs_and_prints_each_frames_mean_alpha(
    code: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    exec(compile(code, "README.md", "exec"), {"__name__": "__main__"})
    first, *rest = capsys.readouterr().out.splitlines()
    assert re.fullmatch(rf"{FRAMES} frames, [\d.]+ frames per second", first)
    seconds, means = zip(*(map(float, line.split()) for line in rest), strict=True)
    assert len(seconds) == FRAMES and seconds[0] == 0 and list(seconds) == sorted(set(seconds))
    assert all(0.1 < mean < 0.9 for mean in means)
    with av.open("out.mp4") as made:
        assert sum(1 for _ in made.decode(video=0)) == FRAMES


PRINTED = (
    r"\(720, 1280, 4\) \(720, 1280, 3\)\n",
    r"\(720, 1280, 4\) \(720, 1280, 3\)\n",
    r"\(720, 1280, 3\)\n",
    r"(0\.\d+ 0\.[23]\d+ \(720, 1280, 3\)\n)+[56]\n",
    rf"complete: {FRAMES}\n",
)


@pytest.mark.parametrize(("code", "printed"), list(zip(examples(PYTHON), PRINTED, strict=True)))
def test_the_examples_of_the_python_page_run(
    code: str, printed: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    exec(compile(code, "python.md", "exec"), {"__name__": "__main__"})
    assert re.fullmatch(printed, capsys.readouterr().out)


def test_there_is_an_example() -> None:
    assert examples()
