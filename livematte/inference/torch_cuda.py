"""PyTorch on an NVIDIA GPU: CUDA graphs of fixed sizes, half precision, overlapped transfers.

CUDA graphs instead of ``torch.compile``: capturing takes as long as a few runs instead of most of a minute,
and needs no compiler, which Windows does not have. A graph saves the launch overhead of some hundred kernels
per picture, which for small pictures takes longer than the kernels.
"""

from __future__ import annotations

from collections import deque
from contextlib import AbstractContextManager
from functools import partial
from typing import Any

import torch
from torch import nn

from livematte.device import is_numpy, to_numpy
from livematte.errors import DeviceError, ModelError
from livematte.frame import Array
from livematte.inference.lru_cache import LRUCache, Shapes
from livematte.inference.network import Pending, Program
from livematte.inference.shape_checks import check_inputs
from livematte.inference.torch_device import (
    Replay,
    Tensors,
    TorchDevice,
    is_out_of_memory,
    translate_out_of_memory,
)

DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
"""torch dtypes by precision."""

MAX_BATCH = 8
"""Maximum automatic batch size, because a picture waits for the pictures before it."""

BYTES_PER_PICTURE = 2**30
"""Free bytes required per picture of a batch. If too few, the batch is halved when memory runs out."""

_MAX_GRAPHS = 4
"""Number of graphs kept in memory, one for each input size; each keeps its activations."""


class _TransferBuffers:
    """Host and device buffers of one run; one set for each run in flight."""

    def __init__(self, device: TorchDevice, inputs: Tensors, outputs: Tensors) -> None:
        self.host_inputs = tuple(device.pinned(t.shape, t.dtype) for t in inputs)
        self.device_inputs = tuple(device.zeros(t.shape, t.dtype) for t in inputs)
        self.device_outputs = tuple(device.zeros(t.shape, t.dtype) for t in outputs)
        self.host_outputs = tuple(device.pinned(t.shape, t.dtype) for t in outputs)
        self.finished: Any = device.record_event("compute")


class _Graph:
    """The network for one size: ``replay``, in ``compute``, reads ``inputs`` and writes ``outputs``."""

    def __init__(self, inputs: Tensors, outputs: Tensors, replay: Replay) -> None:
        self.inputs, self.outputs, self.replay = inputs, outputs, replay
        self.idle: list[_TransferBuffers] = []


class _HostPending:
    """A run whose result is copied to NumPy arrays."""

    def __init__(
        self, device: TorchDevice, graph: _Graph, buffers: _TransferBuffers, count: int | None
    ) -> None:
        self._device, self._graph, self._buffers, self._count = device, graph, buffers, count

    def result(self) -> tuple[Array, ...]:
        self._device.synchronize(self._buffers.finished)
        out = tuple(t[: self._count].numpy().copy() for t in self._buffers.host_outputs)
        self._graph.idle.append(self._buffers)
        return out


class _DevicePending:
    """A run whose result stays on the GPU."""

    def __init__(self, device: TorchDevice, outputs: Tensors, event: Any, like: Array) -> None:
        self._device, self._outputs, self._event, self._like = device, outputs, event, like

    def result(self) -> tuple[Array, ...]:
        return self._device.export_arrays(self._outputs, self._event, self._like)


