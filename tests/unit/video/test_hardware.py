"""Decoding in hardware: what is said where there is none, and what becomes of surfaces that a fake gives.

The fake decodes on the CPU and hands out what a card would: NV12 or P010 whose planes speak DLPack only.
"""

from __future__ import annotations

import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from livematte.device import Device
from livematte.device.cuda import cupy, on_gpu
from livematte.errors import DeviceError, UsageError
from livematte.frame import Frame, Matte
from livematte.matting.backgrounds import Color
from livematte.offline import engine
from livematte.video import hardware, side_data
from livematte.video.reader import open_video
from tests import clips
from tests.cuda_shim import build, fakecupy

needs_compiler = pytest.mark.skipif(build.compiler() is None, reason="no C++ compiler with fibres")


class Plane:
    """As PyAV's of a surface: no buffer, and no word of streams."""

    def __init__(self, plane: Any) -> None:
        self._plane = plane

    def __dlpack_device__(self) -> Any:
        return self._plane.__dlpack_device__()

    def __dlpack__(self, *, stream: int | None = None) -> Any:
        if stream is not None:
            raise NotImplementedError("CUDA stream synchronization is not supported.")
        return self._plane.__dlpack__()


class Surface:
    """A decoded frame on the card."""

    def __init__(self, frame: Any, held: str) -> None:
        self._frame = frame.reformat(format=held)
        self.format = types.SimpleNamespace(name="cuda", components=())
        self.planes = [Plane(plane) for plane in self._frame.planes]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._frame, name)


class Context:
    """A decoder whose hardware takes ``able`` streams."""

    is_hwaccel = True

    def __init__(self, inside: Any, held: str, *, able: bool, keeps: bool) -> None:
        self._inside, self._held, self._able, self._keeps = inside, held, able, keeps
        self.pix_fmt = "cuda"

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inside, name)

    def decode(self, packet: Any) -> list[Any]:
        frames = self._inside.decode(packet)
        if frames and not self._able:
            self.pix_fmt = "yuv420p"
        if not self._able:
            return list(frames)
        if not self._keeps:
            return [frame.reformat(format=self._held) for frame in frames]
        return [Surface(frame, self._held) for frame in frames]


@pytest.fixture
def card(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """A machine with a card; ``able`` says if it decodes what it is given, ``asked`` how it was asked."""
    told: dict[str, Any] = {"able": True, "asked": []}

    def queued() -> int:
        return fakecupy.Stream.null.clock.get(fakecupy.Stream.null, 0)

    before = queued()

    def context(path: Path, stream: Any, codec: Any, kind: str, gpu: Any, *, shared: bool = False) -> Any:
        told["asked"].append((codec.name, kind, gpu, shared))
        assert not shared or queued() > before, "a thread has no context before it works"
        held = "p010le" if told.get("deep") else "nv12"
        if told.get("own"):
            inside: Any = av.CodecContext.create(codec.name, "r")
            inside.extradata = stream.codec_context.extradata
            return Context(inside, held, able=True, keeps=shared), None
        container = av.open(str(path))
        inside = container.streams[stream.index].codec_context
        return Context(inside, held, able=told["able"], keeps=shared), container

    monkeypatch.setattr(hardware, "driver_gpus", lambda: 1)
    monkeypatch.setattr(hardware, "_open_decoder", context)
    monkeypatch.setattr(
        side_data, "SideDataContainer", lambda frame: frame.side_data
    )  # PyAV's takes no Surface
    cupy.cache_clear()
    with fakecupy.in_place():
        yield told
    cupy.cache_clear()


def frames(path: Path, **how: Any) -> tuple[list[Frame], list[str]]:
    with open_video(path, **how) as video:
        found = [
            frame.with_planes(tuple(p if on_gpu(p) else np.array(p) for p in frame.planes)) for frame in video
        ]
        return found, video.notes


def planar(frame: Frame) -> list[np.ndarray]:
    """Its planes in the computer's memory, chroma apart."""
    luma, *chroma = (np.array(np.asarray(plane).view(np.ndarray)) for plane in frame.planes)
    if frame.pixel_format.interleaved:
        chroma = [chroma[0][..., 0], chroma[0][..., 1]]
    return [luma, *chroma]


def same(ours: list[Frame], theirs: list[Frame]) -> None:
    assert [(f.pts, f.duration, f.color) for f in ours] == [(f.pts, f.duration, f.color) for f in theirs]
    for a, b in zip(ours, theirs, strict=True):
        for left, right in zip(planar(a), planar(b), strict=True):
            np.testing.assert_array_equal(left, right)


@pytest.mark.parametrize(
    ("hwaccel", "gpus", "codec", "told"),
    [
        ("cuda", 0, "libx264", "--hwaccel cuda: no NVIDIA GPU or driver was found; --hwaccel none decodes"),
        ("cuda", 1, "prores_ks", "cuda does not decode prores"),
        ("qsv", 0, "ffv1", "qsv does not decode ffv1"),
        ("dxva", 0, "libx264", "unknown hwaccel 'dxva': .*allowed are auto, none, cuda"),
    ],
)
def test_asked_for_and_absent(
    tmp_path: Path, hwaccel: str, gpus: int, codec: str, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hardware, "driver_gpus", lambda: gpus)
    monkeypatch.setattr(hardware, "hwdevices_available", lambda: ["cuda", "qsv"])
    format = "yuv422p10le" if codec == "prores_ks" else "yuv420p"
    path = clips.make_clip(tmp_path / "a.mkv", frames=3, codec=codec, format=format)
    with pytest.raises((DeviceError, UsageError), match=told):
        open_video(path, hwaccel=hwaccel)


def test_a_kind_that_this_ffmpeg_lacks_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hardware, "hwdevices_available", lambda: ["cuda", "qsv"])
    path = clips.make_clip(tmp_path / "a.mp4", frames=3)
    with pytest.raises(DeviceError, match=r"was built without vaapi \(it has cuda, qsv\)"):
        open_video(path, hwaccel="vaapi")


