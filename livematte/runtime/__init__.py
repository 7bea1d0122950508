"""How a network is executed. A model hands over a :class:`Program`; :func:`open_network` runs it.

Runtimes: ``torch`` is the reference, ``openvino`` the CPU default (measured fastest), ``onnxruntime`` the
CPU's second choice. Only the runtime that is used is imported.
"""

from livematte.runtime.choose import RUNTIMES, available_runtimes, open_network
from livematte.runtime.network import Input, Network, Pending, Program

__all__ = ["RUNTIMES", "Input", "Network", "Pending", "Program", "available_runtimes", "open_network"]
