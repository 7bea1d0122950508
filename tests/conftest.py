"""What every test shares: caches and folders of its own, so that a test run neither uses nor fills the
user's; one thread for each of several workers; and when tests that need a GPU run.
"""

from __future__ import annotations

import gc
import os
import shutil
import tempfile
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import pytest

from tests import caches

_WORKER = os.environ.get("PYTEST_XDIST_WORKER")

_PLACE = tempfile.mkdtemp(prefix="livematte-test-")

# Before anything is imported, and for the processes that tests start.
caches.settle(otherwise=_PLACE)
os.environ["LIVEMATTE_CACHE"] = str(caches.networks())
for _name in ("XDG_RUNTIME_DIR", "XDG_CACHE_HOME"):  # no live session of other processes is seen
    os.environ[_name] = _PLACE
os.environ.pop("LIVEMATTE_TRACEBACK", None)
os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # also of tests that import ONNX Runtime themselves
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # a thread that waits sleeps
if _WORKER is not None:  # threads of one worker would take the cores of another
    for _name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "OPENCV_FOR_THREADS_NUM"):
        os.environ.setdefault(_name, "1")

import hypothesis  # noqa: E402 - nothing is, see above

hypothesis.settings.register_profile("ci", max_examples=25, deadline=None, derandomize=True)
hypothesis.settings.register_profile("search", max_examples=500, deadline=None)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))

FIRST = (
    "tests/integration/test_nothing_is_sent.py",
    "tests/unit/kernels/test_parity.py",
    "tests/test_architecture.py",
)
"""Files that take long, where nothing was measured yet."""

_MEASURED = "livematte/seconds"


@pytest.fixture(autouse=True)
def _priority_stays() -> Iterator[None]:
    """As root, SVT-AV1 would give the whole worker, and the browsers it starts, real-time priority."""
    from livematte.video.priority import kept_priority

    with kept_priority():
        yield


@pytest.fixture(scope="session", autouse=True)
def _place_goes_away() -> Iterator[None]:
    yield
    shutil.rmtree(_PLACE, ignore_errors=True)


# Several workers (pytest -n auto --dist loadfile): each takes a file at a time, the longest first.


class _Durations:
    """How long each file took, for the order of the next run."""

    def __init__(self, config: pytest.Config) -> None:
        self._cache = getattr(config, "cache", None)
        self.known: dict[str, float] = dict.fromkeys(FIRST, 60.0)
        if self._cache is not None:
            self.known |= self._cache.get(_MEASURED, {})
        self._now: dict[str, float] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        file = report.nodeid.split("::")[0]
        self._now[file] = self._now.get(file, 0.0) + report.duration

    def pytest_sessionfinish(self) -> None:
        for file, seconds in self._now.items():  # a few tests of a file say little about all of them
            self.known[file] = round(max(seconds, 0.8 * self.known.get(file, 0.0)), 2)
        if self._cache is not None:
            self._cache.set(_MEASURED, self.known)
        caches.store_loops()

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        node.workerinput["seconds"] = self.known


def pytest_configure(config: pytest.Config) -> None:
    if _WORKER is None:
        caches.restore_loops()
        config.pluginmanager.register(_Durations(config))
    if hasattr(config.option, "loadscopereorder"):
        config.option.loadscopereorder = False


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    given = getattr(config, "workerinput", {}).get("seconds")
    if given is not None:
        items.sort(key=lambda item: -given.get(item.nodeid.split("::")[0], 0.0))


def pytest_collection_finish() -> None:
    """Millions of objects that stay are not looked through again whenever a test collects garbage."""
    gc.collect()
    gc.freeze()


@lru_cache(maxsize=1)
def no_cuda() -> str | None:
    """Why kernels cannot run on a GPU here; None where they can."""
    from livematte.device import cuda_trouble

    try:
        import cupy
    except ImportError:
        return cuda_trouble(0) or "CuPy is not installed (pip install '.[cuda]')"
    try:
        cupy.cuda.runtime.getDeviceCount()
    except Exception as error:  # CuPy's own, of which there may be no class to name
        return f"CuPy finds no GPU: {error}"
    return None


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Tests marked ``gpu`` are skipped without a GPU, and fail where one is required."""
    if item.get_closest_marker("gpu") is None:
        return
    why = no_cuda()
    if why and os.environ.get("LIVEMATTE_REQUIRE_CUDA", "0") not in ("", "0"):
        pytest.fail(f"LIVEMATTE_REQUIRE_CUDA is set: {why}", pytrace=False)
    if why:
        pytest.skip(why)
