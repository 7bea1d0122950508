"""A fixture for every test that works on the stand-in for a GPU; import it where it is to hold."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from tests.cuda_shim import fakecupy


@pytest.fixture(autouse=True)
def nothing_is_given_back_in_use() -> Iterator[None]:
    """No memory was given back, or written to, while a stream might still use it."""
    fakecupy.hazards.clear()
    yield
    gc.collect()
    assert fakecupy.hazards == []
