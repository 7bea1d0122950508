"""Execution of networks. A model provides a :class:`Program`; :func:`open_network` runs it.

Runtimes: ``torch`` is the reference, ``openvino`` the CPU default (measured fastest), ``onnxruntime`` the
second choice on the CPU. Only the selected runtime is imported.
"""

from livematte.inference.network import Input, Network, Pending, Program
from livematte.inference.runtime_choice import RUNTIMES, available_runtimes, open_network

__all__ = ["RUNTIMES", "Input", "Network", "Pending", "Program", "available_runtimes", "open_network"]
