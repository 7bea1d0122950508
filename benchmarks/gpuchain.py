"""Whole frames on a GPU, from the decoder's surface to the encoder's: livematte's chain, and the peer's."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from livematte.adapters import choose_size
from livematte.frame import Array, Frame
from livematte.kernels import cuda, cuda_frame, cuda_launch, cuda_temporal
from livematte.quiet import import_quietly
from livematte.refine import EPSILON, RADII, SNAP

IN_FLIGHT = 3
"""Frames under way, each on its own stream: one comes up, one is worked on, one goes down."""


def live_network(device: str) -> Any:
    """The default model's torch module with its shipped weights: (1, h, w, 3) uint8 to alpha first."""
    import torch

    from livematte.models.late_fusion.model import LIVE

    module = LIVE.deployed(LIVE.card.parent / "weights" / f"{LIVE.name}.safetensors")
    return module.eval().requires_grad_(False).to(device, memory_format=torch.channels_last)


class Chain:
    """All that a frame passes through between decoder and encoder, on the GPU.

    Args:
        background: of the frames' size and format, on the GPU.
        device: torch's name of it.
        half: the network computes in float16.
    """

    def __init__(self, background: Frame, device: str = "cuda", half: bool = True) -> None:
        self._background, self._device, self._half = background, device, half
        self._network = live_network(device)
        self._size = choose_size(*background.size)
        self._before: cuda_temporal.Before | None = None

    def alpha(self, rgb: Array) -> Array:
        """The network alone, on (h, w, 3) uint8."""
        import torch

        with torch.inference_mode(), torch.autocast(self._device, torch.float16, enabled=self._half):
            found = self._network(torch.from_dlpack(rgb)[None])[0][0].float().contiguous()
        return cuda_launch.from_dlpack(found)

    def __call__(self, frame: Frame) -> tuple[Array, ...]:
        """The planes of the composite."""
        codes, rgb = cuda.small_both(frame, *self._size)
        alpha, raw, picture = cuda_temporal.calmed(self.alpha(rgb), rgb, self._before, 0.3)
        self._before = alpha, raw, picture
        luma = codes[0] * np.float32(1 / frame.pixel_format.maximum)
        maps = cuda.guided_coefficients(alpha, luma, EPSILON, SNAP)
        colors = cuda.estimate_colors(codes, alpha, RADII)
        return cuda_frame.guided_composite(frame, self._background, *maps, colors)


class _Slot:
    """A frame under way: its stream, and memory on both sides that transfers do not wait for."""

    def __init__(self, like: Frame) -> None:
        module = cuda_launch.cupy()
        self.stream = module.cuda.Stream(non_blocking=True)
        self.over = module.cuda.Event()
        self.up = tuple(cuda_launch.empty(plane.shape, plane.dtype) for plane in like.planes)
        self.down = tuple(_pinned(plane) for plane in like.planes)
        self.busy = False


def _pinned(like: Array) -> Array:
    memory = cuda_launch.cupy().cuda.alloc_pinned_memory(like.nbytes)
    return np.frombuffer(memory, like.dtype, like.size).reshape(like.shape)


@contextmanager
def _queued(slot: _Slot) -> Iterator[None]:
    """CuPy's and torch's work alike."""
    import torch

    with cuda_launch.on(slot.stream):
        if torch.cuda.is_available():
            with torch.cuda.stream(torch.cuda.ExternalStream(slot.stream.ptr)):
                yield
        else:
            yield


def through(chain: Chain, frames: Sequence[Frame], count: int) -> Iterator[tuple[Array, ...]]:
    """``count`` frames from the computer's memory and back into it: one upload and one download each.

    Args:
        frames: in turn; their planes should lie in pinned memory.

    Yields:
        The planes of each, in order, good until :data:`IN_FLIGHT` further ones are asked for.
    """
    slots = [_Slot(frames[0]) for _ in range(IN_FLIGHT)]
    worked = cuda_launch.cupy().cuda.Event()
    for number in range(count + IN_FLIGHT):
        slot = slots[number % IN_FLIGHT]
        if slot.busy:
            slot.over.synchronize()
            slot.busy = False
            yield slot.down
        if number >= count:
            continue
        frame = frames[number % len(frames)]
        with _queued(slot):
            for there, plane in zip(slot.up, frame.planes, strict=True):
                there.set(plane, stream=slot.stream)
            if number:
                slot.stream.wait_event(worked)  # each frame's alpha needs the one before
            made = chain(frame.with_planes(slot.up))
            worked.record(slot.stream)
            for plane, out in zip(made, slot.down, strict=True):
                plane.get(stream=slot.stream, out=out, blocking=False)
            slot.over.record(slot.stream)
        slot.busy = True


def pinned(frame: Frame) -> Frame:
    """A copy whose planes lie in pinned memory."""
    planes = tuple(_pinned(plane) for plane in frame.planes)
    for mine, given in zip(planes, frame.planes, strict=True):
        mine[...] = given
    return frame.with_planes(planes)


def frames_a_second(items: Iterator[Any], warm: int = 20) -> float:
    """Of going through ``items``, the first ``warm`` left out."""
    began, count = 0.0, 0
    for _ in items:
        count += 1
        if count == warm:
            began = time.perf_counter()
    return (count - warm) / (time.perf_counter() - began)


class Rvm:
    """RobustVideoMatting's ONNX file on ONNX Runtime, its memory kept on the device.

    Args:
        ratio: its own downsample_ratio; its README says 0.25 for HD and 0.125 for 4K.
        device: 'cuda', or 'cpu' to try the code.
    """

    def __init__(self, weights: Path, ratio: float, device: str = "cuda") -> None:
        onnxruntime = import_quietly("onnxruntime")

        provider = {"cuda": "CUDAExecutionProvider", "cpu": "CPUExecutionProvider"}[device]
        if provider not in onnxruntime.get_available_providers():
            raise SystemExit(f"onnxruntime has no {provider} here: pip install onnxruntime-gpu")
        self._session = onnxruntime.InferenceSession(str(weights), providers=[provider])
        if provider not in self._session.get_providers():
            raise SystemExit(f"onnxruntime cannot load {provider} here: does CUDA's version fit?")
        self._value = onnxruntime.OrtValue.ortvalue_from_numpy
        self._device = device
        self.dtype = np.float16 if "16" in self._session.get_inputs()[0].type else np.float32
        self._memory = [self._value(np.zeros((1, 1, 1, 1), self.dtype), device, 0) for _ in range(4)]
        self._ratio = self._value(np.array([ratio], np.float32), "cpu", 0)

    def upload(self, rgb: Array) -> Any:
        """(h, w, 3) uint8 as what the network takes."""
        source = np.ascontiguousarray(rgb.transpose(2, 0, 1)[None]).astype(self.dtype) / self.dtype(255)
        return self._value(source, self._device, 0)

    def __call__(self, source: Any) -> tuple[Any, Any]:
        """Foreground (1, 3, h, w) and alpha (1, 1, h, w), on the device."""
        binding = self._session.io_binding()
        binding.bind_ortvalue_input("src", source)
        binding.bind_ortvalue_input("downsample_ratio", self._ratio)
        for n, value in enumerate(self._memory, 1):
            binding.bind_ortvalue_input(f"r{n}i", value)
        for name in ("fgr", "pha", *(f"r{n}o" for n in range(1, 5))):
            binding.bind_output(name, self._device)
        self._session.run_with_iobinding(binding)
        foreground, alpha, *self._memory = binding.get_outputs()
        return foreground, alpha
