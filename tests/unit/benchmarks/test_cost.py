"""The table of costs: counted on shapes, the same as the cards say."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
import torch

from benchmarks import cost
from livematte.inference.weights import find_card

LIVE = {paper.name(True): paper for paper in cost.PAPERS}


@pytest.mark.parametrize("name", LIVE)
def test_parameters_and_gflops_are_those_of_the_card(name: str) -> None:
    paper = LIVE[name]
    found = find_card(name, "refiners" if len(paper.channels) > 1 else "models")
    card, text = found.facts, found.path.read_text(encoding="utf-8")
    at = re.search(r"^gflops = .*multiply-adds.* (\d+)x(\d+)$", text, re.M)
    assert at, "a card says at which size it counts"
    network = paper.build(live=True)
    assert cost.parameters(network) == card["parameters"]
    counted = cost.gflops(network, paper.channels, (int(at[1]), int(at[2])))
    assert counted == pytest.approx(2 * card["gflops"], rel=0.03), "a card counts a multiply-add once"


def test_flops_are_counted_without_computing_and_milliseconds_by_computing() -> None:
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3, padding=1), torch.nn.ReLU())
    assert cost.milliseconds(network, (3,), (40, 60), repeat=2) > 0
    assert cost.gflops(network, (3,), (40, 60)) == 2 * 9 * 3 * 8 * 40 * 60 / 1e9


def test_the_papers_resolution_is_padded_to_what_a_network_takes() -> None:
    (paper, live), (padded, also) = (LIVE["jmnet-live"].sizes(live) for live in (False, True))
    assert live == also and all(side % 32 == 0 for side in padded)
    assert all(0 <= side - 720 < 32 for side in (*paper, *padded))


def test_the_table_is_written_between_its_marks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    document = tmp_path / "models.md"
    document.write_text("before\n<!-- cost: begin -->\nold\n<!-- cost: end -->\nafter\n", encoding="utf-8")
    monkeypatch.setattr(cost, "rows", lambda only, repeat: iter([("`fba`", *"12345678")]))
    monkeypatch.setattr(sys, "argv", ["cost", "--note", "It was busy.", "--write", str(document)])
    cost.main()
    text = document.read_text(encoding="utf-8")
    assert text.startswith("before\n") and text.endswith("after\n") and "old" not in text
    assert "It was busy." in text and "| `fba` | 1 | 2 |" in text
    document.write_text("no marks", encoding="utf-8")
    with pytest.raises(SystemExit, match="cost: begin"):
        cost.main()
