"""Refiners, drawn trimaps and the debug view as a user meets them."""

from __future__ import annotations

import json
import time
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

import livematte
from livematte import api, cli, registry
from livematte.errors import UsageError
from livematte.frame import Array, Matte
from livematte.tools import demo
from livematte.video.reader import open_video
from tests import refiners

CLIP = str(demo.clip_path())
SHORT = ("--start", "0", "--end", "0.12")
FAST = ("--size", "160")


@pytest.fixture(autouse=True)
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(refiners.install(tmp_path / "site")))
    assert refiners.NAME in registry.names("refiners")


def decoded(path: Path, format: str) -> list[Array]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format=format) for frame in container.decode(video=0)]


@pytest.fixture
def trimap(tmp_path: Path) -> tuple[Path, Array]:
    """The clip's size: somebody in the middle, doubt around."""
    drawn = np.zeros((720, 1280), np.uint8)
    drawn[100:700, 300:1000], drawn[300:600, 500:800] = 128, 255
    path = tmp_path / "drawn.png"
    cv2.imwrite(str(path), drawn)
    return path, drawn


def test_a_video_is_refined_in_the_band_only(tmp_path: Path) -> None:
    paths = {how: tmp_path / f"{how}.mkv" for how in ("guided", refiners.NAME)}
    for how, path in paths.items():
        out = str(tmp_path / f"{how}.mp4")
        extra = ["--refine", how, "--alpha-out", str(path)]
        assert cli.run(["render", CLIP, out, *SHORT, *FAST, *extra, "--quiet"]) == 0
    guided, refined = (decoded(path, "gray") for path in paths.values())
    assert len(guided) == len(refined) == 3
    for before, after in zip(guided, refined, strict=True):
        changed = np.abs(before.astype(int) - after) > 64
        assert 0.005 < changed.mean() < 0.5
        assert not changed[:60, 1200:].any(), "the wall is background either way"


def test_a_drawn_trimap_takes_the_place_of_a_model(tmp_path: Path, trimap: tuple[Path, Array]) -> None:
    path, drawn = trimap
    with open_video(CLIP) as source:
        luma = next(iter(source)).planes[0]
    for option in ("--refine", "--model"):
        out = tmp_path / f"out{option}.png"
        assert cli.run(["image", CLIP, str(out), "--trimap", str(path), option, refiners.NAME, "-q"]) == 0
        rgba = decoded(out, "rgba")[0]
        alpha = rgba[..., 3]
        assert (alpha[drawn == 0] == 0).all() and (alpha[drawn == 255] == 255).all()
        unknown = drawn == 128
        bright = (luma > 150)[unknown]
        assert alpha[unknown][bright].mean() > 200 and 0 < alpha[unknown].mean() < 255


def test_in_a_drawn_band_the_refiner_alone_is_heard(tmp_path: Path) -> None:
    """However narrow: what the band hides is nobody's first word."""
    y, x = np.mgrid[:720, :1280]
    distance = np.hypot(y - 360, x - 640)
    drawn = np.select([distance < 196, distance < 204], [255, 128], 0).astype(np.uint8)
    path, out = tmp_path / "drawn.png", tmp_path / "out.png"
    cv2.imwrite(str(path), drawn)
    assert cli.run(["image", CLIP, str(out), "--trimap", str(path), "--refine", refiners.NAME, "-q"]) == 0
    alpha = decoded(out, "rgba")[0][..., 3][drawn == 128]
    assert np.isin(alpha, [0, 255]).mean() > 0.95, "it says nothing between"


def test_the_refiners_colours_are_in_the_picture(tmp_path: Path, trimap: tuple[Path, Array]) -> None:
    out = tmp_path / "people.png"
    extra = ["--trimap", str(trimap[0]), "--refine", refiners.NAME, "--foreground-out", str(out)]
    assert cli.run(["image", CLIP, str(tmp_path / "out.png"), *extra, "-q"]) == 0
    assert decoded(out, "rgb24")[0].shape == (720, 1280, 3)


