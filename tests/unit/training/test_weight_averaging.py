"""Means of trained weights, and encoders mixed across models."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from safetensors.torch import load_file, save_file  # noqa: E402

from livematte.training import weight_averaging  # noqa: E402
from livematte.training.checkpoints import checkpoint_facts, save_checkpoint  # noqa: E402


def run(path, value, prefix="", **more):
    tensors = {
        f"{prefix}encoder.weight": torch.full((2, 3), value),
        f"{prefix}encoder.count": torch.tensor(int(value)),
        **{name: torch.full((2,), number) for name, number in more.items()},
    }
    save_checkpoint(path, tensors, {"step": "last", "mad": 20.0, "mse": 9.0})
    return path


def test_a_mean_of_runs_weighs_every_tensor_by_its_share(tmp_path):
    a, b = run(tmp_path / "a.safetensors", 1.0, head=4.0), run(tmp_path / "b.safetensors", 5.0, head=8.0)
    out = tmp_path / "out" / "mean.safetensors"
    assert weight_averaging.main([f"{a}=1", f"{b}=3", "--out", str(out)]) == 0
    tensors = load_file(out)
    assert (tensors["encoder.weight"] == 4).all() and (tensors["head"] == 7).all()
    assert tensors["encoder.count"] == 1  # a whole number is the first's
    facts = checkpoint_facts(out)
    assert facts["step"] == "last" and "mad" not in facts  # which was the first's, not the mean's
    assert [line.rpartition("/")[2] for line in facts["mean_of"]] == ["a.safetensors: 1", "b.safetensors: 3"]


def test_another_models_encoder_is_mixed_in_where_it_fits(tmp_path):
    own = run(tmp_path / "own.safetensors", 1.0, "deployable.", head=4.0)
    other = run(tmp_path / "other.safetensors", 5.0, fusion=9.0)
    weight_averaging.write_average({own: 0.0, other: 1.0}, tmp_path / "all.safetensors")
    tensors = load_file(tmp_path / "all.safetensors")
    assert (tensors["deployable.encoder.weight"] == 5).all()
    assert (tensors["head"] == 4).all() and "fusion" not in tensors  # what only a share of 0 has stays
    weight_averaging.write_average({own: 0.5, other: 0.5}, tmp_path / "half.safetensors")
    assert (load_file(tmp_path / "half.safetensors")["deployable.encoder.weight"] == 3).all()


@pytest.mark.parametrize(
    ("shares", "line"),
    [((-1, 2), "shares -1, 2 are invalid: use numbers from 0"), ((0, 0), "shares 0, 0 are invalid")],
)
def test_shares_that_make_no_mean_are_refused_in_one_line(tmp_path, capsys, shares, line):
    files = [run(tmp_path / f"{n}.safetensors", 1.0) for n in range(2)]
    words = [f"{file}={share}" for file, share in zip(files, shares, strict=True)]
    with pytest.raises(SystemExit) as stopped:
        weight_averaging.main([*words, "--out", str(tmp_path / "out.safetensors")])
    told = capsys.readouterr().err
    assert stopped.value.code == 2 and line in told and told.count("\n") == 1
    assert not (tmp_path / "out.safetensors").exists()


def test_a_file_of_something_else_is_refused(tmp_path, capsys):
    own = run(tmp_path / "own.safetensors", 1.0)
    save_file({"other": torch.zeros(1)}, tmp_path / "alien.safetensors")
    (tmp_path / "broken.safetensors").write_bytes(b"x")
    for name, line in (
        ("alien.safetensors", "alien.safetensors has no tensor that fits"),
        ("broken.safetensors", "not a complete safetensors file"),
    ):
        with pytest.raises(SystemExit):
            weight_averaging.main(
                [f"{own}=1", f"{tmp_path / name}=1", "--out", str(tmp_path / "out.safetensors")]
            )
        assert line in capsys.readouterr().err
