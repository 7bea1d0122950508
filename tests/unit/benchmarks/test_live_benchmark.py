"""The measuring code of the live benchmark."""

from __future__ import annotations

from fractions import Fraction

import cv2
import numpy as np
import pytest

from benchmarks import obsroute
from benchmarks.clips import HEIGHT, WIDTH
from benchmarks.governor import GovernorRun, RoomDetector, governor_rows
from benchmarks.obsroute import NUMBERS, match_frames, numbered, read_number
from benchmarks.sampling import Sample, picture_rates
from livematte.clock import SystemClock
from livematte.frame import ColorInfo, Frame
from livematte.plugins.obs.pictures import BgraConverter
from livematte.protocols import LiveFormat
from livematte.streaming.stats import LiveMeter

OBS = LiveFormat(320, 180, Fraction(30), alpha=True)


def test_the_number_of_a_frame_is_read_again_from_what_obs_gets_also_when_it_is_scaled() -> None:
    bgra = BgraConverter()
    for number, frame in enumerate(numbered(OBS)):
        picture = bgra(frame)
        assert read_number(picture) == number == read_number(cv2.resize(picture, (160, 90)))


def test_a_frame_is_matched_with_its_first_sight_also_when_numbers_come_again() -> None:
    sent = [frame / 30 for frame in range(3 * NUMBERS)]
    late = 0.07
    seen = [(when + late, frame % NUMBERS) for frame, when in enumerate(sent) if frame % 2]
    seen += [(seen[-1][0] + 0.01, seen[-1][1])]  # the last one, seen again
    found = match_frames(sent, [(-0.5, NUMBERS - 1), (0.0, NUMBERS - 1), *seen])
    assert [frame for frame, _ in found] == list(range(1, 3 * NUMBERS, 2))
    assert [sight for _, sight in found] == list(range(2, len(found) + 2))


def test_the_stream_is_measured_with_a_reader_in_another_process() -> None:
    route = obsroute.stream_route(0.5)
    assert route.sent == 15 and 0 < len(route.latency) <= 15
    assert all(0 < latency < 1000 for latency in route.latency) and route.sender > 0


def test_a_picture_that_shows_the_wall_is_counted() -> None:
    pytest.importorskip("pyvirtualcam", reason="pip install '.[virtualcam]'")
    from livematte.plugins.virtualcam.picture import Packer

    def camera_bytes(share: float) -> np.ndarray:
        luma = np.full((HEIGHT, WIDTH), 100, np.uint8)
        blue, red = (np.full((HEIGHT // 2, WIDTH // 2), 128, np.uint8) for _ in range(2))
        columns = round(share * WIDTH / 2)
        blue[:, :columns], red[:, :columns] = 202, 222  # #ff00ff in BT.601, limited
        frame = Frame((luma, blue, red), "yuv420p", 0, Fraction(1, 30), color=ColorInfo("bt601", False))
        return np.asarray(Packer(HEIGHT, WIDTH, interleaved=False)(frame))

    watch = RoomDetector()
    for share in (0.0, 0.01, 0.6):
        watch(camera_bytes(share))
    assert (watch.pictures, watch.rooms) == (3, 1) and watch.most == pytest.approx(0.6, abs=0.01)


def test_placeholders_for_lateness_are_told_from_others() -> None:
    meter = LiveMeter(SystemClock())

    def seen() -> tuple[Sample, ...]:
        stats = meter.stats(late=0, skipped=0, level=0, steps=0, size=None, watched=None, sink_notes=[])
        return (Sample(0.0, 0.0, 0.0, stats), Sample(1.0, 0.0, 0.0, stats))

    def row(*reasons: str) -> tuple[str, bool | None]:
        quiet = seen()
        for reason in reasons:
            meter.handed(None, reason)
        run = GovernorRun(quiet, quiet, seen(), 1.0, 30, 0.0, 0, 1.0)
        (found,) = (each for each in governor_rows(run) if "was late" in each.measure)
        return found.figure, found.met

    assert row() == ("0", True)
    assert row("paused", "paused") == ("0 (for other reasons: 2: paused)", True)
    assert row("the model is too slow or hangs", "the camera sends nothing") == ("2", False)


def test_rates_are_of_new_pictures_over_whole_seconds() -> None:
    def seen(when: float, pictures: int) -> Sample:
        meter = LiveMeter(SystemClock())
        for serial in range(pictures):
            meter.handed(serial, "")
            meter.handed(serial, "")  # a repeat is none
        stats = meter.stats(late=0, skipped=0, level=0, steps=0, size=None, watched=None, sink_notes=[])
        return Sample(when, 0.0, 0.0, stats)

    looks = [seen(number / 4, 5 * number if number <= 8 else 40) for number in range(17)]
    found = picture_rates(looks)
    assert found[0] == pytest.approx(20) and min(found) == 0 and len(found) == 13
