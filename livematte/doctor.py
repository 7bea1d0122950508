"""Looking at a machine: what livematte needs of it, whether it works, and what to do where it does not."""

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

import livematte
from livematte import registry
from livematte.defaults import DEFAULT_MODEL
from livematte.device import cuda_trouble, driver_gpus
from livematte.errors import LivematteError
from livematte.findings import Finding
from livematte.kernels.cuda_launch import check_kernels
from livematte.runtime import RUNTIMES, available_runtimes

CLIP = Path(__file__).parent / "assets" / "astronaut.mp4"
"""A real person, whom every runtime must find."""

SHARE = (0.1, 0.9)
"""How much of that picture is person: a network that runs but gives nonsense is outside."""

RUNTIME_SECONDS = 120
"""After which a runtime counts as hung."""

DECODERS = ("h264", "hevc", "vp9", "av1", "mjpeg", "prores")
"""What cameras and files come in."""

_PASSWORD = re.compile(r"(?<=://)[^/@\s]*@")
_SECRET = re.compile(r"PASSW|SECRET|TOKEN|API_?KEY|CREDENTIAL", re.I)

_COUNT = 3
"""Pictures after the first; the fastest is told, as other programs only ever slow one down."""


def diagnose(model: str = DEFAULT_MODEL) -> Iterator[Finding]:
    """Everything that there is to find, one after another as it is found, scrubbed for a bug report.

    Args:
        model: the network that each runtime runs once.
    """
    for look in (machine, ffmpeg, lambda: runtimes(model), lambda: gpus(model), cameras, plugins):
        for finding in look():
            yield scrubbed(finding)


def machine() -> Iterator[Finding]:
    """Versions and processor."""
    group = "this machine"
    yield Finding("livematte", None, livematte.__version__, group=group)
    yield Finding("Python", None, f"{platform.python_version()} from {sys.executable}", group=group)
    yield Finding("system", None, f"{platform.platform()}, {platform.machine()}", group=group)
    usable = len(os.sched_getaffinity(0)) if sys.platform.startswith("linux") else os.cpu_count() or 0
    yield Finding("processor", None, f"{usable} cores to use of {os.cpu_count()}", group=group)


def ffmpeg() -> Iterator[Finding]:
    """FFmpeg as PyAV brings it, and the codecs that livematte uses."""
    import av
    from av.codec.codec import Codec, UnknownCodecError
    from av.codec.hwaccel import hwdevices_available

    from livematte.video.encoders import ENCODERS
    from livematte.video.hardware import HWACCELS

    group = "FFmpeg"
    yield Finding("FFmpeg", True, f"{av.ffmpeg_version_info} in PyAV {av.__version__}", group=group)

    def missing(names: list[tuple[str, str]], mode: str) -> list[str]:
        gone = []
        for told, library in names:
            try:
                Codec(library, "r" if mode == "r" else "w")
            except UnknownCodecError:
                gone.append(told)
        return gone

    mend = "pip install --force-reinstall av, which brings an FFmpeg with all of them"
    for name, mode, wanted in (
        ("decoders", "r", [(name, name) for name in DECODERS]),
        ("encoders", "w", [(name, each.library) for name, each in ENCODERS.items() if not each.instead]),
    ):
        gone = missing(wanted, mode)
        if gone:
            yield Finding(name, False, f"without {', '.join(gone)}", mend, group)
        else:
            yield Finding(name, True, ", ".join(told for told, _ in wanted), group=group)
    hardware = [(name, each.library) for name, each in ENCODERS.items() if each.instead]
    gone = missing(hardware, "w")
    built = [name for name, _ in hardware if name not in gone]
    used = "for --codec" if driver_gpus() else "of no use here, no NVIDIA GPU or driver was found"
    decode = [name for name in HWACCELS if name in hwdevices_available()]
    yield Finding("decoders of GPUs", None, f"{', '.join(decode) or 'none'}: for --hwaccel", group=group)
    yield Finding("encoders of GPUs", None, f"{', '.join(built)}: {used}" if built else "none", group=group)


def runtimes(model: str) -> Iterator[Finding]:
    """Each runtime: installed, and one real inference in a process of its own, which may crash."""
    group = "runtimes"
    installed = available_runtimes()
    working = 0
    for name in RUNTIMES:
        if name not in installed:
            needed = not working and name == RUNTIMES[-1]
            mend = f"pip install {name}"
            yield Finding(name, False if needed else None, "is not installed", mend, group)
            continue
        finding = inference(name, model, "cpu", group)
        working += finding.good is True
        yield finding


def gpus(model: str) -> Iterator[Finding]:
    """NVIDIA's driver and cards, and one real inference where a card can be used."""
    group = "graphics processor"
    count = driver_gpus()
    if count == 0:
        yield Finding("NVIDIA", None, "no card or driver was found: the CPU is used", group=group)
        return
    for index in range(count):
        name = f"GPU {index}"
        trouble = cuda_trouble(index)
        if trouble is None:
            found = inference("torch", model, f"cuda:{index}", group)
            yield replace(found, name=f"{name}: {gpu_name(index)}")
            yield frames_on(index, group)
        else:
            mend = "see https://pytorch.org/get-started/locally for the build that fits your driver"
            yield Finding(f"{name}: {gpu_name(index)}", False, trouble, mend, group)


