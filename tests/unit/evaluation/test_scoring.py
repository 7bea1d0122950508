"""Judging: answers whose error is known, and the shipped network on a photograph."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from livematte import api
from livematte.errors import InputError, ModelError, OutputError, UsageError
from livematte.evaluation import scoring
from livematte.evaluation.scoring import MattingPipeline, evaluate
from livematte.evaluation.truth import Case, Truth
from livematte.frame import Matte
from livematte.kernels.resize import resize
from livematte.matting import metrics
from livematte.matting.compositor import Compositor
from livematte.matting.refiner import TileRefiner
from livematte.resolve import resolve

HEIGHT, WIDTH = 60, 80


def person(shift: int = 0) -> Truth:
    """A soft-edged column on noise."""
    alpha = np.zeros((HEIGHT, WIDTH), np.float32)
    alpha[10:, 30 + shift : 50 + shift] = 1
    alpha = cv2.GaussianBlur(alpha, (0, 0), 2)
    rgb = np.random.default_rng(1).integers(0, 256, (HEIGHT, WIDTH, 3)).astype(np.uint8)
    return Truth(np.roll(rgb, shift, 1), alpha, rgb)


def case(name: str, *frames: Truth) -> Case:
    return Case(name, lambda: iter(frames))


def off_by(error: float, truth: Truth) -> Callable[[np.ndarray], np.ndarray]:
    return lambda rgb: truth.alpha + np.float32(error)


class Errs:
    """The truth, each case with an error of its own; says when a case begins."""

    def __init__(self, *errors: float) -> None:
        self.errors, self.begun = errors, 0

    def begin(self) -> None:
        self.begun += 1

    def __call__(self, rgb: np.ndarray) -> np.ndarray:
        return person().alpha + np.float32(self.errors[self.begun - 1])


def test_a_known_error_gives_known_figures() -> None:
    truth = person()
    values = evaluate(off_by(0.01, truth), [case("a", truth)]).scores[0].values
    assert values["MAD"] == pytest.approx(10, rel=1e-4)
    assert values["MSE"] == pytest.approx(0.1, rel=1e-4)
    assert values["SAD"] == pytest.approx(0.01 * HEIGHT * WIDTH / 1000, rel=1e-4)
    assert values["Grad"] == pytest.approx(0, abs=1e-6)
    assert values["Conn"] == pytest.approx(metrics.conn(truth.alpha + 0.01, truth.alpha) / 1000)
    assert set(values) == {"SAD", "MAD", "MSE", "Grad", "Conn"}


def test_the_mean_is_over_cases_and_the_worst_come_first() -> None:
    judged = Errs(0.02, 0.05, 0.01)
    report = evaluate(judged, [case(name, person()) for name in "abc"], worst=2)
    assert judged.begun == 3
    assert report.mean["MAD"] == pytest.approx(80 / 3, rel=1e-4)
    assert [strip.name for strip in report.worst] == ["b", "a"]
    assert report.worst[0].mad == pytest.approx(50, rel=1e-4)


def test_every_case_counts_once_however_long() -> None:
    cases = [case("long", *[person()] * 3), case("short", person())]
    assert evaluate(Errs(0.03, 0.01), cases).mean["MAD"] == pytest.approx(20, rel=1e-4)


def test_the_band_leaves_out_what_is_solid() -> None:
    truth = person()
    wrong = truth.alpha.copy()
    wrong[:, :3] = 1  # far from every edge
    assert evaluate(lambda rgb: wrong, [case("a", truth)]).mean["SAD"] > 0.1
    assert evaluate(lambda rgb: wrong, [case("a", truth)], band=True).mean["SAD"] == 0


def test_a_trimap_that_is_given_is_the_band() -> None:
    trimap = np.zeros((HEIGHT, WIDTH), np.uint8)
    trimap[:5, :4] = 128
    truth = Truth(person().rgb, person().alpha, None, trimap)
    found = evaluate(off_by(0.5, truth), [case("a", truth)], band=True)
    assert found.mean["SAD"] == pytest.approx(0.5 * 20 / 1000)
    assert found.facts()["region"] == "unknown band"


def test_flicker_of_a_clip_and_not_of_a_picture() -> None:
    frames = [person(shift) for shift in (0, 2, 4)]
    shaky = iter([0.0, 0.1, 0.0])
    ordered: Iterator[Truth] = iter(frames)
    found = evaluate(lambda rgb: next(ordered).alpha + np.float32(next(shaky)), [case("walk", *frames)])
    assert found.scores[0].frames == 3
    assert found.mean["dtSSD"] == pytest.approx(10, rel=1e-4)  # root of 0.1 squared, times 100
    assert found.mean["MESSDdt"] == pytest.approx(10, rel=1e-4)  # 0.1 squared, times 1000
    steady: Iterator[Truth] = iter(frames)
    found = evaluate(lambda rgb: next(steady).alpha + np.float32(0.1), [case("walk", *frames)])
    assert found.mean["dtSSD"] == pytest.approx(0, abs=1e-4)
    assert found.mean["MESSDdt"] == pytest.approx(0, abs=1e-4)


def test_foreground_is_judged_where_both_know_it() -> None:
    truth = person()
    assert truth.foreground is not None
    colour = truth.foreground.astype(np.float32) / 255

    def judged(rgb: np.ndarray) -> Matte:
        return Matte(truth.alpha, colour + np.float32(0.1))

    found = evaluate(judged, [case("a", truth)]).mean
    assert found["fgMSE"] == pytest.approx(10, rel=1e-3)
    assert found["fgSAD"] == pytest.approx(0.3 * (truth.alpha > 0).sum() / 1000, rel=1e-3)
    assert "fgMSE" not in evaluate(judged, [case("a", Truth(truth.rgb, truth.alpha))]).mean


def test_an_answer_that_is_none_is_refused() -> None:
    with pytest.raises(ModelError, match="frame 1.*size"):
        evaluate(lambda rgb: np.zeros((4, 4), np.float32), [case("a", person())])
    with pytest.raises(ModelError, match="NaN or infinity"):
        evaluate(lambda rgb: np.full(rgb.shape[:2], np.nan, np.float32), [case("a", person())])
    with pytest.raises(InputError):
        evaluate(lambda rgb: np.zeros(rgb.shape[:2], np.float32), [])


def test_report_on_disk(tmp_path: Path) -> None:
    report = evaluate(Errs(0.4, -0.2), [case("a/b", person()), case("c", person())])
    paths = scoring.write_report(report, tmp_path / "new" / "out", model="mine")
    assert [path.name for path in paths] == ["scores.json", "scores.md", "01-a_b-1.png", "02-c-1.png"]
    facts = json.loads(paths[0].read_text(encoding="utf-8"))
    assert facts["model"] == "mine"
    assert facts["mean"]["MAD"] == pytest.approx(300, rel=1e-4)
    assert [one["name"] for one in facts["cases"]] == ["a/b", "c"]
    lines = paths[1].read_text(encoding="utf-8").splitlines()
    assert lines[0].startswith("| picture | SAD / 1000 | MAD x 1000 |")
    assert [line.split("|")[1].strip() for line in lines[2:]] == ["mean", "a/b", "c"]
    assert lines[3].split("|")[3].strip() == "400.00"
    shown = cv2.cvtColor(cv2.imread(str(paths[2])), cv2.COLOR_BGR2RGB)
    panels = np.split(shown, 4, axis=1)
    truth = person()
    np.testing.assert_array_equal(panels[0], truth.rgb)
    np.testing.assert_array_equal(panels[1][..., 0], np.rint(truth.alpha * 255))
    np.testing.assert_array_equal(panels[2][..., 0], np.rint(np.clip(truth.alpha + 0.4, 0, 1) * 255))
    assert tuple(panels[3][0, 0]) == (255, 153, 153)  # too much by 0.4: red
    lacking = cv2.cvtColor(cv2.imread(str(paths[3])), cv2.COLOR_BGR2RGB)[0, -1]
    assert tuple(lacking) == (204, 204, 255)


def test_a_folder_that_cannot_be_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="file cannot be written"):
        scoring.report_folder(tmp_path / "file")


def test_an_older_report_is_replaced(tmp_path: Path) -> None:
    for name in ("a", "b"):
        scoring.write_report(evaluate(Errs(0.1), [case(name, person())]), tmp_path)
    assert [path.name for path in (tmp_path / "worst").iterdir()] == ["01-b-1.png"]


def test_a_table_has_a_dash_where_a_row_has_nothing() -> None:
    table = scoring.markdown([("one", {"MAD": 1.0}), ("two", {"MAD": 2.0, "dtSSD": 3.0})], "model")
    assert table.splitlines() == [
        "| model | MAD x 1000 | dtSSD x 100 |",
        "|---|---:|---:|",
        "| one | 1.00 | - |",
        "| two | 2.00 | 3.00 |",
    ]


@pytest.fixture(scope="module")
def network() -> api.Model:
    return api.load_model(size=128, runtime="onnxruntime", device="cpu", threads=1)


@pytest.fixture(scope="module")
def astronaut() -> np.ndarray:
    from skimage.data import astronaut

    return np.ascontiguousarray(cv2.resize(astronaut(), (256, 256), interpolation=cv2.INTER_AREA))


def test_the_network_alone_is_its_alpha_enlarged(network: api.Model, astronaut: np.ndarray) -> None:
    alone = MattingPipeline(network)(astronaut)
    rows, columns = network.input_size(256, 256)
    small = np.stack([resize(astronaut[..., c], rows, columns) for c in range(3)], -1)
    expected = cv2.resize(network(small, None)[0].alpha, (256, 256))
    assert expected.mean() > 0.2
    assert np.abs(alone.alpha - expected).mean() < 0.01  # 4:2:0 is all that lies between


def test_the_whole_way_is_what_an_image_gets(
    network: api.Model, astronaut: np.ndarray, tmp_path: Path
) -> None:
    cv2.imwrite(str(tmp_path / "in.png"), astronaut[..., ::-1])
    api.image(tmp_path / "in.png", tmp_path / "out.png", model=network, alpha_out=tmp_path / "alpha.png")
    expected = cv2.imread(str(tmp_path / "alpha.png"), cv2.IMREAD_GRAYSCALE).astype(np.float32) / 255
    matte = MattingPipeline(network, Compositor())(astronaut)
    assert np.abs(matte.alpha - expected).mean() < 0.01
    assert np.abs(matte.alpha - MattingPipeline(network)(astronaut).alpha).mean() > 0.005  # refined
    assert matte.foreground is not None and matte.foreground.shape == (256, 256, 3)


class SplitInference:
    """A refiner that is sure of nothing: half wherever it is asked."""

    stride = 32

    def refine(self, rgb: np.ndarray, trimap: np.ndarray) -> Matte:
        return Matte(np.where(trimap == 128, 0.5, trimap / 255).astype(np.float32))


def test_a_refiner_is_judged_by_the_same_door(network: api.Model, astronaut: np.ndarray) -> None:
    guided = MattingPipeline(network, Compositor())(astronaut).alpha
    truth = Truth(astronaut, guided)
    refined = MattingPipeline(network, Compositor(refiner=TileRefiner(SplitInference())))
    report = evaluate(refined, [case("astronaut", truth)], band=True)
    (same,) = evaluate(MattingPipeline(network, Compositor()), [case("astronaut", truth)], band=True).scores
    assert same.values["MAD"] == 0
    assert 100 < report.mean["MAD"] < 500  # at an edge half is wrong by up to a half


def test_a_new_case_forgets_the_last(network: api.Model, astronaut: np.ndarray) -> None:
    judged = MattingPipeline(network, Compositor())
    first = judged(astronaut).alpha
    judged(np.ascontiguousarray(astronaut[:, ::-1]))
    judged.begin()
    np.testing.assert_array_equal(judged(astronaut).alpha, first)


def test_temporal_must_be_known() -> None:
    with pytest.raises(UsageError, match="temporal"):
        resolve({"temporal": "perhaps"})
