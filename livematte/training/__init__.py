"""Recipes' common ground: data, losses, the loop."""

from __future__ import annotations

TOGETHER = "LIVEMATTE_TOGETHER"
"""Set in the environment of processes that one command started: the file in which they find each other."""
