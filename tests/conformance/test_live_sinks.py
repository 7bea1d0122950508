"""What every live output keeps to: those of the plug-ins over fakes of the program on the other side."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from fractions import Fraction
from inspect import Parameter, signature
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pyvirtualcam = pytest.importorskip("pyvirtualcam", reason="pip install 'livematte[virtualcam]'")
pytest.importorskip("obswebsocket", reason="pip install 'livematte[obs]'")

from livematte import registry  # noqa: E402
from livematte.errors import LivematteError, OutputError, UsageError  # noqa: E402
from livematte.frame import Array, ColorInfo, Frame  # noqa: E402
from livematte.protocols import LiveFormat, LiveSink  # noqa: E402
from livematte.streaming.nowhere import NOWHERE, Nowhere  # noqa: E402
from tests.unit.plugins.obs.fake_obs import FakeObs  # noqa: E402

HEIGHT, WIDTH = 36, 64
OPAQUE = LiveFormat(WIDTH, HEIGHT, Fraction(30))
CLEAR = LiveFormat(WIDTH, HEIGHT, Fraction(30), alpha=True)

OUTPUTS: dict[str, tuple[str, dict[str, Any]]] = {
    "nowhere": (NOWHERE, {}),
    "virtual camera, I420": ("virtualcam", {"pixel_format": "I420"}),
    "virtual camera, NV12": ("virtualcam", {"pixel_format": "NV12"}),
    "OBS, Media Source": ("obs", {"route": "media"}),
    "OBS, Media Source, side by side": ("obs", {"route": "media", "layout": "side-by-side"}),
    "OBS, Lua": ("obs", {"route": "lua"}),
    "stream": ("obs", {"route": "stream"}),
    "stream, green": ("obs", {"route": "stream", "layout": "green"}),
}
"""Registered name and options."""

Open = Callable[[LiveFormat], LiveSink]


class Backend:
    """A virtual camera that is always there."""

    def __init__(self, *, device: str | None, **_: Any) -> None:
        self._device = device or "Camera 1"

    def send(self, frame: Array) -> None:
        pass

    def close(self) -> None:
        pass

    def device(self) -> str:
        return self._device

    def native_fourcc(self) -> None:
        return None


def factory_of(name: str) -> Callable[..., LiveSink]:
    made: Callable[..., LiveSink] = Nowhere if name == NOWHERE else registry.load("sinks", name)
    return made


@pytest.fixture(params=sorted(OUTPUTS))
def output(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    return OUTPUTS[request.param]


@pytest.fixture
def open_sink(
    output: tuple[str, dict[str, Any]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[Open]:
    """Opens the output; a fake program is on its other side."""
    name, options = output
    fake: FakeObs | None = None
    if name == "virtualcam":
        monkeypatch.setattr(pyvirtualcam.camera, "BACKENDS", {})
        pyvirtualcam.register_backend("ours", Backend)
    if name == "obs":
        monkeypatch.setattr("livematte.plugins.obs.shared.folder", lambda: tmp_path)
        monkeypatch.setenv("OBS_PASSWORD", "secret")
        fake = FakeObs(removal=0.0)
        fake.kinds.append("livematte_overlay")
        options = {**options, "port": fake.port, "stream_port": 0}
    opened: list[LiveSink] = []

    def open(format: LiveFormat) -> LiveSink:
        opened.append(factory_of(name)(format, **options))
        return opened[-1]

    yield open
    for sink in opened:
        sink.close()
    if fake is not None:
        fake.stop()


def format_of(name: str) -> LiveFormat:
    return CLEAR if getattr(factory_of(name), "wants_alpha", False) else OPAQUE


def frames(format: LiveFormat) -> list[Frame]:
    """Whatever may come in that format, in a row: gaps in time, repeated planes, formats and colours that
    change on the way. Nobody may write to any of it.
    """
    luma = np.tile(np.arange(40, 40 + WIDTH, dtype=np.uint8), (HEIGHT, 1))
    chroma = np.full((HEIGHT // 2, WIDTH // 2), 120, np.uint8)
    alpha = np.full((HEIGHT, WIDTH), 128, np.uint8)
    kinds = [((luma, chroma, chroma), "yuv420p"), ((luma, np.stack((chroma, chroma), 2)), "nv12")]
    if format.alpha:
        kinds = [((luma, chroma, chroma, alpha), "yuva420p")]
    made, pts = [], 0
    for planes, layout in kinds:
        for color in (ColorInfo("bt709", False), ColorInfo("bt601", False), ColorInfo("bt601", True)):
            own = tuple(plane.copy() for plane in planes)
            for plane in own:
                plane.setflags(write=False)
            for step in (1, 1, 5):
                made.append(Frame(own, layout, pts, 1 / format.rate, 1, color))
                pts += step
    return made


def test_every_output_is_here() -> None:
    assert {name for name, _ in OUTPUTS.values()} == {NOWHERE, *registry.names("sinks")}


def test_it_takes_whatever_its_format_says(output: tuple[str, Any], open_sink: Open) -> None:
    format = format_of(output[0])
    sink = open_sink(format)
    assert isinstance(sink, LiveSink) and sink.name == output[0]
    for frame in frames(format):
        sink.send(frame)
    assert all(note and "\n" not in note for note in sink.notes)


def test_opaque_frames_are_taken_by_all(output: tuple[str, Any], open_sink: Open) -> None:
    """A colour behind people is asked for more often than transparency, also where that can be."""
    sink = open_sink(OPAQUE)
    for frame in frames(OPAQUE):
        sink.send(frame)


def test_transparency_is_taken_or_refused_in_one_line(output: tuple[str, Any], open_sink: Open) -> None:
    wants = getattr(factory_of(output[0]), "wants_alpha", False)
    try:
        sink = open_sink(CLEAR)
    except UsageError as error:
        assert not wants and "\n" not in str(error) and "--background" in str(error)
    else:
        for frame in frames(CLEAR):
            sink.send(frame)


def test_whether_anybody_looks_is_known_or_none(output: tuple[str, Any], open_sink: Open) -> None:
    sink = open_sink(format_of(output[0]))
    assert sink.watched in (True, False, None)
    sink.close()
    assert sink.watched in (True, False, None)


def test_closing_is_free_and_what_comes_after_it_harms_nobody(
    output: tuple[str, Any], open_sink: Open
) -> None:
    format = format_of(output[0])
    sink = open_sink(format)
    sink.send(frames(format)[0])
    sink.close()
    sink.close()
    try:
        sink.send(frames(format)[1])
    except OutputError as error:
        assert "\n" not in str(error)


def test_it_is_opened_again_at_once(output: tuple[str, Any], open_sink: Open) -> None:
    format = format_of(output[0])
    for _ in range(2):
        sink = open_sink(format)
        sink.send(frames(format)[0])
        sink.close()


def test_one_who_connects_and_never_reads_holds_nobody_up(output: tuple[str, Any], open_sink: Open) -> None:
    """120 pictures are more than sockets keep; a sink that waited would not come back."""
    format = format_of(output[0])
    sink = open_sink(LiveFormat(640, 360, format.rate, format.alpha))
    port = getattr(getattr(sink, "_way", None), "port", None)
    with socket.socket() as deaf:
        if port is not None:
            deaf.connect(("127.0.0.1", port))
        luma = np.zeros((360, 640), np.uint8)
        chroma = np.full((180, 320), 128, np.uint8)
        for pts in range(120):
            planes = (np.full_like(luma, pts), chroma, chroma, *[luma] * format.alpha)
            sink.send(Frame(planes, "yuva420p" if format.alpha else "yuv420p", pts, 1 / format.rate, 1))
        sink.close()


def test_its_own_options_are_known_by_name(output: tuple[str, Any]) -> None:
    """So that one that there is not is refused, and a profile's [sink-option.NAME] can be checked."""
    taken = list(signature(factory_of(output[0])).parameters.values())
    assert taken[0].kind is Parameter.POSITIONAL_OR_KEYWORD
    assert all(each.kind is Parameter.KEYWORD_ONLY for each in taken[1:])
    assert all(each.default is not Parameter.empty for each in taken[1:])


def test_an_impossible_option_is_one_line(output: tuple[str, Any], open_sink: Open) -> None:
    wrong = {"virtualcam": {"pixel_format": "RGBA"}, "obs": {"layout": "red"}}.get(output[0])
    if wrong is None:
        assert len(signature(factory_of(output[0])).parameters) == 1, "there is none to get wrong"
        return
    open_sink(format_of(output[0])).close()
    with pytest.raises(LivematteError) as caught:
        factory_of(output[0])(format_of(output[0]), **wrong)
    (value,) = wrong.values()
    assert value in str(caught.value) and "allowed are" in str(caught.value) and "\n" not in str(caught.value)
