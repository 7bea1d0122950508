"""Device choice: what is asked for is given or refused with a reason."""

import subprocess
import sys

import numpy as np
import pytest

from livematte.device import choice, choose_device, from_numpy, to_numpy, to_torch
from livematte.errors import DeviceError, UsageError


def test_cpu_is_always_there():
    chosen = choose_device("cpu")
    assert (chosen.kind, chosen.index, str(chosen)) == ("cpu", 0, "cpu")


@pytest.mark.parametrize("spec", ["", "gpu", "cuda:", "cuda:x", "cuda:-1", "CPU", "cpu:0", "coreml:0"])
def test_unknown_device_is_a_usage_error_naming_what_is_allowed(spec):
    with pytest.raises(UsageError, match=r"auto, cpu, cuda"):
        choose_device(spec)


def test_without_a_gpu_auto_says_why_it_is_the_cpu(monkeypatch):
    monkeypatch.setattr(choice, "driver_gpus", lambda: 0)
    chosen = choose_device("auto")
    assert chosen.kind == "cpu" and "no NVIDIA GPU" in chosen.why


def test_without_a_gpu_cuda_is_refused(monkeypatch):
    monkeypatch.setattr(choice, "driver_gpus", lambda: 0)
    with pytest.raises(DeviceError, match="no NVIDIA GPU or driver was found; use --device cpu"):
        choose_device("cuda")


def test_gpu_beyond_the_last_is_refused_with_the_range(monkeypatch):
    monkeypatch.setattr(choice, "driver_gpus", lambda: 2)
    with pytest.raises(DeviceError, match=r"no GPU 5, only 2 \(0 to 1\)"):
        choose_device("cuda:5")


def test_gpu_with_a_cpu_only_torch_is_refused_naming_the_build(monkeypatch):
    monkeypatch.setattr(choice, "driver_gpus", lambda: 1)
    monkeypatch.setattr(choice, "version", lambda name: "2.99.0+cpu")
    with pytest.raises(DeviceError, match=r"torch 2\.99\.0\+cpu is a CPU-only build"):
        choose_device("cuda:0")
    assert "CPU-only" in choose_device("auto").why


def test_a_cpu_only_torch_whose_version_does_not_say_so_is_named_all_the_same(monkeypatch):
    import torch

    monkeypatch.setattr(choice, "driver_gpus", lambda: 1)
    monkeypatch.setattr(choice, "version", lambda name: "2.99.0")  # what PyPI has for Windows
    monkeypatch.setattr(torch.version, "cuda", None)
    with pytest.raises(DeviceError, match=r"torch 2\.99\.0 is a CPU-only build"):
        choose_device("cuda:0")


def test_auto_with_a_runtime_of_the_cpu_is_the_cpu_and_says_so(monkeypatch):
    monkeypatch.setattr(choice, "driver_gpus", lambda: 1)
    chosen = choose_device("auto", "openvino")
    assert chosen.kind == "cpu" and "openvino runs there only" in chosen.why


@pytest.mark.parametrize("runtime", ["torch", "openvino", "tensorrt"])
def test_directml_and_core_ml_are_for_onnxruntime_only(runtime):
    for spec in ("directml", "coreml"):
        with pytest.raises(UsageError, match=f"--device {spec} needs --runtime onnxruntime, not {runtime}"):
            choose_device(spec, runtime)


def test_auto_never_takes_what_nobody_has_measured(monkeypatch):
    monkeypatch.setattr(choice, "driver_gpus", lambda: 0)
    monkeypatch.setattr(choice, "provider_trouble", lambda kind: None)
    assert choose_device("auto", "auto").kind == "cpu"
    assert str(choose_device("coreml", "auto")) == "coreml"
    assert str(choose_device("directml:1", "auto")) == "directml:1"


def test_choosing_the_cpu_imports_no_torch():
    code = (
        "import sys; from livematte.device import *; choose_device('cpu'); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_results_go_where_the_picture_was():
    array = np.arange(3, dtype=np.float32)
    assert from_numpy(array, np.zeros(1)) is array
    tensor = from_numpy(array, to_torch(np.zeros(1), choose_device("cpu")))
    assert type(tensor).__module__ == "torch" and tensor.tolist() == [0, 1, 2]


def test_numpy_to_torch_and_back_shares_memory():
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    back = to_numpy(to_torch(array, choose_device("cpu")))
    array[0, 0] = 7
    assert back[0, 0] == 7 and back.dtype == np.float32
