"""Refining frames that are on a GPU: tiles are cut and put back there, and all is as on the CPU."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from livematte import networks
from livematte.device import namespace
from livematte.device.cuda import on_gpu
from livematte.device.transfer import to_host, to_same_device
from livematte.errors import ModelError
from livematte.frame import Array, ColorInfo, Frame, Matte
from livematte.inference.adapters import NetworkRefiner
from livematte.inference.model_spec import RGB, ModelSpec
from livematte.kernels.convert import planes_from_rgb
from livematte.kernels.resize import resize
from livematte.matting.backgrounds import Color
from livematte.matting.compositor import Compositor
from livematte.matting.refiner import Refined, TileRefiner
from livematte.matting.upsampling import enlarged_alpha
from livematte.models.fba.model import FBARefiner
from livematte.offline.engine import Output, render
from livematte.protocols import GpuTrimapModel, SourceInfo
from tests.cuda_shim import fakecupy
from tests.cuda_shim.hazards import nothing_is_given_back_in_use  # noqa: F401 - for every test here
from tests.unit.kernels.backends import ON_GPU, SOURCE, Backend, down, running
from tests.unit.kernels.pictures import disc
from tests.unit.offline.test_engine_gpu import CUDA, Keeping

HEIGHT, WIDTH, COUNT = 240, 400, 3
RED, BLUE = (220, 40, 40), (30, 40, 230)


def share_of_red(rgb: Array, trimap: Array) -> Array:
    own, guide = namespace(rgb), to_same_device(trimap, rgb)
    alpha = ((rgb[..., 0].astype(np.float32) - np.float32(30)) * np.float32(1 / 190)).clip(0, 1)
    known = guide.astype(np.float32) * np.float32(1 / 255)
    return own.where(guide == 128, alpha, known)


class KnowsNumPy:
    """How much of a pixel is red, and that people are red."""

    stride = 32
    seconds = now = 0.0

    def __init__(self) -> None:
        self.asked: list[type] = []

    def refine(self, rgb: Array, trimap: Array) -> Matte:
        assert rgb.dtype == trimap.dtype == np.uint8 and rgb.shape == (*trimap.shape, 3)
        assert type(trimap) is np.ndarray
        self.asked.append(type(rgb))
        self.now += self.seconds
        front = np.broadcast_to(np.array(RED, np.float32) / 255, rgb.shape)
        return Matte(share_of_red(rgb, trimap), np.array(front))


class TakesBoth(KnowsNumPy):
    takes_gpu_arrays = True

    def refine(self, rgb: Array, trimap: Array) -> Matte:
        matte = super().refine(rgb, trimap)
        assert on_gpu(matte.alpha) == on_gpu(rgb)
        return replace(matte, foreground=to_same_device(matte.foreground, rgb))


def moment(number: int, format: str = "yuv420p") -> tuple[Frame, Matte]:
    """A red disc with a comb round it wanders through a blue room; the first network sees no comb."""
    alpha = np.roll(disc(HEIGHT, WIDTH, softness=0.02), 6 * number, axis=1)
    rings = (disc(HEIGHT, WIDTH, softness=0.01, radius=radius) for radius in (0.4, 0.28))
    outer, inner = (np.roll(ring, 6 * number, axis=1) for ring in rings)
    fine = np.maximum(alpha, np.clip(outer - inner, 0, 1) * (np.sin(np.arange(WIDTH) * 1.1) > 0))[..., None]
    rgb = np.rint(fine * np.array(RED) + (1 - fine) * np.array(BLUE)).astype(np.uint8)
    color = ColorInfo("rgb", full_range=True) if format.startswith("gbr") else ColorInfo(full_range=True)
    planes = planes_from_rgb(rgb, format, color)
    return Frame(planes, format, number, Fraction(1, 25), 1, color), Matte(resize(alpha, 30, 50))


def refined(backend: Backend | None, network: KnowsNumPy, format: str, **options: Any) -> list[Refined]:
    refiner = TileRefiner(network, clock=lambda: network.now, **options)
    found = []
    for number in range(COUNT):
        frame, matte = moment(number // 2, format)
        if backend is not None:
            frame, matte = backend.up(frame), Matte(backend.up(matte.alpha))
        plane, _ = enlarged_alpha(frame, matte.alpha)
        found.append(refiner(frame, matte, plane))
    return found


def places(tiles: Any) -> list[Any]:
    return sorted(tile.position for tile in tiles)


def assert_same(made: list[Refined], expected: list[Refined], depth: int) -> None:
    for there, here in zip(made, expected, strict=True):
        assert on_gpu(there.plane) and on_gpu(there.weight) and type(there.trimap) is np.ndarray
        assert places(there.done) == places(here.done) and places(there.kept) == places(here.kept)
        assert there.waiting == here.waiting
        assert (there.trimap != here.trimap).mean() < 1e-3
        off = np.abs(down(there.plane).astype(int) - here.plane) / (1 << depth - 8)
        assert off.max() <= 3 and off.mean() < 0.02
        np.testing.assert_allclose(down(there.weight), here.weight, atol=0.01)
        assert there.colors is not None and here.colors is not None
        for tile in here.done:
            ours = down(there.colors.values(tile.box))
            np.testing.assert_allclose(
                ours[:3], here.colors.values(tile.box)[:3], atol=0.5 * 4 ** (depth > 8)
            )


@ON_GPU
@pytest.mark.parametrize("format", ["nv12", "yuv420p10le", "gbrp"])
@pytest.mark.parametrize("make", [KnowsNumPy, TakesBoth])
def test_tiles_are_refined_where_the_frame_is_as_the_cpu_would(
    backend: Backend, format: str, make: Callable[[], KnowsNumPy]
) -> None:
    size = 320 if make is TakesBoth else None
    expected = refined(None, make(), format, long_side=size)
    with running(backend):
        network = make()
        made = refined(backend, network, format, long_side=size)
        assert_same(made, expected, 10 if "10" in format else 8)
        array = backend.module().asarray(np.zeros(1, np.uint8))
    wanted = type(array) if isinstance(network, GpuTrimapModel) else np.ndarray
    assert set(network.asked) == {wanted}


@ON_GPU
def test_under_a_budget_the_same_tiles_have_their_turn_and_the_same_are_kept(backend: Backend) -> None:
    def slow() -> KnowsNumPy:
        network = TakesBoth()
        network.seconds = 1
        return network

    expected = refined(None, slow(), "yuv420p", budget=0.001)
    assert all(len(each.done) == 1 and each.waiting for each in expected) and expected[1].kept
    with running(backend):
        assert_same(refined(backend, slow(), "yuv420p", budget=0.001), expected, 8)


class First:
    """The model: of each moment its matte."""

    def input_size(self, height: int, width: int) -> tuple[int, int]:
        return 30, 50

    def __call__(self, rgb: Array, state: Any) -> tuple[Matte, Any]:
        return moment(state or 0)[1], (state or 0) + 1


class Clip:
    def __init__(self, format: str) -> None:
        self.info = SourceInfo("clip", HEIGHT, WIDTH, format, Fraction(1, 25), frames=COUNT)

    def __iter__(self) -> Iterator[Frame]:
        return (moment(number, self.info.format)[0] for number in range(COUNT))

    def close(self) -> None:
        pass


@ON_GPU
@pytest.mark.parametrize(
    ("format", "kinds"), [("nv12", ("picture",)), ("yuva420p", ("picture", "alpha", "debug"))]
)
def test_a_render_with_a_refiner_keeps_frames_on_the_gpu(
    backend: Backend, format: str, kinds: tuple[str, ...]
) -> None:
    def made(device: Any) -> tuple[dict[str, list[Frame]], Any]:
        sinks = {kind: Keeping() for kind in kinds}
        outputs = [Output(sink, kind) for kind, sink in sinks.items()]
        compositor = Compositor(refiner=TileRefiner(TakesBoth()))
        behind = Color((0, 177, 64))
        stats = render(Clip(format), First(), behind, outputs, compositor=compositor, device=device)
        return {kind: sink.frames for kind, sink in sinks.items()}, stats

    expected, _ = made(None)
    with running(backend):
        fakecupy.moved.update({"to": 0, "from": 0})
        found, stats = made(CUDA)
        if backend is SOURCE:
            counted = {"to": stats.transfers.uploaded, "from": stats.transfers.downloaded}
            assert fakecupy.moved == counted, "all is counted"
    for kind in kinds:
        for there, here in zip(found[kind], expected[kind], strict=True):
            for a, b in zip(there.planes, here.planes, strict=True):
                off = np.abs(a.astype(int) - b)
                assert off.mean() < 0.05 and (kind == "debug" or off.max() <= 4)
    if kinds == ("picture",):
        frame = sum(plane.nbytes for plane in found["picture"][0].planes)
        assert COUNT * frame < stats.transfers.downloaded < COUNT * 1.1 * frame, (
            "small pictures, and 8 bytes a question"
        )


@ON_GPU
def test_a_broken_refiner_is_one_line(backend: Backend) -> None:
    class Broken(TakesBoth):
        def refine(self, rgb: Array, trimap: Array) -> Matte:
            matte = super().refine(rgb, trimap)
            return replace(matte, foreground=matte.foreground * np.float32("nan"))

    with running(backend), pytest.raises(ModelError, match="values that are no numbers") as caught:
        refined(backend, Broken(), "yuv420p")
    assert "\n" not in str(caught.value)


class ByHand:
    """A network that says that each pixel is half red, in green, before yellow."""

    runtime, precision, why, in_flight = "by hand", "fp32", "for this test", 1

    def __call__(self, *arrays: Array) -> tuple[Array, ...]:
        rgb, guide = arrays
        assert on_gpu(rgb) == on_gpu(guide) and rgb.shape[:3] == guide.shape[:3] and guide.shape[3:] == (6,)
        own = namespace(rgb)
        alpha = rgb[..., 0].astype(np.float32) * np.float32(1 / 510)
        front, behind = own.zeros(rgb.shape, np.float32), own.zeros((1, 3, *rgb.shape[1:3]), np.float32)
        front[..., 1] = 1
        behind[:, :2] = 1
        return alpha, front, behind


@ON_GPU
@pytest.mark.parametrize("augment", [False, True])
def test_a_network_that_refines_is_given_what_is_on_the_gpu(backend: Backend, augment: bool) -> None:
    from livematte.models.fba.model import LIVE, _encode

    rng = np.random.default_rng(0)
    rgb = rng.integers(0, 256, (40, 70, 3), np.uint8)  # no multiple of the stride
    trimap = rng.choice(np.array([0, 128, 255], np.uint8), (40, 70))

    def refiner() -> FBARefiner:
        network: Any = ByHand()
        return FBARefiner(NetworkRefiner(LIVE, None, network, _encode), augment)  # type: ignore[arg-type]

    wanted = refiner().refine(rgb, trimap)
    with running(backend):
        made = refiner().refine(backend.up(rgb), trimap)
        assert on_gpu(made.alpha) == on_gpu(made.foreground) == (not augment)
        np.testing.assert_allclose(down(made.alpha), wanted.alpha, atol=1e-5)
        np.testing.assert_allclose(down(made.foreground), wanted.foreground, atol=1e-5)


@ON_GPU
@pytest.mark.parametrize("settle", [False, True])
def test_the_trimap_settles_alpha_on_the_gpu_too(backend: Backend, settle: bool) -> None:
    class SplitInference(ByHand):
        def __call__(self, *arrays: Array) -> tuple[Array, ...]:
            return (arrays[0][..., 0].astype(np.float32) * np.float32(1 / 510),)

    spec = ModelSpec("halves", Path("card.toml"), network="", deployed="", inputs=(RGB, RGB))
    network: Any = SplitInference()
    rgb = np.full((32, 32, 3), 255, np.uint8)
    trimap = np.repeat(np.array([0, 128, 255, 128], np.uint8), 8)[None].repeat(32, 0)
    with running(backend):
        refiner = NetworkRefiner(spec, None, network, lambda guide: guide[None], settle)  # type: ignore[arg-type]
        alpha = refiner.refine(backend.up(rgb), trimap).alpha
        assert on_gpu(alpha)
        np.testing.assert_allclose(down(alpha)[0, ::8], [0, 0.5, 1, 0.5] if settle else [0.5] * 4)


@pytest.mark.gpu
@pytest.mark.parametrize("name", ["adamatting-live", "fba-live"])
def test_on_a_card_the_shipped_refiners_give_what_the_cpu_gives(name: str) -> None:
    import cupy

    there = networks.load_refiner(name, device="cuda:0", precision="fp32")
    here = networks.load_refiner(name, device="cpu", runtime="torch")
    found = {}
    for refiner, backend in ((here, None), (there, "cuda")):
        tiles = TileRefiner(refiner)
        for number in range(2):
            frame, matte = moment(number)
            if backend is not None:
                frame = frame.with_planes(tuple(map(cupy.asarray, frame.planes)))
                matte = Matte(cupy.asarray(matte.alpha))
            plane, _ = enlarged_alpha(frame, matte.alpha)
            found[backend, number] = to_host(tiles(frame, matte, plane).plane).astype(int)
    for number in range(2):
        off = np.abs(found["cuda", number] - found[None, number])
        assert off.mean() < 0.1 and np.quantile(off, 0.999) <= 4
