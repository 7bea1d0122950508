"""Process whole frames on a GPU: the pipeline of livematte and the network of RobustVideoMatting."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from livematte.device.cuda import cupy, empty, from_dlpack, gpu_scope
from livematte.frame import Array, Frame
from livematte.inference.adapters import choose_size
from livematte.kernels.composite import guided_composite
from livematte.kernels.convert import small_both
from livematte.kernels.foreground import estimate_colors
from livematte.kernels.temporal.cuda import Before, smooth_alpha
from livematte.kernels.upsample import guided_coefficients
from livematte.matting.upsampling import EPSILON, RADII, SNAP
from livematte.quiet import import_quietly

IN_FLIGHT = 3
"""Frames in flight, each on its own stream: one is uploaded, one processed, one downloaded."""


def live_network(device: str) -> Any:
    """Return the torch module of the default model. Input: (1, h, w, 3) uint8; the first output is alpha."""
    import torch

    from livematte.models.late_fusion.model import LIVE

    module = LIVE.load(LIVE.card.parent / "weights" / f"{LIVE.name}.safetensors")
    return module.eval().requires_grad_(False).to(device, memory_format=torch.channels_last)


class Chain:
    """All steps between decoder and encoder, on the GPU.

    Args:
        background: a frame in GPU memory, with the size and format of the frames.
        device: name of the GPU in torch.
        half: run the network in float16.
    """

    def __init__(self, background: Frame, device: str = "cuda", half: bool = True) -> None:
        self._background, self._device, self._half = background, device, half
        self._network = live_network(device)
        self._size = choose_size(*background.size)
        self._before: Before | None = None

    def alpha(self, rgb: Array) -> Array:
        """Run only the network on (h, w, 3) uint8; return (h, w) float32."""
        import torch

        with torch.inference_mode(), torch.autocast(self._device, torch.float16, enabled=self._half):
            found = self._network(torch.from_dlpack(rgb)[None])[0][0].float().contiguous()
        return from_dlpack(found)

    def __call__(self, frame: Frame) -> tuple[Array, ...]:
        """Return the planes of the composite."""
        codes, rgb = small_both(frame, *self._size)
        alpha, raw, picture = smooth_alpha(self.alpha(rgb), rgb, self._before, 0.3)
        self._before = alpha, raw, picture
        luma = codes[0] * np.float32(1 / frame.pixel_format.maximum)
        maps = guided_coefficients(alpha, luma, EPSILON, SNAP)
        colors = estimate_colors(codes, alpha, RADII)
        return guided_composite(frame, self._background, *maps, colors)


class _Slot:
    """A frame in flight: its stream, GPU memory and pinned memory."""

    def __init__(self, like: Frame) -> None:
        module = cupy()
        self.stream = module.cuda.Stream(non_blocking=True)
        self.done = module.cuda.Event()
        self.up = tuple(empty(plane.shape, plane.dtype) for plane in like.planes)
        self.down = tuple(_pinned(plane) for plane in like.planes)
        self.busy = False


def _pinned(like: Array) -> Array:
    memory = cupy().cuda.alloc_pinned_memory(like.nbytes)
    return np.frombuffer(memory, like.dtype, like.size).reshape(like.shape)


@contextmanager
def _queued(slot: _Slot) -> Iterator[None]:
    """Run the work of CuPy and torch on the stream of ``slot``."""
    import torch

    with gpu_scope(slot.stream):
        if torch.cuda.is_available():
            with torch.cuda.stream(torch.cuda.ExternalStream(slot.stream.ptr)):
                yield
        else:
            yield


def through(chain: Chain, frames: Sequence[Frame], count: int) -> Iterator[tuple[Array, ...]]:
    """Process ``count`` frames from host memory to host memory, with one upload and one download each.

    Args:
        frames: used in turn; their planes should be in pinned memory.

    Yields:
        The planes of each frame, in order; valid until :data:`IN_FLIGHT` more frames have been yielded.
    """
    slots = [_Slot(frames[0]) for _ in range(IN_FLIGHT)]
    processed = cupy().cuda.Event()
    for number in range(count + IN_FLIGHT):
        slot = slots[number % IN_FLIGHT]
        if slot.busy:
            slot.done.synchronize()
            slot.busy = False
            yield slot.down
        if number >= count:
            continue
        frame = frames[number % len(frames)]
        with _queued(slot):
            for target, plane in zip(slot.up, frame.planes, strict=True):
                target.set(plane, stream=slot.stream)
            if number:
                slot.stream.wait_event(processed)  # the alpha of a frame depends on the previous one
            composite = chain(frame.with_planes(slot.up))
            processed.record(slot.stream)
            for plane, out in zip(composite, slot.down, strict=True):
                plane.get(stream=slot.stream, out=out, blocking=False)
            slot.done.record(slot.stream)
        slot.busy = True


def pinned(frame: Frame) -> Frame:
    """Return a copy with planes in pinned memory."""
    planes = tuple(_pinned(plane) for plane in frame.planes)
    for target, source in zip(planes, frame.planes, strict=True):
        target[...] = source
    return frame.with_planes(planes)


def frames_a_second(items: Iterator[Any], warm: int = 20) -> float:
    """Return the rate of iterating over ``items``, without the first ``warm`` items."""
    began, count = 0.0, 0
    for _ in items:
        count += 1
        if count == warm:
            began = time.perf_counter()
    return (count - warm) / (time.perf_counter() - began)


class Rvm:
    """The ONNX file of RobustVideoMatting on ONNX Runtime; the recurrent state stays on the device.

    Args:
        ratio: downsample_ratio of the network; its README recommends 0.25 for HD and 0.125 for 4K.
        device: 'cuda', or 'cpu' to test the code.
    """

    def __init__(self, weights: Path, ratio: float, device: str = "cuda") -> None:
        onnxruntime = import_quietly("onnxruntime")

        provider = {"cuda": "CUDAExecutionProvider", "cpu": "CPUExecutionProvider"}[device]
        if provider not in onnxruntime.get_available_providers():
            raise SystemExit(f"onnxruntime has no {provider}: pip install onnxruntime-gpu")
        self._session = onnxruntime.InferenceSession(str(weights), providers=[provider])
        if provider not in self._session.get_providers():
            raise SystemExit(f"onnxruntime cannot load {provider}: install the version of CUDA that it needs")
        self._value = onnxruntime.OrtValue.ortvalue_from_numpy
        self._device = device
        self.dtype = np.float16 if "16" in self._session.get_inputs()[0].type else np.float32
        self._memory = [self._value(np.zeros((1, 1, 1, 1), self.dtype), device, 0) for _ in range(4)]
        self._ratio = self._value(np.array([ratio], np.float32), "cpu", 0)

    def upload(self, rgb: Array) -> Any:
        """Upload (h, w, 3) uint8 as the input of the network."""
        source = np.ascontiguousarray(rgb.transpose(2, 0, 1)[None]).astype(self.dtype) / self.dtype(255)
        return self._value(source, self._device, 0)

    def __call__(self, source: Any) -> tuple[Any, Any]:
        """Return foreground (1, 3, h, w) and alpha (1, 1, h, w), on the device."""
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
