"""Side data is read without keeping the picture that it came with."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import av
import pytest
from av.sidedata.sidedata import Type

from livematte.demo import clip_path
from livematte.video.reader import open_video
from livematte.video.sides import side_data_of


@pytest.fixture
def circles() -> Iterator[list[object]]:
    """What only Python's garbage collector finds, in place of being given back."""
    gc.collect()
    gc.garbage.clear()
    gc.set_debug(gc.DEBUG_SAVEALL)
    yield gc.garbage
    gc.set_debug(0)
    gc.garbage.clear()


def test_side_data_is_told_each_time_it_is_asked_for() -> None:
    with av.open(str(clip_path())) as container:
        frame = next(container.decode(video=0))
        told = side_data_of(frame)
        assert told[Type.SEI_UNREGISTERED] and side_data_of(frame) == told, "x264 writes its options there"


def test_a_frame_whose_side_data_was_read_is_given_back_at_once(circles: list[object]) -> None:
    with av.open(str(clip_path())) as container:
        for frame in container.decode(video=0):
            side_data_of(frame)
            break
    del frame
    gc.collect()
    assert not [each for each in circles if isinstance(each, av.VideoFrame)]


def test_a_clip_that_is_opened_again_and_again_keeps_no_pictures(circles: list[object]) -> None:
    for _ in range(3):
        source = open_video(clip_path())
        next(iter(source))
        source.close()
    del source
    gc.collect()
    assert not [each for each in circles if isinstance(each, av.VideoFrame)]
