"""ONNX Runtime's providers: the one asked for or an error, never the CPU instead.

No provider but the CPU's is here. So what a machine's ONNX Runtime says it has is faked, and the CPU's stands
in for the one asked for; names, options, sizes and refusals are what this shows.
"""

import numpy as np
import onnxruntime
import pytest

from livematte.device import PROVIDERS, Device, choice, choose_device
from livematte.errors import DeviceError, ModelError, UsageError
from livematte.inference import open_network
from livematte.inference.network import OutOfMemory
from tests.unit.inference.test_torch_cuda import expected, picture, toy

REAL = onnxruntime.InferenceSession
DEVICES = [
    ("cuda:1", "onnxruntime", "cuda"),
    ("cuda", "tensorrt", "tensorrt"),
    ("directml:1", "auto", "directml"),
    ("coreml", "auto", "coreml"),
]


class Machine:
    """What sessions were asked for, and how they answer."""

    def __init__(self):
        self.asked, self.options = [], []
        self.starts, self.says = True, ""

    def session(self, model, options, providers, enable_fallback):
        assert enable_fallback == 0, "ONNX Runtime would go on with another provider"
        self.asked.append(providers)
        self.options.append(options)
        if self.says == "at start":
            raise RuntimeError("provider says no\nat line 3")
        real = REAL(model, options, providers=["CPUExecutionProvider"])
        names = [name for name, _ in providers] if self.starts else ["CPUExecutionProvider"]
        machine = self

        class Session:
            def get_providers(self):
                return names

            def run(self, outputs, given):
                if machine.says:
                    raise RuntimeError(machine.says)
                return real.run(outputs, given)

        return Session()


@pytest.fixture
def machine(monkeypatch, tmp_path):
    made = Machine()
    monkeypatch.setenv("LIVEMATTE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(choice, "driver_gpus", lambda: 2)
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [*PROVIDERS.values(), "CPU"])
    monkeypatch.setattr(onnxruntime, "preload_dlls", lambda: None)
    monkeypatch.setattr(onnxruntime, "InferenceSession", made.session)
    return made


@pytest.mark.parametrize(("spec", "runtime", "kind"), DEVICES)
def test_the_provider_asked_for_runs_the_network_at_every_size(machine, spec, runtime, kind):
    network = open_network(toy(), choose_device(spec, runtime), runtime)
    for seed, size in enumerate([(32, 64), (64, 64), (32, 64)]):
        rgb = picture(seed, *size)
        np.testing.assert_allclose(network(rgb)[0], expected(rgb)[0], atol=1e-5)
    names = [name for name, _ in machine.asked[-1]]
    assert names[0] == PROVIDERS[kind] and names[-1] == "CPUExecutionProvider"
    assert len(machine.asked) == 3, "one to see that it starts, and one for each size"
    assert str(choose_device(spec, runtime)) in network.why and "as asked" in network.why
    if kind in ("cuda", "directml"):
        assert machine.asked[-1][0][1]["device_id"] == 1


def test_tensorrt_leaves_to_cuda_what_it_cannot_and_keeps_its_engines(machine, tmp_path):
    network = open_network(toy(), choose_device("cuda", "tensorrt"), "tensorrt")
    (_, own), (second, _), _ = machine.asked[-1]
    assert second == PROVIDERS["cuda"]
    assert own["trt_fp16_enable"] and network.precision == "fp16" and network.runtime == "tensorrt"
    assert own["trt_engine_cache_path"].startswith(str(tmp_path))
    open_network(toy(), choose_device("cuda", "tensorrt"), "tensorrt", "fp32")
    assert machine.asked[-1][0][1]["trt_fp16_enable"] is False


def test_directml_gets_the_session_that_it_demands(machine):
    open_network(toy(), choose_device("directml", "auto"))
    assert machine.options[-1].enable_mem_pattern is False
    assert machine.options[-1].execution_mode == onnxruntime.ExecutionMode.ORT_SEQUENTIAL


def test_a_provider_that_does_not_start_is_an_error_not_the_cpu(machine):
    machine.starts = False
    with pytest.raises(DeviceError, match=r"cannot start its CUDAExecutionProvider on cuda:0: it needs CUDA"):
        open_network(toy(), choose_device("cuda", "onnxruntime"), "onnxruntime")


def test_what_a_provider_says_is_told_in_one_line(machine):
    machine.says = "at start"
    with pytest.raises(DeviceError, match="on directml:0 failed: provider says no at line 3"):
        open_network(toy(), choose_device("directml", "auto"))


@pytest.mark.parametrize("said", ["Failed to allocate memory for requested buffer", "CUDA out of memory"])
def test_a_provider_without_memory_says_so_as_torch_does(machine, said):
    network = open_network(toy(), choose_device("cuda", "onnxruntime"), "onnxruntime")
    machine.says = said
    with pytest.raises(OutOfMemory, match="toy has no room on cuda:0"):
        network(picture(1))


@pytest.mark.parametrize(
    ("spec", "runtime", "package"),
    [
        ("cuda", "onnxruntime", "onnx onnxruntime-gpu"),
        ("cuda", "tensorrt", "onnx onnxruntime-gpu tensorrt"),
        ("directml", "auto", "onnx onnxruntime-directml"),
        ("coreml", "onnxruntime", "on a Mac pip install onnx onnxruntime"),
    ],
)
def test_a_provider_that_is_not_there_names_the_package(monkeypatch, spec, runtime, package):
    monkeypatch.setattr(choice, "driver_gpus", lambda: 1)
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    with pytest.raises(DeviceError, match=package) as refused:
        choose_device(spec, runtime)
    assert "has no" in str(refused.value) and "only CPUExecutionProvider" in str(refused.value)
    with pytest.raises(DeviceError, match=package):
        open_network(toy(), Device(spec, 0, ""), "onnxruntime" if runtime == "auto" else runtime)


@pytest.mark.parametrize("precision", ["int8", "bf16", "fp16"])
def test_precisions_that_a_provider_does_not_run_are_refused(machine, precision):
    with pytest.raises(UsageError, match=f"does not run {precision} on directml:0: use --precision fp32"):
        open_network(toy(), choose_device("directml", "auto"), precision=precision)


def test_int8_weights_alone_are_for_the_cpu(machine, tmp_path):
    only = toy(onnx=tmp_path / "toy.int8.onnx", module=None)
    with pytest.raises(ModelError, match="int8 weights only, which run on the CPU"):
        open_network(only, choose_device("directml", "auto"))


def test_auto_takes_onnxruntime_where_torch_cannot_use_the_gpu_and_says_why(machine, monkeypatch):
    monkeypatch.setattr(choice, "version", lambda name: "2.99.0+cpu")
    chosen = choose_device("auto", "auto")
    assert str(chosen) == "cuda:0"
    network = open_network(toy(), chosen)
    assert network.runtime == "onnxruntime"
    assert "torch 2.99.0+cpu is a CPU-only build" in network.why


@pytest.mark.gpu
@pytest.mark.parametrize("runtime", ["onnxruntime", "tensorrt"])
def test_nvidia_gives_what_the_cpu_gives(runtime):
    trouble = choice.provider_trouble("cuda" if runtime == "onnxruntime" else runtime)
    if trouble:
        pytest.skip(trouble)
    network = open_network(toy(), choose_device("cuda", runtime), runtime, "fp32")
    for seed, size in enumerate([(32, 64), (64, 64), (32, 64)]):
        rgb = picture(seed, *size)
        np.testing.assert_allclose(network(rgb)[0], expected(rgb)[0], atol=1e-4)
