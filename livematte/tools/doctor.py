"""Checks of a machine: requirements of livematte, their state, and how to fix problems."""

from __future__ import annotations

import ctypes
import json
import os
import platform
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import cast

import livematte
from livematte import registry
from livematte.device import cuda_trouble, driver_gpus
from livematte.errors import LivematteError
from livematte.inference import RUNTIMES, available_runtimes
from livematte.kernels.check import check_kernels
from livematte.options import DEFAULT_MODEL, Runtime
from livematte.protocols import Finding

CLIP = Path(__file__).parents[1] / "assets" / "astronaut.mp4"
"""A clip of a real person for test inference."""

EXPECTED_COVERAGE = (0.1, 0.9)
"""Plausible range of the person's share of the picture; a broken runtime is outside."""

RUNTIME_SECONDS = 120
"""Timeout after which a runtime counts as hanging."""

DECODERS = ("h264", "hevc", "vp9", "av1", "mjpeg", "prores")
"""Codecs of common cameras and files."""

_PASSWORD = re.compile(r"(?<=://)[^/@\s]*@")
_SECRET = re.compile(r"PASSW|SECRET|TOKEN|API_?KEY|CREDENTIAL", re.I)

_TIMED_RUNS = 3
"""Timed pictures after the first. The fastest is reported, because other programs only slow it down."""

_EXTRAS = {"onnxruntime": "onnx", "torch": "torch"}
"""The extras that install runtimes."""


def diagnose(model: str = DEFAULT_MODEL) -> Iterator[Finding]:
    """Yield all findings as they are made, scrubbed for a bug report.

    Args:
        model: the network that each runtime runs once.
    """
    for look in (machine, ffmpeg, lambda: runtimes(model), lambda: gpus(model), cameras, plugins):
        for finding in look():
            yield scrub(finding)


def machine() -> Iterator[Finding]:
    """Check versions and processor."""
    group = "this machine"
    yield Finding("livematte", None, livematte.__version__, group=group)
    yield Finding("Python", None, f"{platform.python_version()} from {sys.executable}", group=group)
    yield Finding("system", None, f"{platform.platform()}, {platform.machine()}", group=group)
    usable = len(os.sched_getaffinity(0)) if sys.platform.startswith("linux") else os.cpu_count() or 0
    yield Finding("processor", None, f"{usable} cores to use of {os.cpu_count()}", group=group)


def ffmpeg() -> Iterator[Finding]:
    """Check the FFmpeg that PyAV contains and the codecs that livematte uses."""
    import av
    from av.codec.codec import Codec, UnknownCodecError
    from av.codec.hwaccel import hwdevices_available

    from livematte.video.encoders import ENCODERS
    from livematte.video.hardware import HWACCELS

    group = "FFmpeg"
    yield Finding("FFmpeg", True, f"{av.ffmpeg_version_info} in PyAV {av.__version__}", group=group)

    def missing(names: list[tuple[str, str]], mode: str) -> list[str]:
        gone = []
        for description, library in names:
            try:
                Codec(library, "r" if mode == "r" else "w")
            except UnknownCodecError:
                gone.append(description)
        return gone

    fix = "pip install --force-reinstall av, which includes an FFmpeg with all of them"
    for name, mode, wanted in (
        ("decoders", "r", [(name, name) for name in DECODERS]),
        ("encoders", "w", [(name, each.library) for name, each in ENCODERS.items() if not each.fallback]),
    ):
        gone = missing(wanted, mode)
        if gone:
            yield Finding(name, False, f"without {', '.join(gone)}", fix, group)
        else:
            yield Finding(name, True, ", ".join(description for description, _ in wanted), group=group)
    hardware = [(name, each.library) for name, each in ENCODERS.items() if each.fallback]
    gone = missing(hardware, "w")
    built = [name for name, _ in hardware if name not in gone]
    used = "for --codec" if driver_gpus() else "not usable: no NVIDIA GPU or driver was found"
    decode = [name for name in HWACCELS if name in hwdevices_available()]
    yield Finding("decoders of GPUs", None, f"{', '.join(decode) or 'none'}: for --hwaccel", group=group)
    yield Finding("encoders of GPUs", None, f"{', '.join(built)}: {used}" if built else "none", group=group)


