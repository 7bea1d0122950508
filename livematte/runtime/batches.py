"""Several pictures in one run of a network, for callers who hand them over one by one."""

from __future__ import annotations

from livematte.device import namespace
from livematte.frame import Array
from livematte.runtime.network import Batching, OutOfMemory, Pending, Program
from livematte.runtime.shapes import check_inputs

_Row = tuple[Array, ...]


class BatchedNetwork:
    """A :class:`livematte.runtime.Network` that gathers runs of one picture into runs of many.

    A run begins when as many are gathered as the network takes, or when the result of one is asked for: so a
    batch that stays short is run all the same, and nobody who fetches each result at once waits for others.

    Out of memory halves the batch for good and goes on; :attr:`notes` then has a line that says so.
    """

    def __init__(self, program: Program, network: Batching) -> None:
        self._program, self._network = program, network
        self.runtime, self.precision, self.why = network.runtime, network.precision, network.why
        self._gathering: _Batch | None = None
        self._shrunk: str | None = None

    @property
    def in_flight(self) -> int:
        """How many pictures to keep under way: while one batch runs, another gathers."""
        return self._network.in_flight * self._network.batch

    @property
    def notes(self) -> list[str]:
        """One line for each thing a user should know."""
        return [*self._network.notes, *([self._shrunk] if self._shrunk else [])]

    def submit(self, *arrays: Array) -> _One:
        """Begin a run of one picture, or have it wait for others; see :class:`livematte.runtime.Network`."""
        check_inputs(self._program, arrays)
        batch = self._gathering
        if batch is not None and batch.begun is None and not batch.takes(arrays):
            batch.begin()
        if batch is None or batch.begun is not None:
            batch = self._gathering = _Batch(self)
        batch.rows.append(arrays)
        one = _One(batch, len(batch.rows) - 1)
        if len(batch.rows) >= self._network.batch:
            batch.begin()
        return one

    def __call__(self, *arrays: Array) -> tuple[Array, ...]:
        """Run once."""
        return self.submit(*arrays).result()

    def run(self, rows: list[_Row]) -> list[tuple[Pending, int]]:
        """Begin runs of all of ``rows``, in as few batches as there is memory for, each with its number."""
        most = self._network.batch
        if len(rows) > most:
            parts = (self.run(rows[first : first + most]) for first in range(0, len(rows), most))
            return [begun for part in parts for begun in part]
        together = zip(*rows, strict=True)
        arrays = (part[0] if len(part) == 1 else namespace(part[0]).concatenate(part) for part in together)
        try:
            return [(self._network.submit(*arrays), len(rows))]
        except OutOfMemory:
            if len(rows) == 1:
                raise
            less = (len(rows) + 1) // 2
            self._network.batch = less
            asked = f"out of memory with {len(rows)} pictures at once"
            self._shrunk = f"{asked}: the network goes on with {less}, more slowly"
        return self.run(rows)


class _Batch:
    """Pictures of one size that run together."""

    def __init__(self, network: BatchedNetwork) -> None:
        self._network = network
        self.rows: list[_Row] = []
        self.begun: list[tuple[Pending, int]] | None = None
        self._done: list[_Row] = []
        self._error: Exception | None = None

    def takes(self, arrays: _Row) -> bool:
        """Whether these fit with what was gathered."""
        return all(
            type(a) is type(b) and a.shape == b.shape and a.dtype == b.dtype
            for a, b in zip(self.rows[0], arrays, strict=True)
        )

    def begin(self) -> None:
        rows, self.rows = self.rows, []  # what is gathered now goes into another batch, also after an error
        self.begun = []
        try:
            self.begun = self._network.run(rows)
        except Exception as error:
            self._error = error
            raise

    def row(self, index: int) -> _Row:
        if self.begun is None:
            self.begin()
        if self._error is not None:
            raise self._error
        assert self.begun is not None
        while len(self._done) <= index and self.begun:
            pending, number = self.begun.pop(0)
            arrays = pending.result()
            self._done += [tuple(a[n : n + 1] for a in arrays) for n in range(number)]
        return self._done[index]


class _One:
    """One picture of a batch."""

    def __init__(self, batch: _Batch, index: int) -> None:
        self._batch, self._index = batch, index

    def result(self) -> tuple[Array, ...]:
        return self._batch.row(self._index)
