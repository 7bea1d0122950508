"""Profiles: what they may say, what it means, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import typer

from livematte.cli.app import app
from livematte.errors import InputError, UsageError
from livematte.options import LiveOptions, read_sink_options, read_size
from livematte.options.commands import PROFILES
from livematte.options.declaration import complete
from livematte.plugins.obs.scene_backgrounds import parse_scene_backgrounds
from livematte.profile import known_options, live_options, read_profile, resolve_background_path, resolve_path

EXAMPLE = Path(__file__).parents[2] / "examples" / "meeting.toml"


def written(folder: Path, text: str) -> Path:
    path = folder / "meeting.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_every_kind_of_value(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        """
        camera = "HD Webcam"
        to = ["virtualcam", "obs"]
        on-demand = true
        keep_islands = true
        rate = 29.97
        delay = 120
        threads = 2
        [sink-option.virtualcam]
        device = "/dev/video10"
        some-thing = true
        [sink-option.obs]
        port = 4455
        """,
    )
    assert read_profile(path, "live") == {
        "camera": "HD Webcam",
        "to": ["virtualcam", "obs"],
        "on_demand": True,
        "keep_islands": True,
        "rate": 29.97,
        "delay": 120,
        "threads": 2,
        "sink_option": ["virtualcam.device=/dev/video10", "virtualcam.some-thing=true", "obs.port=4455"],
    }


def test_a_sink_may_have_a_table_of_its_own(tmp_path: Path) -> None:
    text = '[sink-option.obs.scenes]\nTalk = "blur"\n"At the desk" = "/home/me/beach.jpg"'
    own = live_options(written(tmp_path, text))["sink_options"]
    assert own == {"obs": {"scenes": '{"Talk": "blur", "At the desk": "/home/me/beach.jpg"}'}}


@pytest.mark.parametrize("table", ["obs", "sink-option.obs", "sink_option.obs"])
def test_a_table_for_each_scene_gives_its_background(table: str, tmp_path: Path) -> None:
    text = f'background = "white"\n[{table}.scenes.Talk]\nbackground = "blur"\n[virtualcam]\ndevice = "a"'
    if table != "obs":
        text = text.replace("[virtualcam]", f"[{table.split('.')[0]}.virtualcam]")
    own = live_options(written(tmp_path, text))["sink_options"]
    assert own is not None
    scenes = own["obs"]["scenes"]
    assert parse_scene_backgrounds(scenes) == {"Talk": "blur"}
    assert own["virtualcam"] == {"device": "a"}


def test_a_table_of_a_sink_next_to_its_options_is_refused(tmp_path: Path) -> None:
    for text in (
        "[obs]\nport = 1\n[sink-option.obs]\nport = 2",
        'sink-option = "obs.port=2"\n[obs]\nport = 1',
    ):
        with pytest.raises(UsageError, match=r"\[obs\] and sink-option are both given"):
            read_profile(written(tmp_path, text), "live")
    with pytest.raises(UsageError, match="unknown option 'obx'"):
        read_profile(written(tmp_path, "[obx]\nport = 1"), "live")
    with pytest.raises(UsageError, match="unknown option 'obs'"):
        read_profile(written(tmp_path, "[obs]\nport = 1"), "render")


def test_one_text_does_where_there_may_be_several(tmp_path: Path) -> None:
    options = read_profile(written(tmp_path, 'to = "obs"\nsink-option = "obs.scene=Talk"'), "live")
    assert options == {"to": ["obs"], "sink_option": ["obs.scene=Talk"]}


def test_a_preview_may_be_switched_on_or_placed(tmp_path: Path) -> None:
    path = written(tmp_path, 'preview = true\npreview-backgrounds = ["blur", "beach.jpg"]')
    whole = str(tmp_path / "beach.jpg")
    assert read_profile(path, "live") == {"preview": "auto", "preview_backgrounds": ["blur", whole]}
    path = written(tmp_path, 'preview = "window"\npreview-backgrounds = "blur, beach.jpg"')
    assert read_profile(path, "live") == {"preview": "window", "preview_backgrounds": ["blur", whole]}
    assert read_profile(written(tmp_path, "preview = false"), "live") == {"preview": None}


def test_paths_begin_beside_the_profile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "here").mkdir()
    written(tmp_path / "here", 'background = "a/beach.jpg"\nweights = "../mine.onnx"\ninput = "me.mp4"')
    monkeypatch.chdir(tmp_path / "elsewhere")
    options = read_profile("../here/meeting.toml", "live")
    (tmp_path / "here" / "a").mkdir()
    for name, path in {
        "background": "here/a/beach.jpg",
        "weights": "mine.onnx",
        "input": "here/me.mp4",
    }.items():
        assert Path(options[name]).is_absolute()
        assert Path(options[name]).resolve() == (tmp_path / path).resolve(), name


@pytest.mark.parametrize("named", ["green", "#0af", "Blue", "blur", "blur:40", "BLUR:2", "transparent", ""])
def test_what_is_no_path_stays(named: str, tmp_path: Path) -> None:
    assert resolve_background_path(named, tmp_path) == named


def test_what_is_a_path_is_made_whole(tmp_path: Path) -> None:
    assert resolve_background_path("beach.jpg", tmp_path) == str(tmp_path / "beach.jpg")
    assert Path(resolve_background_path("./green", tmp_path)) == tmp_path / "green", (
        "a file called like a colour"
    )
    assert resolve_path(str(tmp_path / "x.jpg"), Path("other")) == str(tmp_path / "x.jpg")
    assert Path(resolve_path("~/x.jpg", tmp_path)) == Path.home() / "x.jpg"
    assert resolve_path("rtsp://camera/stream", tmp_path) == "rtsp://camera/stream"
    assert resolve_path("frames/", tmp_path).endswith("/")


@pytest.mark.parametrize(
    ("text", "error", "says"),
    [
        ('backgroud = "x"', UsageError, "unknown option 'backgroud': did you mean 'background'"),
        ("on_demnad = true", UsageError, "did you mean 'on-demand'"),
        ("profile = 'x'", UsageError, "unknown option 'profile'"),
        ("crf = 20", UsageError, "'crf' is an option of livematte render, not of livematte live"),
        ("on-demand = true\non_demand = false", UsageError, "given twice"),
        ('rate = "fast"', UsageError, "rate = 'fast' is invalid: use a number"),
        ("rate = true", UsageError, "use a number"),
        ("threads = 1.5", UsageError, "use a whole number"),
        ("camera = 0", UsageError, "camera = 0 is invalid: use text in quotes"),
        ('mirror = "yes"', UsageError, "use true or false"),
        ("to = [1]", UsageError, "use text in quotes, or several"),
        ('[sink-option]\nscene = "Talk"', UsageError, "a table for each sink"),
        ("rate = ", InputError, "is not TOML"),
        ("[live]\nrate = 5", UsageError, "unknown option 'live'"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(
    tmp_path: Path, text: str, error: type[Exception], says: str
) -> None:
    path = written(tmp_path, text)
    with pytest.raises(error) as refused:
        read_profile(path, "live")
    line = str(refused.value)
    assert says in line and path.name[-8:] in line and "\n" not in line


def test_a_profile_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read_profile(tmp_path / "missing.toml", "live")
    (tmp_path / "latin.toml").write_bytes(b'camera = "\xe9"')
    with pytest.raises(InputError, match="is not TOML"):
        read_profile(tmp_path / "latin.toml", "live")


@pytest.mark.parametrize("command", PROFILES)
def test_a_profile_holds_every_option_of_the_command(command: str) -> None:
    known: Any = typer.main.get_command(app).commands[command]  # type: ignore[attr-defined]
    there = {
        option.removeprefix("--").replace("-", "_")
        for parameter in known.params
        for option in parameter.opts
        if option.startswith("--")
    }
    assert set(known_options(command)) == there - {"profile", "help", "out_dir"}  # it stands for OUT


def test_python_takes_the_same(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        """
        resolution = "640x360"
        delay = 120
        stats = true
        preview = true
        name = "desk"
        [sink-option.obs]
        password-file = "secret"
        """,
    )
    options = live_options(path)
    assert options == {
        "width": 640,
        "height": 360,
        "delay": 0.12,
        "sink_options": {"obs": {"password_file": "secret"}},
    }
    assert complete(LiveOptions, options)["delay"] == 0.12


def test_options_of_outputs_and_sizes_are_parsed() -> None:
    own = {"a": {"b_c": "d=e", "f": ""}, "g": {"h": "i"}}
    assert read_sink_options(["a.b-c=d=e", "a.f=", "g.h=i"]) == {"sink_options": own}
    assert read_size("1920X1080") == {"width": 1920, "height": 1080}
    for wrong in ("1280", "x720", "1280x", "-1x5"):
        with pytest.raises(UsageError, match="1280x720"):
            read_size(wrong)


def test_the_example_is_one() -> None:
    options = read_profile(EXAMPLE, "live")
    assert options["background"] == "blur:25" and options["to"] == ["virtualcam"]
    commented = [line.removeprefix("# ") for line in EXAMPLE.read_text(encoding="utf-8").splitlines()]
    assert "[sink-option.virtualcam]" in commented


@pytest.mark.parametrize(
    "text",
    [
        'camera = "a\\u0000b"',
        'to = ["obs", "\\u0000"]',
        'background = "\\u0000"',
        '[sink-option.obs]\nscene = "\\u0000"',
        "[sink-option.obs]\nport = 0x" + "f" * 5000,
        "threads = 0x" + "f" * 5000,
        "rate = 0x" + "f" * 5000,
        "rate = nan",
        "delay = inf",
        "threads = -99999999999999999999",
        "threads = " + "[" * 60 + "]" * 60,
        "camera = 1979-05-27",
    ],
)
def test_values_that_no_option_can_have_are_one_short_line(tmp_path: Path, text: str) -> None:
    with pytest.raises(UsageError, match=" is invalid: use ") as caught:
        read_profile(written(tmp_path, text), "live")
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 600
