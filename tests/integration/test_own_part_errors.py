"""What a caller's own model, source, sink or background raises is one error of livematte that names it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import livematte
from livematte.errors import InputError, LivematteError, ModelError, OutputError
from livematte.frame import ColorInfo, Frame, Matte
from livematte.protocols import SourceInfo

HEIGHT, WIDTH = 48, 64
COLOR = ColorInfo("rgb", full_range=True, matrix_tag=0, range_tag=2)
INFO = SourceInfo("own", HEIGHT, WIDTH, "gbrp", Fraction(1, 90), Fraction(10), color=COLOR)
PICTURE = np.full((HEIGHT, WIDTH, 3), 120, np.uint8)


def frame(number: int = 0, **changes: Any) -> Frame:
    made = Frame((PICTURE[..., 0],) * 3, "gbrp", 9 * number, Fraction(1, 90), 9, COLOR)
    return replace(made, **changes)


class Part:
    """A part that raises in one method."""

    def __init__(self, breaks: str = "") -> None:
        self.breaks, self.ended = breaks, [""][:0]

    def at(self, method: str) -> None:
        if method == self.breaks:
            raise ValueError(f"in {method}\nof a part")


class Bright(Part):
    def input_size(self, height: int, width: int) -> tuple[int, int]:
        self.at("input_size")
        return 32, 32

    def __call__(self, rgb: Any, state: Any) -> tuple[Matte, Any]:
        self.at("__call__")
        return Matte((rgb[..., 0] > 127).astype(np.float32)), None


class Frames(Part):
    @property
    def info(self) -> SourceInfo:
        self.at("info")
        return INFO

    def __iter__(self) -> Iterator[Frame]:
        self.at("__iter__")
        return self._frames()

    def _frames(self) -> Iterator[Frame]:
        for number in range(3):
            if number == 2:
                self.at("next")
            yield frame(number)

    def close(self) -> None:
        self.ended.append("close")
        self.at("close")


class Kept(Part):
    def write(self, frame: Frame) -> None:
        self.at("write")

    def close(self) -> None:
        self.ended.append("close")
        self.at("close")

    def abort(self) -> None:
        self.ended.append("abort")
        self.at("abort")


class Behind(Part):
    transparent = False

    def __call__(self, frame: Frame, alpha: Any) -> Frame:
        self.at("__call__")
        return frame.with_planes(tuple(plane.copy() for plane in frame.planes))

    def close(self) -> None:
        self.at("close")


class Refiner(Part):
    stride = 8

    def refine(self, rgb: Any, trimap: Any) -> Matte:
        self.at("refine")
        return Matte(np.zeros(trimap.shape, np.float32))


PARTS: dict[str, tuple[type[Part], type[LivematteError], list[str]]] = {
    "model": (Bright, ModelError, ["input_size", "__call__"]),
    "source": (Frames, InputError, ["info", "__iter__", "next", "close"]),
    "sink": (Kept, OutputError, ["write", "close"]),
    "background": (Behind, InputError, ["__call__", "close"]),
}


def render(**parts: Part) -> Any:
    parts = {"model": Bright(), "source": Frames(), "sink": Kept(), "background": Behind(), **parts}
    given: Any = {name: parts[name] for name in ("model", "background")}
    return livematte.render(parts["source"], parts["sink"], refine="none", **given)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("kind", "method"), [(kind, method) for kind, (_, _, methods) in PARTS.items() for method in methods]
)
def test_what_an_own_part_raises_names_it_and_keeps_the_cause(kind: str, method: str) -> None:
    made, error, _ = PARTS[kind]
    with pytest.raises(error) as caught:
        render(**{kind: made(method)})
    assert str(caught.value) == f"the {kind} {made.__name__} failed: ValueError: in {method} of a part"
    assert isinstance(caught.value.__cause__, ValueError)


def test_a_render_with_whole_parts_works() -> None:
    assert render().frames == 3


def test_a_sink_that_cannot_abort_hides_no_error() -> None:
    with pytest.raises(InputError, match="the source Frames failed"):
        render(source=Frames("next"), sink=Kept("abort"))


def test_a_part_that_cannot_close_hides_no_error_of_a_start() -> None:
    sink = Kept()
    with pytest.raises(LivematteError, match="background 'nobody.jpg'"):
        livematte.render(Frames("close"), sink, model=Bright(), background="nobody.jpg")
    assert sink.ended == ["abort"]


def test_what_a_refiner_raises_names_it() -> None:
    half = Bright()
    half.__class__ = type("Half", (Bright,), {"__call__": lambda self, rgb, state: (_half(rgb), None)})
    with pytest.raises(ModelError, match="the refiner Refiner failed: ValueError: in refine of a part"):
        livematte.Matter(model=half, refine=Refiner("refine"), keep_islands=True)(PICTURE)


def _half(rgb: Any) -> Matte:
    return Matte(np.full(rgb.shape[:2], 0.5, np.float32))


@pytest.mark.parametrize("call", ["Matter", "image", "mattes", "debug"])
def test_every_call_names_a_model_that_raises(call: str, tmp_path: Path) -> None:
    options: Any = {"model": Bright("__call__"), "refine": "none"}
    with pytest.raises(ModelError, match="the model Bright failed: ValueError: in __call__ of a part"):
        if call == "Matter":
            livematte.Matter(**options)(PICTURE)
        elif call == "image":
            livematte.image(PICTURE, **options)
        elif call == "mattes":
            list(livematte.mattes([PICTURE], **options))
        else:
            livematte.render(Frames(), Kept(), debug_view=tmp_path / "debug.mkv", **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("call", ["over", "image"])
def test_every_call_names_a_background_that_raises(call: str) -> None:
    with pytest.raises(InputError, match="the background Behind failed: ValueError"):
        if call == "over":
            livematte.Matter(model=Bright())(PICTURE).over(Behind("__call__"))
        else:
            livematte.image(PICTURE, model=Bright(), background=Behind("__call__"))


def test_an_iterable_of_pictures_that_raises_is_named() -> None:
    def pictures() -> Iterator[np.ndarray]:
        yield PICTURE
        raise KeyError("camera")

    found = livematte.mattes(pictures(), model=Bright())
    next(found)
    with pytest.raises(InputError, match="the iterable pictures failed: KeyError: 'camera'"):
        next(found)


def test_no_memory_for_an_own_part_is_one_line() -> None:
    class Greedy(Bright):
        def __call__(self, rgb: Any, state: Any) -> tuple[Matte, Any]:
            raise MemoryError

    with pytest.raises(ModelError, match="the model Greedy failed: MemoryError"):
        livematte.Matter(model=Greedy())(PICTURE)


@pytest.mark.parametrize(
    "size", [(10**6, 10**6), (8193, 32), (0, 32), (32.0, 32), (True, 32), 32, (32,), None]
)
def test_an_input_size_that_no_network_has_is_refused(size: Any) -> None:
    class Sized(Bright):
        def input_size(self, height: int, width: int) -> Any:
            return size

    with pytest.raises(ModelError, match="as its input size for 64x48, expected .* from 1 to 8192"):
        livematte.Matter(model=Sized())(PICTURE)


def test_a_value_in_place_of_a_method_is_refused() -> None:
    class Fixed(Bright):
        input_size: Any = (32, 32)

    with pytest.raises(ModelError, match=r"the model Fixed has \(32, 32\) as input_size, expected a method"):
        livematte.Matter(model=Fixed())


def test_a_module_is_no_part() -> None:
    """The module os has write, close and abort: the last one ends the process."""
    import os

    with pytest.raises(OutputError, match="the sink os is a module"):
        livematte.render(Frames(), os, model=Bright())  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "changes",
    [
        {"name": 3}, {"height": 0}, {"width": "64"}, {"format": "rgb24"}, {"time_base": 0.1},
        {"time_base": Fraction(0)}, {"average_rate": 25}, {"frames": -1}, {"color": "bt709"},
        {"sample_aspect": Fraction(-1)}, {"details": None}, {"height": 10**400},
    ],
)  # fmt: skip
def test_a_wrong_info_of_a_source_is_refused(changes: dict[str, Any]) -> None:
    class Informed(Frames):
        @property
        def info(self) -> SourceInfo:
            return replace(INFO, **changes)

    with pytest.raises(
        InputError, match=rf"the source Informed has .* as info\.{next(iter(changes))}, expec"
    ):
        render(source=Informed())


@pytest.mark.parametrize(
    "changes",
    [
        {"pts": None}, {"pts": 0.5}, {"duration": None}, {"time_base": 0.1}, {"time_base": Fraction(0)},
        {"sample_aspect": 1}, {"sample_aspect": Fraction(0)}, {"color": None}, {"format": None},
        {"planes": None}, {"planes": ()}, {"planes": (PICTURE,) * 3},
    ],
)  # fmt: skip
def test_a_wrong_frame_of_a_source_is_refused(changes: dict[str, Any]) -> None:
    class Wrong(Frames):
        def _frames(self) -> Iterator[Frame]:
            yield frame(**changes)

    with pytest.raises(InputError, match="the source Wrong gave a"):
        render(source=Wrong())


@pytest.mark.parametrize("given", [None, 3, PICTURE])
def test_what_is_no_frame_is_refused(given: Any) -> None:
    class Wrong(Frames):
        def _frames(self) -> Iterator[Frame]:
            yield given

    with pytest.raises(InputError, match="the source Wrong gave .*, expected a Frame"):
        render(source=Wrong())


def test_a_live_output_that_raises_is_named() -> None:
    class Breaks:
        name, watched = "breaks", None

        def __init__(self, format: Any) -> None:
            self.notes: list[str] = []

        def send(self, frame: Frame) -> None:
            raise ValueError("no cable")

        def close(self) -> None: ...

    def broken(format: Any) -> Any:
        raise ValueError("no plug")

    clip = Path(livematte.__file__).parent / "assets" / "astronaut.mp4"
    session = livematte.live(input=clip, to=Breaks, model=Bright(), width=320, height=180)
    with session, pytest.raises(OutputError, match="the output Breaks failed: ValueError: no cable"):
        session.wait(30)
    with pytest.raises(OutputError, match="the output broken failed: ValueError: no plug"):
        livematte.live(input=clip, to=broken, model=Bright(), width=320, height=180)
