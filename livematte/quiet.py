"""Import of OpenVINO and ONNX Runtime with their telemetry turned off.

OpenVINO (``openvino-telemetry``, to Google Analytics) and ONNX Runtime (1DS, to Microsoft) send usage data
when they are imported, so telemetry must be turned off before. Each also writes a user identifier to the home
folder.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

_TELEMETRY_PACKAGE = "openvino_telemetry"


def _no_operation(*_: Any, **__: Any) -> None:
    pass


def _method(self: object, name: str) -> Any:
    if name.startswith("__") or name == "backend":  # OpenVINO reads attributes of ``backend`` if it exists
        raise AttributeError(f"{self!r} has no attribute {name!r}")
    return _no_operation


class _Methods(type):
    __getattr__ = _method


class Telemetry(metaclass=_Methods):
    """Replacement for the class of the same name: any method exists and does nothing."""

    __getattr__ = _method

    def __init__(self, *_: Any, **__: Any) -> None:
        pass


class _ReplacementModule(ModuleType):
    """Replacement for a module of ``openvino_telemetry``: every name is :class:`Telemetry`."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        return Telemetry


class _ReplacementFinder(MetaPathFinder, Loader):
    """Import hook that provides the replacement for ``openvino_telemetry`` and its modules."""

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> ModuleSpec | None:
        return ModuleSpec(fullname, self, is_package=True) if _is_telemetry(fullname) else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return _ReplacementModule(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        pass


_FINDER = _ReplacementFinder()


def import_quietly(name: str) -> Any:
    """Import a module of OpenVINO or ONNX Runtime so that it does not send or store usage data.

    If the program imported ``openvino_telemetry`` itself before, its own references stay valid; OpenVINO gets
    the replacement.

    Raises:
        ImportError: as ``import`` does.
    """
    if name.partition(".")[0] == "onnxruntime":
        os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # read at import; the call below would miss the first event
        module = import_module(name)
        import_module(
            "onnxruntime"
        ).disable_telemetry_events()  # event tracing on Windows ignores the variable
        return module
    originals = {
        key: sys.modules.pop(key)
        for key in list(sys.modules)
        if _is_telemetry(key) and not _is_replacement(key)
    }
    if _FINDER not in sys.meta_path:
        sys.meta_path.insert(0, _FINDER)
    try:
        return import_module(name)
    finally:
        if originals:
            sys.meta_path.remove(_FINDER)
            for key in [key for key in sys.modules if _is_telemetry(key)]:
                del sys.modules[key]
            sys.modules.update(originals)


def _is_telemetry(name: str) -> bool:
    return name.partition(".")[0] == _TELEMETRY_PACKAGE


def _is_replacement(name: str) -> bool:
    return isinstance(sys.modules[name], _ReplacementModule)
