"""Two processes that train together: what they share, and that they stop together."""

import os
import socket

import pytest
import torch
from torch import nn

from livematte.training.distributed import ProcessGroup, join_process_group

SCRIPT_SECONDS = 120


def two(rank, port, results):
    """One of two processes; puts what it found into ``results``."""
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    workers = join_process_group()
    weight = nn.Parameter(torch.zeros(2))
    weight.grad = torch.full(
        (2,), float(rank + 1)
    )  # of two pictures in the first process, of one in the second
    workers.mean_gradients([weight], 3)
    buffers = [torch.full((2,), float(rank)), torch.tensor(rank == 0), torch.tensor(rank)]
    workers.broadcast(buffers)
    cpu = torch.device("cpu")
    agreed = [workers.any_process(here, cpu) for here in (rank == 1, False)]
    results.put((rank, workers.local_batch(3), weight.grad.tolist(), [b.tolist() for b in buffers], agreed))
    workers.wait()
    torch.distributed.destroy_process_group()


def test_two_processes_weigh_pictures_alike_hold_the_same_and_stop_together():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    context = torch.multiprocessing.get_context("spawn")
    results = context.Queue()
    processes = [context.Process(target=two, args=(rank, port, results), daemon=True) for rank in (0, 1)]
    for process in processes:
        process.start()
    found = sorted(results.get(timeout=SCRIPT_SECONDS) for _ in processes)
    for process in processes:
        process.join(SCRIPT_SECONDS)
    assert [f[:2] for f in found] == [(0, 2), (1, 1)]
    for _, _, gradient, buffers, agreed in found:
        assert gradient == pytest.approx([4 / 3, 4 / 3])  # (2 x 1 + 1 x 2) / 3
        assert buffers == [[0.0, 0.0], True, 0] and agreed == [True, False]


def test_one_process_alone_changes_nothing():
    workers = ProcessGroup()
    weight = nn.Parameter(torch.zeros(1))
    weight.grad = torch.ones(1)
    workers.mean_gradients([weight], 3)
    assert (
        weight.grad.item() == 1
        and workers.any_process(True, torch.device("cpu"))
        and workers.local_batch(3) == 3
    )
