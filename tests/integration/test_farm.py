"""A render on Ray's own test cluster on loopback, with real kills, against one computer."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from livematte.errors import InputError
from livematte.farm import cluster, ray_task
from livematte.farm.batch import Batch, prepare_batch
from livematte.farm.cluster import ClusterRender, render_on_cluster
from livematte.farm.files import PRIVATE, find_inputs
from livematte.farm.manifest import FOLDER, read_segments
from livematte.farm.out_dir import open_out_dir
from livematte.farm.ray_pool import connect
from livematte.farm.records import FileResult
from livematte.offline.pool import ProcessPool
from livematte.offline.schedule import Slot
from livematte.offline.worker import Job, SegmentResult, Task, render_segment
from livematte.options.declaration import complete
from livematte.options.many import RenderManyOptions
from tests import clips

pytestmark = pytest.mark.farm

FRAMES, SECONDS, SEGMENTS = 240, 1.2, 7
KILLS = int(os.environ.get("LIVEMATTE_FARM_KILLS", "1"))
"""Times that each kill is repeated, at random moments."""

HOW: dict[str, Any] = {
    "size": 64, "preset": "ultrafast", "device": "cpu", "threads": 1,
    "background": "blur:2",  # whatever the network finds, each output frame depends on its input frame
}  # fmt: skip


class OneComputer(ProcessPool):
    """A worker process in place of a cluster; segment ``broken`` always fails."""

    def __init__(self, folder: Path, broken: int | None = None) -> None:
        super().__init__(["cpu"])
        self._folder, self._broken = folder, broken

    def start(self, attempt: int, slot: Slot, call: tuple[Any, ...]) -> Future[Any]:
        _, job, task, _ = call
        function: Callable[..., Any] = fail if task.number == self._broken else render_segment
        return super().start(attempt, slot, (function, job, replace(task, folder=self._folder)))


def fail(job: Job, task: Task, context: Any) -> SegmentResult:
    raise InputError("this segment is poisonous")


def batch_for(source: Path, out: Path) -> Batch:
    chosen = complete(RenderManyOptions, HOW)  # type: ignore[arg-type]
    found = find_inputs([source], recursive=False, leave_out=out)
    folder = open_out_dir(out)
    folder.prepare()
    return prepare_batch(found, folder, chosen)


def manifest_of(out: Path) -> tuple[list[int], list[int]]:
    """Return the finished and the failed segments of the only file that is not complete."""
    folder = open_out_dir(out)
    for name in folder.names(FOLDER):
        _, done, failed = read_segments(folder, name)
        return done, sorted(failed)
    return [], []


def render_here(batch: Batch, broken: int | None = None) -> list[FileResult]:
    results: list[FileResult] = []
    work = batch.out.folder / PRIVATE / "work-here"
    work.mkdir(parents=True)
    pool = OneComputer(work, broken)
    render = ClusterRender(
        batch.files, batch.out, batch.options, batch.records(), transparent=False, seconds=SECONDS
    )

    def end(number: int, result: FileResult) -> None:
        results.append(result)

    try:
        render.open(range(len(batch.files)), end)
        render.run(pool, end=end)
    finally:
        pool.close()
    return results


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("farm")
    return clips.make_clip(
        folder / "clip.mp4", frames=FRAMES, audio=1, options={"preset": "ultrafast", "g": "12"}
    )


@pytest.fixture(scope="module")
def reference(clip: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The output of one computer."""
    out = tmp_path_factory.mktemp("reference")
    (result,) = render_here(batch_for(clip, out))
    assert (result.state, result.frames) == ("done", FRAMES)
    return (out / "clip.mp4").read_bytes()


def test_a_segment_that_always_fails_is_told_with_its_time_and_the_rest_comes_out(
    clip: Path, reference: bytes, tmp_path: Path
) -> None:
    batch = batch_for(clip, tmp_path)
    (result,) = render_here(batch, broken=2)
    assert result.state == "failed" and 0 < result.frames < FRAMES
    assert f"1 of {SEGMENTS} segments are missing" in result.error
    assert "this segment is poisonous" in result.error and " s to " in result.error
    assert (tmp_path / "clip.mp4").exists() and not batch.records().is_whole(batch.files[0])
    assert manifest_of(tmp_path) == ([0, 1, 3, 4, 5, 6], [2])
    shutil.rmtree(tmp_path / PRIVATE / "work-here")
    (result,) = render_here(batch_for(clip, tmp_path))  # only the missing segment is rendered
    assert result.state == "done" and (tmp_path / "clip.mp4").read_bytes() == reference


