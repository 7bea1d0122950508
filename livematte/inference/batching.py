"""Group single-picture runs of a network into batches."""

from __future__ import annotations

from livematte.device import namespace
from livematte.frame import Array
from livematte.inference.network import Batching, OutOfMemory, Pending, Program
from livematte.inference.shape_checks import check_inputs

_Row = tuple[Array, ...]


class BatchedNetwork:
    """A :class:`livematte.inference.Network` that collects single-picture runs into batches.

    A batch starts when it is full or when one of its results is requested. So an incomplete batch also runs,
    and a caller that fetches each result immediately never waits for other pictures.

    If memory runs out, the batch size is halved permanently and :attr:`notes` gets a line.
    """

    def __init__(self, program: Program, network: Batching) -> None:
        self._program, self._network = program, network
        self.runtime, self.precision, self.why = network.runtime, network.precision, network.why
        self._gathering: _Batch | None = None
        self._shrink_note: str | None = None

    @property
    def in_flight(self) -> int:
        """Number of pictures to keep in flight: one batch runs while the next is collected."""
        return self._network.in_flight * self._network.batch

    @property
    def notes(self) -> list[str]:
        """Messages for the user, one line each."""
        return [*self._network.notes, *([self._shrink_note] if self._shrink_note else [])]

    def submit(self, *arrays: Array) -> _PendingRow:
        """Add one picture to a batch; see :class:`livematte.inference.Network`."""
        check_inputs(self._program, arrays)
        batch = self._gathering
        if batch is not None and batch.runs is None and not batch.accepts(arrays):
            batch.start()
        if batch is None or batch.runs is not None:
            batch = self._gathering = _Batch(self)
        batch.rows.append(arrays)
        pending = _PendingRow(batch, len(batch.rows) - 1)
        if len(batch.rows) >= self._network.batch:
            batch.start()
        return pending

    def __call__(self, *arrays: Array) -> tuple[Array, ...]:
        """Run one picture and return its outputs."""
        return self.submit(*arrays).result()

    def run(self, rows: list[_Row]) -> list[tuple[Pending, int]]:
        """Start runs of all ``rows`` in as few batches as memory allows.

        Return each run with its batch size.
        """
        limit = self._network.batch
        if len(rows) > limit:
            parts = (self.run(rows[first : first + limit]) for first in range(0, len(rows), limit))
            return [run for part in parts for run in part]
        columns = zip(*rows, strict=True)
        arrays = (part[0] if len(part) == 1 else namespace(part[0]).concatenate(part) for part in columns)
        try:
            return [(self._network.submit(*arrays), len(rows))]
        except OutOfMemory:
            if len(rows) == 1:
                raise
            smaller = (len(rows) + 1) // 2
            self._network.batch = smaller
            asked = f"out of memory with {len(rows)} pictures at once"
            self._shrink_note = f"{asked}: the batch size is now {smaller}, which is slower"
        return self.run(rows)


class _Batch:
    """Pictures of one size that run together."""

    def __init__(self, network: BatchedNetwork) -> None:
        self._network = network
        self.rows: list[_Row] = []
        self.runs: list[tuple[Pending, int]] | None = None
        self._done: list[_Row] = []
        self._error: Exception | None = None

    def accepts(self, arrays: _Row) -> bool:
        """Return True if the arrays match the type, shape and dtype of this batch."""
        return all(
            type(a) is type(b) and a.shape == b.shape and a.dtype == b.dtype
            for a, b in zip(self.rows[0], arrays, strict=True)
        )

    def start(self) -> None:
        rows, self.rows = self.rows, []  # later pictures go to another batch, also after an error
        self.runs = []
        try:
            self.runs = self._network.run(rows)
        except Exception as error:
            self._error = error
            raise

    def row(self, index: int) -> _Row:
        if self.runs is None:
            self.start()
        if self._error is not None:
            raise self._error
        assert self.runs is not None
        while len(self._done) <= index and self.runs:
            pending, number = self.runs.pop(0)
            arrays = pending.result()
            self._done += [tuple(a[n : n + 1] for a in arrays) for n in range(number)]
        return self._done[index]


class _PendingRow:
    """The pending result of one picture of a batch."""

    def __init__(self, batch: _Batch, index: int) -> None:
        self._batch, self._index = batch, index

    def result(self) -> tuple[Array, ...]:
        return self._batch.row(self._index)
