"""Rules that every live sink must follow. The sinks of the plug-ins are tested with fake programs."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from fractions import Fraction
from inspect import Parameter, signature
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pyvirtualcam = pytest.importorskip("pyvirtualcam", reason="pip install '.[virtualcam]'")
pytest.importorskip("obswebsocket", reason="pip install '.[obs]'")

from livematte import registry  # noqa: E402
from livematte.errors import LivematteError, OutputError, UsageError  # noqa: E402
from livematte.frame import Array, ColorInfo, Frame  # noqa: E402
from livematte.protocols import LiveFormat, LiveSink  # noqa: E402
from livematte.streaming.null_sink import NULL_SINK, NullSink  # noqa: E402
from tests.unit.plugins.obs.fake_obs import FakeObs  # noqa: E402

HEIGHT, WIDTH = 36, 64
OPAQUE = LiveFormat(WIDTH, HEIGHT, Fraction(30))
CLEAR = LiveFormat(WIDTH, HEIGHT, Fraction(30), alpha=True)

SINKS: dict[str, tuple[str, dict[str, Any]]] = {
    "nowhere": (NULL_SINK, {}),
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
    """A fake virtual camera."""

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


def sink_factory(name: str) -> Callable[..., LiveSink]:
    made: Callable[..., LiveSink] = NullSink if name == NULL_SINK else registry.load("sinks", name)
    return made


@pytest.fixture(params=sorted(SINKS))
def sink_case(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    return SINKS[request.param]


@pytest.fixture
def open_sink(
    sink_case: tuple[str, dict[str, Any]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[Open]:
    """Open the sink, connected to a fake program."""
    name, options = sink_case
    fake: FakeObs | None = None
    if name == "virtualcam":
        monkeypatch.setattr(pyvirtualcam.camera, "BACKENDS", {})
        pyvirtualcam.register_backend("ours", Backend)
    if name == "obs":
        monkeypatch.setattr("livematte.plugins.obs.shared.shared_memory_folder", lambda: tmp_path)
        monkeypatch.setenv("OBS_PASSWORD", "secret")
        fake = FakeObs(removal=0.0)
        fake.kinds.append("livematte_overlay")
        options = {**options, "port": fake.port, "stream_port": 0}
    opened: list[LiveSink] = []

    def open(format: LiveFormat) -> LiveSink:
        opened.append(sink_factory(name)(format, **options))
        return opened[-1]

    yield open
    for sink in opened:
        sink.close()
    if fake is not None:
        fake.stop()


def sink_format(name: str) -> LiveFormat:
    return CLEAR if getattr(sink_factory(name), "wants_alpha", False) else OPAQUE


def frames(format: LiveFormat) -> list[Frame]:
    """Return read-only frames with all variations: gaps in time, repeated planes, formats and colours that
    change within the stream.
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


def test_every_sink_is_tested() -> None:
    assert {name for name, _ in SINKS.values()} == {NULL_SINK, *registry.names("sinks")}


def test_it_accepts_all_frames_of_its_format(sink_case: tuple[str, Any], open_sink: Open) -> None:
    format = sink_format(sink_case[0])
    sink = open_sink(format)
    assert isinstance(sink, LiveSink) and sink.name == sink_case[0]
    for frame in frames(format):
        sink.send(frame)
    assert all(note and "\n" not in note for note in sink.notes)


def test_all_accept_opaque_frames(sink_case: tuple[str, Any], open_sink: Open) -> None:
    """Sinks with transparency must also accept opaque frames."""
    sink = open_sink(OPAQUE)
    for frame in frames(OPAQUE):
        sink.send(frame)


def test_transparency_is_accepted_or_refused_in_one_line(sink_case: tuple[str, Any], open_sink: Open) -> None:
    wants = getattr(sink_factory(sink_case[0]), "wants_alpha", False)
    try:
        sink = open_sink(CLEAR)
    except UsageError as error:
        assert not wants and "\n" not in str(error) and "--background" in str(error)
    else:
        for frame in frames(CLEAR):
            sink.send(frame)


def test_watched_is_a_bool_or_none(sink_case: tuple[str, Any], open_sink: Open) -> None:
    sink = open_sink(sink_format(sink_case[0]))
    assert sink.watched in (True, False, None)
    sink.close()
    assert sink.watched in (True, False, None)


def test_closing_is_free_and_what_comes_after_it_harms_nobody(
    sink_case: tuple[str, Any], open_sink: Open
) -> None:
    format = sink_format(sink_case[0])
    sink = open_sink(format)
    sink.send(frames(format)[0])
    sink.close()
    sink.close()
    try:
        sink.send(frames(format)[1])
    except OutputError as error:
        assert "\n" not in str(error)


def test_it_can_be_opened_again_immediately(sink_case: tuple[str, Any], open_sink: Open) -> None:
    format = sink_format(sink_case[0])
    for _ in range(2):
        sink = open_sink(format)
        sink.send(frames(format)[0])
        sink.close()


def test_a_client_that_never_reads_blocks_nothing(sink_case: tuple[str, Any], open_sink: Open) -> None:
    """120 pictures exceed the socket buffers: a sink that waits for the client would block forever."""
    format = sink_format(sink_case[0])
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


def test_its_own_options_are_known_by_name(sink_case: tuple[str, Any]) -> None:
    """Unknown options can then be refused, also those of a profile ([sink-option.NAME])."""
    taken = list(signature(sink_factory(sink_case[0])).parameters.values())
    assert taken[0].kind is Parameter.POSITIONAL_OR_KEYWORD
    assert all(each.kind is Parameter.KEYWORD_ONLY for each in taken[1:])
    assert all(each.default is not Parameter.empty for each in taken[1:])


def test_an_invalid_option_gives_one_line(sink_case: tuple[str, Any], open_sink: Open) -> None:
    wrong = {"virtualcam": {"pixel_format": "RGBA"}, "obs": {"layout": "red"}}.get(sink_case[0])
    if wrong is None:
        assert len(signature(sink_factory(sink_case[0])).parameters) == 1, "there is none to get wrong"
        return
    open_sink(sink_format(sink_case[0])).close()
    with pytest.raises(LivematteError) as caught:
        sink_factory(sink_case[0])(sink_format(sink_case[0]), **wrong)
    (value,) = wrong.values()
    assert value in str(caught.value) and ": use " in str(caught.value) and "\n" not in str(caught.value)