# Ray's test cluster: a head without cores, and machines with one core each


class Machines:
    """A head, and nodes that can be added and killed."""

    def __init__(self) -> None:
        from ray.cluster_utils import Cluster

        fast = {
            "health_check_initial_delay_ms": 1000, "health_check_period_ms": 1000,
            "health_check_failure_threshold": 5,
        }  # fmt: skip
        self._small = {"object_store_memory": 100 << 20, "include_dashboard": False}
        self.cluster = Cluster(
            initialize_head=True, head_node_args={**self._small, "num_cpus": 0, "_system_config": fast}
        )
        self.address = self.cluster.address
        self._nodes: list[Any] = []

    def have(self, count: int, **facts: Any) -> None:
        """Add machines until there are ``count``."""
        while len(self._nodes) < count:
            self._nodes.append(self.cluster.add_node(num_cpus=1, object_store_memory=100 << 20, **facts))

    def kill_node(self) -> None:
        """``kill -9`` the raylet of a node that renders: its workers end with it."""
        _, node = random.choice(self._rendering())
        self._nodes.remove(node)
        os.kill(node.all_processes["raylet"][0].process.pid, signal.SIGKILL)
        self.cluster.remove_node(node, allow_graceful=False)

    def kill_worker(self) -> None:
        """``kill -9`` a process that renders."""
        pid, _ = random.choice(self._rendering())
        os.kill(pid, signal.SIGKILL)

    def _rendering(self) -> list[tuple[int, Any]]:
        """Return the processes that render, each with its node; wait for one between two segments."""
        import psutil

        raylets = {node.all_processes["raylet"][0].process.pid: node for node in self._nodes}
        end = time.monotonic() + 10
        while time.monotonic() < end:
            found = []
            for each in psutil.process_iter(["cmdline"]):
                with suppress(psutil.Error):
                    if "ray::run_call" in " ".join(each.info["cmdline"] or ()):
                        found += [(each.pid, raylets[up.pid]) for up in each.parents() if up.pid in raylets]
            if found:
                return found
            time.sleep(0.02)
        raise AssertionError("nothing renders")

    def close(self) -> None:
        import ray

        ray.shutdown()
        self.cluster.shutdown()


@pytest.fixture(scope="module")
def machines() -> Iterator[Machines]:
    pytest.importorskip("ray", reason="Ray is not installed (pip install '.[farm]')")
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    made = Machines()
    yield made
    made.close()


def render_there(
    machines: Machines, clip: Path, out: Path, disturb: Callable[[], None] | None = None, **how: Any
) -> Any:
    """Render on the cluster; ``disturb`` is called once, at a random moment after the first segment."""
    batch, results = batch_for(clip, out), list[FileResult]()
    done, failures = threading.Event(), list[BaseException]()

    def watch() -> None:
        try:
            while not done.is_set() and not manifest_of(out)[0]:
                time.sleep(0.02)
            time.sleep(random.uniform(0, 0.3))
            if disturb is not None and not done.is_set():
                disturb()
        except BaseException as error:
            failures.append(error)

    thread, notes = threading.Thread(target=watch), list[str]()
    thread.start()
    try:
        render_on_cluster(
            batch.files, batch.out, batch.options, batch.records(), machines.address, transparent=False,
            waiting=[0], end=lambda number, result: results.append(result), seconds=SECONDS,
            noted=notes.append, **how,
        )  # fmt: skip
    finally:
        done.set()
        thread.join()
    assert not failures, failures
    (result,) = results
    assert (result.state, result.error, result.frames) == ("done", "", FRAMES), notes
    assert not list((out / PRIVATE).glob("work-*")) and not batch.out.names(FOLDER)
    return notes


def test_a_cluster_makes_bit_by_bit_what_one_computer_makes(
    machines: Machines, clip: Path, reference: bytes, tmp_path: Path
) -> None:
    machines.have(2)
    render_there(machines, clip, tmp_path)
    assert (tmp_path / "clip.mp4").read_bytes() == reference


