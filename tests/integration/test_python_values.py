"""Wrong values for every public Python function, argument and option: an error of livematte in one line, or
it works. Nothing else may be raised, and a long value may not be printed.
"""

from __future__ import annotations

import datetime
import json
import threading
from collections.abc import Callable, Iterator
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import livematte
from livematte.errors import LivematteError
from livematte.frame import Frame, Matte
from livematte.options import (
    CHANGES,
    FitOption,
    ImageOptions,
    LiveOptions,
    LoadOptions,
    MatterOptions,
    MattesOptions,
    RenderOptions,
    TrimapOptions,
)
from livematte.options.declaration import declared
from livematte.options.many import RenderManyOptions
from livematte.printable import LONGEST_LINE
from tests.clips import make_clip

PICTURE = np.full((48, 64, 3), 120, np.uint8)


class Bright:
    """A model."""

    def input_size(self, height: int, width: int) -> tuple[int, int]:
        return 32, 32

    def __call__(self, rgb: Any, state: Any) -> tuple[Matte, Any]:
        return Matte((rgb[..., 0] > 127).astype(np.float32)), None


class Shown:
    """A live sink."""

    name, watched = "shown", None

    def __init__(self, format: Any) -> None:
        self.notes: list[str] = []

    def send(self, frame: Frame) -> None: ...

    def close(self) -> None: ...


def raises(*_: Any, **__: Any) -> Any:
    raise RuntimeError("of the object itself")


def with_methods(**methods: Any) -> Any:
    return type("Odd", (), methods)()


LOOP: list[Any] = []
LOOP.append(LOOP)

VALUES: dict[str, Any] = {
    "None": None, "zero": 0, "negative": -1, "huge": 10**5000, "infinite": float("inf"), "True": True,
    "nan": float("nan"), "1e308": 1e308, "empty": "", "space": " ", "null": "a\0b.mp4", "long": "x" * 100_000,
    "long folders": "/".join(["y" * 200] * 40), "long words": "ab " * 30_000, "long name": "q" * 300 + ".mp4",
    "lines": "a\nb.mp4", "escape": "\x1b[31mred.mp4", "surrogate": "a\ud800b.mp4", "folder": "folder",
    "text file": "text.txt", "percent": "%s%n.png", "braces": "{}", "markup": "[/foo]", "commas": ",,,",
    "colons": ":::", "address": "http://127.0.0.1:9/x.mp4", "digits": "9" * 5000,
    "blur": "blur:" + "9" * 5000,
    "device": "cuda:" + "9" * 5000, "Path null": Path("a\0b"), "Path long": Path("x" * 100_000),
    "Path folder": Path("folder"), "Path empty": Path(), "bytes": b"in.mkv", "no bytes": b"",
    "bytearray": bytearray(b"abc"), "list": [], "list of None": [None], "tuple": (), "three": (1, 2, 3),
    "three huge": (10**400, 0, 0), "dict": {"a": 1}, "set": set(), "object": object(), "class": Bright,
    "function": lambda *_: None, "complex": 1j, "array of 0": np.zeros(()), "array of 1": np.zeros(3),
    "array of objects": np.array([object()]), "grey": np.zeros((48, 64), np.uint8), "NumPy int": np.int64(3),
    "NumPy nan": np.float32("nan"), "loop": LOOP, "module": json, "exception": ValueError("x"),
    "event": threading.Event(), "Fraction": Fraction(1, 3), "Decimal": Decimal("nan"),
    "date": datetime.datetime(2020, 1, 1), "repr raises": with_methods(__repr__=raises),
    "shape raises": with_methods(shape=property(raises)), "odd shape": with_methods(shape=3),
    "path raises": with_methods(__fspath__=raises), "path of int": with_methods(__fspath__=lambda _: 3),
    "path of bytes": with_methods(__fspath__=lambda _: b"in.mkv"),
    "iterator raises": with_methods(__iter__=raises),
    "equality raises": with_methods(__eq__=raises, __hash__=object.__hash__),
    "every attribute raises": with_methods(__getattr__=raises),
    "array raises": with_methods(__array__=raises),
}  # fmt: skip

OPTIONS: Any = {"model": Bright(), "refine": "none"}


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("values")
    make_clip(folder / "in.mkv", frames=3, size=(48, 64), codec="ffv1")
    livematte.image(PICTURE, folder / "in.png", background="white", **OPTIONS)
    (folder / "folder").mkdir()
    (folder / "text.txt").write_text("hello")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        yield folder


def output(suffix: str) -> str:
    output.count = getattr(output, "count", 0) + 1  # type: ignore[attr-defined]
    return f"out-{output.count}{suffix}"  # type: ignore[attr-defined]


def live(**options: Any) -> None:
    with livematte.live(**{"input": "in.mkv", "to": Shown, **OPTIONS, **options}):
        pass


def many(**options: Any) -> None:
    """Without rendering: all is checked before."""
    livematte.render_many(["in.mkv"], "many", **{**OPTIONS, **options})


