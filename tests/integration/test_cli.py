"""The command as a user meets it: what it says, where, and what it leaves behind."""

from __future__ import annotations

import inspect
import json
import os
import shutil
import signal
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import typer

import livematte
from livematte import cli
from livematte.cli.app import app
from livematte.errors import UsageError
from livematte.tools import demo
from tests import clips

ROOT = Path(__file__).parents[2]
CLIP = str(demo.clip_path())
SHORT = ("--start", "0", "--end", "0.4")
"""Ten frames of the bundled clip."""


def frames_in(path: Path) -> int:
    with av.open(str(path)) as container:
        return sum(1 for _ in container.decode(video=0))


def test_render_says_what_it_made(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "out.mp4"
    assert cli.run(["render", CLIP, str(target), *SHORT]) == 0
    said = capfd.readouterr()
    assert said.out.splitlines()[0] == str(target)
    assert said.out.splitlines()[1].startswith("10 frames in ")
    assert "frame 10/10" in said.err
    assert "Traceback" not in said.err
    assert frames_in(target) == 10


def test_render_replaces_an_existing_file(tmp_path: Path) -> None:
    target = tmp_path / "out.mp4"
    target.write_bytes(b"old")
    assert cli.run(["render", CLIP, str(target), *SHORT, "--quiet", "--overwrite"]) == 0
    assert frames_in(target) == 10


def test_quiet_is_quiet(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["render", CLIP, str(tmp_path / "out.mp4"), *SHORT, "--quiet"]) == 0
    assert capfd.readouterr() == ("", "")


def test_json_is_one_event_a_line(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "out.mp4"
    assert cli.run(["render", CLIP, str(target), *SHORT, "--json"]) == 0
    said = capfd.readouterr()
    events = [json.loads(line) for line in said.out.splitlines()]
    assert events[0]["event"] == "start"
    assert {event["event"] for event in events[1:-1]} == {"progress"}
    done = events[-1]
    assert done["event"] == "done"
    assert done["frames"] == 10
    assert done["outputs"] == [str(target)]
    assert done["damaged"] == 0
    assert set(done["stages"]) == {"decode", "model", "composite", "encode"}
    assert said.err == ""


def test_json_tells_of_failure_too(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["render", str(tmp_path / "no.mp4"), str(tmp_path / "out.mp4"), "--json"]) == 1
    events = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert events[-1]["event"] == "error"
    assert events[-1]["kind"] == "InputError"


def test_matte_and_foreground_beside_the_picture(tmp_path: Path) -> None:
    names = {"--alpha-out": tmp_path / "matte.mp4", "--foreground-out": tmp_path / "people.mp4"}
    extra = [str(part) for pair in names.items() for part in pair]
    assert cli.run(["render", CLIP, str(tmp_path / "out.mp4"), *SHORT, "-q", *extra]) == 0
    assert [frames_in(path) for path in names.values()] == [10, 10]


def test_the_encoders_settings_are_the_pictures_alone(tmp_path: Path) -> None:
    """ProRes knows ``lt``; the matte beside it is x264, which does not, and must not be asked for it."""
    matte = tmp_path / "matte.mp4"
    prores = ["--codec", "prores", "--preset", "lt", "--alpha-out", str(matte)]
    assert cli.run(["render", CLIP, str(tmp_path / "out.mov"), *SHORT, "-q", *prores]) == 0
    assert frames_in(matte) == 10


def test_only_the_matte_is_written_without_out(tmp_path: Path) -> None:
    matte = tmp_path / "matte.mov"
    assert cli.run(["render", CLIP, "--alpha-out", str(matte), *SHORT, "-q"]) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["matte.mov"]
    with av.open(str(matte)) as made:
        assert made.streams.video[0].codec_context.name == "prores"
    assert frames_in(matte) == 10


@pytest.mark.parametrize(
    ("words", "said"),
    [([], "no output is named: give OUT"), (["--alpha-out", "m.mov", "--crf", "3"], "--crf is for OUT")],
)
def test_a_render_without_out_is_refused_where_it_makes_no_sense(words: list[str], said: str, capfd) -> None:
    assert cli.run(["render", CLIP, *words]) == 2
    assert said in capfd.readouterr().err


def test_image_cuts_out_to_a_png_with_alpha(tmp_path: Path) -> None:
    target = tmp_path / "out.png"
    assert cli.run(["image", CLIP, str(target), "--quiet"]) == 0
    with av.open(str(target)) as container:
        picture = next(container.decode(video=0)).to_ndarray(format="rgba")
    assert picture.shape == (720, 1280, 4)
    alpha = picture[..., 3]
    assert alpha[600, 500] > 200, "the space suit is in front"
    assert alpha[80, 920] < 50, "the wall is not"


def test_the_last_line_says_that_all_frames_are_done(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Matroska does not count its frames: the total is told from the length, here one too many."""
    source = clips.make_clip(tmp_path / "in.mkv", frames=12, audio=1)
    command = ["render", str(source), str(tmp_path / "out.mp4"), "--size", "64", "--json"]
    assert cli.run(command) == 0
    events = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    last = [event for event in events if event["event"] == "progress"][-1]
    assert (last["done"], last["total"], last["eta"]) == (12, 12, 0.0)


@pytest.mark.parametrize("background", [None, (0, 255), 7])
def test_a_background_of_no_use_is_refused(tmp_path: Path, background: object) -> None:
    with pytest.raises(UsageError, match="is invalid: use a colour"):
        livematte.render(CLIP, tmp_path / "out.mp4", background=background)  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


def test_the_matte_of_a_photograph_is_a_grey_png(tmp_path: Path) -> None:
    matte = tmp_path / "matte.png"
    assert cli.run(["image", CLIP, str(tmp_path / "out.png"), "--alpha-out", str(matte), "-q"]) == 0
    with av.open(str(matte)) as grey, av.open(str(tmp_path / "out.png")) as cut:
        alone, within = (next(container.decode(video=0)) for container in (grey, cut))
    assert (alone.format.name, within.format.name) == ("gray", "rgba")
    np.testing.assert_array_equal(alone.to_ndarray(), within.to_ndarray()[..., 3])


def test_probe_fits_a_narrow_terminal(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "30")
    assert cli.run(["probe", CLIP]) == 0
    lines = capfd.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 30
    assert any(line.split()[-3:] == ["1280", "x", "720"] for line in lines if line.strip())


def test_probe_for_people_and_for_programs(capfd: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["probe", CLIP]) == 0
    said = capfd.readouterr()
    assert "1280 x 720" in said.out
    assert said.err == ""
    assert cli.run(["probe", CLIP, "--json"]) == 0
    facts = json.loads(capfd.readouterr().out)
    assert (facts["width"], facts["height"], facts["frames"]) == (1280, 720, 100)
    assert facts["average_rate"] == "25"
    assert facts["color"]["matrix"] == "bt709"


def test_models_lists_what_is_registered(capfd: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["models", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capfd.readouterr().out)}
    assert {"late-fusion", "late-fusion-live"} <= rows.keys()
    assert rows["late-fusion-live"]["default"] is True
    assert rows["late-fusion-live"]["installed"] is True
    assert cli.run(["models"]) == 0
    assert "late-fusion-live" in capfd.readouterr().out


def test_bench_gives_tensor_and_end_to_end(capfd: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["bench", "--frames", "20", "--size", "128", "--json"]) == 0
    report = json.loads(capfd.readouterr().out)
    for part in ("tensor", "end_to_end"):
        spread = report[part]
        assert 0 < spread["p50"] <= spread["p95"] <= spread["p99"]
        assert spread["frames"] >= 20
    assert report["slowest"] in report["stages"]
    assert max(report["network_size"]) == 128


@pytest.fixture
def ten_frames(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In place of the bundled clip: as long, and every tenth of its pictures."""
    target, interval = tmp_path / "ten.mp4", Fraction(2, 5)
    with av.open(CLIP) as source, av.open(str(target), "w") as out:
        stream = out.add_stream("libx264", rate=1 / interval)
        stream.width, stream.height, stream.pix_fmt = 1280, 720, "yuv420p"
        for number, frame in enumerate(source.decode(video=0)):
            if number % 10 == 0:
                frame.pts, frame.time_base = number // 10, interval
                out.mux(stream.encode(frame))
        out.mux(stream.encode())
    monkeypatch.setattr(demo, "clip_path", lambda: target)


@pytest.mark.usefixtures("ten_frames")
def test_demo_makes_what_it_names(tmp_path: Path) -> None:
    assert cli.run(["demo", "--folder", str(tmp_path / "demo"), "--quiet"]) == 0
    made = sorted(path.name for path in (tmp_path / "demo").iterdir())
    assert made == ["background.mp4", "before-after.jpg", "blurred.mp4", "transparent.webm"]
    assert all(frames_in(tmp_path / "demo" / name) == 10 for name in made if not name.endswith("jpg"))


def test_version(capfd: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["--version"]) == 0
    assert capfd.readouterr().out == f"livematte {livematte.__version__}\n"
    assert cli.run(["--version", "--verbose"]) == 0
    verbose = capfd.readouterr().out
    assert cli.run(["version"]) == 0
    assert capfd.readouterr().out == verbose
    assert "FFmpeg " in verbose
    assert "torch " in verbose


@pytest.mark.parametrize("command", [[], ["render"], ["image"], ["probe"], ["models"], ["bench"], ["demo"]])
def test_help(command: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    assert cli.run([*command, "--help"]) == 0
    said = capfd.readouterr()
    assert "Usage: livematte" in said.out
    assert said.err == ""


def test_no_command_shows_the_help_and_counts_as_usage(capfd: pytest.CaptureFixture[str]) -> None:
    assert cli.run([]) == 2
    assert "render" in capfd.readouterr().out


def test_the_command_is_installed_and_python_m_is_the_same() -> None:
    script = shutil.which("livematte", path=str(Path(sys.executable).parent))
    assert script is not None
    for start in ([script], [sys.executable, "-m", "livematte"]):
        done = subprocess.run([*start, "--version"], capture_output=True, text=True, check=True)
        assert done.stdout == f"livematte {livematte.__version__}\n"
    failed = subprocess.run([script, "probe", "no.mp4"], capture_output=True, text=True)
    assert failed.returncode == 1
    assert failed.stderr.count("\n") == 1


def test_the_defaults_of_the_command_are_those_of_the_declarations() -> None:
    from livematte.options import RenderOptions
    from livematte.options.declaration import declared

    given = inspect.signature(livematte.render).parameters
    known: Any = typer.main.get_command(app).commands["render"]  # type: ignore[attr-defined]
    typed = {each.name: each.default for each in known.params}
    for each in declared(RenderOptions):
        assert given[each.name].default == each.option.default, each.name
        assert typed[each.name] == each.command_default, each.name


def test_the_defaults_of_the_command_are_those_of_the_api(tmp_path: Path) -> None:
    typed, called = tmp_path / "typed.mp4", tmp_path / "called.mp4"
    assert cli.run(["render", CLIP, str(typed), *SHORT, "--quiet"]) == 0
    livematte.render(CLIP, called, start=0, end=0.4)
    assert typed.read_bytes() == called.read_bytes()


@pytest.fixture
def long_clip(tmp_path: Path) -> Path:
    """The bundled clip twenty times over, 80 s: nobody finishes it by accident."""
    target = tmp_path / "long.mp4"
    with av.open(CLIP) as source, av.open(str(target), "w") as out:
        video = source.streams.video[0]
        copy = out.add_stream_from_template(video)
        packets = [(p.pts, p.dts, p.duration, bytes(p), p.is_keyframe) for p in source.demux(video) if p.size]
        length = 100 * packets[0][2]
        for turn in range(20):
            for pts, dts, duration, data, key in packets:
                packet = av.Packet(data)
                packet.pts, packet.dts, packet.duration = pts + turn * length, dts + turn * length, duration
                packet.time_base, packet.is_keyframe, packet.stream = video.time_base, key, copy
                out.mux(packet)
    return target


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT for one process")
@pytest.mark.parametrize("existing", [False, True], ids=["new", "existing"])
def test_ctrl_c_keeps_what_is_done(tmp_path: Path, long_clip: Path, existing: bool) -> None:
    target = tmp_path / "out.mp4"
    if existing:
        target.write_bytes(b"precious")
    command = [sys.executable, "-m", "livematte", "render", str(long_clip), str(target), "--json"]
    command.append("--overwrite")
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as job:
        assert job.stdout is not None
        for line in job.stdout:
            event = json.loads(line)
            if event["event"] == "progress" and event["done"] >= 5:
                job.send_signal(signal.SIGINT)
                break
        rest, err = job.communicate(timeout=120)
    assert job.returncode == 130
    assert "Traceback" not in err
    done = json.loads(rest.splitlines()[-1])
    assert (done["event"], done["interrupted"]) == ("done", True)
    kept = tmp_path / ("out.partial.mp4" if existing else "out.mp4")
    assert 5 <= frames_in(kept) == done["frames"] < 2000
    assert any(kept.name in note for note in done["notes"])
    if existing:
        assert target.read_bytes() == b"precious"
    assert not list(tmp_path.glob("*rendering*"))


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT for one process")
def test_a_second_ctrl_c_ends_at_once(tmp_path: Path) -> None:
    code = """
import threading, time
from livematte.cli.interrupt import stop_event
with stop_event() as stop:
    print("ready", flush=True)
    stop.wait()
    print("asked", flush=True)
    while True:
        time.sleep(0.01)
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd=ROOT) as job:
        assert job.stdout is not None
        assert job.stdout.readline() == "ready\n"
        job.send_signal(signal.SIGINT)
        assert job.stdout.readline() == "asked\n"
        job.send_signal(signal.SIGINT)
        assert job.wait(timeout=30) == 130


def test_a_closed_pipe_is_no_traceback() -> None:
    command = [sys.executable, "-m", "livematte", "render", "--help"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as job:
        assert job.stdout is not None
        job.stdout.close()
        assert job.stderr is not None
        assert "Traceback" not in job.stderr.read()


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
@pytest.mark.parametrize(
    "target",
    ["demo", "test", "coverage", "test-lowest", "test-newest", "check", "bench", "help", "clean"],
)
def test_the_makefile_parses(target: str) -> None:
    done = subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(os.name == "nt", reason="bash")
def test_ci_runs_what_people_run() -> None:
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    assert subprocess.run(["bash", "-n", str(script)]).returncode == 0
    assert "make test" in script.read_text(encoding="utf-8")


def test_completion_offers_models() -> None:
    environment = {
        **os.environ,
        "_LIVEMATTE_COMPLETE": "complete_bash",
        "COMP_WORDS": "livematte render a b --model la",
        "COMP_CWORD": "5",
    }
    done = subprocess.run(
        [sys.executable, "-m", "livematte"], env=environment, capture_output=True, text=True, timeout=60
    )
    assert "late-fusion-live" in done.stdout.split()