def test_a_budget_is_in_milliseconds_and_leaves_tiles_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiles = 0
    refine = refiners.BrightIsFront.refine

    def slow(self: refiners.BrightIsFront, rgb: Array, trimap: Array) -> Matte:
        nonlocal tiles
        tiles += 1
        time.sleep(0.01)
        return refine(self, rgb, trimap)

    monkeypatch.setattr(refiners.BrightIsFront, "refine", slow)
    refined = {}
    for budget in ("1", "60000", None):
        options = ["--refine", refiners.NAME, "--refine-size", "640"]
        options += [] if budget is None else ["--refine-budget", budget]
        tiles = 0
        out = str(tmp_path / f"{budget}.mp4")
        assert cli.run(["render", CLIP, out, *SHORT, *FAST, *options, "--quiet"]) == 0
        refined[budget] = tiles
    assert refined["1"] == 3, "one in each frame, however short the time is"
    assert refined["60000"] == refined[None] > 6


def test_trimap_writes_a_picture_that_image_takes(tmp_path: Path) -> None:
    path = tmp_path / "t.png"
    assert cli.run(["trimap", CLIP, str(path), *FAST, "-q"]) == 0
    grey = decoded(path, "gray")[0]
    assert grey.shape == (720, 1280) and set(np.unique(grey)) == {0, 128, 255}
    assert grey[600, 500] == 255 and grey[40, 1200] == 0
    out = str(tmp_path / "out.png")
    assert cli.run(["image", CLIP, out, "--trimap", str(path), "--refine", refiners.NAME, "-q"]) == 0