@pytest.mark.skipif(hardware.driver_gpus() > 0, reason="there is a card here, which opens")
@pytest.mark.skipif("cuda" not in hardware.hwdevices_available(), reason="FFmpeg without CUDA")
def test_a_driver_that_does_not_open_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """FFmpeg itself is asked here."""
    monkeypatch.setattr(hardware, "driver_gpus", lambda: 1)
    path = clips.make_clip(tmp_path / "a.mp4", frames=3)
    with pytest.raises(DeviceError, match="--hwaccel cuda: cuda cannot be opened: "):
        open_video(path, hwaccel="cuda")


def test_auto_goes_on_without_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hardware, "driver_gpus", lambda: 0)
    path = clips.make_clip(tmp_path / "a.mp4", frames=5)
    plain, silent = frames(path)
    found, notes = frames(path, hwaccel="auto", gpu=0)
    same(found, plain)
    assert silent == []
    assert notes == ["decoded on the CPU: no NVIDIA GPU or driver was found"]
    assert frames(path, hwaccel="auto")[1] == [], "nothing was promised where the CPU works on frames"


def test_surfaces_stay_on_the_gpu(tmp_path: Path, card: dict[str, Any]) -> None:
    path = clips.make_clip(tmp_path / "a.mp4", frames=8, audio=1, tags=(1, 1, 1, 1))
    plain, _ = frames(path)
    fakecupy.moved.update({"to": 0, "from": 0})
    found, notes = frames(path, hwaccel="auto", gpu=0, start=0.08)
    assert fakecupy.moved == {"to": 0, "from": 0}
    assert card["asked"] == [("h264", "cuda", 0, True)]
    assert notes == []
    assert {frame.format for frame in found} == {"nv12"}
    assert all(on_gpu(plane) for frame in found for plane in frame.planes)
    same(found, plain[2:])


@needs_compiler
def test_ten_bits_become_planes_on_the_gpu(tmp_path: Path, card: dict[str, Any]) -> None:
    card["deep"] = True
    path = clips.make_clip(tmp_path / "a.mp4", frames=4, format="yuv420p10le", codec="libx265")
    found, _ = frames(path, hwaccel="cuda", gpu=0)
    assert {frame.format for frame in found} == {"yuv420p10le"}
    assert all(on_gpu(plane) for frame in found for plane in frame.planes)
    same(found, frames(path)[0])


class Bright:
    """Whatever is bright is a person."""

    def input_size(self, height: int, width: int) -> tuple[int, int]:
        return height // 2, width // 2

    def __call__(self, rgb: Any, state: Any) -> tuple[Matte, Any]:
        return Matte((rgb.mean(axis=2) / 255).clip(0, 1).astype(np.float32)), None


class LRUCache:
    """A sink."""

    def __init__(self) -> None:
        self.frames: list[Frame] = []

    def write(self, frame: Frame) -> None:
        self.frames.append(frame.with_planes(tuple(map(np.array, frame.planes))))

    def close(self) -> None:
        pass

    abort = close


@needs_compiler
@pytest.mark.parametrize("deep", [False, True])
def test_from_surface_to_composite_nothing_goes_up(tmp_path: Path, card: dict[str, Any], deep: bool) -> None:
    """The stand-in for CuPy watches that nothing is read before it is there, on whatever stream."""
    card["deep"] = deep
    format, codec = ("yuv420p10le", "libx265") if deep else ("yuv420p", "libx264")
    path = clips.make_clip(tmp_path / "a.mp4", frames=5, format=format, codec=codec)
    made = []
    for how, device in (({}, None), ({"hwaccel": "cuda", "gpu": 0}, Device("cuda", 0, "a fake"))):
        sink = LRUCache()
        source: Any = open_video(path, **how)  # type: ignore[arg-type]
        stats = engine.render(source, Bright(), Color((0, 177, 64)), [engine.Output(sink)], device=device)
        made.append(sink.frames)
    plain, found = made
    assert len(found) == 5
    one = sum(plane.nbytes for plane in found[0].planes)
    small = 60 * 80 * (4 + 3)
    assert stats.transfers.uploaded <= one + 5 * small, (
        "the background, and mattes of a model that knows no GPU"
    )
    for a, b in zip(plain, found, strict=True):
        for left, right in zip(planar(a), planar(b), strict=True):
            assert np.abs(left.astype(int) - right).max() <= 2 * 4**deep


