"""Without the extra ``torch``: the default works, and what needs torch names the extra in one line."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from livematte import cli, errors
from livematte.inference import runtime_choice
from livematte.tools import demo

CLIP = str(demo.clip_path())


@pytest.fixture(autouse=True)
def no_torch(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def find(name: str, package: str | None = None) -> object:
        return None if name == "torch" else find_spec(name, package)

    monkeypatch.setattr(errors, "find_spec", find)
    monkeypatch.setattr(runtime_choice, "find_spec", find)
    for name in [name for name in sys.modules if name == "torch" or name.startswith("torch.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "torch", None)  # an import of it fails
    monkeypatch.setenv("LIVEMATTE_CACHE", str(tmp_path / "cache"))  # no networks that torch converted earlier


def test_a_render_and_a_cutout_need_no_torch(tmp_path: Path) -> None:
    assert cli.run(["render", CLIP, str(tmp_path / "out.mp4"), "--end", "0.1", "--quiet"]) == 0
    assert cli.run(["image", str(demo.background_path()), str(tmp_path / "out.png"), "--quiet"]) == 0


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["render", CLIP, "o.mp4", "--refine", "fba-live"], "fba-live from its safetensors weights"),
        (["render", CLIP, "o.mp4", "--precision", "fp32"], "late-fusion-live from its safetensors weights"),
        (["render", CLIP, "o.mp4", "--precision", "fp32", "--runtime", "onnxruntime"], "safetensors weights"),
        (["render", CLIP, "o.mp4", "--runtime", "torch"], "the runtime torch"),
        (["train", "late-fusion-live", "--data", "."], "training"),
    ],
)
def test_what_needs_torch_names_the_extra(
    words: list[str],
    says: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.run(words) == 2
    (line,) = capsys.readouterr().err.splitlines()
    extra = "train" if words[0] == "train" else "torch"
    assert says in line and f"pip install '.[{extra}]'" in line
    assert not (tmp_path / "o.mp4").exists()