@pytest.mark.parametrize("number", range(KILLS))
@pytest.mark.parametrize("kill", ["kill_worker", "kill_node"])
def test_a_kill_changes_nothing_in_the_output(
    machines: Machines, clip: Path, reference: bytes, tmp_path: Path, kill: str, number: int
) -> None:
    machines.have(2)
    notes = render_there(machines, clip, tmp_path, getattr(machines, kill))
    assert (tmp_path / "clip.mp4").read_bytes() == reference
    assert notes, "it was noticed"


DRIVER = """
import sys
import livematte
from livematte.farm import cluster
cluster.render_on_cluster.__kwdefaults__["seconds"] = float(sys.argv[4])
source, out, address = sys.argv[1:4]
livematte.render_many(source, out, cluster=address, **eval(sys.argv[5]))
"""


@pytest.mark.parametrize("number", range(KILLS))
def test_a_new_driver_goes_on_where_a_killed_one_was(
    machines: Machines, clip: Path, reference: bytes, tmp_path: Path, number: int
) -> None:
    machines.have(2)
    words = [
        sys.executable,
        "-c",
        DRIVER,
        str(clip),
        str(tmp_path),
        machines.address,
        str(SECONDS),
        repr(HOW),
    ]
    driver = subprocess.Popen(words)
    end = time.monotonic() + 120

    def done() -> list[int]:
        return manifest_of(tmp_path)[0]

    while not done() and driver.poll() is None and time.monotonic() < end:
        time.sleep(0.05)
    driver.kill()
    driver.wait()
    kept = done()
    assert kept and len(kept) < SEGMENTS and not (tmp_path / "clip.mp4").exists()
    for left in (tmp_path / PRIVATE).glob("work-*"):  # removed after a day
        shutil.rmtree(left)
    started: list[int] = []
    run = cluster.render_part
    assert run is ray_task.render_part
    units = ClusterRender._units

    def counted(render: ClusterRender, each: Any) -> Any:
        found = units(render, each)
        started.extend(unit.key[1] for unit in found)
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ClusterRender, "_units", counted)
        render_there(machines, clip, tmp_path)
    assert sorted([*started, *kept]) == list(range(SEGMENTS)), "only what is missing is rendered"
    assert (tmp_path / "clip.mp4").read_bytes() == reference


def start_worker(machines: Machines, node: str) -> None:
    """Start the worker process of a machine, so that it takes part in a short render in any case."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    ray = connect(machines.address)
    there = NodeAffinitySchedulingStrategy(node, soft=False)
    refused = ray.remote(ray_task.run_call).options(num_cpus=1, scheduling_strategy=there)
    assert ray.get(refused.remote("other code", None, 0, None))[0] == "refused"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 KiB."""
    place = tmp_path / "small"
    place.mkdir()
    mounted = sys.platform == "linux" and os.geteuid() == 0 and not subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4k", "tmpfs", str(place)], capture_output=True
    ).returncode  # fmt: skip
    if not mounted:
        pytest.skip("a small file system can only be mounted by root on Linux")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_machine_with_a_full_disk_gets_no_more_work(
    machines: Machines, clip: Path, reference: bytes, tmp_path: Path, small_disk: Path
) -> None:
    machines.have(1)
    full = machines.cluster.add_node(
        num_cpus=1, object_store_memory=100 << 20, env_vars={"LIVEMATTE_FARM_TEMP": str(small_disk)}
    )
    try:
        start_worker(machines, full.node_id)
        no_copies = replace(cluster.POLICY, copy_factor=None)  # one could be first on a busy computer
        notes = render_there(machines, clip, tmp_path / "out", policy=no_copies)
    finally:
        machines.cluster.remove_node(full, allow_graceful=False)
    assert (tmp_path / "out" / "clip.mp4").read_bytes() == reference
    assert any("is full" in note for note in notes), notes


def test_a_machine_with_other_code_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    class Written:
        def __getattr__(self, name: str) -> Any:
            return self

        def remote(self, *_: Any) -> None:
            pass

    kind, why = ray_task.run_call("another hash", Written(), 0, fail)
    assert kind == "refused" and "install the same versions" in why
    kind, said = ray_task.run_call(ray_task.code_hash(), Written(), 0, fail, None, None)
    assert (kind, said[:2]) == ("failed", ("InputError", "this segment is poisonous"))
