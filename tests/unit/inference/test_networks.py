"""Every runtime gives what the torch module gives, at any size, and refuses what it does not take."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from livematte.cache import cache_folder, read_cached
from livematte.device import choose_device
from livematte.errors import ModelError, WeightsError
from livematte.inference import RUNTIMES, open_network
from livematte.inference.onnx_network import export_onnx
from livematte.inference.quantize import quantize
from livematte.inference.weights import sha256
from tests.unit.inference.toys import GREY, RGB, Toy, expected, toy

CPU = choose_device("cpu")


def picture(seed, height=64, width=96):
    return np.random.default_rng(seed).integers(0, 256, (1, height, width, 3), np.uint8)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("LIVEMATTE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(params=RUNTIMES)
def network(request, cache):
    return open_network(toy(), CPU, request.param)


def test_gives_what_torch_gives_at_every_size(network):
    for seed, size in enumerate([(64, 96), (32, 32), (96, 64), (64, 96)]):
        rgb = picture(seed, *size)
        alpha, rest = network(rgb)
        for got, wanted in zip((alpha, rest), expected(rgb), strict=True):
            assert got.shape == (1, *size) and got.dtype == np.float32
            np.testing.assert_allclose(got, wanted, atol=1e-5)


def test_results_are_the_callers_to_keep(network):
    first, *_ = network(picture(1))
    before = first.copy()
    network(picture(2))
    np.testing.assert_array_equal(first, before)
    first[:] = 0  # writable, and not the network's own memory
    np.testing.assert_allclose(network(picture(1))[0], before, atol=1e-6)


def test_many_under_way_come_back_each_with_its_own_picture(network):
    pictures = [picture(n) for n in range(5)]
    pending = [network.submit(rgb) for rgb in pictures]
    for rgb, later in zip(pictures, pending, strict=True):
        np.testing.assert_allclose(later.result()[0], expected(rgb)[0], atol=1e-5)


def test_a_view_with_strides_is_taken_for_what_it_shows(network):
    wide = picture(4, 64, 192)[:, :, ::-2]
    np.testing.assert_allclose(network(wide.copy())[0], expected(wide.copy())[0], atol=1e-5)
    np.testing.assert_allclose(network(wide)[0], expected(wide.copy())[0], atol=1e-5)


def test_a_picture_that_may_not_be_written_is_read(network):
    rgb = picture(6)
    rgb.flags.writeable = False
    np.testing.assert_allclose(network(rgb)[0], expected(rgb.copy())[0], atol=1e-5)


def test_a_picture_that_may_not_be_written_is_taken(network):
    rgb = picture(11)
    rgb.flags.writeable = False
    np.testing.assert_allclose(network(rgb)[0], expected(rgb.copy())[0], atol=1e-5)


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ((), "takes 1 arrays, not 0"),
        ((np.zeros((1, 64, 96, 3), np.float32),), r"rgb is float32 \(1, 64, 96, 3\), expected uint8"),
        ((np.zeros((64, 96, 3), np.uint8),), r"expected uint8 \(1, any, any, 3\)"),
        ((np.zeros((1, 64, 96, 4), np.uint8),), "expected uint8"),
    ],
)
def test_arrays_it_does_not_take_are_refused(network, arrays, said):
    with pytest.raises(ModelError, match=said):
        network(*arrays)


def test_why_names_runtime_precision_and_device(network):
    assert network.why.startswith(f"{network.runtime} fp32 on cpu (")
    assert network.in_flight == 1


def test_openvino_runs_side_by_side_when_asked(cache):
    network = open_network(toy(), CPU, "openvino", streams=2, threads=2)
    assert network.in_flight == 3, "one more waits, so that no stream rests"
    pending = [network.submit(picture(n)) for n in range(4)]
    for n, later in enumerate(pending):
        np.testing.assert_allclose(later.result()[0], expected(picture(n))[0], atol=1e-5)


@pytest.mark.parametrize("runtime", ["openvino", "onnxruntime"])
def test_second_time_builds_no_torch_module(runtime, cache):
    rgb = picture(5)
    open_network(toy(), CPU, runtime)(rgb)
    assert any(cache.rglob("toy-*"))

    def never():
        raise AssertionError("the cache was not used")

    np.testing.assert_allclose(
        open_network(toy(module=never), CPU, runtime)(rgb)[0], expected(rgb)[0], atol=1e-5
    )


@pytest.mark.parametrize("runtime", ["openvino", "onnxruntime"])
def test_other_weights_do_not_meet_the_old_cache(runtime, cache):
    class Other(Toy):
        def __init__(self):
            super().__init__()
            self.last.bias.data += 1

    rgb = picture(6)
    old = open_network(toy(), CPU, runtime)(rgb)[0]
    new = open_network(toy(module=Other, key="f" * 64), CPU, runtime)(rgb)[0]
    assert np.abs(new - old).min() > 1e-3


@pytest.mark.parametrize("runtime", ["openvino", "onnxruntime"])
def test_runs_where_the_cache_cannot_be_written(runtime, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("LIVEMATTE_CACHE", str(tmp_path / "file"))
    assert cache_folder() is None
    np.testing.assert_allclose(
        open_network(toy(), CPU, runtime)(picture(7))[0], expected(picture(7))[0], atol=1e-5
    )


def flipped(data):
    """Every 97th byte of the second half is another: weights lie there."""
    changed = bytearray(data)
    for at in range(len(changed) // 2, len(changed), 97):
        changed[at] ^= 0x55
    return bytes(changed)


DAMAGES = {
    "truncated": lambda data: data[:100],
    "without its end": lambda data: data[:-1],
    "longer": lambda data: data + b"x",
    "empty": lambda data: b"",
    "zeros": lambda data: bytes(len(data)),
    "flipped": flipped,
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize(
    ("runtime", "pattern"), [("openvino", "*.blob"), ("openvino", "*"), ("onnxruntime", "*.onnx")]
)
def test_damaged_compiled_network_is_made_anew(cache, runtime, pattern, damage):
    rgb = picture(8)
    open_network(toy(), CPU, runtime)(rgb)
    files = {file: file.read_bytes() for file in cache.rglob(pattern) if file.is_file()}
    assert files
    for file, data in files.items():
        file.write_bytes(DAMAGES[damage](data))
    np.testing.assert_allclose(open_network(toy(), CPU, runtime)(rgb)[0], expected(rgb)[0], atol=1e-5)
    assert all(read_cached(file) for file in files), "made anew on disk, too"


def test_a_compiled_network_under_the_name_of_another_is_not_used(cache):
    class Other(Toy):
        def __init__(self):
            super().__init__()
            self.last.bias.data += 1

    rgb = picture(6)
    open_network(toy(module=Other, key="f" * 64), CPU, "openvino")(rgb)
    foreign = next(cache.rglob("*.blob")).read_bytes()
    open_network(toy(), CPU, "openvino")(rgb)
    for blob in cache.rglob("*.blob"):
        blob.write_bytes(foreign)
    np.testing.assert_allclose(open_network(toy(), CPU, "openvino")(rgb)[0], expected(rgb)[0], atol=1e-5)


@pytest.fixture(scope="module")
def int8(tmp_path_factory):
    out = tmp_path_factory.mktemp("int8") / "toy.int8.onnx"
    quantize(
        export_onnx(toy()),
        out,
        [picture(n) for n in range(8)],
        lambda node: not node.endswith(("Conv", "Relu")),
    )
    return out


@pytest.mark.parametrize("runtime", ["openvino", "onnxruntime"])
def test_int8_is_taken_by_default_and_is_near_fp32(runtime, cache, int8):
    network = open_network(toy(onnx=int8), CPU, runtime)
    assert network.precision == "int8" and "int8" in network.why
    off = np.abs(network(picture(20))[0] - expected(picture(20))[0])
    assert 0 < off.max() < 0.05
    assert open_network(toy(onnx=int8), CPU, runtime, "fp32").precision == "fp32"


class Headed(nn.Module):
    """A small network that ends in a convolution and a sigmoid."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(3)
        self.body, self.head = nn.Conv2d(3, 16, 3, padding=1), nn.Conv2d(16, 1, 3, padding=1)

    def forward(self, rgb):
        x = torch.relu(self.body(rgb.permute(0, 3, 1, 2).float() / 255))
        return torch.sigmoid(4 * self.head(x)).squeeze(1)


