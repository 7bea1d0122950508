"""Interfaces between a model and a runtime: the program to run and the network that runs it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from livematte.errors import DeviceError
from livematte.frame import Array

if TYPE_CHECKING:
    from torch import nn


class OutOfMemory(DeviceError):  # noqa: N818 - callers retry with a smaller batch
    """The device has too little memory for a run of this size. A smaller one may fit."""


@dataclass(frozen=True)
class Input:
    """One input array of a network."""

    name: str
    dtype: str
    """NumPy dtype name: 'uint8', 'float32'."""
    shape: tuple[int | None, ...]
    """None for dynamic dimensions."""
    example: tuple[int, ...]
    """A valid shape, used to trace the network."""


@dataclass(frozen=True)
class Program:
    """A network in all forms that runtimes can run.

    Attributes:
        name: name of the model, for messages and cache files.
        key: hash of the weights, for names of cached artefacts.
        inputs: input arrays, in order.
        outputs: output names, in order; all are float32.
        module: builds the torch module in eval mode with its weights, ``inputs`` and ``outputs``; None if
            there is only an ONNX file. Calling it imports torch.
        onnx: an ONNX file with the same input and output names; None if there is none.
        onnx_precision: 'int8' for a quantized ``onnx``, else 'fp32'.
        batches: True if ``module`` accepts batches, although ``inputs`` have a batch dimension of one.
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
    """A result that is being computed."""

    def result(self) -> tuple[Array, ...]:
        """Wait for the arrays and return them. Call this once only. The caller owns the arrays."""
        ...


class Network(Protocol):
    """A network that is ready to run. Called by one thread at a time."""

    runtime: str
    """'torch', 'openvino', 'onnxruntime' or 'tensorrt'."""
    precision: str
    """'fp32' or 'int8'; on GPUs also 'fp16' or 'bf16'."""
    why: str
    """One line with runtime, precision, device and the reason for each choice."""

    @property
    def in_flight(self) -> int:
        """Number of runs to keep in flight for full speed; 1 if one run uses all threads."""
        ...

    def __call__(self, *arrays: Array) -> tuple[Array, ...]:
        """Run once.

        Args:
            arrays: one for each of :attr:`Program.inputs`.

        Returns:
            float32 arrays, one for each of :attr:`Program.outputs`, owned by the caller: NumPy arrays, or on
            the GPU of the first input array.

        Raises:
            ModelError: the dtype or shape of an array is wrong.
            OutOfMemory: the device has too little memory.
        """
        ...

    def submit(self, *arrays: Array) -> Pending:
        """Start a run and return immediately. Results must be fetched in submission order.

        Do not modify the arrays before the result is fetched.
        """
        ...


class Batching(Network, Protocol):
    """A network that accepts batches: the first dimension of its arrays is the batch size."""

    batch: int
    """Maximum batch size. The caller reduces it after :class:`OutOfMemory`."""
    notes: list[str]
    """Messages for the user, one line each. May grow."""
