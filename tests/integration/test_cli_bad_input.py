"""Whatever is asked wrongly gets one line and an exit code, and harms no file that was there."""

from __future__ import annotations

import struct
import wave
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from livematte import cli, device
from livematte.tools import demo

WITH_OUTPUT = ("render", "image", "trimap")
PRECIOUS = b"a file that someone still needs"
CLIP = str(demo.clip_path())

Run = Callable[..., str]


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """An output that exists already."""
    target = tmp_path / "out.mp4"
    target.write_bytes(PRECIOUS)
    return target


@pytest.fixture
def refused(out: Path, capfd: pytest.CaptureFixture[str]) -> Run:
    """Runs a command that must fail with ``code``; gives its one line."""

    def run(*args: object, code: int) -> str:
        before = sorted(path.name for path in out.parent.iterdir())
        words = [str(arg) for arg in args]
        if words[0] in WITH_OUTPUT and "--no-overwrite" not in words:
            words.insert(1, "--overwrite")  # a file that may be replaced is not harmed either
        assert cli.run(words) == code
        captured = capfd.readouterr()
        lines = captured.err.splitlines()
        assert len(lines) == 1, captured.err
        assert lines[0].startswith("livematte: error: ")
        assert "this is a bug" not in captured.err
        assert captured.out == ""
        assert out.read_bytes() == PRECIOUS
        assert sorted(path.name for path in out.parent.iterdir()) == before
        return lines[0]

    return run


def test_missing_file(refused: Run, out: Path, tmp_path: Path) -> None:
    assert "nothere.mp4" in refused("render", tmp_path / "nothere.mp4", out, code=1)


