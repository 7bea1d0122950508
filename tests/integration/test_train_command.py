"""``livematte train`` as a user runs it, on people that the test draws.

In the tests' own process, except for one run that ends well and one each that ends with 1 and with 2.
"""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests import commands
from tests.people import draw_people

CONFIG = """
seed = 4
[steps.joint]
iterations = 2
batch = 2
sizes = [[64, 64], [64, 96]]
[steps.crisp]
iterations = 1
batch = 2
sizes = [[64, 64]]
"""


livematte = commands.run


def real(*arguments):
    """In a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "livematte", *map(str, arguments)], capture_output=True, text=True, timeout=300
    )


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return draw_people(tmp_path_factory.mktemp("data") / "drawn")


def options(data, folder):
    (folder / "x.toml").write_text(CONFIG, encoding="utf-8")
    steps = ["--step", "joint", "--step", "crisp", "--config", folder / "x.toml"]
    return ["late-fusion-live", "--data", data, "--out", folder / "run", *steps]


@pytest.mark.parametrize("workers", [1, 2])
def test_a_run_trains_refuses_to_be_overwritten_and_its_weights_matte(data, tmp_path, workers):
    done = livematte("train", *options(data, tmp_path), "--workers", workers, "--json")
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert [r["step"] for r in rows if "mad" in r] == ["joint", "crisp"]
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert record["plan"]["seed"] == 4 and len(record["data_hash"]) == 64
    again = livematte("train", *options(data, tmp_path), "--workers", workers)
    assert again.returncode == 2 and "already contains a run: use --resume" in again.stderr
    out = tmp_path / "cut.png"
    picture = sorted((data / "people").iterdir())[0]
    weights = tmp_path / "run" / "average.safetensors"
    cut = livematte("image", picture, out, "--weights", weights, "--runtime", "torch")
    assert cut.returncode == 0 and out.exists(), cut.stderr


def test_the_long_step_starts_from_shipped_weights_and_counts_on_from_them(data, tmp_path):
    table = "[steps.every-size]\niterations = 2\nbatch = 2\narea = 0\nsizes = [[64, 64]]\n"
    (tmp_path / "x.toml").write_text(table, encoding="utf-8")
    start = Path(__file__).parents[2] / "models" / "late_fusion" / "weights"
    words = ["late-fusion-live", "--data", data, "--out", tmp_path / "run", "--config", tmp_path / "x.toml"]
    words += ["--step", "every-size", "--start-from", start / "late-fusion-live.safetensors"]
    done = livematte(
        "train", *words, "--crops-seen", 170000, "--precision", "bf16", "--workers", 1, "--json", "--resume"
    )
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert [r["crops"] for r in rows if "mad" in r] == [170004]
    assert json.loads((tmp_path / "run" / "run.json").read_text())["precision"] == "bf16"


def test_several_data_sets_are_trained_on_together(data, tmp_path):
    """People drawn in two folders of different layouts, on rooms from a third."""
    second = tmp_path / "pictures"
    shutil.copytree(data / "people", second / "image")
    shutil.copytree(data / "alpha", second / "alpha")
    folders = ["--data", second, "--layout", "livematte", "--layout", "image-alpha"]
    wanted = [*options(data, tmp_path), *folders, "--backgrounds", data / "backgrounds"]
    done = real("train", *wanted, "--workers", 1)
    assert done.returncode == 0, done.stderr
    (cache,) = tmp_path.glob("packed-drawn+pictures-*")
    names = [person["name"] for person in json.loads((cache / "index.json").read_text())["people"]]
    assert len(names) == 16 and "drawn_000" in names and "image/drawn_000" in names
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert record["data"] == [str(data), str(second)] and len(record["data_hash"]) == 64


def test_pictures_are_packed_as_large_and_as_fine_as_asked(data, tmp_path):
    for choice in (["--long-side", 64], ["--foregrounds", "closed-form"]):
        out = tmp_path / choice[0]
        out.mkdir()
        done = livematte("train", *options(data, out), *choice, "--workers", 1)
        assert done.returncode == 0, done.stderr
    caches = sorted(tmp_path.glob("*/packed-drawn-*"))
    people = [json.loads((cache / "index.json").read_text())["people"] for cache in caches]
    assert sorted(max(max(p["shape"]) for p in some) for some in people) == [64, 96]


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (["nobody", "--data", "."], "unknown recipe 'nobody'"),
        (["late-fusion-live", "--data", "nowhere"], "nowhere"),
        (["late-fusion-live", "--data", ".", "--config", "no.toml"], "no.toml cannot be read"),
        (["late-fusion-live", "--data", ".", "--layout", "adobe"], "unknown layout 'adobe'"),
        (
            ["late-fusion-live", "--data", ".", "--layout", "auto", "--layout", "auto"],
            "2 layouts for 1 folders",
        ),
        (
            ["fba-live", "--data", ".", "--foregrounds", "best"],
            "allowed are push-pull, multilevel, closed-form",
        ),
        (["late-fusion-live", "--data", ".", "--step", "warm-up"], "unknown step 'warm-up'"),
        (["late-fusion-live", "--data", ".", "--precision", "fp16", "--device", "cpu"], "needs a GPU"),
    ],
)
@pytest.mark.parametrize("workers", [1, 2])
def test_wrong_use_is_one_line(wrong, says, workers):
    """Also of a training in several processes, which is the default where there are cores."""
    done = livematte("train", *wrong, "--workers", workers)
    assert done.returncode in (1, 2) and says in done.stderr and "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("wrong", "code", "says"),
    [
        (["late-fusion-live", "--data", ".", "--config", "no.toml"], 1, "no.toml cannot be read"),
        (["nobody", "--data", "."], 2, "unknown recipe 'nobody'"),
    ],
)
def test_wrong_use_ends_a_process_with_its_exit_code(wrong, code, says):
    done = real("train", *wrong, "--workers", 2)
    assert done.returncode == code and says in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
