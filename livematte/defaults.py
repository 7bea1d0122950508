"""What is used where nothing is said. Imports nothing, so that ``livematte --help`` starts at once."""

from __future__ import annotations

DEFAULT_MODEL = "late-fusion-live"
"""The one place where ``livematte`` knows a model by name."""

DEFAULT_BACKGROUND = "green"
