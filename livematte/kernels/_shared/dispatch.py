"""Dispatch of a kernel to the CPU or to CUDA by the arrays that it is called with."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from importlib import import_module
from typing import Any, TypeVar, cast

from livematte.device.cuda import on_gpu
from livematte.frame import Frame

F = TypeVar("F", bound=Callable[..., Any])


def dispatch(function: F) -> F:
    """``function``, or its namesake in the module ``cuda`` beside it if the arrays are on a GPU.

    The first argument decides: an array, a frame, or a tuple of planes. The first call that needs the module
    ``cuda`` imports it.
    """
    name = function.__name__
    cuda = function.__module__.rpartition(".")[0] + ".cuda"

    @wraps(function)
    def dispatched(first: Any, *rest: Any, **named: Any) -> Any:
        planes = first.planes if isinstance(first, Frame) else first
        if not on_gpu(planes[0] if isinstance(planes, tuple) else planes):
            return function(first, *rest, **named)
        return getattr(import_module(cuda), name)(first, *rest, **named)

    return cast(F, dispatched)
