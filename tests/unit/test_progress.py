"""Speed and remaining time, also where several frames come at once."""

from __future__ import annotations

import pytest

from livematte import progress
from livematte.progress import Meter, Progress


@pytest.mark.parametrize(("step", "before"), [(1, 0), (10, 0), (10, 500)])
def test_the_rate_is_that_of_the_frames_however_many_come_at_once(
    monkeypatch: pytest.MonkeyPatch, step: int, before: int
) -> None:
    now, seen = [1000.0], list[Progress]()
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    meter = Meter(before + 1000, seen.append)
    for done in range(before + step, before + 501, step):
        meter(done)
        now[0] += step / 25 / 2
        meter(done)  # a call without a new frame changes nothing
        now[0] += step / 25 / 2
    assert meter.fps == pytest.approx(25, rel=0.01)
    assert seen[-1].fps == pytest.approx(25, rel=0.01) and seen[-1].eta == pytest.approx(20, rel=0.05)
