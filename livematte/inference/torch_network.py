"""PyTorch in eager mode: the reference for the other runtimes."""

from __future__ import annotations

import torch

from livematte.device import Device, to_numpy, to_torch
from livematte.errors import DeviceError, ModelError
from livematte.frame import Array
from livematte.inference.network import Program
from livematte.inference.shape_checks import check_inputs


class _TorchPending:
    """Tensors that the GPU may still be computing."""

    def __init__(self, tensors: tuple[torch.Tensor, ...]) -> None:
        self._tensors = tensors

    def result(self) -> tuple[Array, ...]:
        return tuple(to_numpy(t.float()) for t in self._tensors)


class TorchNetwork:
    """Runs a program's torch module in eager mode, fp32, channels last."""

    runtime = "torch"
    in_flight = 1
    precision = "fp32"

    def __init__(self, program: Program, device: Device, threads: int, why: str, batch: int = 1) -> None:
        if program.module is None:
            raise ModelError(f"{program.name} has no torch module")
        self.why, self.batch = why, batch
        self.notes: list[str] = []
        self._program, self._device = program, device
        if threads and device.kind == "cpu":
            torch.set_num_threads(threads)
        module = program.module().eval().requires_grad_(False)
        try:
            self._module = module.to(str(device), memory_format=torch.channels_last)  # type: ignore[call-overload]
        except RuntimeError as error:
            raise DeviceError(f"{program.name} does not fit on {device}: {error}") from error

    @torch.inference_mode()
    def submit(self, *arrays: Array) -> _TorchPending:
        """Start a run; on the CPU it is complete on return."""
        check_inputs(self._program, arrays, self.batch)
        return _TorchPending(tuple(self._module(*(to_torch(a, self._device) for a in arrays))))

    def __call__(self, *arrays: Array) -> tuple[Array, ...]:
        """Run once."""
        return self.submit(*arrays).result()
