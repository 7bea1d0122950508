"""The virtual camera with a fake back-end that is registered with pyvirtualcam."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

pyvirtualcam = pytest.importorskip("pyvirtualcam", reason="pip install '.[virtualcam]'")

from livematte.errors import OutputError, UsageError  # noqa: E402
from livematte.frame import ColorInfo, Frame  # noqa: E402
from livematte.plugins.virtualcam import sink as module  # noqa: E402
from livematte.plugins.virtualcam.sink import virtualcam  # noqa: E402
from livematte.protocols import LiveFormat, LiveSink  # noqa: E402

FORMAT = LiveFormat(64, 48, Fraction(30))
LIMITED_601 = ColorInfo("bt601", False)


class Backend:
    """A fake back-end that stores the frames."""

    made: list[Backend] = []
    trouble: Exception | None = None

    def __init__(self, *, width: int, height: int, fps: float, fourcc: int, device: str | None) -> None:
        if Backend.trouble is not None:
            raise Backend.trouble
        self.asked = (width, height, fps, device)
        self.fourcc = fourcc.to_bytes(4, "little").decode()
        self.frames: list[np.ndarray] = []
        self.closed = 0
        self.breaks: Exception | None = None
        Backend.made.append(self)

    def send(self, frame: np.ndarray) -> None:
        if self.breaks is not None:
            raise self.breaks
        self.frames.append(frame.copy())

    def close(self) -> None:
        self.closed += 1

    def device(self) -> str:
        return self.asked[3] or "Camera 1"

    def native_fourcc(self) -> None:
        return None


@pytest.fixture(autouse=True)
def _backend(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(pyvirtualcam.camera, "BACKENDS", {})
    pyvirtualcam.register_backend("ours", Backend)
    Backend.made, Backend.trouble = [], None
    yield
    Backend.made = []


def frame(luma: int = 100, blue: int = 90, red: int = 200, *, nv12: bool = False, **named: Any) -> Frame:
    height, width = 48, 64
    y = np.full((height, width), luma, np.uint8)
    y[0, :] = np.arange(width)
    chroma = (
        np.full((height // 2, width // 2), blue, np.uint8),
        np.full((height // 2, width // 2), red, np.uint8),
    )
    planes = (y, np.stack(chroma, axis=2)) if nv12 else (y, *chroma)
    named = {"color": LIMITED_601, **named}
    return Frame(planes, "nv12" if nv12 else "yuv420p", 0, Fraction(1, 30), **named)


@pytest.mark.parametrize("nv12", [False, True])
@pytest.mark.parametrize("wanted", ["I420", "NV12"])
def test_planes_arrive_byte_for_byte(nv12: bool, wanted: str) -> None:
    camera = virtualcam(FORMAT, pixel_format=wanted)
    sent = frame(nv12=nv12)
    camera.send(sent)
    (backend,) = Backend.made
    (got,) = backend.frames
    assert backend.asked == (64, 48, 30.0, None)
    assert backend.fourcc == wanted
    np.testing.assert_array_equal(got[: 64 * 48].reshape(48, 64), sent.planes[0])
    chroma = got[64 * 48 :]
    blue, red = (chroma[0::2], chroma[1::2]) if wanted == "NV12" else np.split(chroma, 2)
    assert set(blue) == {90}
    assert set(red) == {200}


def test_it_is_a_live_sink_and_says_where_it_sends() -> None:
    camera = virtualcam(FORMAT, device="/dev/video10")
    assert isinstance(camera, LiveSink)
    assert camera.notes == ["virtual camera /dev/video10 (ours): 64x48 I420 30 fps"]
    assert camera.watched is None


def test_a_repeated_frame_is_sent_again_and_packed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    camera = virtualcam(FORMAT)
    first = frame()
    packed = []
    split = module.Packer.__call__.__globals__["split"]
    monkeypatch.setitem(module.Packer.__call__.__globals__, "split", lambda f: packed.append(f) or split(f))
    for pts in range(3):
        camera.send(Frame(first.planes, "yuv420p", pts, Fraction(1, 30), color=LIMITED_601))
    camera.send(frame(luma=50))
    (backend,) = Backend.made
    assert len(packed) == 2
    assert [int(each[64]) for each in backend.frames] == [100, 100, 100, 50]


WHITE, RED = (1.0, 1.0, 1.0), (1.0, 0.0, 0.0)


def coded(rgb: tuple[float, float, float], matrix: str, *, full: bool) -> tuple[float, float, float]:
    """Return Y, Cb, Cr by the definition, in 8-bit levels."""
    kr, kb = {"bt601": (0.299, 0.114), "bt709": (0.2126, 0.0722), "bt2020": (0.2627, 0.0593)}[matrix]
    r, g, b = rgb
    y = kr * r + (1 - kr - kb) * g + kb * b
    cb, cr = (b - y) / (2 - 2 * kb), (r - y) / (2 - 2 * kr)
    if full:
        return 255 * y, 128 + 255 * cb, 128 + 255 * cr
    return 16 + 219 * y, 128 + 224 * cb, 128 + 224 * cr


@pytest.mark.parametrize(
    "rgb", [WHITE, (0.0, 0.0, 0.0), RED, (0.2, 0.5, 0.7), (0.9, 0.7, 0.6), (0.0, 1.0, 0.3)]
)
@pytest.mark.parametrize("matrix", ["bt601", "bt709", "bt2020"])
@pytest.mark.parametrize("full", [False, True])
def test_other_matrices_and_ranges_become_601_limited(
    rgb: tuple[float, float, float], matrix: str, full: bool
) -> None:
    camera = virtualcam(FORMAT)
    levels = [round(min(255, each)) for each in coded(rgb, matrix, full=full)]
    sent = frame(*levels, color=ColorInfo(matrix, full))
    camera.send(sent)
    got = Backend.made[0].frames[0]
    seen = (int(got[64 * 20]), int(got[64 * 48]), int(got[-1]))
    assert np.abs(np.array(seen) - coded(rgb, "bt601", full=False)).max() <= 2


def test_another_size_or_depth_is_converted_and_said_once() -> None:
    camera = virtualcam(FORMAT)
    planes = tuple(np.full(shape, level, np.uint16) for shape, level in
                   (((96, 128), 400), ((48, 64), 512), ((48, 64), 512)))  # fmt: skip
    for pts in range(2):
        camera.send(Frame(planes, "yuv420p10le", pts, Fraction(1, 30), color=LIMITED_601))
    camera.send(
        Frame(
            (np.full((48, 64), 200, np.uint8),) * 3, "gbrp", 2, Fraction(1, 30), color=ColorInfo("rgb", True)
        )
    )
    sent = Backend.made[0].frames
    assert abs(int(sent[0][64 * 20]) - 100) <= 1
    assert abs(int(sent[2][64 * 20]) - round(16 + 219 * 200 / 255)) <= 1
    assert sum("are converted" in note for note in camera.notes) == 2


def test_what_cannot_be_meant_is_refused() -> None:
    with pytest.raises(UsageError, match="--background"):
        virtualcam(LiveFormat(64, 48, Fraction(30), alpha=True))
    with pytest.raises(UsageError, match="size 63x48 is invalid"):
        virtualcam(LiveFormat(63, 48, Fraction(30)))
    with pytest.raises(UsageError, match=r"back-end 'obs'.*has ours"):
        virtualcam(FORMAT, backend="obs")
    with pytest.raises(UsageError, match="use I420 or NV12"):
        virtualcam(FORMAT, pixel_format="RGBA")
    assert not Backend.made


def test_a_back_end_that_cannot_start_is_one_line_without_its_jargon() -> None:
    Backend.trouble = RuntimeError("virtual camera output could not be started")
    with pytest.raises(OutputError, match="click Stop Virtual Camera") as caught:
        virtualcam(FORMAT)
    assert "\n" not in str(caught.value)


def test_closing_is_free_and_sending_after_it_is_not() -> None:
    camera = virtualcam(FORMAT)
    camera.close()
    camera.close()
    assert Backend.made[0].closed == 1
    with pytest.raises(OutputError, match="closed"):
        camera.send(frame())


def test_a_back_end_that_breaks_is_an_output_error() -> None:
    camera = virtualcam(FORMAT)
    Backend.made[0].breaks = RuntimeError("gone")
    with pytest.raises(OutputError, match="no longer accepts pictures: gone"):
        camera.send(frame())
    camera.close()
