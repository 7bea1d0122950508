"""Time and cost of a plan, from measured speeds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from livematte.errors import UsageError
from livematte.farm.cut_file import CutFile
from livematte.farm.files import PlannedFile
from livematte.farm.plan import TASK_SECONDS, Speed, make_plan, plan_many
from livematte.offline.schedule import Slot
from livematte.options.many import read_price
from livematte.video.split import Segment
from tests.commands import run

HD, FULL = (720, 1280), (1080, 1920)


def film(frames: int, segments: int, size: tuple[int, int] = HD) -> CutFile:
    file, job = PlannedFile(Path("a.mp4"), "a.mp4", {"output": "a.mp4"}), None
    parts: Any = [Segment()] * segments
    return CutFile(file, Path("a.mp4"), job, parts, frames, size, 10, None, {})  # type: ignore[arg-type]


def slot(machine: str, number: int = 0, device: str = "cpu") -> Slot:
    return Slot(f"{machine}/{number}", machine, device, 1, machine)


def test_equal_machines_share_the_segments() -> None:
    speeds = [Speed(slot("a"), {HD: 10.0}), Speed(slot("b"), {HD: 10.0})]
    plan = make_plan([(film(400, 4), 4)], speeds, {"cpu": 3600.0}, {})
    first, others = 100 / 10 + TASK_SECONDS, 110 / 10 + TASK_SECONDS  # 10 frames of lead-in
    assert plan.seconds == pytest.approx(max(first + others, 2 * others))
    assert plan.cost == pytest.approx(2 * plan.seconds)
    assert (plan.files, plan.segments, plan.frames) == (1, 4, 400)


def test_a_mixed_fleet_has_two_prices_and_the_fast_machine_takes_more() -> None:
    speeds = [Speed(slot("a"), {HD: 10.0}), Speed(slot("g", device="cuda:0"), {HD: 90.0})]
    plan = make_plan([(film(1000, 10), 10)], speeds, {"cpu": 1.0, "gpu": 2.0}, {})
    assert 10 < plan.seconds < 13  # 1000 frames at 100 per second, and what the slow machine ends with
    assert [machine.kind for machine in plan.machines] == ["cpu", "gpu"]
    assert plan.cost == pytest.approx(3.0 * plan.seconds / 3600)
    assert make_plan([(film(1000, 10), 10)], speeds, None, {}).cost is None
    with pytest.raises(UsageError, match="no price for gpu"):
        make_plan([(film(1000, 10), 10)], speeds, {"cpu": 1.0}, {})


def test_a_size_that_was_not_measured_is_scaled_by_its_pixels() -> None:
    speed = Speed(slot("a"), {HD: 20.0, (90, 160): 500.0})
    assert speed.seconds(20, HD) == 1.0
    assert speed.seconds(20, FULL) == pytest.approx(2.25)


def test_finished_segments_are_not_counted() -> None:
    speeds = [Speed(slot("a"), {HD: 10.0})]
    assert make_plan([(film(400, 4), 1)], speeds, None, {}).frames == 100


def test_a_price_is_one_number_or_one_for_each_kind() -> None:
    assert read_price("0.4") == {"price": {"cpu": 0.4, "gpu": 0.4}}
    assert read_price("cpu=0.4, gpu=2.5") == {"price": {"cpu": 0.4, "gpu": 2.5}}
    for wrong in ("", "cheap", "-1", "tpu=1", "nan", "inf", "cpu="):
        with pytest.raises(UsageError, match="use a number such as 0.40"):
            read_price(wrong)


def test_a_plan_needs_a_cluster_and_many_files(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="add --cluster ADDRESS"):
        plan_many(tmp_path, tmp_path / "out")
    assert run("render", "a.mp4", "b.mp4", "--plan").returncode == 2
