"""Training: data sets, augmentation, losses and the training loop shared by all recipes."""

from __future__ import annotations

TOGETHER = "LIVEMATTE_TOGETHER"
"""Environment variable with the path of the file for rendezvous of the processes started by one command."""
