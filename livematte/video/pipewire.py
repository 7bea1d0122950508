"""Cameras that only PipeWire has, such as those of libcamera: livematte reads cameras through V4L2."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

_SECONDS = 3.0


def pipewire_cameras() -> list[str]:
    """Return the names of the cameras that PipeWire offers; empty without PipeWire or its ``pw-dump``."""
    program = shutil.which("pw-dump") if sys.platform == "linux" else None
    if program is None:
        return []
    try:
        told = subprocess.run([program], capture_output=True, timeout=_SECONDS, check=True).stdout
        nodes = json.loads(told)
        properties = [(node.get("info") or {}).get("props") or {} for node in nodes]
    except (OSError, subprocess.SubprocessError, ValueError, AttributeError, TypeError):
        return []
    cameras = [each for each in properties if each.get("media.class") == "Video/Source"]
    return [str(each.get("node.description") or each.get("node.name") or "camera") for each in cameras]


def advice(names: list[str]) -> str:
    """Return the part of a message that says how to reach these cameras."""
    return (
        f"PipeWire has {', '.join(map(repr, names))}, which livematte cannot read directly: install "
        "pipewire-v4l2 and start the same command with pw-v4l2 before it"
    )
