"""What every registered model keeps to; run with the weights it is shipped with."""

import numpy as np
import pytest

from livematte import registry
from livematte.errors import ModelError
from livematte.inference.weights import find_card, verified_path
from livematte.protocols import Model

NAMES = registry.names("models")
_FRAMES = [(720, 1280), (1920, 1080), (480, 640), (33, 57), (1, 1), (2160, 3840), (64, 4000)]


@pytest.fixture(scope="module", params=NAMES)
def model(request):
    if not find_card(request.param).files:
        pytest.skip(f"{request.param} is shipped without weights")
    return registry.load("models", request.param)(device="cpu")


def picture(size, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)


def test_there_are_models():
    assert NAMES


@pytest.mark.parametrize("name", NAMES)
def test_card_says_what_a_user_must_know(name):
    facts = find_card(name).facts
    for key in ("name", "paper", "parameters", "gflops", "input", "data", "recipe", "licence", "limits"):
        assert facts.get(key), f"{name}: the card lacks {key}"
    assert facts["name"] == name


@pytest.mark.parametrize("name", NAMES)
def test_shipped_files_are_those_of_the_card_and_small(name):
    for file in find_card(name).files:
        assert verified_path(file).stat().st_size <= 8_000_000
        assert file.path.suffix in (".safetensors", ".onnx")


@pytest.mark.parametrize("name", NAMES)
def test_without_shipped_weights_a_model_says_so(name):
    if find_card(name).files:
        pytest.skip("it is shipped with weights")
    with pytest.raises(ModelError, match="no weights are shipped"):
        registry.load("models", name)(device="cpu")


def test_is_a_model(model):
    assert isinstance(model, Model)


@pytest.mark.parametrize("frame", _FRAMES)
def test_input_size_is_two_positive_integers_of_modest_area(model, frame):
    height, width = model.input_size(*frame)
    assert isinstance(height, int) and isinstance(width, int)
    assert height > 0 and width > 0 and height * width <= 512 * 512


@pytest.mark.parametrize("frame", [(720, 1280), (1280, 720), (512, 512)])
def test_matte_has_the_size_asked_for_and_alpha_in_0_to_1(model, frame):
    size = model.input_size(*frame)
    matte, _ = model(picture(size), None)
    assert matte.alpha.shape == size and matte.alpha.dtype == np.float32
    assert np.isfinite(matte.alpha).all() and matte.alpha.min() >= 0 and matte.alpha.max() <= 1
    assert matte.foreground is None or matte.foreground.shape == (*size, 3)


def test_a_new_shot_forgets_the_old_one(model):
    size = model.input_size(720, 1280)
    first, _ = model(picture(size), None)
    _, state = model(picture(size, 1), None)
    model(picture(size, 2), state)
    again, _ = model(picture(size), None)
    np.testing.assert_allclose(again.alpha, first.alpha, atol=1e-6)


def test_the_picture_is_only_borrowed(model):
    rgb = picture(model.input_size(720, 1280))
    before = rgb.copy()
    matte, _ = model(rgb, None)
    kept = matte.alpha.copy()
    np.testing.assert_array_equal(rgb, before)
    rgb[:] = 0
    model(rgb, None)
    np.testing.assert_array_equal(matte.alpha, kept)