@pytest.mark.parametrize("deep", [False, True])
def test_what_the_cpu_works_on_is_downloaded(tmp_path: Path, card: dict[str, Any], deep: bool) -> None:
    card["deep"] = deep
    format, codec = ("yuv420p10le", "libx265") if deep else ("yuv420p", "libx264")
    path = clips.make_clip(tmp_path / "a.mp4", frames=4, format=format, codec=codec)
    found, _ = frames(path, hwaccel="cuda")
    assert card["asked"][0][3] is False
    assert {frame.format for frame in found} == {"yuv420p10le" if deep else "nv12"}
    assert not any(on_gpu(plane) for frame in found for plane in frame.planes)
    same(found, frames(path)[0])


def test_the_card_that_was_named_decodes_for_the_cpu_too(tmp_path: Path, card: dict[str, Any]) -> None:
    path = clips.make_clip(tmp_path / "a.mp4", frames=3)
    found, _ = frames(path, hwaccel="cuda", card=1)
    assert card["asked"] == [("h264", "cuda", 1, False)]
    same(found, frames(path)[0])


def test_what_the_hardware_cannot_do_is_decoded_anew(tmp_path: Path, card: dict[str, Any]) -> None:
    card["able"] = False
    path = clips.make_clip(tmp_path / "a.mp4", frames=6)
    plain, _ = frames(path)
    found, notes = frames(path, hwaccel="auto", gpu=0)
    same(found, plain)
    assert notes == ["decoded on the CPU: cuda does not decode h264 of profile Main"]
    with pytest.raises(DeviceError, match="--hwaccel cuda: cuda does not decode h264 of profile"):
        open_video(path, hwaccel="cuda")


@pytest.mark.parametrize("keeps", [True, False])
@pytest.mark.parametrize("what", ["turned", "interlaced"])
def test_turned_and_interlaced_frames_come_down(
    tmp_path: Path, card: dict[str, Any], what: str, keeps: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Real surfaces are downloaded by FFmpeg; the fake's are what it would give."""
    real = hardware.HardwareDecoder.download

    def download(self: Any, frame: Any) -> Any:
        bare = getattr(frame, "_frame", frame)
        return real(hardware.HardwareDecoder(self.context, "cuda", "cuda"), bare)

    monkeypatch.setattr(hardware.HardwareDecoder, "download", download)
    how: Any = {"rotation": 90} if what == "turned" else {"interlaced": True}
    path = clips.make_clip(tmp_path / "a.mp4", frames=5, size=(128, 160), **how)
    found, notes = frames(path, hwaccel="cuda", gpu=0 if keeps else None)
    plain, said = frames(path)
    same(found, plain)
    assert notes == said


def test_a_decoder_of_its_own_is_told_what_the_container_says(tmp_path: Path, card: dict[str, Any]) -> None:
    """Intel's do not hear of it from FFmpeg."""
    card["own"] = True
    path = clips.make_clip(tmp_path / "a.mp4", frames=4, rotation=270)
    found, _ = frames(path, hwaccel="cuda")
    assert found[0].size == (160, 120)
    same(found, frames(path)[0])


def test_av1_goes_to_the_decoder_that_hardware_helps(tmp_path: Path) -> None:
    """FFmpeg opens such files with libdav1d, which decodes on the CPU only."""
    path = clips.make_clip(tmp_path / "a.mkv", codec="libsvtav1", frames=3)
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        found = hardware._find_decoder(stream.codec_context.codec.canonical_name, "cuda")
        assert found is not None and found[0].name == "av1" != stream.codec_context.codec.name
        try:
            context, own = hardware._open_decoder(path, stream, found[0], "cuda", None)
        except av.error.FFmpegError:
            assert hardware.driver_gpus() == 0, "it asked for the card, and there is none"
        else:
            assert context.codec.name == "av1" and own is None


def test_odd_sizes_and_transparency_do_not_stay(tmp_path: Path, card: dict[str, Any]) -> None:
    """PyAV's surfaces lack the last row of chroma where the height is odd."""
    odd = clips.make_clip(tmp_path / "a.webm", codec="libvpx-vp9", size=(121, 161), frames=3)
    found, _ = frames(odd, hwaccel="cuda", gpu=0)
    assert card["asked"][-1][1:] == ("cuda", 0, False)
    same(found, frames(odd)[0])
    with av.open(str(tmp_path / "b.webm"), "w") as out:
        stream: Any = out.add_stream("libvpx-vp9", rate=25, options={"cpu-used": "8", "auto-alt-ref": "0"})
        stream.width, stream.height, stream.pix_fmt = 160, 120, "yuva420p"
        stream.metadata["alpha_mode"] = "1"
        for i in range(3):
            out.mux(stream.encode(clips.video_frame(i, 3, (120, 160), "yuva420p")))
        out.mux(stream.encode(None))
    with pytest.raises(DeviceError, match="do not support transparency"):
        open_video(tmp_path / "b.webm", hwaccel="cuda", gpu=0)