def frames_on(index: int, group: str) -> Finding:
    """Whether a render's frames can stay on a card, or only its network runs there."""
    name = f"GPU {index}: frames"
    try:
        check_kernels(index)
    except LivematteError as error:
        mend = "pip install 'livematte[cuda]', or 'livematte[cuda12]' for a driver older than CUDA 13"
        return Finding(name, None, f"only the network runs there: {error}", mend, group)
    return Finding(name, True, "stay there from decoder to encoder", group=group)


def gpu_name(index: int) -> str:
    """The card's name and the newest CUDA that its driver runs, as the driver says."""
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
    """What comes of :func:`try_runtime` in a process of its own: one that crashes is told, too."""
    code = "import sys; from livematte.doctor import try_runtime; try_runtime(*sys.argv[1:])"
    mend = f"pip install --force-reinstall {runtime}; until then --runtime with another one"
    told = _version(runtime)
    try:
        done = run(
            [sys.executable, "-c", code, runtime, model, device],
            capture_output=True, text=True, encoding="utf-8", errors="replace", timeout=RUNTIME_SECONDS,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return Finding(runtime, False, f"{told} hangs: no picture in {RUNTIME_SECONDS} s", mend, group)
    lines = done.stdout.splitlines()
    try:
        result = json.loads(lines[-1])
    except (IndexError, ValueError):
        last = (done.stderr.strip().splitlines() or ["no word of why"])[-1]
        crashed = f"{told} ends its process (exit code {done.returncode}): {last}"
        return Finding(runtime, False, crashed, mend, group)
    if "error" in result:
        return Finding(runtime, False, f"{told}: {result['error']}", mend, group)
    what = (
        f"{told}, {result['precision']}: {model} in {result['milliseconds']:.0f} ms a picture of"
        f" {result['size'][1]}x{result['size'][0]}, ready after {result['start']:.1f} s"
    )
    low, high = SHARE
    if not low < result["share"] < high:
        nonsense = f"{what}, but finds {result['share']:.0%} person in a picture that has about a third"
        return Finding(runtime, False, nonsense, mend, group)
    return Finding(runtime, True, what, group=group)


def try_runtime(runtime: str, model: str, device: str) -> None:
    """Matte a real person a few times and print one line of JSON: sizes and times, or the error."""
    from livematte import api, engine
    from livematte.temporal import TemporalFilter
    from livematte.video.reader import open_video

    try:
        began = time.perf_counter()
        network = api.load_model(model, runtime=runtime, device=device)
        with closing(open_video(CLIP)) as source:
            frame = next(iter(source))
            picture = engine.Matting(network, TemporalFilter("off")).shrink(frame).rgb
        matte, _ = network(picture, None)
        start = time.perf_counter() - began
        times = []
        for _ in range(_COUNT):
            began = time.perf_counter()
            matte, _ = network(picture, None)
            times.append(time.perf_counter() - began)
        told = {
            "size": list(picture.shape[:2]),
            "share": float(matte.alpha.mean()),
            "milliseconds": min(times) * 1000,
            "start": start,
            "precision": getattr(getattr(network, "network", None), "precision", "as shipped"),
        }
    except LivematteError as error:
        told = {"error": " ".join(str(error).split())}
    print(json.dumps(told), flush=True)  # noqa: T201 - this is what the process is for


def _version(runtime: str) -> str:
    try:
        return version(runtime)
    except PackageNotFoundError:  # onnxruntime-gpu is onnxruntime, too
        return "installed"


def cameras() -> Iterator[Finding]:
    """The cameras that the system shows; their ids may hold serial numbers and are left out."""
    from livematte.video.devices import list_cameras

    group = "cameras"
    found = list_cameras()
    if not any(not camera.virtual for camera in found):
        what = "none was found; a video can stand in for one (--input)"
        yield Finding("camera", None, what, "plug one in, or look whether another system has it", group)
    for camera in found:
        if camera.trouble:
            what, _, mend = camera.trouble.partition(": ")
            yield Finding(camera.name, False, what, mend, group)
            continue
        kind = "virtual camera" if camera.virtual else "camera"
        best = max(camera.modes, key=lambda mode: (mode.width * mode.height, *mode.rates[:1]), default=None)
        what = f"{kind} at {camera.address}"
        if best is not None:
            what += f", {len(camera.modes)} modes, the largest {best}"
        yield Finding(camera.name, None if camera.virtual else True, what, group=group)


def plugins() -> Iterator[Finding]:
    """What plug-ins look at: every function of the entry-point group ``livematte.checks``."""
    for name in registry.names("checks"):
        try:
            found = registry.load("checks", name)()
        except Exception as error:  # a check that fails must not hide the others
            what = f"the check itself failed: {type(error).__name__}: {error}"
            yield Finding(
                name, False, what, f"report this with the output of livematte doctor of {name}", name
            )
            continue
        for finding in found:
            yield finding if finding.group else replace(finding, group=name)


def scrubbed(finding: Finding) -> Finding:
    """The same without home folder, passwords in addresses and values of secret environment variables."""
    return replace(finding, name=_clean(finding.name), what=_clean(finding.what), mend=_clean(finding.mend))


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
