"""Two processes that train together: what they share, and that they stop together."""

import os
import socket

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from livematte.training import loop
from livematte.training.checkpoints import Average
from livematte.training.distributed import ProcessGroup, join_process_group
from livematte.training.packing import pack
from tests.people import draw_people
from tests.unit.training.test_loop import SmallRecipe

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
    workers.barrier()
    torch.distributed.destroy_process_group()


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def test_two_processes_weigh_pictures_alike_hold_the_same_and_stop_together():
    port = free_port()
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


class StillRecipe(SmallRecipe):
    """Without batch statistics and dropout, which depend on what one process sees."""

    def enter(self, step, network):
        network.eval()


def train_one_of(rank, count, port, cache, out, dies_after):
    """Train as one of ``count`` processes, as torchrun would start it; rank 1 may die on the way."""
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(count)}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    loop.SAVE_EVERY = 2
    update, done = Average.update, []

    def count_updates(average, network):
        update(average, network)
        done.append(1)
        if rank == 1 and len(done) == dies_after:
            os._exit(9)

    Average.update = count_updates
    recipe = StillRecipe()
    loop.train(recipe, recipe.plan(1, 3), out, cache, settings=loop.Settings(validation_pictures=2))


def train_on(count, cache, out, dies_after=None):
    context = torch.multiprocessing.get_context("spawn")
    port = free_port()
    processes = [
        context.Process(target=train_one_of, args=(rank, count, port, cache, out, dies_after), daemon=True)
        for rank in range(count)
    ]
    for process in processes:
        process.start()
    for process in reversed(processes):  # the first one waits for one that died
        process.join(SCRIPT_SECONDS)
    return [process.exitcode for process in processes]


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    return pack(draw_people(folder / "drawn"), folder / "packed")


def weights(out):
    return {k: v for k, v in load_file(out / "state.safetensors").items() if k.startswith("network.")}


def test_two_processes_make_the_weights_of_one_and_resume_after_one_was_lost(tmp_path, cache):
    recipe, settings = StillRecipe(), loop.Settings(validation_pictures=2)
    loop.train(recipe, recipe.plan(1, 3), tmp_path / "one", cache, settings=settings)
    assert train_on(2, cache, tmp_path / "two") == [0, 0]
    one, two = weights(tmp_path / "one"), weights(tmp_path / "two")
    assert one.keys() == two.keys()
    start = {f"network.{name}": value for name, value in StillRecipe().network().state_dict().items()}
    assert any(not torch.equal(one[name], start[name]) for name in one)
    for name in one:
        torch.testing.assert_close(two[name], one[name], rtol=1e-4, atol=1e-6, msg=name)
    codes = train_on(2, cache, tmp_path / "lost", dies_after=3)
    assert codes[1] == 9 and codes[0] != 0
    assert train_on(2, cache, tmp_path / "lost") == [0, 0]
    for name, value in weights(tmp_path / "lost").items():
        torch.testing.assert_close(value, two[name], rtol=0, atol=0, msg=name)
