"""CUDA's threads on the CPU: they wait for one another at a barrier, and one that does not come is told."""

from __future__ import annotations

import numpy as np
import pytest

from tests.cuda_shim import build, fakecupy

pytestmark = pytest.mark.skipif(build.compiler() is None, reason="no C++ compiler with fibres")

REVERSED = """
extern "C" __global__ void reversed(const int *given, int *out, int come) {
    __shared__ int all[64];
    all[threadIdx.x] = given[blockIdx.x * blockDim.x + threadIdx.x];
    if ((int)threadIdx.x < come) __syncthreads();
    out[blockIdx.x * blockDim.x + threadIdx.x] = all[blockDim.x - 1 - threadIdx.x];
}
"""


def reverse(blocks: int, threads: int, come: int) -> np.ndarray:
    module = fakecupy.RawModule(code=REVERSED)
    module.compile()
    given = fakecupy.asarray(np.arange(blocks * threads, dtype=np.int32))
    out = fakecupy.empty(given.shape, np.int32)
    module.get_function("reversed")((blocks, 1, 1), (threads, 1, 1), (given, out, np.int32(come)))
    return out.get()


@pytest.mark.parametrize(("blocks", "threads"), [(1, 64), (3, 5), (2, 64)])
def test_threads_of_a_block_see_what_all_wrote_before_a_barrier(blocks: int, threads: int) -> None:
    expected = np.arange(blocks * threads).reshape(blocks, threads)[:, ::-1].ravel()
    np.testing.assert_array_equal(reverse(blocks, threads, come=threads), expected)


def test_a_thread_that_does_not_come_to_a_barrier_is_told_and_the_next_launch_is_right() -> None:
    with pytest.raises(AssertionError, match="reversed: not all threads of a block came to a barrier"):
        reverse(2, 16, come=7)
    np.testing.assert_array_equal(reverse(1, 16, come=16), np.arange(16)[::-1])