class GraphNetwork:
    """Runs a program's torch module on a :class:`livematte.inference.torch_device.TorchDevice`.

    NumPy inputs give NumPy outputs; inputs on the GPU give outputs on the GPU.

    Args:
        precision: a key of :data:`DTYPES`. Convolutions and matrix products use it, operations that need more
            range use fp32 (torch autocast), and outputs are float32.
        streams: more than one keeps several runs in flight, so that copies and computation overlap; for
            files.
        batch: maximum pictures per run; 0 for one, or with several ``streams`` what memory allows.

    Raises:
        ModelError: the program has no torch module.
        DeviceError: the weights do not fit into GPU memory.
    """

    runtime = "torch"

    def __init__(
        self, program: Program, device: TorchDevice, precision: str, streams: int, batch: int, why: str
    ) -> None:
        if program.module is None:
            raise ModelError(f"{program.name} has no torch module")
        self.precision, self._dtype = precision, DTYPES[precision]
        self.in_flight = streams + 1 if streams > 1 else 1  # one uploads, one computes, one downloads
        self.notes: list[str] = []
        self._program, self._device = program, device
        module = program.module().eval().requires_grad_(False)
        if self._dtype is not torch.float32:
            _cast_weights(module, self._dtype)
        try:
            self._module = device.load(module)
        except RuntimeError as error:
            raise DeviceError(f"{program.name} does not fit on the GPU: {error}") from error
        automatic = min(MAX_BATCH, max(1, device.free_bytes() // BYTES_PER_PICTURE)) if streams > 1 else 1
        self.batch = (batch or automatic) if program.batches else 1
        self.why = f"{why}; up to {self.batch} pictures at once" if self.batch > 1 else why
        self._graphs: LRUCache[_Graph] = LRUCache(_MAX_GRAPHS)
        self._inputs_in_use: deque[tuple[Any, tuple[Array, ...]]] = deque()

    def submit(self, *arrays: Array) -> Pending:
        """Start a run and return immediately.

        The first run of a size takes seconds, because it is captured.
        """
        check_inputs(self._program, arrays, self.batch)
        shapes, count = tuple(tuple(a.shape) for a in arrays), None
        if self._program.batches and arrays[0].shape[0] > 1:
            count = arrays[0].shape[0]  # an incomplete batch uses the same graph and leaves rows unused
            shapes = tuple((self.batch, *shape[1:]) for shape in shapes)
        size = " and ".join("x".join(map(str, shape)) for shape in shapes)
        with translate_out_of_memory(f"{self._program.name} has no room on the GPU for {size}"):
            graph = self._graphs.get(shapes, self._make_graph)
            if is_numpy(arrays[0]):
                return self._submit_host(graph, arrays, count)
            return self._submit_device(graph, arrays, count)

    def __call__(self, *arrays: Array) -> tuple[Array, ...]:
        """Run once."""
        return self.submit(*arrays).result()

    def _submit_host(self, graph: _Graph, arrays: tuple[Array, ...], count: int | None) -> _HostPending:
        device = self._device
        buffers = graph.idle.pop() if graph.idle else _TransferBuffers(device, graph.inputs, graph.outputs)
        device.synchronize(buffers.finished)
        for pinned, array in zip(buffers.host_inputs, arrays, strict=True):
            pinned[:count].numpy()[...] = to_numpy(array)
        device.enqueue("upload", partial(_copy, buffers.device_inputs, buffers.host_inputs, count))
        device.wait_event("compute", device.record_event("upload"))
        device.enqueue("compute", partial(_copy, graph.inputs, buffers.device_inputs, count))
        device.enqueue("compute", graph.replay)
        device.enqueue("compute", partial(_copy, buffers.device_outputs, graph.outputs, count))
        device.wait_event("download", device.record_event("compute"))
        device.enqueue("download", partial(_copy, buffers.host_outputs, buffers.device_outputs, count))
        buffers.finished = device.record_event("download")
        return _HostPending(device, graph, buffers, count)

    def _submit_device(self, graph: _Graph, arrays: tuple[Array, ...], count: int | None) -> _DevicePending:
        device = self._device
        while self._inputs_in_use and device.is_done(self._inputs_in_use[0][0]):
            self._inputs_in_use.popleft()
        imported = tuple(device.import_array(array) for array in arrays)
        outputs = tuple(device.zeros(t[:count].shape, t.dtype) for t in graph.outputs)
        device.enqueue("compute", partial(_copy, graph.inputs, imported, count))
        device.enqueue("compute", graph.replay)
        device.enqueue("compute", partial(_copy, outputs, graph.outputs, count))
        event = device.record_event("compute")
        self._inputs_in_use.append((event, (*arrays, *imported)))  # keep the memory until the run has read it
        return _DevicePending(device, outputs, event, arrays[0])

    def _make_graph(self, shapes: Shapes) -> _Graph:
        """Return the graph for input shapes. If memory runs out, graphs of other sizes are released first."""
        try:
            return self._capture_graph(shapes)
        except RuntimeError as error:
            if not (self._graphs and is_out_of_memory(error)):
                raise
        self._graphs.clear()  # outside the handler, because the traceback keeps the failed allocations alive
        self._device.release_cached()
        return self._capture_graph(shapes)

    def _capture_graph(self, shapes: Shapes) -> _Graph:
        wanted = zip(self._program.inputs, shapes, strict=True)
        inputs = tuple(self._device.zeros(shape, getattr(torch, i.dtype)) for i, shape in wanted)

        def run() -> Tensors:
            half = self._dtype is not torch.float32
            cast = torch.autocast(self._device.kind, self._dtype, enabled=half, cache_enabled=False)
            with torch.no_grad(), cast, _cudnn_flags():
                return tuple(out.float() for out in self._module(*inputs))

        outputs = self._device.warm_up(run)
        try:
            replay, outputs = self._device.capture(run)
        except RuntimeError as error:
            if is_out_of_memory(error):
                raise
            reason = str(error).splitlines()[0]
            note = f"{self._program.name} runs without a CUDA graph, which is slower: {reason}"
            if note not in self.notes:
                self.notes.append(note)

            def replay() -> None:
                _copy(outputs, run(), None)

        return _Graph(inputs, outputs, replay)


def _copy(targets: Tensors, sources: Tensors, count: int | None) -> None:
    """Copy the first ``count`` rows of each source, or all."""
    for target, source in zip(targets, sources, strict=True):
        target[:count].copy_(source[:count], non_blocking=True)


def _cudnn_flags() -> AbstractContextManager[None]:
    """Use the fastest cuDNN algorithms for each size, and exact fp32: TF32 has 10 mantissa bits."""
    return torch.backends.cudnn.flags(enabled=True, benchmark=True, allow_tf32=False)


def _cast_weights(module: nn.Module, dtype: torch.dtype) -> None:
    """Store weights of plain convolutions and linear layers in ``dtype``; otherwise every run casts them.

    Other weights, such as standardized ones, are inputs of fp32 computations.
    """
    for layer in module.modules():
        if type(layer) in (nn.Conv2d, nn.ConvTranspose2d, nn.Linear):
            layer.to(dtype)
