"""The README's Python example does what it says."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import av
import pytest

from livematte.tools import demo

README = Path(__file__).parents[1] / "README.md"
FRAMES = 8


def examples() -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", README.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """With the files that the example names: the beginning of the bundled clip, and its background."""
    with av.open(str(demo.clip_path())) as source, av.open(str(tmp_path / "me.mp4"), "w") as out:
        stream = out.add_stream_from_template(source.streams.video[0])
        for number, packet in enumerate(source.demux(video=0)):
            if number < FRAMES and packet.size:
                packet.stream = stream
                out.mux(packet)
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


def test_there_is_an_example() -> None:
    assert examples()
