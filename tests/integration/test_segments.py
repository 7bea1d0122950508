"""One file rendered by several workers, against the same render by one: here on two CPUs."""

from __future__ import annotations

import os
import queue
import subprocess
import sys
import threading
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

import livematte
from livematte import cli
from livematte.errors import DeviceError, LivematteError, UsageError
from livematte.offline import parallel, pool
from livematte.tools import demo
from livematte.video.reader import open_video
from livematte.video.split import Segment, split_video
from tests import clips

TWO = "cpu,cpu"
RATE, FRAMES = 25, 100


@pytest.fixture(scope="module")
def person(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real person, four seconds at 320x180, key frames every 12, two languages beside."""
    folder = tmp_path_factory.mktemp("person")
    sound = clips.make_clip(folder / "sound.mp4", frames=FRAMES, audio=2, chapters=True)
    path = folder / "person.mp4"
    with av.open(str(demo.clip_path())) as film, av.open(str(sound)) as heard, av.open(str(path), "w") as out:
        options = {"preset": "ultrafast", "crf": "16", "g": "12", "bf": "2"}
        stream: Any = out.add_stream("libx264", rate=RATE, options=options)
        stream.width, stream.height, stream.pix_fmt = 320, 180, "yuv420p"
        stream.codec_context.time_base = Fraction(1, RATE)
        voices = {voice.index: out.add_stream_from_template(voice) for voice in heard.streams.audio}
        for number, frame in enumerate(film.decode(video=0)):
            small = frame.reformat(320, 180, "yuv420p")
            small.pts, small.time_base = number, Fraction(1, RATE)
            out.mux(stream.encode(small))
        out.mux(stream.encode(None))
        for packet in heard.demux(*heard.streams.audio):
            if packet.size:
                packet.stream = voices[packet.stream.index]
                out.mux(packet)
    return path


def planes(path: Path, plane: int) -> tuple[list[Fraction], list[np.ndarray]]:
    with open_video(path) as video:
        found = [(frame.seconds, np.array(frame.planes[plane])) for frame in video]
    return [time for time, _ in found], [picture for _, picture in found]


def leftovers(folder: Path) -> list[str]:
    return sorted(
        path.name for path in folder.iterdir() if ".parts-" in path.name or "rendering" in path.name
    )


def test_two_workers_make_what_one_makes(person: Path, tmp_path: Path) -> None:
    """FFV1 keeps alpha and picture bit by bit: what differs is what a seam does to the matte."""
    once, split = tmp_path / "once.mkv", tmp_path / "split.mkv"
    how: dict[str, Any] = {"background": "transparent", "size": 128, "alpha_out": None}
    livematte.render(person, once, device="cpu", **how)
    report = livematte.render(person, split, device=TWO, **{**how, "alpha_out": tmp_path / "alpha.mkv"})
    assert (report.frames, report.interrupted, leftovers(tmp_path)) == (FRAMES, False, [])
    times, alphas = planes(once, 3)
    again, others = planes(split, 3)
    assert again == times
    assert planes(tmp_path / "alpha.mkv", 0)[0] == planes(person, 0)[0], "an output of its own has all, too"
    apart = [np.abs(a.astype(int) - b) for a, b in zip(alphas, others, strict=True)]
    assert max(each.max() for each in apart) <= 3, "nothing jumps at the seam"
    assert max(each.mean() for each in apart) < 0.02
    assert sum(alpha.mean() for alpha in alphas) / FRAMES > 40, "somebody is there"
    for index in range(2):
        assert clips.packets(split, "audio", index) == clips.packets(once, "audio", index)
    assert set(report.stages) == {"decode", "model", "composite", "encode"}


def test_times_and_sound_are_exact_in_mp4(tmp_path: Path) -> None:
    """Uneven times, B-frames in and out; only a part of the file."""
    pts = [i * 3 + (i % 7 == 3) for i in range(150)]
    source = clips.make_clip(
        tmp_path / "in.mp4", frames=150, pts=pts, time_base=Fraction(1, 90), audio=1, chapters=True
    )
    for name, device in (("once", "cpu"), ("split", TWO)):
        livematte.render(
            source, tmp_path / f"{name}.mp4", device=device, size=64, preset="medium", start=0.5, end=4.5
        )
    once, split = tmp_path / "once.mp4", tmp_path / "split.mp4"
    times, pictures = planes(once, 0)
    again, others = planes(split, 0)
    wanted = [Fraction(n, 90) for n in pts if 45 <= n < 405]
    assert again == times == [time - wanted[0] for time in wanted]
    for a, b in zip(pictures, others, strict=True):
        assert np.abs(a.astype(int) - b).mean() < 3
    assert clips.packets(split, "audio") == clips.packets(once, "audio")
    with av.open(str(once)) as first, av.open(str(split)) as second:
        assert second.chapters() == first.chapters()
        assert second.streams.video[0].duration == first.streams.video[0].duration


def test_what_is_whole_is_kept_when_it_is_stopped(person: Path, tmp_path: Path) -> None:
    stop = threading.Event()
    seen: list[int] = []

    def watch(progress: livematte.Progress) -> None:
        seen.append(progress.done)
        if progress.done >= 12:
            stop.set()

    target = tmp_path / "out.mp4"
    report = livematte.render(person, target, device=TWO, size=64, progress=watch, stop=stop)
    assert report.interrupted
    assert seen == sorted(seen)
    assert leftovers(tmp_path) == []
    if report.frames == 0:  # only the second worker had come to write
        assert not target.exists()
        return
    assert any(f"holds the first {report.frames} frames" in note for note in report.notes)
    assert planes(target, 0)[0] == planes(person, 0)[0][: report.frames]
    assert 0 < report.frames < FRAMES


def test_a_worker_that_fails_is_told_and_nothing_is_left(person: Path, tmp_path: Path) -> None:
    weights = tmp_path / "mine.safetensors"
    weights.write_bytes(b"no weights at all")
    with pytest.raises(livematte.LivematteError, match=r"on cpu: .*mine\.safetensors") as told:
        livematte.render(person, tmp_path / "out.mp4", device=TWO, weights=weights)
    assert any("no file was kept" in note for note in told.value.notes)
    assert [path.name for path in tmp_path.iterdir()] == [weights.name]


FORKS = """
import multiprocessing, time
from livematte.offline import pool_process, worker
load = worker.Worker.__init__
def forks(self, job):
    time.sleep(0.5)  # until the thread that listens does
    child = multiprocessing.get_context("fork").Process(target=int)
    child.start()
    child.join(20)
    assert child.exitcode == 0, "it hangs"
    load(self, job)
worker.Worker.__init__ = forks
pool_process.main()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing forks here")
def test_a_library_may_fork(person: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some do when they are loaded, and the child closes sys.stdin: whoever else reads it hangs it."""
    monkeypatch.setattr(pool, "ENTRY", FORKS)
    report = livematte.render(person, tmp_path / "out.mp4", device=TWO, size=64, preset="ultrafast")
    assert report.frames == FRAMES


def test_a_worker_that_dies_is_told(person: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "ENTRY", "import os; os._exit(9)")
    with pytest.raises(DeviceError, match=r"worker on cpu ended unexpectedly \(exit code 9\)"):
        livematte.render(person, tmp_path / "out.mp4", device=TWO)
    assert list(tmp_path.iterdir()) == []


def test_a_part_that_cannot_be_joined_ends_the_workers(
    person: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise LivematteError("the disk is full")

    ended: list[int | None] = []
    end = pool.WorkerProcess.close

    def watched_end(worker: pool.WorkerProcess) -> None:
        end(worker)
        ended.append(worker.process.poll())

    monkeypatch.setattr(parallel.ConcatSink, "append", refuse)
    monkeypatch.setattr(pool.WorkerProcess, "close", watched_end)
    with pytest.raises(LivematteError, match="the disk is full"):
        livematte.render(person, tmp_path / "out.mp4", device=TWO, size=64, preset="ultrafast")
    assert len(ended) == 2 and None not in ended
    assert list(tmp_path.iterdir()) == []


def test_what_a_worker_said_is_heard_after_it_was_let_go() -> None:
    """Whoever reads from it closes the pipe: closed by another, the reader would fail in the middle."""
    says = "import pickle, sys; pickle.dump(('frame', 7), sys.stdout.buffer)"
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    one = pool.WorkerProcess("cpu", subprocess.Popen([sys.executable, "-c", says], **pipes))
    one.close()
    inbox: queue.Queue[Any] = queue.Queue()
    one.listen(lambda *reply: inbox.put(reply))
    heard = [inbox.get_nowait()[1:] for _ in range(inbox.qsize())]
    assert heard == [("frame", 7), ("gone", None)]
    assert one.process.stdout.closed


def test_what_is_too_short_is_rendered_by_one_who_says_so(tmp_path: Path) -> None:
    source = clips.make_clip(tmp_path / "in.mp4", frames=10)
    report = livematte.render(source, tmp_path / "out.mp4", device=TWO, size=64)
    assert report.frames == 10
    assert "too short" in report.notes[0]
    assert "was rendered on cpu only" in report.notes[0]


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ({"device": "cpu,"}, "name every device"),
        ({"device": "cpu,auto"}, "name every device"),
        ({"device": "cpu,tpu"}, "unknown device 'tpu'"),
        ({"model": lambda rgb, state: None}, "by name"),
        ({"debug_view": "debug.mp4"}, "debug-view needs a single device"),
        ({"report": "r.html"}, "report needs a single device"),
        ({"alpha_out": "alpha/%04d.png"}, "numbered pictures need a single device"),
        ({"background": lambda frame, alpha: frame}, "as text or a file"),
    ],
)
def test_what_workers_cannot_do_is_refused(
    tmp_path: Path, how: dict[str, Any], told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = clips.make_clip(tmp_path / "in.mp4", frames=3)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=told):
        livematte.render(source, tmp_path / "out.mp4", **{"device": TWO, **how})
    assert [path.name for path in tmp_path.iterdir()] == ["in.mp4"]


def test_a_card_that_is_not_there_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from livematte.device import choice

    monkeypatch.setattr(choice, "driver_gpus", lambda: 0)
    source = clips.make_clip(tmp_path / "in.mp4", frames=3)
    assert cli.run(["render", str(source), str(tmp_path / "out.mp4"), "--device", "cuda:0,cuda:1"]) == 1
    assert "cuda:0: no NVIDIA GPU or driver was found" in capsys.readouterr().err


def frames_of(path: Path, found: list[Segment]) -> list[list[int]]:
    """What each segment's worker would write."""
    written = []
    for segment in found:
        with open_video(path, start=segment.read, end=segment.end) as video:
            read = [frame.pts for frame in video]
        written.append([pts for pts in read if segment.first is None or pts >= segment.first])
        if segment.first is not None:
            assert len(read) - len(written[-1]) == 8, "frames to warm up with"
    return written


CLIPS: dict[str, Callable[[Path], Path]] = {
    "key frames": lambda folder: clips.make_clip(
        folder / "a.mp4", frames=120, options={"preset": "ultrafast", "g": "9", "bf": "3"}
    ),
    "open groups": lambda folder: clips.make_clip(
        folder / "a.mkv", codec="libx265", frames=120,
        options={"preset": "ultrafast", "x265-params": "log-level=error:keyint=20:open-gop=1:bframes=4"},
    ),
    "one key frame": lambda folder: clips.make_clip(
        folder / "a.mp4", frames=120, options={"preset": "ultrafast", "g": "900", "sc_threshold": "0"}
    ),
    "uneven": lambda folder: clips.make_clip(
        folder / "a.mp4", frames=120, pts=[i * 5 + i % 3 for i in range(120)], time_base=Fraction(1, 120)
    ),
    "all key frames": lambda folder: clips.make_clip(folder / "a.mov", codec="prores_ks", frames=120,
                                                     format="yuv422p10le"),
    "broadcast": lambda folder: clips.make_clip(folder / "a.ts", frames=120),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(CLIPS))
def test_segments_hold_every_frame_once(tmp_path: Path, name: str) -> None:
    path = CLIPS[name](tmp_path)
    with open_video(path) as video:
        every = [frame.pts for frame in video]
    found = split_video(path, 3, 8)
    assert len(found) == 3
    written = frames_of(path, found)
    assert [pts for part in written for pts in part] == every
    assert max(map(len, written)) < 75, "nobody has most of the work"


def test_key_frames_are_where_reading_begins(tmp_path: Path) -> None:
    path = CLIPS["key frames"](tmp_path)
    with av.open(str(path)) as container:
        keys = {p.pts * p.time_base for p in container.demux(video=0) if p.size and p.is_keyframe}
    assert {segment.read for segment in split_video(path, 3, 8)[1:]} <= keys


def test_what_has_no_times_or_length_is_not_cut(tmp_path: Path) -> None:
    raw = clips.make_clip(tmp_path / "a.h264", frames=120, muxer="h264")
    assert split_video(raw, 2, 8) == [Segment()]
    assert split_video(clips.make_pictures(tmp_path / "frames", frames=3), 2, 8) == [Segment()]
    short = clips.make_clip(tmp_path / "a.mp4", frames=120)
    assert split_video(short, 2, 8, start=0, end=0.5) == [Segment(Fraction(0), None, Fraction(1, 2))]


def test_a_worker_sees_its_card_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    seen, name = pool.environment("cuda:1")
    assert (seen["CUDA_VISIBLE_DEVICES"], name) == ("1", "cuda:0")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,GPU-5a")
    assert pool.environment("cuda:1")[0]["CUDA_VISIBLE_DEVICES"] == "GPU-5a"
    assert pool.environment("cuda")[0]["CUDA_VISIBLE_DEVICES"] == "3"
    assert pool.environment("cpu")[1] == "cpu"


def test_errors_of_workers_keep_their_kind() -> None:
    there: Any = pool.WorkerProcess("cuda:1", None)  # type: ignore[arg-type] # never asked
    error = pool.worker_error(there, "failed", ("DeviceError", "no memory", ("a note",)))
    assert (type(error), str(error)) == (DeviceError, "on cuda:1: no memory")
    assert isinstance(error, LivematteError)
    assert error.notes == ("a note",)
    assert isinstance(pool.worker_error(there, "failed", ("MissingExtraError", "x", ())), UsageError)
