"""Make the picture of the README: the bundled clip before and after, side by side.

Usage: python examples/before_after.py docs/before-after.jpg
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import livematte
from livematte.tools.demo import background_path, before_after, clip_path

with tempfile.TemporaryDirectory() as folder:
    after = Path(folder) / "after.mp4"
    livematte.render(clip_path(), after, background=background_path())
    print(before_after(clip_path(), after, Path(sys.argv[1])))
