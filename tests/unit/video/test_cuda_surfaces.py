"""Frames that go from a GPU to its own encoder: behind PyAV stands libx264, which reads as late as NVENC may.

PyAV itself imports the planes, from the memory that the stand-in for CuPy has in the computer's.
"""

from __future__ import annotations

import gc
from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.video.frame import VideoFrame

from livematte import api, resolve
from livematte.device.cuda import on_gpu
from livematte.device.execution import CpuContext
from livematte.device.transfer import TransferStats
from livematte.errors import DeviceError, ModelError, OutputError
from livematte.frame import Frame
from livematte.matting.backgrounds import Color
from livematte.offline import engine
from livematte.protocols import SourceInfo
from livematte.video import cuda_surfaces, encoders, writer
from livematte.video.cuda_surfaces import SurfacePool, open_surface_pool
from livematte.video.writer import FileSink, open_sink
from tests.cuda_shim import fakecupy
from tests.unit.kernels.backends import ON_GPU, SOURCE, Backend, running
from tests.unit.kernels.pictures import random_frame
from tests.unit.offline.test_engine_gpu import (
    COUNT,
    CUDA,
    HEIGHT,
    WIDTH,
    Clip,
    GreenIsPerson,
    Keeping,
    frame_of,
    model,
)

HELD = 3
"""Pictures that the encoder has not read yet when it is given the next."""


class Context:
    """As PyAV's: of a GPU, sharing the current context."""

    cuda_stream = 0

    def __init__(
        self, device_id: int, *, primary_ctx: bool, current_ctx: bool, cuda_stream: int | None
    ) -> None:
        assert (primary_ctx, current_ctx) == (False, True), "CuPy's context has flags that FFmpeg refuses"
        assert cuda_stream, "on CUDA's default stream NVENC would wait for the frames that come after"
        copying = fakecupy.get_current_stream().ptr
        assert cuda_stream != copying, "each copy would wait until the picture before it is encoded"
        self.device_id = device_id


class Imported:
    """PyAV's frames, imported as NVENC wants them."""

    @staticmethod
    def from_dlpack(planes: Any, format: str, width: int, height: int, cuda_context: Context) -> VideoFrame:
        luma, chroma = planes
        assert cuda_context.device_id == 0
        pitch = luma.strides[0]
        assert chroma.strides[0] == pitch and pitch % 256 == 0
        assert chroma.ctypes.data == luma.ctypes.data + height * pitch, "NVENC hears of luma's address only"
        return VideoFrame.from_dlpack(planes, format, width, height)


