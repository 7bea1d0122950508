"""What a model hands over to be run, and what it gets back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from livematte.errors import DeviceError
from livematte.frame import Array

if TYPE_CHECKING:
    from torch import nn


class OutOfMemory(DeviceError):  # noqa: N818 - an event that callers answer with less at once
    """The device has no room for a run of this size; a smaller one may fit."""


@dataclass(frozen=True)
class Input:
    """One array that a network takes."""

    name: str
    dtype: str
    """NumPy's name: 'uint8', 'float32'."""
    shape: tuple[int | None, ...]
    """None where the length is free."""
    example: tuple[int, ...]
    """A shape it may have; used to trace the network."""


@dataclass(frozen=True)
class Program:
    """A network in the forms it can be run in.

    Attributes:
        name: the model's, for messages and names of cached files.
        key: hash of the weights; cached artefacts are named by it.
        inputs: what it takes, in order.
        outputs: what it gives, in order; each float32.
        module: builds the torch module in eval mode with its weights, taking and giving what ``inputs`` and
            ``outputs`` say; None where there is only an ONNX file. Calling it is what imports torch.
        onnx: a file in ONNX with the inputs and outputs of those names; None where there is none.
        onnx_precision: 'int8' for a quantised ``onnx``, else 'fp32'.
        batches: whether ``module`` takes several pictures at once, though ``inputs`` say one.
    """

    name: str
    key: str
    inputs: tuple[Input, ...]
    outputs: tuple[str, ...]
    module: Callable[[], nn.Module] | None
    onnx: Path | None = None
    onnx_precision: str = "int8"
    batches: bool = False


class Pending(Protocol):
    """A result under way."""

    def result(self) -> tuple[Array, ...]:
        """Wait for it; once only. The arrays are the caller's to keep."""
        ...


class Network(Protocol):
    """A network ready to run. One thread calls it at a time."""

    runtime: str
    """'torch', 'openvino', 'onnxruntime' or 'tensorrt'."""
    precision: str
    """'fp32' or 'int8'; on GPUs also 'fp16' or 'bf16'."""
    why: str
    """One line: which runtime and precision run where, and for what reason."""

    @property
    def in_flight(self) -> int:
        """How many runs to keep under way for full speed; 1 where a run fills all threads by itself."""
        ...

    def __call__(self, *arrays: Array) -> tuple[Array, ...]:
        """Run once.

        Args:
            arrays: as :attr:`Program.inputs` says.

        Returns:
            float32 arrays, one for each of :attr:`Program.outputs`, the caller's to keep: NumPy's, or where
            the first of ``arrays`` lives if that is a GPU.

        Raises:
            ModelError: an array's dtype or shape is not what the network takes.
            OutOfMemory: the device has no room for this.
        """
        ...

    def submit(self, *arrays: Array) -> Pending:
        """Begin a run and return at once; results come back in the order asked for.

        The arrays must stay as they are until the result is fetched.
        """
        ...


class Batching(Network, Protocol):
    """A network that takes several pictures at once: arrays whose first length is their number."""

    batch: int
    """The most of them; made less by whoever meets :class:`OutOfMemory`."""
    notes: list[str]
    """One line for each thing a user should know; grows."""
