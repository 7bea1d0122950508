"""What does not keep its contract ends a render with one line that names it, and keeps what is done."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from livematte.errors import InputError, LivematteError, ModelError, OutputError
from livematte.frame import Frame, Matte
from livematte.matting import contracts
from livematte.matting.background_choice import resolve_background
from livematte.matting.backgrounds import Color
from livematte.matting.compositor import Compositor
from livematte.matting.refiner import TileRefiner
from livematte.offline.engine import Output, mattes, render
from livematte.protocols import LiveFormat, Model, Source
from livematte.resolve import resolve_model
from livematte.streaming.sinks import open_live_sink
from tests.unit.offline.test_engine import EverythingIsForeground, GreySource, ListSink

ALPHA = np.ones((32, 32), np.float32)


class From(EverythingIsForeground):
    """A model that gives something else from the fourth picture on."""

    def __init__(self, wrong: Any) -> None:
        super().__init__()
        self._wrong = wrong

    def __call__(self, rgb: Any, state: Any) -> Any:
        made = super().__call__(rgb, state)
        return made if self.calls <= 3 else self._wrong


MATTES: dict[str, tuple[Any, str]] = {
    "none": (None, "gave None, expected a Matte and a state"),
    "alone": (Matte(ALPHA), "gave a Matte, expected a Matte and a state"),
    "no matte": ((ALPHA, None), r"gave an array \(32, 32\) of float32, expected a Matte"),
    "cropped": ((Matte(ALPHA[3:]), None), r"gave an array \(29, 32\) of float32 as alpha"),
    "type": ((Matte(np.ones((32, 32), np.uint8)), None), r"of uint8 as alpha, expected .* float32"),
    "list": ((Matte(ALPHA.tolist()), None), r"gave a list as alpha"),
    "foreground": ((Matte(ALPHA, np.zeros((3, 3, 3), np.float32)), None), r"\(3, 3, 3\) .* as foreground"),
    "extras": ((Matte(ALPHA, None, {"trimap": np.ones((2, 32, 32))}), None), r"as its map 'trimap'"),
}


@pytest.mark.parametrize("name", MATTES)
def test_a_model_that_gives_no_matte_ends_a_render_with_what_is_done(name: str) -> None:
    given, line = MATTES[name]
    sink = ListSink()
    with pytest.raises(ModelError, match=f"^the model From .*{line}") as caught:
        render(GreySource(20), From(given), Color((0, 0, 0)), [Output(sink)])
    assert "\n" not in str(caught.value)
    assert (len(sink.frames), sink.ends) == (3, ["abort"])
    with pytest.raises(ModelError, match=line):
        list(mattes(GreySource(20), From(given)))


@pytest.mark.parametrize("size", [(0, 0), None, (32.0, 32.0), (-1, 5), 32, (32, 32, 3), "no"])
def test_a_model_that_names_no_size_is_refused(size: Any) -> None:
    model = EverythingIsForeground()
    model.input_size = lambda height, width: size  # type: ignore[method-assign]
    with pytest.raises(ModelError, match="the model EverythingIsForeground gave .* as its input size for"):
        render(GreySource(5), model, Color((0, 0, 0)), [Output(ListSink())])


def smaller(frame: Frame) -> Frame:
    return frame.with_planes(tuple(plane[:4] for plane in frame.planes))


BACKGROUNDS: dict[str, tuple[Callable[[Frame], Any], str]] = {
    "none": (lambda frame: None, "gave None, expected a Frame"),
    "small": (smaller, r"gave planes an array \(4, 64\) of uint8, .*, expected yuv420p of 64x48"),
    "few": (lambda frame: frame.with_planes(frame.planes[:1]), "expected yuv420p of 64x48"),
    "format": (lambda frame: replace(frame, format="nv12"), "as nv12, expected yuv420p"),
    "colour": (lambda frame: replace(frame, color=replace(frame.color, full_range=True)), "the frame's own"),
    "room": (lambda frame: frame, "gave the frame itself"),
}


@pytest.mark.parametrize("name", BACKGROUNDS)
def test_a_background_that_does_not_fit_ends_a_render(name: str) -> None:
    wrong, line = BACKGROUNDS[name]

    class Odd(Color):
        def __call__(self, frame: Frame, alpha: Any) -> Frame:
            made: Frame = super().__call__(frame, alpha) if frame.pts < 9 else wrong(frame)
            return made

    sink = ListSink()
    with pytest.raises(InputError, match=f"^the background Odd {line}|{line}") as caught:
        render(GreySource(20), EverythingIsForeground(), Odd((0, 0, 0)), [Output(sink)])
    assert "\n" not in str(caught.value) and (len(sink.frames), sink.ends) == (3, ["abort"])


@pytest.mark.parametrize("frame", [None, [1, 2], "planes"])
def test_a_source_that_gives_no_frame_ends_a_render(frame: Any) -> None:
    class Odd(GreySource):
        def __iter__(self) -> Iterator[Frame]:
            for number, good in enumerate(super().__iter__()):
                yield good if number < 3 else smaller_chroma(good) if frame == "planes" else frame

    def smaller_chroma(good: Frame) -> Frame:
        return good.with_planes((good.planes[0], *(plane[:2] for plane in good.planes[1:])))

    sink = ListSink()
    with pytest.raises(InputError, match="^the source Odd gave") as caught:
        render(Odd(20), EverythingIsForeground(), Color((0, 0, 0)), [Output(sink)])
    assert "\n" not in str(caught.value) and (len(sink.frames), sink.ends) == (3, ["abort"])


@pytest.mark.parametrize(
    ("matte", "line"),
    [
        (None, "gave None, expected a Matte"),
        (Matte(np.full((256, 256), 255, np.uint8)), "of uint8 as alpha"),
        (Matte(np.full((256, 256), 255, np.float32)), "'s alpha has a value of 255, allowed is 0 to 1"),
        (Matte(np.ones((256, 256), np.float32), np.zeros((3, 3, 3), np.float32)), "as foreground"),
    ],
)
def test_a_refiner_that_gives_no_matte_is_told(matte: Any, line: str) -> None:
    class Broken:
        stride = 32

        def refine(self, rgb: Any, trimap: Any) -> Any:
            return matte

    frame = next(iter(GreySource(1)))
    big = frame.with_planes(tuple(np.tile(plane, (8, 8)) for plane in frame.planes))
    alpha = np.tile(np.linspace(0, 1, 64, dtype=np.float32), (48, 1))
    with pytest.raises(ModelError, match=f"^the refiner Broken.*{line}"):
        Compositor(refiner=TileRefiner(Broken()))(big, Matte(alpha), Color((0, 0, 0)))


def test_what_lacks_a_method_is_refused_before_anything_begins() -> None:
    black, sink, model = Color((0, 0, 0)), ListSink(), EverythingIsForeground()
    nothing: Any = object()
    jobs: list[tuple[type[LivematteError], str, Callable[[], Any]]] = [
        (ModelError, "model object lacks __call__", lambda: resolve_model(nothing)),
        (ModelError, "is a class", lambda: resolve_model(EverythingIsForeground)),  # type: ignore[arg-type]
        (ModelError, "refiner object lacks stride, refine", lambda: TileRefiner(nothing)),
        (InputError, "source object lacks info", lambda: render(nothing, model, black, [Output(sink)])),
        (OutputError, "sink object lacks", lambda: render(GreySource(3), model, black, [Output(nothing)])),
        (OutputError, "output object lacks name", lambda: open_live_sink("x", lambda _: nothing, FORMAT, {})),
        (LivematteError, "a type is invalid", lambda: resolve_background(Color, "cover")),  # type: ignore[arg-type]
    ]  # fmt: skip
    for error, line, job in jobs:
        with pytest.raises(error, match=line) as caught:
            job()
        assert "\n" not in str(caught.value)


FORMAT = LiveFormat(64, 64, GreySource(1).info.time_base * 30000)


def test_a_property_is_not_asked_for_to_know_that_it_is_there() -> None:
    class Shy(GreySource):
        @property
        def info(self) -> Any:
            raise OSError("not yet")

        @info.setter
        def info(self, info: Any) -> None:
            pass

    contracts.check_part(Shy(1), Source, "source", InputError)
    contracts.check_part(EverythingIsForeground(), Model, "model", ModelError)
