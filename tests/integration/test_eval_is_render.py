"""``livematte eval`` judges the alpha that ``livematte render`` writes, with every shipped network."""

from __future__ import annotations

from fractions import Fraction
from itertools import product
from pathlib import Path

import cv2
import numpy as np
import pytest

from livematte import cli, registry
from livematte.assets import clip_path
from livematte.frame import Array, ColorInfo, Frame
from livematte.inference.weights import find_card
from livematte.kernels.convert import planes_from_rgb, to_rgb
from livematte.options import DEFAULT_MODEL
from livematte.protocols import SourceInfo
from livematte.video.reader import open_video
from livematte.video.writer import open_sink

HEIGHT, WIDTH = 216, 384
FAST = ("--threads", "1", "--runtime", "onnxruntime", "--quiet")


def shipped(group: str) -> list[str]:
    files = {name: find_card(name, group).files for name in registry.names(group)}
    return [name for name, there in files.items() if any(file.path.is_file() for file in there)]


@pytest.fixture(scope="module")
def person(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real person: a picture with an alpha for ``eval``, a clip of the same 4:2:0 codes for ``render``."""
    folder = tmp_path_factory.mktemp("person")
    with open_video(str(clip_path())) as video:
        rgb = cv2.resize(to_rgb(next(iter(video))), (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
    for name, picture in (("image", rgb[..., ::-1]), ("alpha", np.full((HEIGHT, WIDTH), 255, np.uint8))):
        (folder / "data" / name).mkdir(parents=True)
        cv2.imwrite(str(folder / "data" / name / "somebody.png"), picture)
    color = ColorInfo(primaries=1, transfer=1, matrix_tag=1, range_tag=1)
    info = SourceInfo("test", HEIGHT, WIDTH, "yuv420p", Fraction(1, 25), Fraction(25), color=color)
    sink = open_sink(folder / "clip.mkv", info, codec="ffv1")
    planes = planes_from_rgb(rgb, "yuv420p", color)
    for number in range(2):
        sink.write(Frame(planes, "yuv420p", number, info.time_base, 1, color))
    sink.close()
    return folder


def alphas(person: Path, out: Path, *options: str) -> tuple[Array, Array]:
    """The alpha of the first frame, 0..255, as ``eval`` judged it and as ``render`` wrote it."""
    judged, written = out / "judged", out / "alpha"
    written.mkdir()
    assert cli.run(["eval", "--data", str(person / "data"), "--out", str(judged), *options, *FAST]) == 0
    target = ["--alpha-out", str(written / "%04d.png"), "--preset", "ultrafast"]
    assert cli.run(["render", str(person / "clip.mkv"), str(out / "out.mp4"), *target, *options, *FAST]) == 0
    (strip,) = (judged / "worst").iterdir()
    panels = cv2.imread(str(strip))
    return panels[:, 2 * WIDTH : 3 * WIDTH, 0], cv2.imread(str(sorted(written.iterdir())[0]), 0)


CASES = [
    *product([DEFAULT_MODEL], ["none", "guided"]),
    *(
        pytest.param(model, refine, marks=pytest.mark.slow)
        for model, refine in product(shipped("models"), ["none", "guided", *shipped("refiners")])
        if model != DEFAULT_MODEL or refine in shipped("refiners")
    ),
]


@pytest.mark.parametrize(("model", "refine"), CASES)
def test_what_is_judged_is_what_is_written(person: Path, tmp_path: Path, model: str, refine: str) -> None:
    judged, written = alphas(person, tmp_path, "--model", model, "--refine", refine)
    assert 0.1 < (written > 128).mean() < 0.9, "somebody is there"
    assert np.abs(judged.astype(int) - written).max() <= 1


@pytest.mark.parametrize("option", [("--keep-islands",), ("--temporal", "off"), ("--size", "160")])
def test_filters_are_the_same_too(person: Path, tmp_path: Path, option: tuple[str, ...]) -> None:
    judged, written = alphas(person, tmp_path, *option)
    assert np.abs(judged.astype(int) - written).max() <= 1
