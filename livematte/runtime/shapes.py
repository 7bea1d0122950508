"""One message for arrays and files that do not fit, whatever the runtime."""

from __future__ import annotations

from collections.abc import Iterable

from livematte.errors import ModelError, WeightsError
from livematte.frame import Array
from livematte.runtime.network import Program


def check_inputs(program: Program, arrays: tuple[Array, ...], batch: int = 1) -> None:
    """Raises ModelError unless ``arrays`` are :attr:`Program.inputs`, of up to ``batch`` pictures."""
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
                f"needed is {wanted.dtype} ({needed})"
            )


def check_outputs(program: Program, given: Iterable[str]) -> None:
    """Raises WeightsError unless the file of ``program`` gives all of :attr:`Program.outputs`."""
    missing = sorted({*program.outputs} - {*given})
    if missing:
        raise WeightsError(
            f"{program.onnx} was not made for {program.name}: it lacks the outputs {', '.join(missing)}"
        )
