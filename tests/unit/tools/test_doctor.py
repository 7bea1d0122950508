"""The doctor: real codecs and one real inference; faults are made by taking away what it looks for."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from livematte.cli import doctor as command
from livematte.device.cuda import cupy
from livematte.options import DEFAULT_MODEL
from livematte.protocols import Finding
from livematte.tools import doctor
from livematte.video import camera_devices, encoders
from livematte.video.camera_modes import CameraInfo, CameraMode


def test_a_runtime_finds_the_person_in_a_real_picture() -> None:
    finding = doctor.inference("onnxruntime", DEFAULT_MODEL, "cpu", "runtimes")
    assert finding.good is True, finding
    assert DEFAULT_MODEL in finding.what
    assert "ms a picture of" in finding.what
    assert not finding.fix


def test_a_runtime_that_refuses_is_told_in_its_own_words(capsys: pytest.CaptureFixture[str]) -> None:
    doctor.try_runtime("abacus", DEFAULT_MODEL, "cpu")
    assert "runtime 'abacus' is invalid" in json.loads(capsys.readouterr().out)["error"]


def ends(stdout: str, code: int = 0, stderr: str = "") -> Callable[..., subprocess.CompletedProcess[str]]:
    return lambda *_, **__: subprocess.CompletedProcess([], code, stdout, stderr)


def hangs(*_: Any, **__: Any) -> subprocess.CompletedProcess[str]:
    raise subprocess.TimeoutExpired("python", 120)


GOOD = {"size": [160, 288], "share": 0.4, "milliseconds": 12.3, "start": 0.8, "precision": "int8"}


@pytest.mark.parametrize(
    ("run", "good", "told"),
    [
        (ends(json.dumps(GOOD)), True, "12 ms a picture of 288x160, ready after 0.8 s"),
        (ends(json.dumps({**GOOD, "share": 0.0})), False, "detects 0% person"),
        (ends(json.dumps({"error": "no weights"})), False, "no weights"),
        (ends("", -4, "noise\nIllegal instruction"), False, "exit code -4): Illegal instruction"),
        (ends("", 1), False, "no error message"),
        (hangs, False, "hangs"),
    ],
)
def test_what_comes_of_an_inference(run: Any, good: bool, told: str) -> None:
    finding = doctor.inference("onnxruntime", DEFAULT_MODEL, "cpu", "runtimes", run)
    assert finding.good is good
    assert told in finding.what
    assert bool(finding.fix) is not good


def test_this_ffmpeg_has_every_codec() -> None:
    found = {each.name: each for each in doctor.ffmpeg()}
    assert found["decoders"].good is True
    assert found["encoders"].good is True
    assert "x264" in found["encoders"].what


def test_a_codec_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "DECODERS", ("h264", "betamax"))
    monkeypatch.setattr(encoders, "ENCODERS", {"reel": encoders.Encoder("libreel", ("mp4",))})
    found = {each.name: each for each in doctor.ffmpeg()}
    assert (found["decoders"].good, found["decoders"].what) == (False, "without betamax")
    assert (found["encoders"].good, found["encoders"].what) == (False, "without reel")
    assert "pip install" in found["encoders"].fix


def test_without_any_runtime_the_last_one_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "available_runtimes", list)
    found = list(doctor.runtimes(DEFAULT_MODEL))
    assert [each.fix for each in found] == [
        "pip install openvino", "pip install '.[onnx]'", "pip install '.[torch]'",
    ]  # fmt: skip
    assert [each.good for each in found] == [None, None, False]
    monkeypatch.setattr(doctor, "available_runtimes", lambda: ["openvino"])
    monkeypatch.setattr(doctor, "inference", lambda name, *_: Finding(name, True, "runs"))
    assert [each.good for each in doctor.runtimes(DEFAULT_MODEL)] == [True, None, None]


def test_a_card_that_cannot_be_used_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "driver_gpus", lambda: 0)
    assert [each.good for each in doctor.gpus(DEFAULT_MODEL)] == [None]
    monkeypatch.setattr(doctor, "driver_gpus", lambda: 1)
    monkeypatch.setattr(doctor, "gpu_name", lambda index: "Card")
    monkeypatch.setattr(doctor, "cuda_trouble", lambda index: "torch is a CPU-only build")
    (found,) = doctor.gpus(DEFAULT_MODEL)
    assert (found.name, found.good, found.what) == ("GPU 0: Card", False, "torch is a CPU-only build")
    assert "pytorch.org" in found.fix


def test_a_card_is_told_apart_from_what_keeps_frames_on_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "driver_gpus", lambda: 1)
    monkeypatch.setattr(doctor, "gpu_name", lambda index: "Card")
    monkeypatch.setattr(doctor, "cuda_trouble", lambda index: None)
    monkeypatch.setattr(doctor, "inference", lambda name, *_: Finding(name, True, "runs"))
    monkeypatch.setitem(sys.modules, "cupy", None)
    cupy.cache_clear()
    network, frames = doctor.gpus(DEFAULT_MODEL)
    assert (network.good, frames.good) == (True, None)
    assert "only the network runs there: keeping pictures" in frames.what
    assert ".[cuda12]" in frames.fix
    monkeypatch.setattr(doctor, "check_kernels", lambda index: None)
    assert doctor.check_gpu_frames(0, "").good is True


def test_cameras_are_told_without_their_serial_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    mode = CameraMode(1280, 720, "mjpeg", (Fraction(30),))
    monkeypatch.setattr(camera_devices, "list_cameras", lambda: [
        CameraInfo("usb-maker_SERIAL123", "Webcam", (mode,), "/dev/video0"),
        CameraInfo("b", "Locked", (), "/dev/video2", trouble="no permission to open it: run 'sudo x'"),
    ])  # fmt: skip
    good, locked = doctor.cameras()
    assert good == Finding(
        "Webcam", True, "camera at /dev/video0, 1 modes, the largest 1280x720 mjpeg 30 fps", "", "cameras"
    )
    assert (locked.what, locked.fix) == ("no permission to open it", "run 'sudo x'")
    assert "SERIAL" not in repr(good)
    monkeypatch.setattr(camera_devices, "list_cameras", list)
    assert next(doctor.cameras()).good is None


def test_plug_ins_add_their_findings_and_one_that_fails_hides_no_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken() -> list[Finding]:
        raise RuntimeError("oh")

    checks = {"a": lambda: [Finding("driver", False, "is old", "update it")], "b": broken}
    monkeypatch.setattr(doctor.registry, "names", lambda group: sorted(checks))
    monkeypatch.setattr(doctor.registry, "load", lambda group, name: checks[name])
    good, failed = doctor.plugins()
    assert good == Finding("driver", False, "is old", "update it", "a")
    assert (failed.good, failed.what) == (False, "the check itself failed: RuntimeError: oh")


def test_a_report_holds_no_secret(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    monkeypatch.setenv("MIXER_PASSWORD", "hunter22")
    monkeypatch.setenv("SHORT_TOKEN", "ab")
    dirty = Finding(
        f"{tmp_path}/x",
        None,
        f"at {tmp_path}/y and {tmp_path}2, rtsp://me:pw@cam/1, said hunter22 about",
        "hunter22",
    )
    assert doctor.scrub(dirty) == Finding(
        "~/x", None, f"at ~/y and {tmp_path}2, rtsp://***@cam/1, said *** about", "***"
    )


FOUND = [
    Finding("livematte", None, "1.0", group="this machine"),
    Finding("decoders", True, "[h264]", group="FFmpeg"),
    Finding("camera", False, "locked", "sudo fix it", "cameras"),
]


def test_people_see_marks_and_commands_and_the_exit_code_tells(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(doctor, "diagnose", lambda model: iter(FOUND))
    assert command.doctor(model=DEFAULT_MODEL, json=False) == 1
    printed = capsys.readouterr().out
    for line in (
        "✓ decoders: [h264]",
        "✗ camera: locked",
        "    sudo fix it",
        "· livematte: 1.0",
        "problems: 1",
    ):
        assert line in printed
    monkeypatch.setattr(doctor, "diagnose", lambda model: iter(FOUND[:2]))
    assert command.doctor(model=DEFAULT_MODEL, json=False) == 0
    assert "no problems found" in capsys.readouterr().out


def test_programs_see_one_object(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(doctor, "diagnose", lambda model: iter(FOUND))
    assert command.doctor(model=DEFAULT_MODEL, json=True) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["broken"] == 1
    assert told["findings"][2] == {
        "name": "camera", "good": False, "what": "locked", "fix": "sudo fix it", "group": "cameras",
    }  # fmt: skip
