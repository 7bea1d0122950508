"""Surfaces of hardware decoders and encoders as planes, and the other way round."""

from __future__ import annotations

from livematte.kernels._shared.dispatch import dispatch
from livematte.kernels.surface import reference

__all__ = ["planes_from_surface", "surface_from_planes", "write_surface"]

planes_from_surface = dispatch(reference.planes_from_surface)
surface_from_planes = dispatch(reference.surface_from_planes)
write_surface = dispatch(reference.write_surface)