WITH_OPTIONS: dict[str, tuple[type, Callable[..., Any]]] = {
    "render": (
        RenderOptions,
        lambda **o: livematte.render("in.mkv", output(".mkv"), **{**OPTIONS, "codec": "ffv1", **o}),
    ),
    "image": (ImageOptions, lambda **o: livematte.image("in.png", output(".png"), **{**OPTIONS, **o})),
    "trimap": (
        TrimapOptions,
        lambda **o: livematte.trimap("in.png", output(".png"), **{"model": Bright(), **o}),
    ),
    "mattes": (MattesOptions, lambda **o: list(livematte.mattes("in.mkv", **{**OPTIONS, **o}))),
    "Matter": (MatterOptions, lambda **o: livematte.Matter(**{**OPTIONS, **o})(PICTURE)),
    "over": (FitOption, lambda **o: livematte.Matter(**OPTIONS)(PICTURE).over("green", **o)),
    "load_model": (LoadOptions, lambda **o: livematte.load_model("late-fusion-live", **o)),
    "render_many": (RenderManyOptions, many),
    "live": (LiveOptions, live),
}
WITH_VALUE: dict[str, Callable[[Any], Any]] = {
    "render input": lambda v: livematte.render(v, output(".mkv"), **OPTIONS),
    "render output": lambda v: livematte.render("in.mkv", v, **OPTIONS),
    "render stop": lambda v: livematte.render("in.mkv", output(".mkv"), stop=v, **OPTIONS),
    "image input": lambda v: livematte.image(v, **OPTIONS),
    "image output": lambda v: livematte.image("in.png", v, **OPTIONS),
    "trimap input": lambda v: livematte.trimap(v, output(".png"), model=Bright()),
    "trimap output": lambda v: livematte.trimap("in.png", v, model=Bright()),
    "mattes input": lambda v: list(livematte.mattes(v, **OPTIONS)),
    "mattes first": lambda v: list(livematte.mattes([v], **OPTIONS)),
    "mattes second": lambda v: list(livematte.mattes([PICTURE, v], **OPTIONS)),
    "Matter picture": lambda v: livematte.Matter(**OPTIONS)(v),
    "Matter image": lambda v: livematte.Matter(**OPTIONS).image(v),
    "over background": lambda v: livematte.Matter(**OPTIONS)(PICTURE).over(v),
    "load_model name": lambda v: livematte.load_model(v),
    "load_model streams": lambda v: livematte.load_model(streams=v),
    "render_many inputs": lambda v: livematte.render_many(v, "many", **OPTIONS),
    "render_many input": lambda v: livematte.render_many([v], "many", **OPTIONS),
    "render_many folder": lambda v: livematte.render_many(["in.mkv"], v, **OPTIONS),
}
ALL: dict[str, str] = {}
"""Each option, once, with a function that takes it, the fastest one."""
for function in (
    "Matter",
    "image",
    "trimap",
    "mattes",
    "render",
    "live",
    "render_many",
    "over",
    "load_model",
):
    for each in declared(WITH_OPTIONS[function][0]):
        ALL.setdefault(each.name, function)


def wrong_lines(call: Callable[[Any], Any], values: dict[str, Any]) -> list[str]:
    """What other than an error in one line, or nothing, comes of each value."""
    found = []
    for name, value in values.items():
        try:
            call(value)
        except LivematteError as error:
            line = str(error)
            if not line.strip() or len(line) > LONGEST_LINE or len(line.splitlines()) != 1:
                found.append(f"{name}: {line[:200]!r}")
        except Exception as error:
            found.append(f"{name}: {error!r:.200}")
    return found


@pytest.mark.parametrize("argument", WITH_VALUE)
def test_a_wrong_argument_is_refused_in_one_line(here: Path, argument: str) -> None:
    assert wrong_lines(WITH_VALUE[argument], VALUES) == []


@pytest.mark.slow
@pytest.mark.parametrize("option", ALL)
def test_a_wrong_option_is_refused_in_one_line(here: Path, option: str) -> None:
    call = WITH_OPTIONS[ALL[option]][1]
    assert wrong_lines(lambda value: call(**{option: value}), VALUES) == []


@pytest.mark.parametrize("function", WITH_OPTIONS)
def test_an_unknown_option_is_refused_in_one_line(here: Path, function: str) -> None:
    call = WITH_OPTIONS[function][1]
    names = {name: name for name in ("nonsense", "backgruond", "z" * 100_000, "", "\x1b[31m")}
    assert wrong_lines(lambda name: call(**{name: 1}), names) == []


@pytest.mark.parametrize("name", [*CHANGES, "blur", "paused", "frozen"])
def test_a_wrong_value_for_a_running_session_is_refused_in_one_line(here: Path, name: str) -> None:
    with livematte.live(input="in.mkv", to=Shown, **OPTIONS) as session:
        assert wrong_lines(lambda value: setattr(session, name, value), VALUES) == []
        assert session.running


@pytest.mark.parametrize("name", ["progress", "stop"])
def test_what_cannot_be_called_back_is_refused_before_anything_is_written(here: Path, name: str) -> None:
    target = here / output(".mkv")
    with pytest.raises(LivematteError, match=f"{name} 3 is invalid"):
        livematte.render("in.mkv", target, **{name: 3}, **OPTIONS)
    assert not target.exists()


def test_what_progress_raises_ends_a_render_and_is_passed_on(here: Path) -> None:
    class EnoughError(Exception):
        pass

    def progress(_: livematte.Progress) -> None:
        raise EnoughError

    with pytest.raises(EnoughError):
        livematte.render("in.mkv", output(".mkv"), progress=progress, **OPTIONS)


def test_a_picture_that_is_none_is_named_as_one() -> None:
    with pytest.raises(LivematteError, match="a picture cannot be a NoneType"):
        livematte.mattes([None], **OPTIONS)  # type: ignore[list-item]
