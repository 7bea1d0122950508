"""What every test shares: a cache of its own, so that a test run neither uses nor fills the user's."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator

import pytest

_CACHE = tempfile.mkdtemp(prefix="livematte-test-cache-")
os.environ["LIVEMATTE_CACHE"] = _CACHE  # before anything is imported, and for the processes that tests start
os.environ.pop("LIVEMATTE_TRACEBACK", None)


@pytest.fixture(scope="session", autouse=True)
def _cache_goes_away() -> Iterator[None]:
    yield
    shutil.rmtree(_CACHE, ignore_errors=True)
