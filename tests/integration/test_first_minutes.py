"""What new users type first: the right thing happens, or one line says the right command."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import livematte
from livematte.cli.corrections import corrected
from livematte.errors import UsageError
from livematte.frame import Matte
from livematte.matting.backgrounds import Transparent, parse_background
from livematte.options.values import short
from livematte.output_paths import output_path
from livematte.resolve import video_suffix
from livematte.video.images import write_image
from livematte.video.pictures import picture_frame
from livematte.video.written_files import was_written
from tests import commands
from tests.clips import make_clip

ROOT = Path(__file__).parents[2]
TEXTS = [
    each
    for folder in ("livematte", "models", "plugins", "docs", "examples", "README.md", "CONTRIBUTING.md")
    for each in ([ROOT / folder] if (ROOT / folder).is_file() else sorted((ROOT / folder).rglob("*")))
    if each.suffix in (".py", ".md", ".ipynb", ".toml", ".lua")
]


class Bright:
    """A model that needs no network."""

    def input_size(self, height: int, width: int) -> tuple[int, int]:
        return 32, 32

    def __call__(self, rgb: Any, state: Any) -> tuple[Matte, Any]:
        return Matte((rgb[..., 0] > 127).astype(np.float32)), None


QUICK: Any = {"model": Bright(), "refine": "none"}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    make_clip(tmp_path / "lecture.mp4", frames=2, size=(64, 96))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*args: str) -> tuple[int, str, str]:
    done = commands.run(*args)
    return done.returncode, done.stdout, done.stderr


def test_nobody_is_told_to_install_a_name_from_an_index() -> None:
    """The project is on no index: whoever registers its name there would own its users."""
    wrong = re.compile(
        r"(pip|pipx|uv tool|uv pip) install (-\S+ )*['\"]?livematte(?!\s+from)\b", re.IGNORECASE
    )
    assert len(TEXTS) > 100
    found = [each.name for each in TEXTS if wrong.search(each.read_text(encoding="utf-8"))]
    assert found == []
    assert all(wrong.search(line) for line in ("pip install 'livematte[obs]'", "uv tool install livematte"))


def test_a_video_of_the_users_is_never_replaced_by_mistake(folder: Path) -> None:
    shutil.copy("lecture.mp4", "second.mp4")
    before = Path("second.mp4").read_bytes()
    code, _, errors = run("render", "lecture.mp4", "second.mp4")
    assert code == 2 and "second.mp4 exists, and livematte did not write it" in errors
    assert "--overwrite" in errors and Path("second.mp4").read_bytes() == before
    assert run("render", "lecture.mp4", "second.mp4", "--overwrite")[0] == 0
    assert Path("second.mp4").read_bytes() != before
    assert run("render", "lecture.mp4", "second.mp4")[0] == 0  # livematte's own file


@pytest.mark.parametrize("command", ["render lecture.mp4 ./lecture.mp4", "trimap lecture.mp4 lecture.mp4"])
def test_nobody_is_told_to_overwrite_the_input(folder: Path, command: str) -> None:
    code, _, errors = run(*command.split())
    assert code == 2 and "is also the input: give the output another name" in errors


def test_a_changed_result_counts_as_the_users(folder: Path) -> None:
    assert run("render", "lecture.mp4", "out.mp4")[0] == 0 and was_written(Path("out.mp4"))
    with open("out.mp4", "ab") as file:
        file.write(b"edited")
    assert not was_written(Path("out.mp4"))
    assert run("render", "lecture.mp4", "out.mp4")[0] == 2
    assert run("render", "lecture.mp4", "new.mp4", "--no-overwrite")[0] == 0
    code, _, errors = run("render", "lecture.mp4", "new.mp4", "--no-overwrite")
    assert code == 2 and "already exists" in errors


@pytest.mark.parametrize("option", ["--alpha-out", "--foreground-out"])
def test_further_outputs_and_pictures_are_protected_too(folder: Path, option: str) -> None:
    Path("mine.mp4").write_bytes(b"mine")
    Path("mine.png").write_bytes(b"mine")
    assert run("render", "lecture.mp4", "out.mp4", option, "mine.mp4")[0] == 2
    assert run("image", "lecture.mp4", "mine.png")[0] == 2
    assert run("trimap", "lecture.mp4", "mine.mp4", "--model", "jmnet-live")[0] == 2
    assert Path("mine.mp4").read_bytes() == Path("mine.png").read_bytes() == b"mine"


def test_a_terminal_asks_before_it_replaces(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from livematte.cli import render

    Path("mine.mp4").write_bytes(b"mine")
    asked: list[str] = []
    monkeypatch.setattr("livematte.cli.terminal.can_ask", lambda: True)
    for answer in (True, False):
        monkeypatch.setattr("typer.confirm", lambda line, err, say=answer: asked.append(line) or say)
        if answer:
            render.confirm_overwrite("lecture.mp4", ["mine.mp4"], {})
        else:
            with pytest.raises(UsageError):
                render.confirm_overwrite("lecture.mp4", ["mine.mp4"], {})
    assert asked == ["mine.mp4 exists, and livematte did not write it. Replace it?"] * 2


@pytest.mark.parametrize(
    ("target", "options", "name"),
    [("results/", (), "results/lecture.mp4"), ("there", (), "there/lecture.mp4")],
)
def test_a_folder_gets_a_video_with_the_name_of_the_input(
    folder: Path, target: str, options: tuple[str, ...], name: str
) -> None:
    Path("there").mkdir()
    code, printed, errors = run("render", "lecture.mp4", target, *options)
    assert code == 0, errors
    assert [each.name for each in Path(name).parent.iterdir()] == [Path(name).name]
    assert Path(name).name in printed


def test_a_transparent_video_in_a_folder_is_for_an_editor(folder: Path) -> None:
    for background, suffix in (
        ("transparent", ".mov"),
        (Transparent(), ".mov"),
        ("green", ".mp4"),
        (None, ".mp4"),
    ):
        assert video_suffix({"background": background}) == suffix
    assert Path(output_path("results/", "lecture.mp4", ".mov")) == Path("results/lecture.mov")
    assert Path(output_path("results/", "shot/%04d.png", ".mp4")) == Path("results/shot.mp4")
    assert Path(output_path("results/", "100% sure.mp4", ".mp4")) == Path("results/100% sure.mp4")
    assert Path(output_path("out/%04d.png", "lecture.mp4", ".mp4")) == Path("out/%04d.png")


@pytest.mark.parametrize("target", ["results/", "there", Path("there")])
def test_python_does_with_a_folder_what_the_command_line_does(folder: Path, target: str | Path) -> None:
    Path("there").mkdir()
    report = livematte.render("lecture.mp4", target, alpha_out="mattes/", **QUICK)
    made = Path(target) / "lecture.mp4"
    assert report.outputs == [made, Path("mattes/lecture.mp4")]
    assert [each.name for each in Path(target).iterdir()] == ["lecture.mp4"] and Path("mattes").is_dir()


def test_stills_and_trimaps_in_a_folder_have_the_name_of_the_input(folder: Path) -> None:
    write_image("me.jpg", picture_frame(np.full((64, 96, 3), 120, np.uint8)))
    assert livematte.image("me.jpg", "results/", **QUICK).outputs == [Path("results/me.png")]
    assert livematte.trimap("me.jpg", "maps/", model=QUICK["model"]).outputs == [Path("maps/me.png")]
    report = livematte.trimap("lecture.mp4", "maps/", model=QUICK["model"])
    assert report.outputs == [Path("maps/lecture.mkv")]
    code, _, errors = run("image", "me.jpg", "results/")
    assert code == 0, errors
    code, _, errors = run("trimap", "me.jpg", "maps/")
    assert code == 0, errors


def test_pictures_that_livematte_did_not_write_are_not_replaced_by_mistake(folder: Path) -> None:
    mine = [Path("shot_0002.png"), Path("shot_0030.png")]
    for each in mine:
        each.write_bytes(b"mine")
    for pattern in ("shot_%04d.png", "shot_####.png"):
        code, _, errors = run("render", "lecture.mp4", pattern)
        assert code == 2 and "2 pictures" in errors and "livematte did not write all of them" in errors
        with pytest.raises(UsageError, match="livematte did not write"):
            livematte.render("lecture.mp4", pattern, overwrite=None, **QUICK)
    assert all(each.read_bytes() == b"mine" for each in mine)
    assert run("render", "lecture.mp4", "shot_%04d.png", "--overwrite")[0] == 0
    assert mine[0].read_bytes() != b"mine" and not mine[1].exists()  # moved aside, as before


def test_numbered_pictures_of_livematte_are_replaced_until_somebody_changes_one(folder: Path) -> None:
    for pattern in ("shot_%04d.png", "new/shot_%04d.png"):
        for _ in range(2):
            code, _, errors = run("render", "lecture.mp4", pattern)
            assert code == 0, errors
    Path("shot_0001.png").write_bytes(b"edited")
    code, _, errors = run("render", "lecture.mp4", "shot_%04d.png")
    assert code == 2 and "shot_%04d.png exist, and livematte did not write all of them" in errors
    assert Path("shot_0001.png").read_bytes() == b"edited"


@pytest.mark.parametrize("command", ["probe -", "image - out.png", "trimap - out.png", "render - out.mkv"])
def test_standard_input_is_read_by_every_command_for_files(folder: Path, command: str) -> None:
    with open("lecture.mp4", "rb") as given:
        done = subprocess.run(
            [sys.executable, "-m", "livematte", *shlex.split(command)],
            stdin=given, capture_output=True, text=True, encoding="utf-8",
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "livematte-input" not in done.stdout + done.stderr
    if command == "probe -":
        assert "standard input" in done.stdout and "96 x 64" in done.stdout
    else:
        assert Path(command.split()[-1]).is_file()


def test_a_named_pipe_gives_the_mattes_of_its_video(folder: Path) -> None:
    if not hasattr(os, "mkfifo"):
        pytest.skip("this system has no named pipes")
    os.mkfifo("pipe")
    writer = threading.Thread(target=lambda: Path("pipe").write_bytes(Path("lecture.mp4").read_bytes()))
    writer.start()
    assert len(list(livematte.mattes("pipe", **QUICK))) == 2
    writer.join()


COMMANDS = {"render", "image", "trimap", "live", "probe"}


@pytest.mark.parametrize(
    ("typed", "right"),
    [
        ("in.mp4 out.mp4", "livematte render in.mp4 out.mp4"),
        ("in.mp4", "livematte render in.mp4 OUT.mp4"),
        ("me.jpg me.png", "livematte image me.jpg me.png"),
        ("-i in.mp4 -o out.mp4", "livematte render in.mp4 out.mp4"),
        ("-i in.mp4 out.mp4", "livematte render in.mp4 out.mp4"),
        ("render -i in.mp4 -o out.mp4 -b blur", "livematte render in.mp4 out.mp4 -b blur"),
        ("render -o out.mp4 -i in.mp4", "livematte render in.mp4 out.mp4"),
        ("render --input in.mp4 --output out.mp4", "livematte render in.mp4 out.mp4"),
        ("render -b beach.jpg -i in.mp4 -o out.mp4", None),
        ("image -i me.jpg -o me.png", "livematte image me.jpg me.png"),
        ("live --input in.mp4", ""),
        ("probe in.mp4", ""),
        ("render in.mp4 out.mp4 --crff 3", ""),
        ("frobnicate", ""),
    ],
)
def test_a_mistake_is_answered_by_the_right_command(typed: str, right: str | None) -> None:
    found = corrected(shlex.split(typed), COMMANDS)
    if right is None:
        assert "in.mp4" in found and "out.mp4" in found
    else:
        assert found.partition("did you mean: ")[2] == right and "\n" not in found


def test_the_command_line_answers_so(folder: Path) -> None:
    for args in (["lecture.mp4", "out.mp4"], ["-i", "lecture.mp4", "-o", "out.mp4"]):
        code, _, errors = run(*args)
        assert code == 2 and "did you mean: livematte render lecture.mp4 out.mp4" in errors


def test_nobody_in_the_picture_is_noted(folder: Path) -> None:
    grey = picture_frame(np.full((64, 96, 3), 128, np.uint8))
    write_image("grey.png", grey)
    for number in (1, 2):
        write_image(f"grey{number}.png", grey)
    assert "nobody was found in the picture" in run("image", "grey.png", "cut.png")[2]
    assert "nobody was found in any of the 2 frames" in run("render", "grey%d.png", "out.mp4")[2]


def test_somebody_in_the_picture_is_not() -> None:
    from livematte.assets import clip_path

    with_astronaut = livematte.render(clip_path(), _Sink(), end=None, size=128, stop=_stop_after_a_frame())
    assert not any("nobody" in line for line in with_astronaut.notes)


class _Sink:
    def write(self, frame: object) -> None:
        pass

    close = abort = lambda self: None


def _stop_after_a_frame() -> object:
    class Stop:
        asked = 0

        def is_set(self) -> bool:
            self.asked += 1
            return self.asked > 2

    return Stop()


def test_a_misspelt_colour_gets_a_suggestion() -> None:
    for typed, meant in (("grean", "green"), ("trasparent", "transparent"), ("blurr", "blur")):
        with pytest.raises(UsageError, match=f"did you mean {meant}\\?"):
            parse_background(typed)


def test_backslashes_of_windows_paths_are_not_doubled() -> None:
    with pytest.raises(UsageError, match=re.escape(r"'C:\Users\me\beach.jpg'")):
        parse_background(r"C:\Users\me\beach.jpg")
    assert short(r"C:\Users\me") == r"'C:\Users\me'"


def test_the_list_of_models_fits_a_screen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    brief, long = run("models")[1], run("models", "--long")[1]
    lines = brief.splitlines()
    assert len(lines) <= 24 and max(map(len, lines)) <= 80
    assert "licence:" not in brief and "paper:" not in brief
    assert "licence:" in long and "paper:" in long and long[:200] == brief[:200]


def test_the_last_line_of_the_demo_works_when_it_is_pasted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from livematte.cli import demo as command
    from livematte.tools import demo as bundled

    make_clip(tmp_path / "my clip.mp4", frames=2, size=(64, 96))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(bundled, "run", lambda folder, display: [bundled.DemoResult(folder / "a.mp4", "a")])
    monkeypatch.setattr(bundled, "clip_path", lambda: tmp_path / "my clip.mp4")
    monkeypatch.setattr(sys, "argv", [str(Path(livematte.__file__).parent / "__main__.py"), "demo"])
    command.demo(folder=tmp_path / "demo")
    (tmp_path / "demo").mkdir()
    pasted = capsys.readouterr().out.splitlines()[-1].strip()
    assert "my clip.mp4" in pasted
    subprocess.run(pasted, shell=True, check=True, capture_output=True)
    assert (tmp_path / "demo" / "mine.mp4").exists()
