"""One message for arrays that a network does not take, whatever the runtime."""

from __future__ import annotations

from livematte.errors import ModelError
from livematte.frame import Array
from livematte.runtime.network import Program


def check_inputs(program: Program, arrays: tuple[Array, ...]) -> None:
    """Raises ModelError unless ``arrays`` are what :attr:`Program.inputs` says."""
    if len(arrays) != len(program.inputs):
        raise ModelError(f"{program.name} takes {len(program.inputs)} arrays, not {len(arrays)}")
    for wanted, array in zip(program.inputs, arrays, strict=True):
        dtype = str(array.dtype).removeprefix("torch.")
        fits = len(array.shape) == len(wanted.shape) and all(
            free is None or free == length for free, length in zip(wanted.shape, array.shape, strict=True)
        )
        if dtype != wanted.dtype or not fits:
            shape = ", ".join("any" if n is None else str(n) for n in wanted.shape)
            raise ModelError(
                f"{program.name}: {wanted.name} is {dtype} {tuple(array.shape)}, "
                f"needed is {wanted.dtype} ({shape})"
            )
