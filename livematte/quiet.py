"""Nothing is sent: libraries that report their use to their makers are imported here, with that turned off.

OpenVINO (``openvino-telemetry``, to Google Analytics) and ONNX Runtime (1DS, to Microsoft) do so as they are
imported, so they must be told before. Each also leaves an identifier of the user in the home folder.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

_REPORTER = "openvino_telemetry"


def _does_nothing(*_: Any, **__: Any) -> None:
    pass


def _method(self: object, name: str) -> Any:
    if name.startswith("__") or name == "backend":  # OpenVINO looks into the latter where there is one
        raise AttributeError(f"{self!r} has no attribute {name!r}")
    return _does_nothing


class _Methods(type):
    __getattr__ = _method


class Telemetry(metaclass=_Methods):
    """Has the methods of the class of that name, and any others; they do nothing."""

    __getattr__ = _method

    def __init__(self, *_: Any, **__: Any) -> None:
        pass


class _StandIn(ModuleType):
    """A module of ``openvino_telemetry`` in which every name is :class:`Telemetry`."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        return Telemetry


class _StandIns(MetaPathFinder, Loader):
    """Finds ``openvino_telemetry`` and all its modules before the installed ones are."""

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> ModuleSpec | None:
        return ModuleSpec(fullname, self, is_package=True) if _reports(fullname) else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return _StandIn(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        pass


_STAND_INS = _StandIns()


def import_quietly(name: str) -> Any:
    """Import a module of OpenVINO or ONNX Runtime without anything being sent or written by it.

    A program that imported ``openvino_telemetry`` itself before keeps it; OpenVINO does not see it.

    Raises:
        ImportError: as ``import`` does.
    """
    if name.partition(".")[0] == "onnxruntime":
        os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # read as it loads; the call below leaves a first event
        module = import_module(name)
        import_module("onnxruntime").disable_telemetry_events()  # Windows' own tracing ignores the variable
        return module
    theirs = {key: sys.modules.pop(key) for key in list(sys.modules) if _reports(key) and not _stands_in(key)}
    if _STAND_INS not in sys.meta_path:
        sys.meta_path.insert(0, _STAND_INS)
    try:
        return import_module(name)
    finally:
        if theirs:
            sys.meta_path.remove(_STAND_INS)
            for key in [key for key in sys.modules if _reports(key)]:
                del sys.modules[key]
            sys.modules.update(theirs)


def _reports(name: str) -> bool:
    return name.partition(".")[0] == _REPORTER


def _stands_in(name: str) -> bool:
    return isinstance(sys.modules[name], _StandIn)
