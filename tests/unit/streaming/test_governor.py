"""The governor: down at once when frames come late, up slowly, and no swinging."""

from __future__ import annotations

from livematte.streaming.governor import Governor, Level, ladder, percentile
from tests.clocks import FakeClock

INTERVAL = 1 / 30
LEVELS = [Level(288, "guided", 1.0), Level(224, "guided", 0.6), Level(192, "guided", 0.45)]


class Load:
    """A machine on which the best level takes ``best`` seconds a frame."""

    def __init__(self, levels: list[Level] = LEVELS, level: int = 0, first: int = 0) -> None:
        self.clock, self.levels = FakeClock(0.0), levels
        self.governor = Governor(levels, INTERVAL, self.clock, level=level, first=first)
        self.changes: list[tuple[float, int]] = []

    def run(self, seconds: float, best: float, outliers: int = 0) -> int:
        """Work that long; the level at the end. Every ``outliers``-th frame takes ten times as long."""
        for number in range(round(seconds / INTERVAL)):
            slow = 10 if outliers and number % outliers == 0 else 1
            self.clock.advance(INTERVAL)
            self.governor.add_frame(slow * best * self.levels[self.governor.level].cost)
            wanted = self.governor.advise()
            if wanted is not None:
                self.governor.set_level(wanted)
                self.changes.append((self.clock.now(), wanted))
        return self.governor.level


def test_a_quick_machine_stays_at_the_best_level() -> None:
    assert Load().run(60, best=0.6 * INTERVAL) == 0


def test_a_slow_machine_steps_down_within_two_seconds() -> None:
    load = Load()
    assert load.run(2, best=1.4 * INTERVAL) == 1
    assert load.changes[0][0] < 2


def test_a_much_slower_one_steps_as_far_as_is_needed_at_once() -> None:
    load = Load()
    load.run(2, best=2.1 * INTERVAL)
    assert [level for _, level in load.changes] == [2]


def test_two_frames_a_second_are_enough_to_step_down() -> None:
    load = Load()
    for _ in range(8):
        load.clock.advance(0.5)
        load.governor.add_frame(0.5)
    assert load.governor.advise() == 2


def test_a_single_hiccup_changes_nothing() -> None:
    load = Load()
    load.run(5, best=0.5 * INTERVAL)
    load.governor.add_frame(1.0)
    assert load.run(5, best=0.5 * INTERVAL) == 0


def test_outliers_beyond_p95_do_change_it() -> None:
    assert Load().run(2, best=0.5 * INTERVAL, outliers=8) == 1


def test_it_is_back_up_when_the_machine_is_free_again() -> None:
    load = Load()
    assert load.run(10, best=2.0 * INTERVAL) == 2
    assert load.run(15, best=0.5 * INTERVAL) == 0


def test_up_takes_longer_than_down() -> None:
    load = Load()
    load.run(10, best=2.0 * INTERVAL)
    began = load.clock.now()
    load.run(15, best=0.5 * INTERVAL)
    assert all(when - began >= 4.5 for when, _ in load.changes if when > began)


def test_it_does_not_swing_where_no_level_is_quite_right() -> None:
    """The level above takes 1.1 frames, but seems to have room: costs lie."""

    load = Load()
    load.governor._levels = [Level(288, "guided", 1.0), Level(224, "guided", 0.9)]  # what it believes
    load.levels = [Level(288, "guided", 1.0), Level(224, "guided", 0.5)]  # how it is
    load.run(300, best=1.1 * INTERVAL)
    ups = [when for when, level in load.changes if level == 0]
    assert 2 <= len(ups) <= 9, "tried, but ever more seldom"
    assert ups[-1] - ups[-2] > 2 * (ups[1] - ups[0])


def test_nothing_below_the_last_level() -> None:
    load = Load()
    assert load.run(30, best=20 * INTERVAL) == 2
    assert len(load.changes) == 1


def test_a_better_level_than_the_first_needs_half_of_the_time_free() -> None:
    calm = Load(level=1, first=1)
    assert calm.run(60, best=0.45 * INTERVAL) == 0 and len(calm.changes) == 1
    busy = Load(level=1, first=1)
    assert busy.run(60, best=0.7 * INTERVAL) == 1, "a call needs the processor too"
    plain = Load(level=1)
    assert plain.run(60, best=0.7 * INTERVAL) == 0, "the size was asked for"


def test_after_a_fall_the_first_level_comes_back_as_any_other() -> None:
    load = Load(level=1, first=1)
    assert load.run(30, best=2.5 * INTERVAL) == 2
    assert load.governor.lowered
    assert load.run(60, best=0.7 * INTERVAL) == 1
    assert not load.governor.lowered


def test_no_frames_no_advice() -> None:
    load = Load()
    load.clock.advance(100)
    assert load.governor.advise() is None


def test_a_ladder_gives_up_the_refiner_first_then_resolution_then_guidance() -> None:
    levels = ladder(288, "some-refiner", network=True)
    assert [(level.size, level.refine) for level in levels] == [
        (288, "some-refiner"),
        (288, "guided"),
        (224, "guided"),
        (192, "guided"),
        (192, "none"),
    ]
    costs = [level.cost for level in levels]
    assert costs == sorted(costs, reverse=True)


def test_a_small_model_has_a_short_ladder() -> None:
    assert [level.size for level in ladder(128, "none", network=False)] == [128]


def test_percentiles_are_by_nearest_rank() -> None:
    values = list(range(1, 101))
    assert percentile(values, 0.5) == 50 and percentile(values, 0.95) == 95
    assert percentile([7.0], 0.95) == 7 and percentile([], 0.95) == 0
