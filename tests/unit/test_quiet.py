"""OpenVINO and ONNX Runtime report nothing, and programs around livematte notice no difference."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("openvino")

ROOT = Path(__file__).parents[2]


def run(code: str, home: Path) -> None:
    environment = {**os.environ, "HOME": str(home), "USERPROFILE": str(home)}
    for name in ("ORT_DISABLE_TELEMETRY", "XDG_CACHE_HOME"):
        environment.pop(name, None)
    watch = (
        "import sys\n"
        "def watch(event, _):\n"
        "    assert event not in ('socket.getaddrinfo', 'socket.connect', 'urllib.Request'), event\n"
        "sys.addaudithook(watch)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", watch + code],
        cwd=ROOT, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert not list(home.rglob("*")), "an identifier was left"


@pytest.mark.parametrize(
    "name", ["openvino", "openvino.tools.ovc", "onnxruntime", "onnxruntime.quantization"]
)
def test_an_import_leaves_nothing_and_asks_nobody(name: str, tmp_path: Path) -> None:
    run(
        f"from livematte.quiet import import_quietly\nassert import_quietly('{name}').__name__ == '{name}'",
        tmp_path,
    )


def test_the_stand_in_takes_whatever_is_asked_of_it(tmp_path: Path) -> None:
    run(
        "from livematte.quiet import import_quietly\n"
        "import_quietly('openvino')\n"
        "import openvino_telemetry as tm, openvino_telemetry.utils.sender\n"
        "from openvino_telemetry.backend import backend_ga4\n"
        "from openvino_telemetry.main import Telemetry, OptInStatus\n"
        "reporter = tm.Telemetry(app_name='x', app_version='1', tid='y', backend='ga4')\n"
        "reporter.send_event('a', 'b', 'c', force_send=True)\n"
        "reporter.start_session('a'), reporter.force_shutdown(1.0)\n"
        "Telemetry.opt_out('y'), OptInStatus.ACCEPTED\n"
        "class Own(Telemetry): pass\n"
        "assert isinstance(Own(), Telemetry)\n"
        "from openvino import convert_model\n"
        "from openvino.tools.ovc import telemetry_utils\n"
        "telemetry_utils.send_params_info({'input': 'x'})\n"
        "telemetry_utils.send_conversion_result('ok', True)\n",
        tmp_path,
    )


def test_a_program_that_reports_its_own_use_keeps_its_reporter(tmp_path: Path) -> None:
    run(
        "import sys, types\n"
        "theirs = sys.modules['openvino_telemetry'] = types.ModuleType('openvino_telemetry')\n"
        "from livematte.quiet import import_quietly\n"
        "finders = list(sys.meta_path)\n"
        "import_quietly('openvino')\n"
        "import openvino_telemetry\n"
        "assert openvino_telemetry is theirs and sys.meta_path == finders\n",
        tmp_path,
    )
