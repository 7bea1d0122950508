"""Every program in ``examples/`` runs and gives the pictures that it promises."""

from __future__ import annotations

import ast
import json
import runpy
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from livematte.assets import clip_path

EXAMPLES = Path(__file__).parents[1] / "examples"
FRAMES = 3


def portraits() -> Iterator[np.ndarray]:
    """The first pictures of the bundled clip, small, BGR."""
    with av.open(str(clip_path())) as clip:
        for frame, _ in zip(clip.decode(video=0), range(FRAMES), strict=False):
            yield cv2.resize(frame.to_ndarray(format="bgr24"), (320, 180))


@pytest.fixture(scope="module")
def portrait() -> np.ndarray:
    return next(portraits())


def encoded(picture: np.ndarray, suffix: str = ".png") -> bytes:
    return cv2.imencode(suffix, picture)[1].tobytes()


def decoded(data: bytes) -> np.ndarray:
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)


def assert_cut_out(picture: np.ndarray, size: tuple[int, int] = (180, 320)) -> None:
    """The astronaut stands in the middle; the upper corners are room."""
    assert picture.shape == (*size, 4)
    alpha = picture[..., 3]
    height, width = size
    assert alpha[height // 2, width // 2] > 250
    assert alpha[: height // 8, : width // 8].max() < 5 and alpha[: height // 8, -width // 8 :].max() < 5


def run_notebook(path: Path) -> tuple[dict[str, Any], list[Any]]:
    """Run the cells of a notebook; its variables, and the value of each cell that ends with one."""
    names: dict[str, Any] = {"__name__": "__main__"}
    values = []
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        if cell["cell_type"] != "code":
            continue
        tree = ast.parse("".join(cell["source"]))
        last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
        exec(compile(tree, str(path), "exec"), names)
        if isinstance(last, ast.Expr):
            values.append(eval(compile(ast.Expression(last.value), str(path), "eval"), names))
    return names, [value for value in values if value is not None]


def test_every_example_is_run_here() -> None:
    text = Path(__file__).read_text(encoding="utf-8")
    files = [each.name for each in EXAMPLES.iterdir() if each.suffix in (".py", ".ipynb")]
    assert files and [name for name in files if f'"{name}"' not in text] == []


def test_the_webcam_is_shown_with_a_blurred_room(monkeypatch: pytest.MonkeyPatch) -> None:
    given = list(portraits())
    shown: list[np.ndarray] = []

    class Camera:
        def __init__(self, source: int) -> None:
            assert source == 0
            self._frames = iter(given)

        def read(self) -> tuple[bool, np.ndarray | None]:
            frame = next(self._frames, None)
            return frame is not None, frame

        def release(self) -> None:
            shown.append(np.empty(0))

    monkeypatch.setattr(cv2, "VideoCapture", Camera)
    monkeypatch.setattr(cv2, "imshow", lambda _, picture: shown.append(picture))
    monkeypatch.setattr(cv2, "waitKey", lambda _: -1)
    monkeypatch.setattr(cv2, "destroyAllWindows", lambda: None)
    monkeypatch.setattr(sys, "argv", ["opencv_webcam.py"])
    runpy.run_path(str(EXAMPLES / "opencv_webcam.py"), run_name="__main__")
    assert len(shown) == FRAMES + 1
    for frame, picture in zip(given, shown, strict=False):
        unchanged = np.abs(frame.astype(int) - picture).max(axis=2) < 4
        assert picture.shape == frame.shape and picture.dtype == np.uint8
        assert unchanged[60:80, 150:170].mean() > 0.9  # the face
        assert unchanged[:, :40].mean() < 0.5  # the flag


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_an_uploaded_picture_comes_back_cut_out(portrait: np.ndarray) -> None:
    pytest.importorskip("fastapi", reason="pip install fastapi httpx")
    pytest.importorskip("httpx", reason="pip install fastapi httpx")
    from fastapi.testclient import TestClient

    client = TestClient(runpy.run_path(str(EXAMPLES / "fastapi_upload.py"))["app"])
    binary = {"content-type": "application/octet-stream"}
    answer = client.post("/cutout", content=encoded(portrait, ".jpg"), headers=binary)
    assert answer.status_code == 200 and answer.headers["content-type"] == "image/png"
    assert_cut_out(decoded(answer.content))
    refused = client.post("/cutout", content=b"no picture", headers=binary)
    assert refused.status_code == 422 and "10 bytes" in refused.json()["detail"]


def test_a_notebook_shows_the_matte_inline() -> None:
    pytest.importorskip("PIL", reason="pip install pillow")
    names, (matte, over) = run_notebook(EXAMPLES / "jupyter_picture.ipynb")
    assert_cut_out(decoded(matte._repr_png_()), names["picture"].shape[:2])
    assert over.size == names["picture"].shape[1::-1]


def test_a_notebook_cuts_out_a_folder_of_pictures(
    portrait: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("pictures").mkdir()
    Path("pictures", "a.png").write_bytes(encoded(portrait))
    Path("pictures", "b.jpg").write_bytes(encoded(portrait[:, ::-1], ".jpg"))
    Path("pictures", "c.jpg").write_bytes(b"damaged")
    _, (covered,) = run_notebook(EXAMPLES / "jupyter_batch.ipynb")
    assert sorted(covered) == ["a.png", "b.jpg"] and "c.jpg" in capsys.readouterr().out
    for name in ("a.png", "b.png"):
        assert_cut_out(decoded(Path("cutouts", name).read_bytes()))


def test_people_stay_in_colour_in_front_of_a_grey_room(
    portrait: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "in" / "%03d.png"
    source.parent.mkdir()
    for number in (1, 2):
        Path(str(source) % number).write_bytes(encoded(portrait))
    monkeypatch.setattr(sys, "argv", ["own_composite.py", str(source), str(tmp_path / "out")])
    runpy.run_path(str(EXAMPLES / "own_composite.py"), run_name="__main__")
    assert sorted(each.name for each in (tmp_path / "out").iterdir()) == ["00000.png", "00001.png"]
    picture = decoded((tmp_path / "out" / "00001.png").read_bytes()).astype(int)
    colourful = np.ptp(picture, axis=2)
    assert colourful[:20, :40].max() <= 2 and colourful[60:80, 150:170].mean() > 20


@pytest.mark.slow
def test_the_picture_of_the_readme_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["before_after.py", str(tmp_path / "both.jpg")])
    runpy.run_path(str(EXAMPLES / "before_after.py"), run_name="__main__")
    both = decoded((tmp_path / "both.jpg").read_bytes())
    assert both.ndim == 3 and both.shape[1] > both.shape[0]