@pytest.mark.parametrize("runtime", ["openvino", "onnxruntime"])
def test_a_sum_left_unrounded_takes_more_than_256_values(runtime, cache, tmp_path):
    headed, pictures = toy(outputs=("alpha",), module=Headed), [picture(n) for n in range(8)]
    with torch.inference_mode():
        whole = Headed()(torch.from_numpy(picture(20))).numpy()
    levels, off = {}, {}
    for exact in (False, True):
        out = tmp_path / f"{exact}.int8.onnx"
        floats = lambda node: not node.endswith(("Conv", "Relu"))  # noqa: E731
        head = lambda node, exact=exact: exact and "head" in node  # noqa: E731
        quantize(export_onnx(headed), out, pictures, floats, unrounded=head)
        found = open_network(replace(headed, onnx=out, key=sha256(out)), CPU, runtime)(picture(20))[0]
        levels[exact], off[exact] = len(np.unique(found)), np.abs(found - whole).mean()
    assert levels[False] <= 256 < levels[True]
    assert off[True] < off[False]


@pytest.mark.parametrize("runtime", ["openvino", "onnxruntime"])
def test_a_file_that_is_no_network_is_refused(runtime, cache, tmp_path):
    (tmp_path / "broken.onnx").write_bytes(b"not a network")
    with pytest.raises(WeightsError, match="cannot read"):
        open_network(toy(onnx=tmp_path / "broken.onnx", module=None), CPU, runtime)(picture(9))


@pytest.mark.parametrize("runtime", ["openvino", "onnxruntime"])
def test_a_network_with_other_outputs_is_refused(runtime, cache, int8):
    with pytest.raises(WeightsError, match="lacks the outputs trimap"):
        open_network(toy(onnx=int8, outputs=("alpha", "trimap")), CPU, runtime)(picture(9))


class Pair(nn.Module):
    """A picture and a grey map in; out come the map and the red plane, as shares of 255."""

    def forward(self, rgb, grey):
        return grey.float() / 255, rgb[..., 0].float() / 255


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_two_inputs_are_not_mistaken_for_each_other_at_any_size(runtime, cache):
    pair = toy(name="pair", inputs=(RGB, GREY), outputs=("grey_share", "red_share"), module=Pair)
    network = open_network(pair, CPU, runtime)
    for size in ((64, 96), (32, 64)):
        rgb, grey = picture(12, *size), picture(13, *size)[..., 0].copy()
        got = network(rgb, grey)
        np.testing.assert_allclose(got[0], grey / 255, atol=1e-6)
        np.testing.assert_allclose(got[1], rgb[..., 0] / 255, atol=1e-6)
    with pytest.raises(ModelError, match="pair takes 2 arrays, not 1"):
        network(picture(12))
    with pytest.raises(ModelError, match=r"grey is uint8 \(1, 64, 96, 3\), expected uint8 \(1, any, any\)"):
        network(picture(12), picture(13))
