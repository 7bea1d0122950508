"""Machines of a cluster that are lost, without Ray."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest

from livematte.farm import ray_pool
from livematte.farm.ray_pool import RayPool
from livematte.offline.schedule import MachineLost


def pool(nodes: list[dict[str, Any]], memory: int = 0) -> RayPool:
    """Return a pool of the machines that ``nodes`` lists, as Ray does."""
    made = RayPool.__new__(RayPool)
    made._ray, made._device, made._cpus, made._memory = (
        SimpleNamespace(nodes=lambda: nodes),
        "auto",
        1,
        memory,
    )
    made._memory_of, made._resting, made._slots, made._running = {}, {}, [], {}
    made._nodes_read, made._seen_machine = -1e9, time.monotonic()
    made._collectors = ThreadPoolExecutor(1)
    return made


def node(key: str, **resources: float) -> dict[str, Any]:
    return {"NodeID": key, "Alive": True, "Resources": resources, "NodeManagerAddress": f"address of {key}"}


def test_a_lost_machine_that_is_still_listed_gets_no_work_for_a_while(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    there = pool([node("a", CPU=1), node("b", CPU=1)])
    first, second = there.slots()
    error = there._lost(first, RuntimeError("the node it was running on is dead"))
    assert isinstance(error, MachineLost) and list(there.slots()) == [second]
    later = time.monotonic() + 11
    monkeypatch.setattr(ray_pool.time, "monotonic", lambda: later)
    assert list(there.slots()) == [first, second]


def test_a_machine_has_as_many_slots_as_cores_and_memory_allow() -> None:
    nodes = [
        node("small", CPU=8, memory=5e9), node("tiny", CPU=8, memory=1e9),
        node("gpu", CPU=8, GPU=2, memory=9e9),
    ]  # fmt: skip
    there = pool(nodes, memory=int(2e9))
    slots = [slot.machine for slot in there.slots()]
    assert (slots.count("small"), slots.count("tiny"), slots.count("gpu")) == (2, 1, 2)
    assert there._memory_of == {"small": int(2e9), "tiny": int(1e9), "gpu": int(2e9)}
