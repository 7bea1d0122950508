"""The choice of runtime and precision: given as asked, or refused with a reason; never silent."""

import subprocess
import sys
from pathlib import Path

import pytest

from livematte.device import Device
from livematte.errors import DeviceError, ModelError, UsageError
from livematte.inference import Input, Program, open_network, runtime_choice

CPU, GPU = Device("cpu", 0, ""), Device("cuda", 0, "")
RGB = Input("rgb", "uint8", (1, None, None, 3), (1, 32, 32, 3))


def program(int8=True, module=True):
    build = (lambda: None) if module else None
    return Program("toy", "0" * 64, (RGB,), ("alpha",), build, Path("toy.int8.onnx") if int8 else None)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            {"runtime": "tensorflow"},
            "unknown runtime 'tensorflow': allowed are auto, openvino, onnxruntime, torch",
        ),
        ({"precision": "int4"}, "unknown precision 'int4': allowed are auto, int8, fp32"),
        ({"threads": -1}, "threads=-1"),
        ({"streams": 0}, "streams=0"),
        ({"batch": -1}, "batch=-1"),
        ({"batch": 2, "runtime": "openvino"}, "batch=2 is invalid: runtime openvino supports one picture"),
        ({"batch": 2, "runtime": "torch"}, "batch=2 is invalid: toy supports one picture"),
        ({"runtime": "torch", "precision": "int8"}, "runtime torch runs fp32 only"),
        ({"runtime": "torch", "precision": "fp16"}, "runtime torch runs fp32 only"),
        ({"runtime": "openvino", "precision": "bf16"}, "bf16 is for GPUs: use --precision int8 or fp32"),
    ],
)
def test_what_cannot_be_meant_is_a_usage_error(options, said):
    with pytest.raises(UsageError, match=said):
        open_network(program(), CPU, **options)


def test_int8_without_int8_weights_is_refused():
    with pytest.raises(ModelError, match="toy has no int8 weights here"):
        open_network(program(int8=False), CPU, precision="int8")


def test_fp32_with_only_an_int8_file_is_refused():
    with pytest.raises(ModelError, match="toy has no fp32 weights here"):
        open_network(program(module=False), CPU, precision="fp32")


def test_torch_refuses_an_onnx_file():
    with pytest.raises(UsageError, match="torch cannot run an ONNX file"):
        open_network(program(module=False), CPU, "torch")


def test_cpu_runtimes_are_refused_on_a_gpu():
    with pytest.raises(DeviceError, match="runs on the CPU only"):
        open_network(program(), GPU, "openvino")


def test_tensorrt_is_for_nvidia_gpus():
    with pytest.raises(DeviceError, match="tensorrt runs on NVIDIA GPUs only, not on cpu"):
        open_network(program(), CPU, "tensorrt")


@pytest.mark.parametrize("kind", ["directml", "coreml"])
def test_torch_does_not_run_on_directml_or_core_ml(kind):
    with pytest.raises(DeviceError, match="use --runtime onnxruntime"):
        open_network(program(), Device(kind, 0, ""), "torch")


@pytest.mark.parametrize(
    ("runtime", "wanted", "got"),
    [
        ("torch", "auto", "fp16"),
        ("torch", "bf16", "bf16"),
        ("torch", "fp32", "fp32"),
        ("tensorrt", "auto", "fp16"),
        ("onnxruntime", "auto", "fp32"),
    ],
)
def test_precision_on_a_gpu(runtime, wanted, got):
    assert runtime_choice._choose_precision(program(), GPU, runtime, wanted)[0] == got


def test_int8_is_refused_on_a_gpu():
    with pytest.raises(UsageError, match="torch does not run int8 on cuda:0: use --precision fp16 or fp32"):
        runtime_choice._choose_precision(program(), GPU, "torch", "int8")


def test_runtime_that_is_not_installed_is_refused(monkeypatch):
    monkeypatch.setattr(runtime_choice, "available_runtimes", lambda: ["torch"])
    with pytest.raises(DeviceError, match="openvino is not installed: pip install openvino"):
        open_network(program(), CPU, "openvino")


def test_auto_takes_the_fastest_that_is_installed_and_says_so(monkeypatch):
    assert runtime_choice._choose_runtime(program(), CPU, "auto")[0] == "openvino"
    monkeypatch.setattr(runtime_choice, "available_runtimes", lambda: ["onnxruntime", "torch"])
    name, why = runtime_choice._choose_runtime(program(), CPU, "auto")
    assert name == "onnxruntime" and "openvino" in why and "not installed" in why


def test_auto_is_torch_on_a_gpu():
    assert runtime_choice._choose_runtime(program(), GPU, "auto")[0] == "torch"


def test_choosing_imports_no_runtime():
    code = (
        "import sys; from livematte.inference import available_runtimes; available_runtimes();"
        "assert not {'torch', 'openvino', 'onnxruntime'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
