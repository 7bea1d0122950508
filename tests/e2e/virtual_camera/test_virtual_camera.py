"""Test ``livematte live`` from a webcam of the Linux kernel to v4l2loopback, in a virtual machine.

``pytest -m qemu`` runs it, and .ci/run if QEMU is installed. README.md in this folder describes the tests
and the last results. Requirements: Debian 12 on x86-64 and ``apt-get install qemu-system-x86 busybox-static
gcc-12 make``; otherwise the test is skipped with the reason. Other packages are downloaded from Debian into
the work folder and
not installed: linux-image, linux-headers and linux-kbuild for the guest, v4l2loopback-dkms, ffmpeg, v4l-utils
and, for the browser, chromium-headless-shell. KVM is used if available, but not required.

Variables:
    LIVEMATTE_E2E: a folder to keep for the next run (1 GB); default: a temporary folder.
    LIVEMATTE_E2E_CHROMIUM: 1 adds the test with a browser.
    ONLY: names of some tests of the guest, such as ``ONLY=restart,unplugged``.
    PATIENCE: timeout of the guest in seconds, default 3000; use more on a busy machine.
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
EXIT_SKIP = 77


def skip_reason() -> str | None:
    """Return the missing requirement, or None if the test can run."""
    if not sys.platform.startswith("linux") or platform.machine() != "x86_64":
        return "requires Linux on x86_64"
    if shutil.which("apt-get") is None:
        return "requires apt-get, because the kernel of the guest is a Debian package"
    missing = [package for tool, package in TOOLS.items() if shutil.which(tool) is None]
    if missing:
        return f"requires {', '.join(missing)}: install with apt-get"
    if find_spec("pyvirtualcam") is None:
        return "requires pyvirtualcam: pip install '.[virtualcam]'"
    if "virtualcam" not in registry.names("sinks"):
        return "the plug-in is not installed: run pip install . again"
    return None


@pytest.mark.qemu
@pytest.mark.slow
def test_a_webcam_becomes_a_virtual_camera_of_the_kernel(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    if "qemu" not in request.config.getoption("markexpr") and not os.environ.get("LIVEMATTE_E2E"):
        pytest.skip("takes ten minutes or more: run it with pytest -m qemu, or set LIVEMATTE_E2E=FOLDER")
    reason = skip_reason()
    if reason is not None:
        pytest.skip(reason)
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
    if done.returncode == EXIT_SKIP:
        pytest.skip(done.stdout.strip().splitlines()[-1])
    assert done.returncode == 0, (done.stdout + done.stderr)[-6000:]
    results = json.loads((work / "out" / "results.json").read_text(encoding="utf-8"))
    wanted = {"caps_and_pixels", "restart", "killed", "watched", "viewer_stays", "unplugged"}
    assert set(results) >= wanted or os.environ.get("ONLY")
    assert all(each["good"] for each in results.values()), results
