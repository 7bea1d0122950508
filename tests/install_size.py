"""Size of an installation: ``python -m tests.install_size PYTHON``, also ``make size``.

Fails above :data:`LIMIT`, so that a dependency that grows is noticed.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

LIMIT = 900
"""Megabytes that livematte without extras may take with all its packages; see docs/size.md."""


def measure(folder: Path) -> Counter[str]:
    """Return the bytes of each package folder and single file in ``folder``."""
    sizes: Counter[str] = Counter()
    for root, _, names in os.walk(folder):
        part = Path(root).relative_to(folder).parts
        for name in names:
            sizes[part[0] if part else name] += (Path(root) / name).lstat().st_size
    return sizes


def main() -> int:
    """Print the largest packages of the environment; return 1 above the limit."""
    code = "import sysconfig; print(sysconfig.get_path('purelib'))"
    found = subprocess.run([sys.argv[1], "-c", code], capture_output=True, text=True, check=True)
    sizes = measure(Path(found.stdout.strip()))
    total = sum(sizes.values()) / 1e6
    for name, size in sizes.most_common(12):
        print(f"{size / 1e6:6.0f} MB  {name}")
    print(f"{total:6.0f} MB  all; {LIMIT} MB are allowed")
    return int(total > LIMIT)


if __name__ == "__main__":
    sys.exit(main())
