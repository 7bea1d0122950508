"""How large a picture a network sees, and what happens where memory does not suffice for it."""

import numpy as np
import pytest

from livematte import registry
from livematte.inference import Input, adapters
from livematte.inference.model_spec import RGB, ModelSpec
from livematte.inference.network import OutOfMemory
from livematte.options import DEFAULT_MODEL


@pytest.mark.parametrize(
    ("frame", "small"),
    [
        ((720, 1280), (192, 352)),
        ((1080, 1920), (192, 352)),
        ((1920, 1080), (352, 192)),
        ((480, 640), (224, 288)),
        ((512, 512), (256, 256)),
        ((721, 1281), (192, 352)),
    ],
)
def test_sizes_for_common_frames(frame, small):
    assert adapters.choose_size(*frame) == small


@pytest.mark.parametrize("aspect", np.geomspace(1 / 4, 4, 60))
def test_every_usual_aspect_is_kept_within_tolerance_near_the_budget(aspect):
    height, width = adapters.choose_size(1000, round(1000 * aspect))
    assert height % 32 == width % 32 == 0
    assert abs(np.log(width / height / aspect)) <= np.log(1.085)
    assert 0.6 <= height * width / adapters.PIXEL_BUDGET <= 1.4


def test_long_side_asked_for_is_given_as_a_multiple_of_32():
    assert adapters.choose_size(720, 1280, 512) == (288, 512)
    assert adapters.choose_size(1280, 720, 500) == (512, 288)
    assert adapters.choose_size(100, 10000, 320) == (32, 320)


@pytest.mark.parametrize("asked", [192, 352, 512, 640, 800, 1024, 4096])
@pytest.mark.parametrize("frame", [(360, 640), (480, 480), (1080, 1920), (640, 352)])
def test_no_size_is_larger_than_the_frame(asked, frame):
    height, width = adapters.choose_size(*frame, asked)
    assert height <= frame[0] + 31 and width <= frame[1] + 31


def test_a_tiny_frame_is_enlarged_as_before():
    assert adapters.choose_size(90, 160, 0, 32, 256 * 448) == adapters.choose_size(90, 160) == (192, 352)
    assert adapters.choose_size(90, 160, 1024) == (192, 352)


@pytest.mark.parametrize(
    ("frame", "small"),
    [
        ((1080, 1920), (256, 448)),
        ((1920, 1080), (448, 256)),
        ((3000, 3000), (352, 352)),
        ((240, 426), (256, 448)),
        ((200, 360), (192, 352)),
    ],
)
def test_a_card_may_name_a_larger_size_but_a_frame_is_not_enlarged(frame, small):
    assert adapters.choose_size(*frame, 0, 32, 256 * 448) == small


MAPS = ("alpha", "foreground_rgb", "coarse")


class Rows:
    """A network whose maps follow from each pixel alone, with room for so many pixels and no more."""

    def __init__(self, room):
        self.room, self.asked = room, []

    def __call__(self, rgb, guide):
        self.asked.append(guide.shape[1:])
        if guide[0].size > self.room:
            raise OutOfMemory("no room")
        share = rgb[..., 0].astype(np.float32) / 255
        return share, rgb.astype(np.float32) / 255, share[:, None, ::8, ::8]


def refiner(room, stride=32):
    guide = Input("guide", "uint8", (1, None, None), (1, 64, 64))
    spec = ModelSpec("rows", None, "", "", MAPS, ("coarse",), (RGB, guide), stride)
    return adapters.NetworkRefiner(spec, None, Rows(room), lambda trimap: trimap[None], trust_trimap=False)


@pytest.mark.parametrize("size", [(256, 192), (192, 320), (250, 90)])
@pytest.mark.parametrize("stride", [8, 32])
def test_a_refiner_out_of_memory_works_on_parts_and_gives_the_same(size, stride):
    rgb = np.random.default_rng(1).integers(0, 256, (*size, 3), np.uint8)
    trimap = np.full(size, 128, np.uint8)
    small, whole = refiner(160 * 160, stride), refiner(10**9, stride)
    got, wanted = small.refine(rgb, trimap), whole.refine(rgb, trimap)
    np.testing.assert_allclose(got.alpha, wanted.alpha, atol=1e-6)
    np.testing.assert_allclose(got.foreground, wanted.foreground, atol=1e-6)
    np.testing.assert_allclose(got.extras["coarse"], wanted.extras["coarse"], atol=1e-6)
    assert got.alpha.shape == size and whole.notes == []
    fits = np.prod([-(-n // stride) * stride for n in size]) <= 160 * 160
    assert len(small.notes) == (0 if fits else 1)
    failed = sum(h * w > 160 * 160 for h, w in small.network.asked)
    small.refine(rgb, trimap)
    assert sum(h * w > 160 * 160 for h, w in small.network.asked) == failed, "it knows by now"


def test_the_seam_of_halves_is_mixed_smoothly():
    class Sides(Rows):
        """Says 0 for a part at the top and 1 for any other."""

        def __call__(self, rgb, guide):
            share, front, coarse = super().__call__(rgb, guide)
            share = np.full_like(share, rgb[0, 0, 0, 0] > 0)
            return share, front, coarse

    parted = refiner(0)
    parted.network = Sides(200 * 64)
    rows = np.arange(256, dtype=np.uint8)[:, None, None]
    alpha = parted.refine(np.broadcast_to(rows, (256, 64, 3)).copy(), np.zeros((256, 64), np.uint8)).alpha
    assert (alpha[:96] == 0).all() and (alpha[160:] == 1).all()
    assert 0 < np.diff(alpha[:, 0])[96:159].max() < 0.02


def test_a_refiner_without_room_for_the_smallest_part_says_so():
    with pytest.raises(OutOfMemory):
        refiner(10).refine(np.zeros((256, 256, 3), np.uint8), np.zeros((256, 256), np.uint8))


@pytest.mark.parametrize("name", [name for name in registry.names("models") if name.endswith("-live")])
def test_pictures_that_run_together_are_matted_as_they_are_alone(name):
    load = registry.load("models", name)
    alone, together = (load(device="cpu", runtime="torch", threads=1, batch=n) for n in (1, 3))
    rng = np.random.default_rng(2)
    pictures = [np.kron(rng.integers(0, 256, (8, 8, 3)), np.ones((8, 8, 1))).astype(np.uint8) for _ in "abcd"]
    assert together.in_flight == 3 and together.notes == []
    pending = [together.submit(rgb) for rgb in pictures]
    for rgb, later in zip(pictures, pending, strict=True):
        np.testing.assert_allclose(later.result().alpha, alone(rgb, None)[0].alpha, atol=2e-5)


def test_warming_runs_as_many_pictures_as_will_be_under_way():
    model = registry.load("models", DEFAULT_MODEL)(device="cpu", runtime="torch", threads=1, batch=2, size=64)
    counts, submit = [], model.network._network.submit
    model.network._network.submit = lambda rgb: counts.append(rgb.shape) or submit(rgb)
    model.warm_up(720, 1280)
    assert counts == [(2, 32, 64, 3)]
