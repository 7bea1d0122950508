"""Measure the cost of each network in printed and live size, and list the figures of its paper.

    python -m benchmarks.cost [--only fba jmnet] [--repeat 3] [--write docs/models.md]

GFLOPs are counted by PyTorch (``torch.utils.flop_counter``; a multiply-add is two) on shapes only.
Milliseconds are CPU time for one picture of noise in eager PyTorch on one thread, so that other programs
have little influence. A render uses a faster runtime and all cores: see ``livematte bench``. Networks are
measured one at a time, because the printed sizes need gigabytes at the resolutions of their papers.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from importlib import import_module
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.section import Section
from livematte.inference.adapters import choose_size
from livematte.matting.tiles import TILE

FRAME = 720, 1280
"""Frame size (height, width) from which the live resolution is derived."""

LONG = 5.0
"""A run that takes longer is not repeated, in seconds."""

Size = tuple[int, int]


@dataclass(frozen=True)
class Paper:
    """A network and the cost figures of its paper.

    Attributes:
        folder: folder in ``models/``; its ``network.py`` has the functions ``<folder>`` and
            ``<folder>_live``.
        channels: number of channels of each input.
        size: (height, width) in the paper.
        source: section or table of the paper for ``size``.
        figure: cost figures of the paper. None of the five papers gives parameters or FLOPs.
    """

    folder: str
    channels: tuple[int, ...]
    size: Size
    source: str
    figure: str

    def build(self, live: bool) -> nn.Module:
        """Build the network in eval mode."""
        module = import_module(f"livematte.models.{self.folder}.network")
        make: Callable[[], nn.Module] = getattr(module, f"{self.folder}_live" if live else self.folder)
        return make().eval()

    def name(self, live: bool) -> str:
        """Return the name in ``livematte models``."""
        return self.folder.replace("_", "-") + ("-live" if live else "")

    def sizes(self, live: bool) -> tuple[Size, Size]:
        """Return two input sizes: that of the paper, padded for the network, and the live size.

        The live size is a tile for a refiner, and the scaled frame for other networks.
        """
        module = import_module(f"livematte.models.{self.folder}.model")
        stride = (module.LIVE if live else module.PRINTED).stride
        height, width = (-(-side // stride) * stride for side in self.size)
        return (height, width), (TILE, TILE) if len(self.channels) > 1 else choose_size(*FRAME)


PAPERS = (
    Paper(
        "late_fusion", (3,), (800, 800), "sec. 4, testing",
        "0.39 s at 800x800, on a server with Tesla P100 (sec. 4)",
    ),
    Paper(
        "jmnet", (3,), (720, 720), "table 3",
        "20.74, 21.06 and 21.11 ms and 3.36, 6.07 and 8.97 GB at 360, 540 and 720 squared, on a GTX 1080 Ti "
        "(sec. 4.2, table 3)",
    ),
    Paper("pomagan", (3,), (768, 1280), "sec. 3.3", "none"),
    Paper("adamatting", (3, 1), (320, 320), "training patches, sec. 4.1", "none"),
    Paper("fba", (3, 6), (640, 640), "largest training patches, sec. 3.6", "none; tested on whole pictures"),
)  # fmt: skip


def parameters(network: nn.Module) -> int:
    """Return the number of parameters."""
    return sum(parameter.numel() for parameter in network.parameters())


def inputs(channels: Sequence[int], size: Size, device: str) -> list[Tensor]:
    """Return a random picture for each input, (1, C, H, W) in [0, 1]."""
    return [torch.rand(1, count, *size, device=device) for count in channels]


def gflops(network: nn.Module, channels: Sequence[int], size: Size) -> float:
    """Return the GFLOPs for one picture; a multiply-add counts as two.

    Moves ``network`` to the meta device.
    """
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), counter:
        network.to("meta")(*inputs(channels, size, "meta"))
    return counter.get_total_flops() / 1e9


def milliseconds(network: nn.Module, channels: Sequence[int], size: Size, repeat: int) -> float:
    """Return the CPU time for one picture: the best of ``repeat``, or the first run over :data:`LONG`."""
    pictures = inputs(channels, size, "cpu")
    times = []
    with torch.inference_mode():
        for _ in range(repeat):
            began = time.process_time()
            network(*pictures)
            times.append(time.process_time() - began)
            if times[-1] > LONG:
                break
    return min(times) * 1000


def rows(only: Sequence[str] | None, repeat: int) -> Iterator[tuple[str, ...]]:
    """Yield a row of the table for each network."""
    for paper in PAPERS:
        if only and paper.folder.replace("_", "-") not in only:
            continue
        for live in (False, True):
            network = paper.build(live)
            cells = [f"`{paper.name(live)}`", f"{parameters(network) / 1e6:.1f} M"]
            sizes = paper.sizes(live)
            times = [milliseconds(network, paper.channels, size, repeat) for size in sizes]
            for (height, width), ms in zip(sizes, times, strict=True):
                count = gflops(network, paper.channels, (height, width))
                cells += [f"{width}x{height}", f"{count:.1f}", f"{ms:,.0f}"]
            yield (*cells, "" if live else paper.figure)


HEAD = (
    "network", "parameters", "paper's resolution", "GFLOPs", "ms", "live resolution", "GFLOPs", "ms",
    "figure in the paper",
)  # fmt: skip


def document(lines: Sequence[tuple[str, ...]], options: argparse.Namespace) -> str:
    """Return the text for the document."""
    day = datetime.now(timezone.utc).date()
    flags = f" --only {' '.join(options.only)}" if options.only else ""
    note = f" {options.note}" if options.note else ""
    sources = "; ".join(f"{paper.name(False)}: {paper.source}" for paper in PAPERS)
    method = f"eager PyTorch {torch.__version__} on one thread, best of {options.repeat}"
    method += f" (one run if it takes longer than {LONG:.0f} s)"
    return "\n".join(
        [
            f"Made on {day} by `python -m benchmarks.cost{flags}`: {method}.{note}",
            "",
            f"| {' | '.join(HEAD)} |",
            f"|---|{'---:|' * (len(HEAD) - 2)}---|",
            *(f"| {' | '.join(line)} |" for line in lines),
            "",
            f"Source of each paper's resolution (padded to a size that the network accepts): {sources}.",
            "",
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    known = [paper.name(False) for paper in PAPERS]
    parser.add_argument("--only", nargs="*", choices=known, metavar="NAME", help=", ".join(known))
    parser.add_argument("--repeat", type=int, default=3, help="number of runs; the best counts")
    parser.add_argument("--note", help="a sentence for the document, such as other load on the machine")
    parser.add_argument("--write", type=Path, help="insert the table into this document, between its marks")
    options = parser.parse_args()
    if options.repeat < 1:
        parser.error("--repeat must be 1 or more")
    section = options.write and Section(options.write, "cost")
    torch.set_num_threads(1)
    lines = []
    for line in rows(options.only, options.repeat):
        print(", ".join(cell for cell in line if cell), flush=True)
        lines.append(line)
    text = document(lines, options)
    print(f"\n{text}")
    if section:
        section.write(text)


if __name__ == "__main__":
    main()