def runtimes(model: str) -> Iterator[Finding]:
    """Check each runtime: installed, and one inference in a separate process, which may crash."""
    group = "runtimes"
    installed = available_runtimes()
    working = 0
    for name in RUNTIMES:
        if name not in installed:
            needed = not working and name == RUNTIMES[-1]
            extra = _EXTRAS.get(name)
            fix = f"pip install {name}" if extra is None else f"pip install '.[{extra}]'"
            yield Finding(name, False if needed else None, "is not installed", fix, group)
            continue
        finding = inference(name, model, "cpu", group)
        working += finding.good is True
        yield finding


def gpus(model: str) -> Iterator[Finding]:
    """Check the NVIDIA driver and GPUs, with one inference on each usable GPU."""
    group = "graphics processor"
    count = driver_gpus()
    if count == 0:
        yield Finding("NVIDIA", None, "no GPU or driver was found: the CPU is used", group=group)
        return
    for index in range(count):
        name = f"GPU {index}"
        trouble = cuda_trouble(index)
        if trouble is None:
            found = inference("torch", model, f"cuda:{index}", group)
            yield replace(found, name=f"{name}: {gpu_name(index)}")
            yield check_gpu_frames(index, group)
        else:
            fix = "see https://pytorch.org/get-started/locally for the build that fits your driver"
            yield Finding(f"{name}: {gpu_name(index)}", False, trouble, fix, group)


def check_gpu_frames(index: int, group: str) -> Finding:
    """Check that the frames of a render can stay on a GPU; otherwise only the network runs there."""
    name = f"GPU {index}: frames"
    try:
        check_kernels(index)
    except LivematteError as error:
        fix = "run pip install '.[cuda]' in the livematte folder ('.[cuda12]': driver older than CUDA 13)"
        return Finding(name, None, f"only the network runs there: {error}", fix, group)
    return Finding(name, True, "stay there from decoder to encoder", group=group)


def gpu_name(index: int) -> str:
    """Return the GPU's name and the newest CUDA version of its driver, as reported by the driver."""
    driver = ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    device, runs, text = ctypes.c_int(0), ctypes.c_int(0), ctypes.create_string_buffer(128)
    driver.cuDeviceGet(ctypes.byref(device), index)
    driver.cuDeviceGetName(text, len(text), device)
    driver.cuDriverGetVersion(ctypes.byref(runs))
    return f"{text.value.decode(errors='replace')}, CUDA {runs.value // 1000}.{runs.value % 1000 // 10}"


