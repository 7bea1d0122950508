"""Validation of input arrays and model files with the same messages for all runtimes."""

from __future__ import annotations

from collections.abc import Iterable

from livematte.errors import ModelError, WeightsError
from livematte.frame import Array
from livematte.inference.network import Program


def check_inputs(program: Program, arrays: tuple[Array, ...], batch: int = 1) -> None:
    """Raise ModelError unless ``arrays`` match :attr:`Program.inputs`, with up to ``batch`` pictures."""
    if len(arrays) != len(program.inputs):
        raise ModelError(f"{program.name} takes {len(program.inputs)} arrays, not {len(arrays)}")
    for wanted, array in zip(program.inputs, arrays, strict=True):
        dtype = str(array.dtype).removeprefix("torch.")
        shape = tuple(array.shape)
        if batch > 1 and shape and 1 <= shape[0] <= batch and shape[0] == arrays[0].shape[0]:
            shape = (1, *shape[1:])
        fits = len(shape) == len(wanted.shape) and all(
            free is None or free == length for free, length in zip(wanted.shape, shape, strict=True)
        )
        if dtype != wanted.dtype or not fits:
            needed = ", ".join("any" if n is None else str(n) for n in wanted.shape)
            raise ModelError(
                f"{program.name}: {wanted.name} is {dtype} {tuple(array.shape)}, "
                f"expected {wanted.dtype} ({needed})"
            )


def check_input_names(program: Program, given: Iterable[str]) -> None:
    """Raise WeightsError unless ``given``, the inputs that a model file needs, are :attr:`Program.inputs`."""
    needed, wanted = sorted(given), sorted(each.name for each in program.inputs)
    if needed != wanted:
        raise WeightsError(
            f"{program.onnx} does not fit {program.name}: it has the inputs {', '.join(needed) or 'none'} "
            f"instead of {', '.join(wanted)}"
        )


def check_outputs(program: Program, given: Iterable[str]) -> None:
    """Raise WeightsError unless ``given`` contains all of :attr:`Program.outputs`."""
    missing = sorted({*program.outputs} - {*given})
    if missing:
        raise WeightsError(
            f"{program.onnx} does not fit {program.name}: it lacks the outputs {', '.join(missing)}"
        )
