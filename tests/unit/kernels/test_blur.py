"""The room out of focus: the GPU makes what the CPU makes."""

from __future__ import annotations

import numpy as np
import pytest

from livematte.matting.backgrounds import Blur
from tests.cuda_shim import fakecupy
from tests.unit.kernels.backends import ON_GPU, Backend, down, running
from tests.unit.kernels.pictures import SOURCE_FORMATS, disc, random_frame

WITHIN = 1
"""Codes; see TOLERANCE["planes"] of test_parity."""


@ON_GPU
@pytest.mark.parametrize("format", SOURCE_FORMATS)
def test_every_format(backend: Backend, format: str) -> None:
    frame, alpha = random_frame(format, 131, 178, padding=3), disc(36, 48)
    expected = Blur(60)(frame, alpha)
    with running(backend):
        made = Blur(60)(backend.up(frame), backend.up(alpha))
        assert made.format == format and len(made.planes) == len(expected.planes)
        for plane, wanted in zip(made.planes, expected.planes, strict=True):
            assert plane.dtype == wanted.dtype and plane.shape == wanted.shape
            assert np.abs(down(plane).astype(int) - wanted).max() <= WITHIN


@ON_GPU
@pytest.mark.parametrize("strength", [2.0, 13.0, 200.0])
@pytest.mark.parametrize("covered", [0.0, 0.45])
@pytest.mark.parametrize("size", [(2, 3), (97, 62), (120, 160)])
def test_every_strength_and_however_much_of_the_room_is_seen(
    backend: Backend, strength: float, covered: float, size: tuple[int, int]
) -> None:
    frame, alpha = random_frame("yuv420p", *size), disc(20, 36, radius=covered)
    expected = Blur(strength)(frame, alpha)
    with running(backend):
        there = backend.up(frame), backend.up(alpha)
        Blur(strength)(*there)  # the Gaussian's weights go there once
        fakecupy.moved.update({"to": 0, "from": 0})
        made = Blur(strength)(*there)
        assert fakecupy.moved == {"to": 0, "from": 0}
        for plane, wanted in zip(made.planes, expected.planes, strict=True):
            assert np.abs(down(plane).astype(int) - wanted).max() <= WITHIN
