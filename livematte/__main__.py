"""``python -m livematte``."""

from __future__ import annotations

from livematte.cli import main

if __name__ == "__main__":
    main()
