"""Range and opacity of small mattes."""

from __future__ import annotations

from livematte.kernels._shared.dispatch import dispatch
from livematte.kernels.statistics import reference

__all__ = ["clip_with_limits", "count_opacity"]

clip_with_limits = dispatch(reference.clip_with_limits)
count_opacity = dispatch(reference.count_opacity)
