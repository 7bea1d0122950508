"""How loops are compiled: the one place that knows Numba's options."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

_RELAXED = {"nnan", "nsz", "arcp", "contract"}
"""What may be assumed of floats: no NaN, no signed zero; multiply and add may be one step. Sums keep their
order.
"""

F = TypeVar("F", bound=Callable[..., Any])


def compiled(function: F) -> F:
    """``numba.njit`` that lets go of the GIL, cached on disk wherever a folder for that can be written.

    Numba looks at ``NUMBA_CACHE_DIR``, the package's own ``__pycache__`` and the user's cache folder, in this
    order. Where none can be written, every process compiles for itself.
    """
    try:
        return cast(F, numba.njit(nogil=True, cache=True, fastmath=_RELAXED)(function))
    except RuntimeError:
        return cast(F, numba.njit(nogil=True, fastmath=_RELAXED)(function))
