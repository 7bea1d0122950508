"""What every registered refiner keeps to; run with the weights it is shipped with."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from livematte import registry
from livematte.errors import ModelError
from livematte.frame import Array, ColorInfo, Frame, Matte
from livematte.inference.weights import find_card, verified_path
from livematte.kernels.convert import planes_from_rgb
from livematte.kernels.resize import resize
from livematte.matting.refiner import TileRefiner
from livematte.protocols import TrimapModel
from tests.unit.kernels.pictures import disc

NAMES = registry.names("refiners")


@pytest.fixture(scope="module", params=NAMES)
def refiner(request: pytest.FixtureRequest) -> TrimapModel:
    if not find_card(request.param, "refiners").files:
        pytest.skip(f"{request.param} is shipped without weights")
    network: TrimapModel = registry.load("refiners", request.param)(device="cpu")
    return network


def example(height: int, width: int, softness: float = 0.1) -> tuple[Array, Array, Array]:
    """Somebody bright before something dark, textured: rgb, trimap and alpha."""
    alpha = disc(height, width, softness=softness)
    noise = np.random.default_rng(0).normal(0, 8, (height, width, 3))
    front, back = np.array([210.0, 170, 140]), np.array([40.0, 60, 70])
    mixed = alpha[..., None] * front + (1 - alpha[..., None]) * back + noise
    trimap = np.full((height, width), 128, np.uint8)
    trimap[disc(height, width, radius=0.38, softness=1e-6) == 0] = 0
    trimap[disc(height, width, radius=0.22, softness=1e-6) == 1] = 255
    return np.clip(np.rint(mixed), 0, 255).astype(np.uint8), trimap, alpha


@pytest.mark.parametrize("name", NAMES)
def test_card_says_what_a_user_must_know(name: str) -> None:
    facts = find_card(name, "refiners").facts
    for key in ("name", "paper", "parameters", "gflops", "input", "data", "recipe", "licence", "limits"):
        assert facts.get(key), f"{name}: the card lacks {key}"


@pytest.mark.parametrize("name", NAMES)
def test_shipped_files_are_those_of_the_card_and_small(name: str) -> None:
    for file in find_card(name, "refiners").files:
        assert verified_path(file).stat().st_size <= 8_000_000
        assert file.path.suffix in (".safetensors", ".onnx")


@pytest.mark.parametrize("name", NAMES)
def test_without_shipped_weights_a_refiner_says_so_in_one_line(name: str) -> None:
    if find_card(name, "refiners").files:
        pytest.skip("it is shipped with weights")
    with pytest.raises(ModelError, match="no weights are shipped") as caught:
        registry.load("refiners", name)(device="cpu")
    assert "\n" not in str(caught.value)


def test_is_a_refiner(refiner: TrimapModel) -> None:
    assert isinstance(refiner, TrimapModel)
    assert isinstance(refiner.stride, int) and 1 <= refiner.stride <= 128


@pytest.mark.parametrize("multiples", [(1, 1), (2, 3), (5, 2)])
def test_a_matte_has_the_pictures_size_and_its_values_are_in_0_to_1(
    refiner: TrimapModel, multiples: tuple[int, int]
) -> None:
    height, width = (max(64 // refiner.stride, 1) * refiner.stride * n for n in multiples)
    rgb, trimap, _ = example(height, width)
    matte = refiner.refine(rgb, trimap)
    assert matte.alpha.shape == (height, width) and matte.alpha.dtype == np.float32
    assert np.isfinite(matte.alpha).all() and matte.alpha.min() >= 0 and matte.alpha.max() <= 1
    if matte.foreground is not None:
        assert matte.foreground.shape == (height, width, 3) and matte.foreground.dtype == np.float32
        assert np.isfinite(matte.foreground).all()
        assert matte.foreground.min() >= 0 and matte.foreground.max() <= 1


@pytest.mark.parametrize("level", [0, 128, 255])
def test_a_trimap_of_one_level_is_no_trouble(refiner: TrimapModel, level: int) -> None:
    """A tile may lie in the band altogether; a picture may be all unknown."""
    side = max(96 // refiner.stride, 1) * refiner.stride
    rgb, trimap, _ = example(side, side)
    matte = refiner.refine(rgb, np.full_like(trimap, level))
    assert np.isfinite(matte.alpha).all()
    if level != 128:
        assert np.abs(matte.alpha - level / 255).mean() < 0.1


def test_it_fills_in_the_unknown_better_than_grey(refiner: TrimapModel) -> None:
    side = max(256 // refiner.stride, 1) * refiner.stride
    rgb, trimap, truth = example(side, side)
    alpha = refiner.refine(rgb, trimap).alpha
    band = trimap == 128
    assert np.abs(alpha - truth)[band].mean() < 0.6 * np.abs(0.5 - truth)[band].mean()
    assert np.abs(alpha - truth)[~band].mean() < 0.03


def test_the_same_comes_out_twice_and_what_came_in_is_only_borrowed(refiner: TrimapModel) -> None:
    side = max(96 // refiner.stride, 1) * refiner.stride
    rgb, trimap, _ = example(side, side)
    before = rgb.copy(), trimap.copy()
    first = refiner.refine(rgb, trimap)
    kept = first.alpha.copy()
    refiner.refine(255 - rgb, trimap)
    again = refiner.refine(rgb, trimap)
    np.testing.assert_array_equal(first.alpha, kept)
    np.testing.assert_allclose(again.alpha, kept, atol=1e-5)
    np.testing.assert_array_equal(rgb, before[0])
    np.testing.assert_array_equal(trimap, before[1])


def test_read_only_pictures_are_taken(refiner: TrimapModel) -> None:
    side = max(64 // refiner.stride, 1) * refiner.stride
    rgb, trimap, _ = example(side, side)
    rgb.flags.writeable = trimap.flags.writeable = False
    assert refiner.refine(rgb, trimap).alpha.shape == trimap.shape


def test_tiles_leave_no_seam(refiner: TrimapModel) -> None:
    """A picture of several tiles: what neighbours say of their common pixels meets without a step."""
    height, width = 320, 460
    rgb, _, truth = example(height, width, softness=0.04)
    color = ColorInfo("rgb", full_range=True)
    frame = Frame(planes_from_rgb(rgb, "gbrp", color), "gbrp", 0, Fraction(1, 25), color=color)
    matte = Matte(resize(truth, height // 4, width // 4))
    done = TileRefiner(refiner)(frame, matte, np.rint(truth * 255).astype(np.uint8))
    assert len(done.done) > 1
    alpha = done.plane / 255
    assert np.abs(alpha - truth).mean() < 0.05
    steps = np.abs(np.diff(alpha, axis=1)).max(0)  # the largest between each two columns
    assert steps.max() < 0.5
