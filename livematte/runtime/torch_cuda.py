"""PyTorch on an NVIDIA GPU: CUDA graphs of fixed sizes, half precision, transfers beside the work.

CUDA graphs rather than ``torch.compile``: capturing takes as long as a few runs instead of most of a minute,
and needs no compiler, which Windows does not have. What they spare is the launching of some hundred kernels a
picture, which for small pictures takes longer than the kernels do.
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
from livematte.runtime.kept import Kept, Shapes
from livematte.runtime.network import Pending, Program
from livematte.runtime.shapes import check_inputs
from livematte.runtime.torch_card import Card, Replay, Tensors, out_of_memory, room_needed

DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
"""Those of this runtime, by precision."""

MOST_PICTURES = 8
"""At once where memory is plenty: a later picture waits for those before it."""

ROOM = 2**30
"""Free bytes wanted for each picture of a batch. Too few, and a batch is halved when memory runs out."""

_SIZES_KEPT = 4
"""Graphs held in memory, one for each size of input; each keeps its activations."""


class _Lane:
    """The way of one run from NumPy to NumPy; as many are in use as runs are under way."""

    def __init__(self, card: Card, inputs: Tensors, outputs: Tensors) -> None:
        self.sent = tuple(card.pinned(t.shape, t.dtype) for t in inputs)
        self.given = tuple(card.zeros(t.shape, t.dtype) for t in inputs)
        self.made = tuple(card.zeros(t.shape, t.dtype) for t in outputs)
        self.come = tuple(card.pinned(t.shape, t.dtype) for t in outputs)
        self.free_from: Any = card.mark("compute")


class _Graph:
    """The network for one size: ``replay``, in ``compute``, reads ``inputs`` and writes ``outputs``."""

    def __init__(self, inputs: Tensors, outputs: Tensors, replay: Replay) -> None:
        self.inputs, self.outputs, self.replay = inputs, outputs, replay
        self.idle: list[_Lane] = []


class _FromHost:
    """A run whose result goes to NumPy."""

    def __init__(self, card: Card, graph: _Graph, lane: _Lane, count: int | None) -> None:
        self._card, self._graph, self._lane, self._count = card, graph, lane, count

    def result(self) -> tuple[Array, ...]:
        self._card.finish(self._lane.free_from)
        out = tuple(t[: self._count].numpy().copy() for t in self._lane.come)
        self._graph.idle.append(self._lane)
        return out


class _OnCard:
    """A run whose result stays on the card."""

    def __init__(self, card: Card, outputs: Tensors, point: Any, like: Array) -> None:
        self._card, self._outputs, self._point, self._like = card, outputs, point, like

    def result(self) -> tuple[Array, ...]:
        return self._card.hand(self._outputs, self._point, self._like)


class GraphNetwork:
    """A program's torch module on a :class:`livematte.runtime.torch_card.Card`.

    NumPy arrays in give NumPy arrays; arrays that are on the card already give arrays that stay there.

    Args:
        precision: a key of :data:`DTYPES`. Convolutions and matrix products run in it, what needs more runs
            in fp32 (torch's autocast), and outputs are float32.
        streams: more than one keeps several runs under way, so that copies and work overlap: for files.
        batch: the most pictures in a run; 0 for one, or with several ``streams`` what there is memory for.

    Raises:
        ModelError: the program has no torch module.
        DeviceError: the weights do not fit on the card.
    """

    runtime = "torch"

    def __init__(
        self, program: Program, card: Card, precision: str, streams: int, batch: int, why: str
    ) -> None:
        if program.module is None:
            raise ModelError(f"{program.name} has no torch module")
        self.precision, self._dtype = precision, DTYPES[precision]
        self.in_flight = streams + 1 if streams > 1 else 1  # one is sent, one works, one comes back
        self.notes: list[str] = []
        self._program, self._card = program, card
        module = program.module().eval().requires_grad_(False)
        if self._dtype is not torch.float32:
            _narrow(module, self._dtype)
        try:
            self._module = card.load(module)
        except RuntimeError as error:
            raise DeviceError(f"{program.name} does not fit on the GPU: {error}") from error
        fits = min(MOST_PICTURES, max(1, card.free() // ROOM)) if streams > 1 else 1
        self.batch = (batch or fits) if program.batches else 1
        self.why = f"{why}; up to {self.batch} pictures at once" if self.batch > 1 else why
        self._graphs: Kept[_Graph] = Kept(_SIZES_KEPT)
        self._read: deque[tuple[Any, tuple[Array, ...]]] = deque()

    def submit(self, *arrays: Array) -> Pending:
        """Begin a run and return at once. The first of a size takes some seconds: it is captured."""
        check_inputs(self._program, arrays, self.batch)
        shapes, count = tuple(tuple(a.shape) for a in arrays), None
        if self._program.batches and arrays[0].shape[0] > 1:
            count = arrays[0].shape[0]  # a short batch leaves places empty: it needs no graph of its own
            shapes = tuple((self.batch, *shape[1:]) for shape in shapes)
        size = " and ".join("x".join(map(str, shape)) for shape in shapes)
        with room_needed(f"{self._program.name} has no room on the GPU for {size}"):
            graph = self._graphs.get(shapes, self._room_made)
            if is_numpy(arrays[0]):
                return self._from_host(graph, arrays, count)
            return self._on_card(graph, arrays, count)

    def __call__(self, *arrays: Array) -> tuple[Array, ...]:
        """Run once."""
        return self.submit(*arrays).result()

    def _from_host(self, graph: _Graph, arrays: tuple[Array, ...], count: int | None) -> _FromHost:
        card = self._card
        lane = graph.idle.pop() if graph.idle else _Lane(card, graph.inputs, graph.outputs)
        card.finish(lane.free_from)
        for pinned, array in zip(lane.sent, arrays, strict=True):
            pinned[:count].numpy()[...] = to_numpy(array)
        card.enqueue("upload", partial(_copy, lane.given, lane.sent, count))
        card.wait("compute", card.mark("upload"))
        card.enqueue("compute", partial(_copy, graph.inputs, lane.given, count))
        card.enqueue("compute", graph.replay)
        card.enqueue("compute", partial(_copy, lane.made, graph.outputs, count))
        card.wait("download", card.mark("compute"))
        card.enqueue("download", partial(_copy, lane.come, lane.made, count))
        lane.free_from = card.mark("download")
        return _FromHost(card, graph, lane, count)

    def _on_card(self, graph: _Graph, arrays: tuple[Array, ...], count: int | None) -> _OnCard:
        card = self._card
        while self._read and card.done(self._read[0][0]):
            self._read.popleft()
        adopted = tuple(card.adopt(array) for array in arrays)
        outputs = tuple(card.zeros(t[:count].shape, t.dtype) for t in graph.outputs)
        card.enqueue("compute", partial(_copy, graph.inputs, adopted, count))
        card.enqueue("compute", graph.replay)
        card.enqueue("compute", partial(_copy, outputs, graph.outputs, count))
        point = card.mark("compute")
        self._read.append((point, (*arrays, *adopted)))  # whose owner must not use the memory again before
        return _OnCard(card, outputs, point, arrays[0])

    def _room_made(self, shapes: Shapes) -> _Graph:
        """The graph for inputs of these shapes; those of other sizes go where there is no room."""
        try:
            return self._captured(shapes)
        except RuntimeError as error:
            if not (self._graphs and out_of_memory(error)):
                raise
        self._graphs.clear()  # outside of the handler, whose traceback holds what did not fit
        self._card.release()
        return self._captured(shapes)

    def _captured(self, shapes: Shapes) -> _Graph:
        wanted = zip(self._program.inputs, shapes, strict=True)
        inputs = tuple(self._card.zeros(shape, getattr(torch, i.dtype)) for i, shape in wanted)

        def run() -> Tensors:
            half = self._dtype is not torch.float32
            cast = torch.autocast(self._card.kind, self._dtype, enabled=half, cache_enabled=False)
            with torch.no_grad(), cast, _exact():
                return tuple(out.float() for out in self._module(*inputs))

        outputs = self._card.warm(run)
        try:
            replay, outputs = self._card.capture(run)
        except RuntimeError as error:
            if out_of_memory(error):
                raise
            reason = str(error).splitlines()[0]
            note = f"{self._program.name} runs without a CUDA graph, which is slower: {reason}"
            if note not in self.notes:
                self.notes.append(note)

            def replay() -> None:
                _copy(outputs, run(), None)

        return _Graph(inputs, outputs, replay)


def _copy(targets: Tensors, sources: Tensors, count: int | None) -> None:
    """The first ``count`` of each, or all."""
    for target, source in zip(targets, sources, strict=True):
        target[:count].copy_(source[:count], non_blocking=True)


def _exact() -> AbstractContextManager[None]:
    """The fastest algorithms of cuDNN for each size, and fp32 that is fp32: TF32 has 10 bits."""
    return torch.backends.cudnn.flags(enabled=True, benchmark=True, allow_tf32=False)


def _narrow(module: nn.Module, dtype: torch.dtype) -> None:
    """Keep weights of plain convolutions and matrix products in ``dtype``: else every run casts them.

    Others, such as standardised weights, are computed from in fp32.
    """
    for layer in module.modules():
        if type(layer) in (nn.Conv2d, nn.ConvTranspose2d, nn.Linear):
            layer.to(dtype)
