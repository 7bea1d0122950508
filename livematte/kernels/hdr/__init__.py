"""Brightness of codes: an ordinary picture among frames of HDR video."""

from __future__ import annotations

from livematte.kernels._shared.dispatch import dispatch
from livematte.kernels.hdr import cpu
from livematte.kernels.hdr.curves import HLG, PQ, is_hdr

__all__ = ["HLG", "PQ", "is_hdr", "sdr_to_hdr"]

sdr_to_hdr = dispatch(cpu.sdr_to_hdr)
