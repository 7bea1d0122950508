r"""Average the weights of several training runs ("Model soups", Wortsman et al. 2022).

    python -m livematte.training.weight_averaging \
        runs/a/average.safetensors=0.25 runs/b/average.safetensors=0.75 \
        --out mean.safetensors

The mean of runs that started from the same weights is usually at least as good as each of them. Encoders of
different models can be averaged too if they started from the same weights: :func:`matching_tensors` finds the
corresponding tensors, and each tensor is averaged over the files that contain it. For example,

    python -m livematte.training.weight_averaging \
        jmnet.safetensors=0 late-fusion.safetensors=1 --out start.safetensors

writes JMNet with the encoder of Late Fusion, for ``livematte train --start-from``.
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


def matching_tensors(own: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors of ``given`` that match a tensor of ``own``, under the names in ``own``.

    Tensors match if name and shape are equal. A name also matches if exactly one name in ``own`` ends with it
    (``encoder.x`` matches ``deployable.encoder.x``), so that an encoder can be used in another network. If
    several names end with it, the one directly in an ``encoder`` is chosen.
    """
    fit = {}
    for name, tensor in given.items():
        places = [name] if name in own else [k for k in own if k.endswith(f".{name}")]
        if len(places) > 1:
            places = [k for k in places if f".{k}".endswith(f".encoder.{name}")]
        if len(places) == 1 and own[places[0]].shape == tensor.shape:
            fit[places[0]] = tensor
    return fit


def average_tensors(
    first: Mapping[str, Tensor], others: Sequence[Mapping[str, Tensor]], shares: Sequence[float]
) -> dict[str, Tensor]:
    """Return the tensors of ``first``, each replaced by its weighted mean over all mappings that contain it.

    Integer tensors (counters of batch normalisation), and tensors that occur only with a share of 0, are
    copied from ``first``.

    Args:
        others: results of :func:`matching_tensors` for ``first``.
        shares: weights >= 0 of ``first`` and each of ``others``.
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


def write_average(files: Mapping[Path, float], out: Path) -> int:
    """Write the weighted mean of safetensors files, with the names and metadata of the first file.

    Returns:
        Number of tensors of the first file that another file contains too.

    Raises:
        UsageError: a share is negative, all are 0, or a file has no matching tensor.
        WeightsError: a file is not a complete safetensors file.
    """
    if any(not share >= 0 for share in files.values()) or not sum(files.values()):
        given = ", ".join(f"{share:g}" for share in files.values())
        raise UsageError(f"shares {given} are invalid: use numbers from 0 that are not all 0")
    named, *further = files
    first = read_tensors(named)
    others = [matching_tensors(first, read_tensors(file)) for file in further]
    for file, other in zip(further, others, strict=True):
        if not other:
            raise UsageError(f"{file} has no tensor that fits {named}")
    facts = checkpoint_facts(named)
    facts["mean_of"] = [f"{file.parent.name}/{file.name}: {share:g}" for file, share in files.items()]
    for stale in ("mad", "mse"):  # metrics of the first file
        facts.pop(stale, None)
    save_checkpoint(out, average_tensors(first, others, list(files.values())), facts)
    return len(set().union(*others))


def _share(text: str) -> tuple[Path, float]:
    file, _, share = text.rpartition("=")
    return Path(file), float(share)


def main(words: Sequence[str] | None = None) -> int:
    """Run the command line; return 0. An error ends the process with 2 and one line on stderr."""
    parser = argparse.ArgumentParser(
        prog="python -m livematte.training.weight_averaging",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "files",
        nargs="+",
        type=_share,
        metavar="FILE=SHARE",
        help="safetensors file and its weight; the first file sets the names",
    )
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args(words)
    try:
        shared = write_average(dict(options.files), options.out)
    except LivematteError as error:
        parser.exit(2, f"{error}\n")
    print(f"{options.out}: {shared} tensors are means")  # noqa: T201
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