def test_a_directory(refused: Run, out: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "directory" in refused("render", empty, out, code=1)
    assert "--out-dir" in refused("render", tmp_path, out, code=2)  # it holds a video


def test_sound_alone(refused: Run, out: Path, tmp_path: Path) -> None:
    sound = tmp_path / "sound.wav"
    with wave.open(str(sound), "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(bytes(16000))
    assert "video" in refused("render", sound, out, code=1)


def test_zero_length(refused: Run, out: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty.mp4"
    empty.touch()
    assert "empty" in refused("render", empty, out, code=1)


def test_text_that_calls_itself_a_video(refused: Run, out: Path, tmp_path: Path) -> None:
    text = tmp_path / "text.mp4"
    text.write_text("This is not a video.\n" * 50, encoding="utf-8")
    assert "text.mp4" in refused("render", text, out, code=1)


def test_noise_that_calls_itself_a_video(refused: Run, out: Path, tmp_path: Path) -> None:
    noise = tmp_path / "noise.mp4"
    noise.write_bytes(bytes((i * 89 + i // 7) % 256 for i in range(20000)))
    refused("render", noise, out, code=1)


def test_a_video_without_its_index(refused: Run, out: Path, tmp_path: Path) -> None:
    whole = Path(CLIP).read_bytes()
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(whole[:1000])
    refused("render", cut, out, code=1)


def test_unknown_model_with_a_guess(refused: Run, out: Path) -> None:
    line = refused("render", CLIP, out, "--model", "late-fusion-life", code=2)
    assert "did you mean 'late-fusion-live'" in line


def test_unknown_colour(refused: Run, out: Path) -> None:
    assert "grreen" in refused("render", CLIP, out, "--background", "grreen", code=2)


def test_background_file_that_is_missing(refused: Run, out: Path, tmp_path: Path) -> None:
    assert "beach.jpg" in refused("render", CLIP, out, "-b", tmp_path / "beach.jpg", code=2)


def test_background_file_that_is_no_picture(refused: Run, out: Path, tmp_path: Path) -> None:
    text = tmp_path / "beach.jpg"
    text.write_text("sand", encoding="utf-8")
    assert "beach.jpg" in refused("render", CLIP, out, "-b", text, code=1)


def test_unknown_device(refused: Run, out: Path) -> None:
    assert "tpu" in refused("render", CLIP, out, "--device", "tpu", code=2)


@pytest.mark.skipif(device.driver_gpus() > 0, reason="there is a GPU here")
def test_a_gpu_that_is_not_there(refused: Run, out: Path) -> None:
    assert "GPU" in refused("render", CLIP, out, "--device", "cuda", code=1)


@pytest.mark.parametrize("option", ["--runtime", "--precision", "--temporal", "--refine", "--fit", "--codec"])
def test_unknown_word_for_an_option(refused: Run, out: Path, option: str) -> None:
    background = demo.background_path()
    assert "sideways" in refused("render", CLIP, out, "-b", background, option, "sideways", code=2)


@pytest.mark.parametrize(
    "options",
    [
        ("--crf", "good"),
        ("--crf", "400"),
        ("--size", "7"),
        ("--size", "99999"),
        ("--threads", "0"),
        ("--start", "-1"),
        ("--start", "nan"),
        ("--end", "inf"),
        ("--start", "3", "--end", "1"),
        ("--nonsense",),
        ("--background", ""),
    ],
    ids=" ".join,
)
def test_values_that_cannot_be(refused: Run, out: Path, options: tuple[str, ...]) -> None:
    refused("render", CLIP, out, *options, code=2)


def test_output_equal_to_input(refused: Run, tmp_path: Path) -> None:
    clip = tmp_path / "clip.mp4"
    clip.write_bytes(Path(CLIP).read_bytes())
    before = clip.read_bytes()
    assert "input" in refused("render", clip, tmp_path / "." / "clip.mp4", code=2)
    assert clip.read_bytes() == before


def test_output_equal_to_its_background(refused: Run, out: Path, tmp_path: Path) -> None:
    assert "is also the background" in refused("render", CLIP, out, "-b", out, code=2)
    still = tmp_path / "still.png"
    still.write_bytes(PRECIOUS)
    for option in ("-b", "--background"):
        assert "is also the background" in refused("image", CLIP, still, option, still, code=2)
    assert still.read_bytes() == PRECIOUS


def test_matte_equal_to_the_picture(refused: Run, out: Path) -> None:
    assert "twice" in refused("render", CLIP, out, "--alpha-out", out, code=2)


def test_missing_folder(refused: Run, tmp_path: Path) -> None:
    assert "nofolder" in refused("render", CLIP, tmp_path / "nofolder" / "out.mp4", code=1)


def test_output_of_an_unknown_kind(refused: Run, tmp_path: Path) -> None:
    assert ".xyz" in refused("render", CLIP, tmp_path / "out.xyz", code=2)


def test_transparent_into_a_container_without_alpha(refused: Run, out: Path) -> None:
    assert ".mov" in refused("render", CLIP, out, "--background", "transparent", code=2)


def test_existing_output_when_overwriting_is_forbidden(refused: Run, out: Path) -> None:
    assert "out.mp4" in refused("render", CLIP, out, "--no-overwrite", code=2)


def test_existing_pictures_when_overwriting_is_forbidden(refused: Run, tmp_path: Path) -> None:
    folder = tmp_path / "frames"
    folder.mkdir()
    (folder / "a7.png").write_bytes(PRECIOUS)
    assert "a%02d.png" in refused("render", CLIP, folder / "a%02d.png", "--no-overwrite", code=2)
    assert (folder / "a7.png").read_bytes() == PRECIOUS


@pytest.mark.parametrize("name", ["cut.jpg", "cut.bmp"])
def test_a_cut_out_into_a_picture_without_transparency(refused: Run, tmp_path: Path, name: str) -> None:
    assert ".png" in refused("image", CLIP, tmp_path / name, code=2)


def test_a_picture_of_an_unknown_kind(refused: Run, tmp_path: Path) -> None:
    assert ".png" in refused("image", CLIP, tmp_path / "cut.gif", "-b", "red", code=2)


def test_a_picture_as_a_video(refused: Run, out: Path) -> None:
    assert "livematte image" in refused("render", demo.background_path(), out, code=2)


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims a size and holds nothing."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b""))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("command", ["render", "image", "probe"])
def test_huge_dimensions(refused: Run, out: Path, tmp_path: Path, command: str) -> None:
    huge = tmp_path / "huge.png"
    huge.write_bytes(png_header(100_000, 100_000))
    refused(command, huge, *([] if command == "probe" else [out]), code=1)


def test_weights_that_are_missing(refused: Run, out: Path, tmp_path: Path) -> None:
    assert "mine.safetensors" in refused(
        "render", CLIP, out, "--weights", tmp_path / "mine.safetensors", code=1
    )


def test_weights_that_are_a_pickle(refused: Run, out: Path, tmp_path: Path) -> None:
    pickle = tmp_path / "mine.pth"
    pickle.write_bytes(b"\x80\x04N.")
    assert "safetensors" in refused("render", CLIP, out, "--weights", pickle, code=1)


def test_weights_that_are_noise(refused: Run, out: Path, tmp_path: Path) -> None:
    noise = tmp_path / "mine.safetensors"
    noise.write_bytes(b"\x10" * 1000)
    assert "mine.safetensors" in refused("render", CLIP, out, "--weights", noise, code=1)


def test_weights_of_another_network(refused: Run, out: Path, tmp_path: Path) -> None:
    import numpy as np
    from safetensors.numpy import save_file

    other = tmp_path / "mine.safetensors"
    save_file({"some.weight": np.zeros((2, 3), np.float32)}, str(other))
    line = refused("render", CLIP, out, "--weights", other, code=1)
    assert "missing" in line
    assert "some.weight" in line


def test_shipped_weights_with_another_hash(refused: Run, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("livematte.inference.weights.sha256", lambda path: "0" * 64)
    assert "sha256" in refused("render", CLIP, out, code=1)


def test_a_model_without_weights(refused: Run, out: Path) -> None:
    assert "--weights" in refused("render", CLIP, out, "--model", "late-fusion", code=1)


def test_an_unknown_command(refused: Run) -> None:
    refused("rendre", code=2)


def test_a_missing_argument(refused: Run) -> None:
    assert "livematte render --help" in refused("render", CLIP, code=2)


def test_demo_into_a_file(refused: Run, out: Path) -> None:
    refused("demo", "--folder", out, code=1)


def test_a_name_with_a_line_break_stays_on_one_line(refused: Run, out: Path, tmp_path: Path) -> None:
    refused("render", tmp_path / "two\nlines.mp4", out, code=1)
