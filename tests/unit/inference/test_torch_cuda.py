"""The torch runtime of GPUs: through a stand-in for the card here, and on a card where there is one.

The stand-in (``cards.py``) shows that every wait is there and no buffer is written while it is read; what
CUDA, cuDNN and CuPy do themselves only the tests marked ``gpu`` show.
"""

from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from livematte.device import choose_device
from livematte.errors import DeviceError, ModelError
from livematte.inference import open_network
from livematte.inference.batching import BatchedNetwork
from livematte.inference.network import OutOfMemory
from livematte.inference.torch_cuda import BYTES_PER_PICTURE, GraphNetwork, _cast_weights
from tests.unit.inference import toys
from tests.unit.inference.cards import LazyCard
from tests.unit.inference.toys import GREY, RGB, Toy, expected

toy = partial(toys.toy, batches=True)


def picture(seed, height=32, width=64):
    return np.random.default_rng(seed).integers(0, 256, (1, height, width, 3), np.uint8)


def on(card, precision="fp32", streams=2, batch=1, **changes):
    return GraphNetwork(toy(**changes), card, precision, streams, batch, "torch on a stand-in")


def gathering(card, batch, streams=2, **changes):
    network = on(card, batch=batch, streams=streams, **changes)
    return BatchedNetwork(toy(**changes), network)


@pytest.mark.parametrize("quick", [(), ("upload",), ("upload", "compute")])
def test_many_under_way_come_back_each_with_its_own_picture(quick):
    network = on(LazyCard(quick=quick))
    assert network.in_flight == 3
    pending = [(n, network.submit(picture(n))) for n in range(3)]
    for n in range(3, 9):  # as the engine does it: one in, one out
        first, later = pending.pop(0)
        np.testing.assert_allclose(later.result()[0], expected(picture(first))[0], atol=1e-6)
        pending.append((n, network.submit(picture(n))))
    for n, later in pending:
        np.testing.assert_allclose(later.result()[0], expected(picture(n))[0], atol=1e-6)


def test_more_under_way_than_it_asks_for_are_not_mixed_up():
    network = on(LazyCard(), streams=1)
    assert network.in_flight == 1
    pending = [network.submit(picture(n)) for n in range(5)]
    for n, later in enumerate(pending):
        np.testing.assert_allclose(later.result()[0], expected(picture(n))[0], atol=1e-6)


def test_the_picture_may_change_once_it_was_submitted():
    network, rgb = on(LazyCard()), picture(1)
    later = network.submit(rgb)
    wanted = expected(rgb.copy())[0]
    rgb[:] = 0
    np.testing.assert_allclose(later.result()[0], wanted, atol=1e-6)


def test_results_are_the_callers_to_keep():
    network = on(LazyCard())
    first, _ = network(picture(1))
    before = first.copy()
    network(picture(2))
    np.testing.assert_array_equal(first, before)
    assert first.dtype == np.float32 and first.flags.writeable


def test_a_size_is_captured_once_and_the_oldest_of_five_again():
    card = LazyCard()
    network = on(card)
    for seed, height in enumerate((32, 64, 32, 96, 128, 160)):
        rgb = picture(seed, height)
        np.testing.assert_allclose(network(rgb)[0], expected(rgb)[0], atol=1e-6)
    assert len(card.captured) == 5
    network(picture(1, 64))
    assert len(card.captured) == 6, "64 rows were used longest ago"
    network(picture(1, 160))
    assert len(card.captured) == 6


def test_arrays_that_are_there_already_give_arrays_that_stay_there():
    network = on(LazyCard())
    given = [torch.from_numpy(picture(n)) for n in range(4)]
    pending = [network.submit(rgb) for rgb in given]
    for n, (alpha, rest) in enumerate([later.result() for later in pending]):
        assert isinstance(alpha, torch.Tensor)
        np.testing.assert_allclose(alpha.numpy(), expected(picture(n))[0], atol=1e-6)
        np.testing.assert_allclose(rest.numpy(), expected(picture(n))[1], atol=1e-6)


def test_an_input_on_the_card_is_kept_until_it_was_read():
    card = LazyCard()
    network = on(card)
    rgb = torch.from_numpy(picture(1))
    first, second = network.submit(rgb), network.submit(torch.from_numpy(picture(2)))
    assert any(each is rgb for _, arrays in network._inputs_in_use for each in arrays)
    first.result()
    second.result()
    network.submit(torch.from_numpy(picture(3)))
    assert not any(each is rgb for _, arrays in network._inputs_in_use for each in arrays)


def test_what_a_graph_cannot_hold_runs_without_one_and_says_so_once():
    network = on(LazyCard(refuses="operation not permitted when stream is capturing\nmore"))
    for n, height in enumerate((32, 64, 32)):
        rgb = picture(n, height)
        np.testing.assert_allclose(network(rgb)[0], expected(rgb)[0], atol=1e-6)
    assert network.notes == [
        "toy runs without a CUDA graph, which is slower: operation not permitted when stream is capturing"
    ]


