"""What each network costs, printed size and live size, beside what its paper says.

    python -m benchmarks.cost [--only fba jmnet] [--repeat 3] [--write docs/models.md]

GFLOPs are PyTorch's own count (``torch.utils.flop_counter``, a multiply-add is two), taken on shapes alone.
Milliseconds are of processor time, one picture of noise in eager PyTorch on one thread: other programs that
want the same processor change little about them. What a render runs is faster and takes all cores: see
``livematte bench``. Networks are timed one at a time: the printed ones take gigabytes at their papers'
resolutions.
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
from livematte.adapters import choose_size
from livematte.tiles import TILE

"""Between these lines of a document ``--write`` puts the table."""

FRAME = 720, 1280
"""The frame whose live resolution is taken."""

LONG = 5.0
"""Seconds: what takes longer is not repeated."""

Size = tuple[int, int]


@dataclass(frozen=True)
class Paper:
    """A network and what its paper says of its cost.

    Attributes:
        folder: below ``models/``; its ``network.py`` has functions called as the folder, and with ``_live``.
        channels: of each of the network's inputs, at full size.
        size: height and width that the paper speaks of.
        where: in what part of the paper, and of what.
        figure: its own figures of cost; none of the five prints parameters or FLOPs.
    """

    folder: str
    channels: tuple[int, ...]
    size: Size
    where: str
    figure: str

    def build(self, live: bool) -> nn.Module:
        """The network in eval mode."""
        module = import_module(f"livematte.models.{self.folder}.network")
        make: Callable[[], nn.Module] = getattr(module, f"{self.folder}_live" if live else self.folder)
        return make().eval()

    def name(self, live: bool) -> str:
        """As ``livematte models`` lists it."""
        return self.folder.replace("_", "-") + ("-live" if live else "")

    def sizes(self, live: bool) -> tuple[Size, Size]:
        """The paper's resolution, padded to what the network takes, and what a live network sees: a tile of a
        refiner, otherwise a whole frame, shrunk.
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
    """How many numbers were trained."""
    return sum(parameter.numel() for parameter in network.parameters())


def inputs(channels: Sequence[int], size: Size, device: str) -> list[Tensor]:
    """One picture for each input, (1, C, H, W) in [0, 1]."""
    return [torch.rand(1, count, *size, device=device) for count in channels]


def gflops(network: nn.Module, channels: Sequence[int], size: Size) -> float:
    """Of one picture, a multiply-add counted twice. ``network`` is moved to shapes without numbers."""
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), counter:
        network.to("meta")(*inputs(channels, size, "meta"))
    return counter.get_total_flops() / 1e9


def milliseconds(network: nn.Module, channels: Sequence[int], size: Size, repeat: int) -> float:
    """Of processor time for one picture: the best of ``repeat``, or the first beyond :data:`LONG`."""
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
    """A line of the table for each network."""
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
    "the paper's own figure",
)  # fmt: skip


def document(lines: Sequence[tuple[str, ...]], options: argparse.Namespace) -> str:
    """What goes between the marks."""
    day = datetime.now(timezone.utc).date()
    flags = f" --only {' '.join(options.only)}" if options.only else ""
    note = f" {options.note}" if options.note else ""
    where = "; ".join(f"{paper.name(False)}: {paper.where}" for paper in PAPERS)
    how = f"eager PyTorch {torch.__version__} on one thread, best of {options.repeat}"
    how += f" (once beyond {LONG:.0f} s)"
    return "\n".join(
        [
            f"Made on {day} by `python -m benchmarks.cost{flags}`: {how}.{note}",
            "",
            f"| {' | '.join(HEAD)} |",
            f"|---|{'---:|' * (len(HEAD) - 2)}---|",
            *(f"| {' | '.join(line)} |" for line in lines),
            "",
            f"Where the papers' resolutions stand, here padded to what a network takes: {where}.",
            "",
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    known = [paper.name(False) for paper in PAPERS]
    parser.add_argument("--only", nargs="*", choices=known, metavar="NAME", help=", ".join(known))
    parser.add_argument("--repeat", type=int, default=3, help="the best of so many counts")
    parser.add_argument("--note", help="a sentence for the document, such as what else the machine did")
    parser.add_argument("--write", type=Path, help="put the table between the marks of this document")
    options = parser.parse_args()
    if options.repeat < 1:
        parser.error("--repeat is 1 or more")
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
