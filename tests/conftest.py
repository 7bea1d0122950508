"""What every test shares: a cache of its own, so that a test run neither uses nor fills the user's, and when
tests that need a GPU run.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from functools import lru_cache

import pytest

_CACHE = tempfile.mkdtemp(prefix="livematte-test-cache-")
os.environ["LIVEMATTE_CACHE"] = _CACHE  # before anything is imported, and for the processes that tests start
os.environ.pop("LIVEMATTE_TRACEBACK", None)
os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # also of tests that import ONNX Runtime themselves


@pytest.fixture(scope="session", autouse=True)
def _cache_goes_away() -> Iterator[None]:
    yield
    shutil.rmtree(_CACHE, ignore_errors=True)


@lru_cache(maxsize=1)
def no_cuda() -> str | None:
    """Why kernels cannot run on a GPU here; None where they can."""
    from livematte.device import cuda_trouble

    try:
        import cupy
    except ImportError:
        return cuda_trouble(0) or "CuPy is not installed (pip install 'livematte[cuda]')"
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