def inference(
    runtime: str,
    model: str,
    device: str,
    group: str,
    run: Callable[..., subprocess.CompletedProcess[str]] = subprocess.run,
) -> Finding:
    """Run :func:`try_runtime` in a separate process and return the result; a crash is also reported."""
    code = "import sys; from livematte.tools.doctor import try_runtime; try_runtime(*sys.argv[1:])"
    fix = f"pip install --force-reinstall {runtime}; until then --runtime with another one"
    description = _version(runtime)
    try:
        done = run(
            [sys.executable, "-c", code, runtime, model, device],
            capture_output=True, text=True, encoding="utf-8", errors="replace", timeout=RUNTIME_SECONDS,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return Finding(runtime, False, f"{description} hangs: no result in {RUNTIME_SECONDS} s", fix, group)
    lines = done.stdout.splitlines()
    try:
        result = json.loads(lines[-1])
    except (IndexError, ValueError):
        last = (done.stderr.strip().splitlines() or ["no error message"])[-1]
        crashed = f"{description} crashed (exit code {done.returncode}): {last}"
        return Finding(runtime, False, crashed, fix, group)
    if "error" in result:
        return Finding(runtime, False, f"{description}: {result['error']}", fix, group)
    what = (
        f"{description}, {result['precision']}: {model} in {result['milliseconds']:.0f} ms a picture of"
        f" {result['size'][1]}x{result['size'][0]}, ready after {result['start']:.1f} s"
    )
    low, high = EXPECTED_COVERAGE
    if not low < result["share"] < high:
        nonsense = f"{what}, but detects {result['share']:.0%} person in a picture with about a third"
        return Finding(runtime, False, nonsense, fix, group)
    return Finding(runtime, True, what, group=group)


def try_runtime(runtime: str, model: str, device: str) -> None:
    """Matte a real person several times and print one line of JSON: sizes and times, or the error."""
    from livematte import api
    from livematte.matting.frame_matting import FrameMatting
    from livematte.matting.temporal import TemporalFilter
    from livematte.video.reader import open_video

    try:
        began = time.perf_counter()
        network = api.load_model(model, runtime=cast(Runtime, runtime), device=device)
        with closing(open_video(CLIP)) as source:
            frame = next(iter(source))
            picture = FrameMatting(network, TemporalFilter("off")).shrink(frame).rgb
        matte, _ = network(picture, None)
        start = time.perf_counter() - began
        times = []
        for _ in range(_TIMED_RUNS):
            began = time.perf_counter()
            matte, _ = network(picture, None)
            times.append(time.perf_counter() - began)
        description = {
            "size": list(picture.shape[:2]),
            "share": float(matte.alpha.mean()),
            "milliseconds": min(times) * 1000,
            "start": start,
            "precision": getattr(getattr(network, "network", None), "precision", "as shipped"),
        }
    except LivematteError as error:
        description = {"error": " ".join(str(error).split())}
    print(json.dumps(description), flush=True)  # noqa: T201 - this is what the process is for


def _version(runtime: str) -> str:
    try:
        return version(runtime)
    except PackageNotFoundError:  # onnxruntime-gpu also provides onnxruntime
        return "installed"


def cameras() -> Iterator[Finding]:
    """List the cameras of the system. Their ids are omitted, because they may contain serial numbers."""
    from livematte.video.camera_devices import list_cameras

    group = "cameras"
    found = list_cameras()
    if not any(not camera.virtual for camera in found):
        what = "none was found; a video can replace it (--input)"
        yield Finding("camera", None, what, "plug one in, or check that it works in another program", group)
    for camera in found:
        if camera.trouble:
            what, _, fix = camera.trouble.partition(": ")
            yield Finding(camera.name, False, what, fix, group)
            continue
        kind = "virtual camera" if camera.virtual else "camera"
        best = max(camera.modes, key=lambda mode: (mode.width * mode.height, *mode.rates[:1]), default=None)
        what = f"{kind} at {camera.address}"
        if best is not None:
            what += f", {len(camera.modes)} modes, the largest {best}"
        yield Finding(camera.name, None if camera.virtual else True, what, group=group)


def plugins() -> Iterator[Finding]:
    """Run the checks of plug-ins: all functions of the entry-point group ``livematte.checks``."""
    for name in registry.names("checks"):
        try:
            found = registry.load("checks", name)()
        except Exception as error:  # a failing check must not hide the others
            what = f"the check itself failed: {type(error).__name__}: {error}"
            yield Finding(
                name, False, what, f"report this to {name} with the output of livematte doctor", name
            )
            continue
        for finding in found:
            yield finding if finding.group else replace(finding, group=name)


def scrub(finding: Finding) -> Finding:
    """Return the finding without home folder, passwords in URLs and values of secret variables."""
    return replace(finding, name=_clean(finding.name), what=_clean(finding.what), fix=_clean(finding.fix))


def _clean(text: str) -> str:
    text = " ".join(text.split())
    home = str(Path.home())
    if len(home) > 1:
        text = re.sub(re.escape(home) + r"(?![\w.-])", "~", text)
    text = _PASSWORD.sub("***@", text)
    for name, value in os.environ.items():
        if _SECRET.search(name) and len(value) >= 4:
            text = text.replace(value, "***")
    return text