@pytest.mark.parametrize("refuses", ["", "operation not permitted when stream is capturing"])
def test_fp32_is_never_tf32_with_a_graph_or_without(refuses):
    seen = []

    class Watching(Toy):
        def forward(self, rgb):
            seen.append((torch.backends.cudnn.allow_tf32, torch.backends.cudnn.benchmark))
            return super().forward(rgb)

    network = on(LazyCard(refuses=refuses), module=Watching)
    before = torch.backends.cudnn.allow_tf32, torch.backends.cudnn.benchmark
    network(picture(0))
    network(picture(1))
    assert set(seen) == {(False, True)} and len(seen) >= 3
    assert (torch.backends.cudnn.allow_tf32, torch.backends.cudnn.benchmark) == before != (False, True)


@pytest.mark.parametrize("precision", ["fp16", "bf16"])
def test_half_precision_is_near_and_gives_float32(precision):
    network = on(LazyCard(), precision)
    alpha, _ = network(picture(5))
    assert alpha.dtype == np.float32 and network.precision == precision
    off = np.abs(alpha - expected(picture(5))[0]).max()
    assert 0 < off < (0.01 if precision == "fp16" else 0.05)


def test_weights_that_others_are_computed_from_stay_exact():
    class Own(nn.Conv2d):
        """Computes its kernel from its weights."""

    both = nn.Sequential(nn.Conv2d(1, 1, 1), Own(1, 1, 1), nn.BatchNorm2d(1))
    _cast_weights(both, torch.float16)
    assert [layer.weight.dtype for layer in both] == [torch.float16, torch.float32, torch.float32]


def test_arrays_it_does_not_take_are_refused():
    network = on(LazyCard(), batch=4)
    for wrong in (picture(1).astype(np.float32), picture(1)[0], np.concatenate([picture(1)] * 5)):
        with pytest.raises(ModelError, match="rgb is"):
            network.submit(wrong)


def test_one_picture_at_a_time_where_the_program_says_so():
    network = on(LazyCard(), batch=4, batches=False)
    assert network.batch == 1
    with pytest.raises(ModelError, match=r"expected uint8 \(1, any, any, 3\)"):
        network.submit(np.concatenate([picture(1)] * 2))


@pytest.mark.parametrize(
    ("free", "streams", "batch"),
    [
        (64 * BYTES_PER_PICTURE, 2, 8),
        (3.5 * BYTES_PER_PICTURE, 2, 3),
        (BYTES_PER_PICTURE / 2, 2, 1),
        (64 * BYTES_PER_PICTURE, 1, 1),
    ],
)
def test_the_batch_is_what_free_memory_allows_and_one_for_a_camera(free, streams, batch):
    card = LazyCard()
    card.bytes = int(free)
    network = on(card, streams=streams, batch=0)
    assert network.batch == batch
    assert ("up to" in network.why) == (batch > 1)


def test_pictures_gather_and_run_together():
    card = LazyCard()
    network = gathering(card, 4)
    assert network.in_flight == 12
    pending = [network.submit(picture(n)) for n in range(8)]
    assert card.captured == [4]
    for n, later in enumerate(pending):
        alpha, rest = later.result()
        assert alpha.shape == (1, 32, 64)
        np.testing.assert_allclose(alpha, expected(picture(n))[0], atol=1e-6)
        np.testing.assert_allclose(rest, expected(picture(n))[1], atol=1e-6)


def test_a_short_batch_runs_when_its_result_is_asked_for():
    card = LazyCard()
    network = gathering(card, 4)
    pending = [network.submit(picture(n)) for n in range(7)]
    for n, later in enumerate(pending):
        np.testing.assert_allclose(later.result()[0], expected(picture(n))[0], atol=1e-6)
    assert card.captured == [4], "the short one takes the graph of the others"
    np.testing.assert_allclose(network(picture(9))[0], expected(picture(9))[0], atol=1e-6)
    assert card.captured == [4, 1], "one alone does not pay for four"


def test_another_size_begins_another_batch():
    network = gathering(LazyCard(), 4)
    sizes = [32, 32, 64, 64, 64, 32]
    pending = [network.submit(picture(n, height)) for n, height in enumerate(sizes)]
    for n, later in enumerate(pending):
        np.testing.assert_allclose(later.result()[0], expected(picture(n, sizes[n]))[0], atol=1e-6)


def test_pictures_on_the_card_gather_there():
    network = gathering(LazyCard(), 3)
    pending = [network.submit(torch.from_numpy(picture(n))) for n in range(5)]
    for n, later in enumerate(pending):
        alpha, _ = later.result()
        assert isinstance(alpha, torch.Tensor)
        np.testing.assert_allclose(alpha.numpy(), expected(picture(n))[0], atol=1e-6)


