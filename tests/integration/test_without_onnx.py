"""Without the extra ``onnx``: the default works, and what needs ONNX Runtime or onnx names the extra."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from livematte import cli, errors
from livematte.inference import runtime_choice, weights
from livematte.tools import demo

CLIP = str(demo.clip_path())
PACKAGES = ("onnx", "onnxruntime")


@pytest.fixture(autouse=True)
def no_onnx(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    if find_spec("openvino") is None:
        pytest.skip("this system has no OpenVINO: onnxruntime is part of the installation")

    def find(name: str, package: str | None = None) -> object:
        return None if name in PACKAGES else find_spec(name, package)

    monkeypatch.setattr(errors, "find_spec", find)
    monkeypatch.setattr(runtime_choice, "find_spec", find)
    for name in [name for name in sys.modules if name.partition(".")[0] in PACKAGES]:
        monkeypatch.delitem(sys.modules, name)
    for name in PACKAGES:
        monkeypatch.setitem(sys.modules, name, None)  # an import of it fails
    monkeypatch.setenv("LIVEMATTE_CACHE", str(tmp_path / "cache"))  # no networks that were compiled earlier


@pytest.mark.parametrize("model", ["late-fusion-live", "jmnet-live", "pomagan-live"])
def test_a_render_and_a_cutout_need_no_onnx(tmp_path: Path, model: str) -> None:
    given = ["--model", model, "--quiet"]
    assert cli.run(["render", CLIP, str(tmp_path / "out.mp4"), "--end", "0.1", *given]) == 0
    assert cli.run(["image", str(demo.background_path()), str(tmp_path / "out.png"), *given]) == 0


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--runtime", "onnxruntime"], "the runtime onnxruntime"),
        (["--runtime", "tensorrt"], "the runtime tensorrt"),
        (["--weights", "mine.onnx"], "the weight file mine.onnx in ONNX format"),
    ],
)
def test_what_needs_onnx_names_the_extra(
    words: list[str],
    says: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    shipped = weights.find_card("late-fusion-live").file("int8")
    assert shipped is not None
    Path("mine.onnx").write_bytes(shipped.path.read_bytes())
    assert cli.run(["render", CLIP, "o.mp4", *words]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert says in line and "pip install '.[onnx]'" in line and not Path("o.mp4").exists()
