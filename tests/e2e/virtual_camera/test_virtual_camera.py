"""The real thing: a webcam of the Linux kernel's, ``livematte live``, v4l2loopback, and who looks at it.

``pytest -m qemu`` runs it, and .ci/run where QEMU is; README.md beside this file says what it does, what it
found and how long it took.
It wants Debian 12 on x86-64 and ``apt-get install qemu-system-x86 busybox-static gcc-12 make``; where they
lack it is skipped and says so. All else comes from Debian's package registry into the work folder and is
installed nowhere: linux-image, linux-headers and linux-kbuild for the guest, v4l2loopback-dkms, ffmpeg,
v4l-utils and, for the browser, chromium-headless-shell. No KVM is needed; where there is one, it is used.

Variables:
    LIVEMATTE_E2E: a folder to keep for the next run (1 GB); a temporary one otherwise.
    LIVEMATTE_E2E_CHROMIUM: 1 adds the browser's getUserMedia.
    ONLY: some of the guest's tests, as in ``ONLY=restart,unplugged``.
    PATIENCE: seconds that the guest may take, 3000 unless given; more on a busy machine.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from livematte import registry

HERE = Path(__file__).parent
TOOLS = {"qemu-system-x86_64": "qemu-system-x86", "busybox": "busybox-static", "gcc-12": "gcc-12",
         "make": "make"}  # fmt: skip
CANNOT = 77


def trouble() -> str | None:
    """Why it cannot be run here; None where it can."""
    if not sys.platform.startswith("linux") or platform.machine() != "x86_64":
        return "it is written for Linux on x86_64"
    if shutil.which("apt-get") is None:
        return "the guest's kernel comes from Debian's packages, and there is no apt-get"
    missing = [package for tool, package in TOOLS.items() if shutil.which(tool) is None]
    if missing:
        return f"needs {', '.join(missing)}: apt-get install them"
    if find_spec("pyvirtualcam") is None:
        return "needs pyvirtualcam: pip install 'livematte[virtualcam]'"
    if "virtualcam" not in registry.names("sinks"):
        return "the plug-in is not installed: pip install livematte again"
    return None


@pytest.mark.qemu
@pytest.mark.slow
def test_a_webcam_becomes_a_virtual_camera_of_the_kernel(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    if "qemu" not in request.config.getoption("markexpr") and not os.environ.get("LIVEMATTE_E2E"):
        pytest.skip(
            "ten minutes or more in an emulated guest: pytest -m qemu, or LIVEMATTE_E2E=FOLDER, asks for it"
        )
    why = trouble()
    if why is not None:
        pytest.skip(why)
    work = Path(os.environ.get("LIVEMATTE_E2E") or tmp_path)
    patience = int(os.environ.get("PATIENCE", "3000"))
    settings = {"PYTHON": sys.executable, "CHROMIUM": os.environ.get("LIVEMATTE_E2E_CHROMIUM", "0")}
    done = subprocess.run(
        [str(HERE / "run.sh"), str(work)],
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
        timeout=patience + 1200,  # download, build, boot
    )
    if done.returncode == CANNOT:
        pytest.skip(done.stdout.strip().splitlines()[-1])
    assert done.returncode == 0, (done.stdout + done.stderr)[-6000:]
    results = json.loads((work / "out" / "results.json").read_text(encoding="utf-8"))
    wanted = {"caps_and_pixels", "restart", "killed", "watched", "viewer_stays", "unplugged"}
    assert set(results) >= wanted or os.environ.get("ONLY")
    assert all(each["good"] for each in results.values()), results