def test_out_of_memory_halves_the_batch_and_goes_on_saying_so_once():
    card = LazyCard(room=2)
    network = gathering(card, 8)
    pending = [network.submit(picture(n)) for n in range(19)]
    for n, later in enumerate(pending):
        np.testing.assert_allclose(later.result()[0], expected(picture(n))[0], atol=1e-6)
    assert network.notes == [
        "out of memory with 4 pictures at once: the batch size is now 2, which is slower"
    ]
    assert network.in_flight == 6


def test_no_room_for_one_picture_is_an_error_that_names_its_size():
    network = gathering(LazyCard(room=0), 4)
    pending = [network.submit(picture(n)) for n in range(2)]
    for later in pending:
        with pytest.raises(OutOfMemory, match=r"toy has no room on the GPU for 1x32x64x3: use"):
            later.result()


def test_other_sizes_make_room_before_it_gives_up():
    class Full(LazyCard):
        """Holds one graph."""

        def capture(self, run):
            if len(self.captured) > self.released:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return super().capture(run)

    card = Full()
    network = on(card)
    for n, height in enumerate((32, 64, 32)):
        rgb = picture(n, height)
        np.testing.assert_allclose(network(rgb)[0], expected(rgb)[0], atol=1e-6)
    assert (len(card.captured), card.released) == (3, 2)


def test_weights_that_do_not_fit_are_a_device_error():
    class Small(LazyCard):
        def load(self, module):
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 3.00 GiB")

    with pytest.raises(DeviceError, match="toy does not fit on the GPU"):
        on(Small())


class Pair(nn.Module):
    """A picture and a grey map in; out come the map and the red plane, as shares of 255."""

    def forward(self, rgb, grey):
        return grey.float() / 255, rgb[..., 0].float() / 255


def test_two_inputs_are_not_mistaken_for_each_other():
    network = on(LazyCard(), inputs=(RGB, GREY), outputs=("grey", "red"), module=Pair)
    rgb, grey = picture(12), picture(13)[..., 0]
    got = network(rgb, grey)
    np.testing.assert_allclose(got[0], grey / 255, atol=1e-6)
    np.testing.assert_allclose(got[1], rgb[..., 0] / 255, atol=1e-6)


def test_batches_of_torch_on_the_cpu_where_they_are_asked_for():
    network = open_network(toy(), choose_device("cpu"), "torch", batch=3)
    assert network.in_flight == 3
    pending = [network.submit(picture(n)) for n in range(4)]
    for n, later in enumerate(pending):
        np.testing.assert_allclose(later.result()[0], expected(picture(n))[0], atol=1e-5)
    assert open_network(toy(), choose_device("cpu"), "torch", streams=2).in_flight == 1


@pytest.mark.gpu
@pytest.mark.parametrize(("precision", "tolerance"), [("fp32", 1e-4), ("fp16", 0.01), ("bf16", 0.05)])
@pytest.mark.parametrize("batch", [1, 3])
def test_cuda_gives_what_the_cpu_gives(precision, tolerance, batch):
    network = open_network(toy(), choose_device("cuda"), "torch", precision, streams=2, batch=batch)
    sizes = [32, 32, 32, 64, 64, 32, 32, 32, 32, 96]
    pending = [network.submit(picture(n, height)) for n, height in enumerate(sizes)]
    for n, later in enumerate(pending):
        alpha, rest = later.result()
        np.testing.assert_allclose(alpha, expected(picture(n, sizes[n]))[0], atol=tolerance)
        np.testing.assert_allclose(rest, expected(picture(n, sizes[n]))[1], atol=tolerance)
    assert not getattr(network, "notes", [])


@pytest.mark.gpu
def test_cuda_hands_cupys_arrays_back_without_a_copy_on_any_stream():
    import cupy

    network = open_network(toy(), choose_device("cuda"), "torch", "fp32", streams=2, batch=1)
    pending = []
    with cupy.cuda.Stream(non_blocking=True):
        for n in range(6):
            pending.append(network.submit(cupy.asarray(picture(n))))
        for n, later in enumerate(pending):
            alpha, _ = later.result()
            assert isinstance(alpha, cupy.ndarray)
            np.testing.assert_allclose((alpha * 1).get(), expected(picture(n))[0], atol=1e-4)


@pytest.mark.gpu
def test_cuda_is_refused_what_fits_no_card_and_works_on():
    network = open_network(toy(), choose_device("cuda"), "torch", "fp32", streams=2, batch=4)
    huge = np.zeros((1, 8192, 8192, 3), np.uint8)
    try:
        network(huge)
    except OutOfMemory as error:
        assert "no room on the GPU" in str(error)
    np.testing.assert_allclose(network(picture(1))[0], expected(picture(1))[0], atol=1e-4)
