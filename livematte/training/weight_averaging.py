r"""Means of trained weights ("Model soups", Wortsman et al. 2022): a file like those they are made of.

    python -m livematte.training.weight_averaging \
        runs/a/average.safetensors=0.25 runs/b/average.safetensors=0.75 \
        --out mean.safetensors

Runs that began at the same weights lie near enough to each other that their mean is as good as either and
often better. Encoders that began at the same weights may be mixed across models: a tensor of another model
counts where :func:`fitting` finds its place, and every tensor is the mean over the files that have it, so

    python -m livematte.training.weight_averaging \
        jmnet.safetensors=0 late-fusion.safetensors=1 --out start.safetensors

is JMNet with Late Fusion's encoder, to be given to ``livematte train --start-from``.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from livematte.errors import LivematteError, UsageError
from livematte.inference.weights import read_tensors
from livematte.training.checkpoints import checkpoint_facts, save_checkpoint


def fitting(own: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What of ``given`` has a place in ``own``, by the place's name: the same name and shape.

    A tensor whose name ends just one of ``own``'s (``encoder.x``: ``deployable.encoder.x``) fits too:
    encoders go from one paper's network to another's. Of several it is the one right in an ``encoder``.
    """
    fit = {}
    for name, tensor in given.items():
        places = [name] if name in own else [k for k in own if k.endswith(f".{name}")]
        if len(places) > 1:
            places = [k for k in places if f".{k}".endswith(f".encoder.{name}")]
        if len(places) == 1 and own[places[0]].shape == tensor.shape:
            fit[places[0]] = tensor
    return fit


def mean(
    first: Mapping[str, Tensor], others: Sequence[Mapping[str, Tensor]], shares: Sequence[float]
) -> dict[str, Tensor]:
    """The tensors of ``first``, each the weighted mean over all that have it.

    Args:
        others: as :func:`fitting` gives them, by ``first``'s names.
        shares: of ``first`` and each of ``others``; from 0.

    What is no floating point number (batch normalisation's counts), and a tensor that only files with a
    share of 0 have, is ``first``'s.
    """
    placed = [first, *others]
    result = {}
    for name, tensor in first.items():
        parts = [
            (fit[name], share) for fit, share in zip(placed, shares, strict=True) if name in fit and share
        ]
        if not parts or not tensor.is_floating_point():
            result[name] = tensor
            continue
        total = torch.stack([share * part.double() for part, share in parts]).sum(0)
        result[name] = (total / sum(share for _, share in parts)).to(tensor.dtype)
    return result


def write_mean(files: Mapping[Path, float], out: Path) -> int:
    """Write the mean of safetensors files; how many tensors others than the first had a part in.

    The first gives the names and the facts.

    Raises:
        UsageError: a share below 0, or no share above.
        WeightsError: a file is not a whole safetensors file.
    """
    if any(not share >= 0 for share in files.values()) or not sum(files.values()):
        told = ", ".join(f"{share:g}" for share in files.values())
        raise UsageError(f"shares are numbers from 0, not all 0; given: {told}")
    named, *further = files
    first = read_tensors(named)
    others = [fitting(first, read_tensors(file)) for file in further]
    for file, other in zip(further, others, strict=True):
        if not other:
            raise UsageError(f"{file} has no tensor that fits {named}")
    facts = checkpoint_facts(named)
    facts["mean_of"] = [f"{file.parent.name}/{file.name}: {share:g}" for file, share in files.items()]
    for stale in ("mad", "mse"):  # measured on the first
        facts.pop(stale, None)
    save_checkpoint(out, mean(first, others, list(files.values())), facts)
    return len(set().union(*others))


def _share(text: str) -> tuple[Path, float]:
    file, _, share = text.rpartition("=")
    return Path(file), float(share)


def main(words: Sequence[str] | None = None) -> int:
    """Write it; 2, and a line, where that cannot be done."""
    parser = argparse.ArgumentParser(
        prog="python -m livematte.training.weight_averaging",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "files", nargs="+", type=_share, metavar="FILE=SHARE", help="safetensors, the first gives the names"
    )
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args(words)
    try:
        shared = write_mean(dict(options.files), options.out)
    except LivematteError as error:
        parser.exit(2, f"{error}\n")
    print(f"{options.out}: {shared} tensors are means")  # noqa: T201
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