def test_trimap_writes_a_video_of_every_frame(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "t.mkv"
    assert cli.run(["trimap", CLIP, str(path), *SHORT, *FAST, "--json"]) == 0
    events = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert events[-1]["event"] == "done" and events[-1]["frames"] == 3
    frames = decoded(path, "gray")
    assert len(frames) == 3
    for grey in frames:
        near = np.min([np.abs(grey.astype(int) - level) for level in (0, 128, 255)], axis=0)
        assert (near < 32).mean() > 0.98


@pytest.mark.parametrize("options", [(), ("--refine", refiners.NAME)], ids=["model", "refiner"])
def test_the_debug_view_shows_every_map(tmp_path: Path, options: tuple[str, ...]) -> None:
    still, moving = tmp_path / "view.png", tmp_path / "view.mp4"
    out = str(tmp_path / "out.png")
    assert cli.run(["image", CLIP, out, *options, "--debug-view", str(still), "-q"]) == 0
    out = str(tmp_path / "out.mp4")
    assert cli.run(["render", CLIP, out, *SHORT, *FAST, *options, "--debug-view", str(moving), "-q"]) == 0
    one, frames = decoded(still, "rgb24")[0], decoded(moving, "rgb24")
    count = 5 + (2 if options else 0)  # picture, alpha, the model's three maps
    columns = int(np.ceil(np.sqrt(count)))
    expected = (270 * -(-count // columns), 480 * columns, 3)
    assert one.shape == expected and [frame.shape for frame in frames] == [expected] * 3
    cells = one.reshape(expected[0] // 270, 270, columns, 480, 3).swapaxes(1, 2).reshape(-1, 270, 480, 3)
    assert all(cell[40:].std() > 5 for cell in cells[:count])
    assert all(cell[8:-8, 8:-8].max() < 4 for cell in cells[count:])


def test_the_api_takes_a_refiner_that_is_loaded(tmp_path: Path) -> None:
    network = api.load_model(size=160)
    (frame, matte), *_ = livematte.mattes(CLIP, model=network, refine=refiners.BrightIsFront(), end=0.05)
    assert matte.alpha.shape == frame.size
    livematte.image(CLIP, tmp_path / "out.png", model=network, refine=refiners.BrightIsFront())


def test_models_lists_refiners_too(capfd: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["models", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capfd.readouterr().out)}
    assert rows["late-fusion-live"]["kind"] == "model" and rows[refiners.NAME]["kind"] == "refiner"
    assert cli.run(["models"]) == 0
    said = capfd.readouterr().out
    assert "refiners (--refine)" in said and refiners.NAME in said


def refused(capfd: pytest.CaptureFixture[str], *command: object) -> str:
    code = cli.run([str(word) for word in command])
    lines = capfd.readouterr().err.splitlines()
    assert code in (1, 2) and len(lines) == 1 and "this is a bug" not in lines[0], lines
    return lines[0]


def test_what_cannot_be_meant_is_one_line(
    tmp_path: Path, trimap: tuple[Path, Array], capfd: pytest.CaptureFixture[str]
) -> None:
    name, drawn, out = refiners.NAME, trimap[0], tmp_path / "out.png"
    video = tmp_path / "out.mp4"
    assert f"did you mean '{name}'" in refused(capfd, "render", CLIP, video, "--refine", "bright-is-frnt")
    assert "takes a trimap: use --refine" in refused(capfd, "render", CLIP, video, "--model", name)
    assert "takes a trimap: use --refine" in refused(capfd, "image", CLIP, out, "--model", name)
    assert "model without a trimap" in refused(capfd, "image", CLIP, out, "--refine", "late-fusion-live")
    line = refused(capfd, "image", CLIP, out, "--trimap", drawn)
    assert "name it with --refine (" in line and name in line
    both = ("--trimap", drawn, "--model", name, "--refine", name)
    assert "name one of them" in refused(capfd, "image", CLIP, out, *both)
    for option, value in (("size", 7), ("budget", 0), ("budget", "nan")):
        given = ("--refine", name, f"--refine-{option}", value)
        assert f"refine {option}" in refused(capfd, "render", CLIP, video, *given)
    assert "name one with --refine" in refused(capfd, "render", CLIP, video, "--refine-size", 640)
    mine = ("--refine", name, "--refine-weights", "mine.safetensors")
    line = refused(capfd, "render", CLIP, video, *mine)
    assert "--refine-weights away" in line and "another --refine" in line
    same = ("--trimap", drawn, "--refine", name, "--overwrite")
    assert "is also the trimap" in refused(capfd, "image", CLIP, drawn, *same)
    assert "twice" in refused(capfd, "render", CLIP, video, "--debug-view", video)
    assert not out.exists() and not video.exists()


def test_test_time_augmentation_is_an_option_where_a_refiner_has_it(tmp_path: Path) -> None:
    rng, ramp = np.random.default_rng(0), np.linspace(0, 255, 96)[None, :, None]
    picture, drawn = tmp_path / "in.png", tmp_path / "t.png"
    cv2.imwrite(str(picture), np.clip(ramp + rng.normal(0, 20, (64, 96, 3)), 0, 255).astype(np.uint8))
    trimap = np.full((64, 96), 128, np.uint8)
    trimap[:, :24], trimap[:, -24:] = 0, 255
    cv2.imwrite(str(drawn), trimap)
    alphas = []
    for extra in ([], ["--refine-tta"]):
        out = tmp_path / f"out{len(extra)}.png"
        given = ["--trimap", str(drawn), "--refine", "fba-live", *extra, "--quiet"]
        assert cli.run(["image", str(picture), str(out), *given]) == 0
        alphas.append(decoded(out, "rgba")[0][..., 3].astype(int))
    changed = np.abs(alphas[1] - alphas[0])
    assert changed[trimap == 128].max() > 3 and not changed[trimap != 128].any()


def test_test_time_augmentation_is_refused_where_there_is_none(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    name, out, video = refiners.NAME, tmp_path / "out.png", tmp_path / "out.mp4"
    for command, target in (("image", out), ("render", video)):
        line = refused(capfd, command, CLIP, target, "--refine", name, "--refine-tta")
        assert f"{name} has no test-time augmentation" in line and "fba-live" in line
        assert "--refine-tta needs a refiner" in refused(capfd, command, CLIP, target, "--refine-tta")
    assert "no test-time" in refused(capfd, "eval", "--data", tmp_path, "--refine", name, "--refine-tta")
    with pytest.raises(UsageError, match="augment=True"):
        livematte.image(CLIP, out, refine=refiners.BrightIsFront(), refine_tta=True)
    assert not out.exists() and not video.exists()


def test_a_trimap_of_another_size_is_one_line(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "small.png"
    cv2.imwrite(str(path), np.full((72, 128), 128, np.uint8))
    given = ("--trimap", path, "--refine", refiners.NAME)
    line = refused(capfd, "image", CLIP, tmp_path / "out.png", *given)
    assert "small.png is 128x72, the picture 1280x720" in line
    missing = ("--trimap", tmp_path / "no.png", "--refine", refiners.NAME)
    assert "no.png" in refused(capfd, "image", CLIP, tmp_path / "out.png", *missing)


def test_a_model_asked_for_by_a_refiners_name_is_refused_in_python_too() -> None:
    with pytest.raises(UsageError, match="takes a trimap"):
        livematte.load_model(refiners.NAME)