@pytest.fixture
def nvenc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine whose ``h264_nvenc`` is there, and reads a picture when :data:`HELD` others have come."""
    known = encoders.ENCODERS["h264_nvenc"]
    other = replace(known, library="libx264", options={}, quality_option="crf", preset="veryfast")
    monkeypatch.setitem(encoders.ENCODERS, "h264_nvenc", other)  # type: ignore[arg-type]
    monkeypatch.setattr(encoders, "driver_gpus", lambda: 1)
    monkeypatch.setattr(cuda_surfaces.av_frame, "CudaContext", Context)
    monkeypatch.setattr(cuda_surfaces, "VideoFrame", Imported)
    monkeypatch.setattr(writer, "CONTEXT_FORMAT", "nv12")
    reads, given = FileSink._encode, deque[VideoFrame]()

    def late(self: FileSink, picture: VideoFrame | None) -> None:
        if picture is not None:
            given.append(picture)
        while len(given) > (HELD if picture is not None else 0):
            reads(self, given.popleft())
        if picture is None:
            reads(self, None)

    monkeypatch.setattr(FileSink, "_encode", late)
    fakecupy.hazards.clear()
    yield
    gc.collect()
    assert fakecupy.hazards == []


def decoded(path: Path) -> list[tuple[int, np.ndarray]]:
    with av.open(str(path)) as container:
        return [(f.pts, f.to_ndarray(format="yuv420p")) for f in container.decode(video=0)]


def rendered(clip: Clip, path: Path, *, gpu: int | None) -> tuple[FileSink, engine.RenderStats]:
    sink = open_sink(path, clip.info, codec="h264_nvenc", crf=1, gpu=gpu)
    assert isinstance(sink, FileSink)
    outputs = [engine.Output(sink)]
    device = None if gpu is None else CUDA
    return sink, engine.render(clip, model(), Color((0, 177, 64)), outputs, device=device)


@ON_GPU
@pytest.mark.parametrize("format", ["nv12", "yuv420p"])
def test_nothing_of_a_frame_comes_down_and_the_file_is_the_cpus(
    backend: Backend, format: str, tmp_path: Path, nvenc: None
) -> None:
    if backend is not SOURCE:
        pytest.skip("the card's own encoder is tried below")
    plain, here = rendered(Clip(format), tmp_path / "cpu.mkv", gpu=None)
    assert not plain.takes_gpu_frames and here.transfers == TransferStats()
    with running(backend):
        sink, stats = rendered(Clip(format), tmp_path / "gpu.mkv", gpu=0)
        assert sink.takes_gpu_frames and sink.frames == COUNT
        assert stats.transfers.downloaded == COUNT * 8, "the lowest and highest alpha, and no more"
        assert sink._surfaces is not None
        gc.collect()
        used = sink._surfaces._surfaces
        assert len(used) == len(sink._surfaces._idle) == HELD + 1, "each again and again, and all let go of"
        assert sink._stream.codec_context.options["gpu"] == "0"
    for (time, made), (pts, wanted) in zip(decoded(sink.path), decoded(plain.path), strict=True):
        off = np.abs(made.astype(int) - wanted)
        assert time == pts and off.max() <= 8 and off.mean() < 1, "another frame's differ by 100"


@ON_GPU
@pytest.mark.parametrize("format", ["nv12", "yuv420p", "yuv420p10le"])
@pytest.mark.parametrize("width", [124, 126])
def test_a_surface_holds_each_sample_and_is_free_when_ffmpeg_lets_go(
    backend: Backend, format: str, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame = replace(random_frame(format, 90, width, padding=5), pts=7, time_base=Fraction(1, 50), duration=2)
    if backend is SOURCE:
        monkeypatch.setattr(cuda_surfaces.av_frame, "CudaContext", Context)
        monkeypatch.setattr(cuda_surfaces, "VideoFrame", Imported)
    with running(backend):
        inside = "p010le" if format == "yuv420p10le" else "nv12"
        put = SurfacePool(0, inside, 90, width)
        made: Any = put(backend.up(frame))
        assert (made.pts, made.time_base, made.duration) == (7, Fraction(1, 50), 2)
        again = put(backend.up(frame))
        assert len(put._surfaces) == 2 and not put._idle, "the first is not let go of"
        plane = "yuv420p10le" if inside == "p010le" else "yuv420p"
        planes = made.reformat(format=inside).reformat(format=plane).to_ndarray()
        luma, *chroma = frame.planes
        if format == "nv12":
            chroma = [chroma[0][..., 0], chroma[0][..., 1]]
        np.testing.assert_array_equal(planes[:90], luma)
        np.testing.assert_array_equal(planes[90:].ravel(), np.concatenate([c.ravel() for c in chroma]))
        del made, again
        gc.collect()
        assert len(put._idle) == 2
        put(frame)
        gc.collect()
        assert len(put._idle) == 2, "what is in the computer's memory goes up"


def test_where_no_surface_carries_all_of_a_frame_it_comes_down() -> None:
    def info(format: str, height: int = 90, width: int = 124) -> SourceInfo:
        return SourceInfo("clip", height, width, format, Fraction(1, 25))

    assert open_surface_pool(info("nv12"), "nv12", 0) is not None
    assert open_surface_pool(info("yuv420p10le"), "p010le", 1) is not None
    for told, stored in (
        (info("yuv420p10le"), "yuv420p"),
        (info("yuv420p12le"), "p010le"),
        (info("yuv422p"), "yuv444p"),
        (info("yuva420p"), "yuv420p"),
        (info("nv12", height=91), "nv12"),
        (info("nv12", width=123), "nv12"),
    ):
        assert open_surface_pool(told, stored, 0) is None


@pytest.mark.parametrize("why", ["older PyAV", "grey", "x264", "frames on the CPU"])
def test_other_sinks_take_the_computers_memory(
    why: str, tmp_path: Path, nvenc: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if why == "older PyAV":
        monkeypatch.delattr(Context, "cuda_stream")
    options: dict[str, Any] = {"codec": "x264" if why == "x264" else "h264_nvenc", "gpu": 0}
    options |= {"kind": "alpha"} if why == "grey" else {}
    options |= {"gpu": None, "card": 1} if why == "frames on the CPU" else {}
    sink = open_sink(tmp_path / "a.mkv", Clip("nv12").info, **options)
    assert isinstance(sink, FileSink) and not sink.takes_gpu_frames
    asked = sink._stream.codec_context.options.get("gpu")
    assert asked == {"x264": None, "frames on the CPU": "1"}.get(why, "0")
    sink.write(frame_of("nv12", 0))
    sink.close()
    assert len(decoded(tmp_path / "a.mkv")) == 1


def test_an_encoder_that_is_refused_at_the_first_picture_is_told_in_one_line(
    tmp_path: Path, nvenc: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "CONTEXT_FORMAT", "cuda")  # which libx264 does not know
    monkeypatch.setattr(FileSink, "_encode", lambda self, picture: self._stream.encode(picture))
    with running(SOURCE):
        sink = open_sink(tmp_path / "a.mp4", Clip("nv12").info, codec="h264_nvenc", gpu=0)
        with pytest.raises(OutputError, match=r"h264_nvenc does not support 124x90 nv12: .* x264 instead"):
            sink.write(frame_of("nv12", 0))
        sink.abort()
    assert list(tmp_path.iterdir()) == []


def test_memory_that_is_used_up_is_said_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def empty(*_: Any) -> None:
        raise MemoryError("Out of memory allocating 22,320 bytes (allocated so far: 1,024 bytes).")

    with running(SOURCE):
        put = SurfacePool(0, "nv12", 90, 124)
        monkeypatch.setattr(cuda_surfaces, "empty", empty)
        with pytest.raises(DeviceError, match=r"cuda:0 has no room for the frames \(Out of .* --device cpu"):
            put(frame_of("nv12", 0))


class Takes(Keeping):
    """A sink that takes frames from the GPU."""

    takes_gpu_frames = True

    def write(self, frame: Frame) -> None:
        assert all(on_gpu(plane) for plane in frame.planes)
        self.frames.append(CpuContext().upload(frame))


@ON_GPU
def test_a_frame_stays_where_every_sink_of_its_kind_takes_it(backend: Backend) -> None:
    picture = 3 * HEIGHT * WIDTH // 2
    with running(backend):
        for takers, others, kinds, down in (
            (1, 0, ("picture",), 0),
            (2, 0, ("picture",), 0),
            (1, 1, ("picture",), picture),
            (1, 0, ("picture", "alpha"), HEIGHT * WIDTH),
        ):
            sinks = [engine.Output(_Counting()) for _ in range(takers)]
            rest = [engine.Output(Keeping()) for _ in range(others)]
            rest += [engine.Output(Keeping(), kind) for kind in kinds[1:]]
            if others:
                sinks = [engine.Output(Keeping())]
            stats = engine.render(Clip("nv12"), model(), Color((0, 0, 0)), [*sinks, *rest], device=CUDA)
            assert stats.frames == COUNT and stats.transfers.downloaded == COUNT * (down + 8)


class _Counting(Takes):
    """Looks at nothing: what it fetched would be counted."""

    def write(self, frame: Frame) -> None:
        assert all(on_gpu(plane) for plane in frame.planes)


@ON_GPU
def test_a_matte_out_of_its_range_ends_the_job_before_an_encoder_sees_it(backend: Backend) -> None:
    sink = Takes()
    with running(backend), pytest.raises(ModelError, match="value of 3, allowed is 0 to 1"):
        broken = model(GreenIsPerson(odd_at=3))
        engine.render(Clip("nv12"), broken, Color((0, 0, 0)), [engine.Output(sink)], device=CUDA)
    assert (len(sink.frames), sink.ends) == (3, ["abort"])
    fakecupy.hazards.clear()  # frames that nobody will see are let go of while the GPU may read them


@pytest.mark.gpu
@pytest.mark.parametrize("codec", ["h264_nvenc", "hevc_nvenc", "av1_nvenc"])
@pytest.mark.parametrize("format", ["nv12", "yuv420p", "yuv420p10le"])
def test_the_cards_own_encoder_gets_frames_from_its_memory(codec: str, format: str, tmp_path: Path) -> None:
    asked: Any = av.CodecContext.create(codec, "w")
    asked.width, asked.height, asked.pix_fmt, asked.time_base = 640, 360, "nv12", Fraction(1, 25)
    try:
        asked.open()
    except av.error.FFmpegError as error:
        pytest.skip(f"this card has no {codec} ({error}): cards for data centres often have no encoder")
    info = SourceInfo("clip", 360, 640, format, Fraction(1, 25), Fraction(25))
    frames = [
        replace(random_frame(format, 360, 640, seed=n), pts=n, time_base=Fraction(1, 25)) for n in range(9)
    ]
    for frame in frames:  # smooth, or an encoder could keep nothing of it
        for number, plane in enumerate(frame.planes):
            rows = np.linspace(0.2, 0.8, plane.shape[0])[:, None] * frame.pixel_format.maximum
            shade = np.roll(rows, 40 * frame.pts // (1 + bool(number)), axis=0)
            plane[...] = np.broadcast_to(shade[..., None] if plane.ndim == 3 else shade, plane.shape)

    class Moving(Clip):
        def __iter__(self) -> Iterator[Frame]:
            return iter(frames)

    clip = Moving(format)
    clip.info = info
    if codec == "h264_nvenc" and format == "yuv420p10le":
        pytest.skip("10 bits are no H.264 of NVENC's: they come down to become 8")
    made = []
    for gpu in (None, 0):
        sink = open_sink(tmp_path / f"{gpu}.mkv", info, codec=codec, gpu=gpu)
        assert isinstance(sink, FileSink) and sink.takes_gpu_frames == (gpu == 0)
        stats = engine.render(clip, model(), Color((0, 177, 64)), [engine.Output(sink)], device=CUDA)
        made.append(decoded(sink.path))
    assert stats.transfers.downloaded == 9 * 8
    for (time, there), (pts, here) in zip(*made, strict=True):
        assert time == pts and np.abs(there.astype(int) - here).mean() < 1


def test_the_card_asked_for_decodes_and_encodes_whoever_works_on_frames(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without CuPy frames are the CPU's, and the networks GPU 1's."""
    asked: dict[str, Any] = {}

    class StopError(Exception):
        pass

    def opened(path: str, **options: Any) -> None:
        asked.update(options)
        raise StopError

    monkeypatch.setattr(resolve, "choose_device", lambda *_: replace(CUDA, index=1))
    monkeypatch.setattr(resolve, "frame_device", lambda *_: (None, []))
    monkeypatch.setattr(api, "frame_device", lambda *_: (None, []))
    monkeypatch.setattr(api, "open_video", opened)
    with pytest.raises(StopError):
        api.render("in.mp4", tmp_path / "out.mp4", background="#00b140", device="cuda:1", hwaccel="cuda")
    assert (asked["gpu"], asked["card"], asked["hwaccel"]) == (None, 1, "cuda")
