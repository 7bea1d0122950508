"""livematte.Matter: pictures of every kind in, mattes out, and what the mattes give."""

from __future__ import annotations

import threading
from typing import Any

import cv2
import numpy as np
import pytest

import livematte
from livematte.errors import InputError, LivematteError, ModelError, OptionError, UsageError
from livematte.frame import Matte
from livematte.options import MatterOptions
from livematte.options.declaration import declared

HEIGHT, WIDTH = 64, 96


class RedIsForeground:
    """Alpha is 1 where red is more than half; the state counts the pictures of a shot."""

    def __init__(self) -> None:
        self.states: list[Any] = []

    def input_size(self, height: int, width: int) -> tuple[int, int]:
        return 32, 48

    def __call__(self, rgb: Any, state: Any) -> tuple[Matte, Any]:
        self.states.append(state)
        return Matte((rgb[..., 0] > 127).astype(np.float32)), (state or 0) + 1


def picture(shift: int = 0) -> np.ndarray:
    """RGB: a red square on a blue ground."""
    made = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    made[..., 2] = 200
    made[16:48, 32 + shift : 64 + shift] = (240, 10, 20)
    return made


@pytest.fixture
def model() -> RedIsForeground:
    return RedIsForeground()


@pytest.fixture
def matter(model: RedIsForeground) -> livematte.Matter:
    return livematte.Matter(model=model, keep_islands=True)


def png(rgb: np.ndarray) -> bytes:
    return cv2.imencode(".png", rgb[..., ::-1])[1].tobytes()


def same_picture(kind: str) -> Any:
    rgb = picture()
    if kind == "bytes":
        return png(rgb)
    if kind == "PIL":
        image = pytest.importorskip("PIL.Image", reason="pip install pillow")
        return image.fromarray(rgb)
    if kind == "tensor":
        return pytest.importorskip("torch").from_numpy(rgb)
    if kind == "float tensor":
        return pytest.importorskip("torch").from_numpy(rgb).double() / 255
    return {
        "float32": (rgb / 255).astype(np.float32),
        "float16": (rgb / 255).astype(np.float16),
        "strided": np.repeat(rgb, 2, axis=1)[:, ::2],
        "read-only": np.frombuffer(rgb.tobytes(), np.uint8).reshape(rgb.shape),
    }[kind]


@pytest.mark.parametrize(
    "kind", ["bytes", "PIL", "tensor", "float tensor", "float32", "float16", "strided", "read-only"]
)
def test_every_kind_of_picture_gives_the_same_matte(matter: livematte.Matter, kind: str) -> None:
    expected = matter.image(picture())
    found = matter.image(same_picture(kind))
    np.testing.assert_array_equal(found.alpha, expected.alpha)
    np.testing.assert_array_equal(found.picture, picture())


def test_alpha_and_foreground_have_the_size_of_the_picture(matter: livematte.Matter) -> None:
    matte = matter(picture())
    assert matte.alpha.shape == (HEIGHT, WIDTH) and matte.alpha.dtype == np.float32
    assert matte.foreground.shape == (HEIGHT, WIDTH, 3) and matte.foreground.dtype == np.float32
    assert matte.alpha[32, 48] == 1 and matte.alpha[4, 4] == 0
    np.testing.assert_allclose(matte.foreground[32, 48] * 255, (240, 10, 20), atol=0.5)


def test_a_cut_out_is_straight_rgba(matter: livematte.Matter) -> None:
    cut = matter(picture()).cutout()
    assert cut.shape == (HEIGHT, WIDTH, 4) and cut.dtype == np.uint8
    assert tuple(cut[32, 48]) == (240, 10, 20, 255) and cut[4, 4, 3] == 0


def test_over_is_the_compositing_equation(matter: livematte.Matter) -> None:
    matte = matter(picture())
    made = matte.over((0, 100, 50))
    a = matte.alpha[..., None].astype(float)
    expected = a * matte.foreground * 255 + (1 - a) * np.array((0, 100, 50))
    assert made.shape == (HEIGHT, WIDTH, 3) and made.dtype == np.uint8
    np.testing.assert_allclose(made, expected, atol=1)


@pytest.mark.parametrize("kind", ["array", "float array", "bytes", "path", "text", "colour", "Background"])
def test_every_kind_of_background_is_seen_behind(matter: livematte.Matter, kind: str, tmp_path: Any) -> None:
    white = np.full((10, 10, 3), 255, np.uint8)
    (tmp_path / "white.png").write_bytes(png(white))
    background: Any = {
        "array": white,
        "float array": np.ones((10, 10, 3)),
        "bytes": png(white),
        "path": tmp_path / "white.png",
        "text": "white",
        "colour": (255, 255, 255),
        "Background": livematte.matting.backgrounds.Color((255, 255, 255)),  # type: ignore[attr-defined]
    }[kind]
    made = matter(picture()).over(background)
    assert tuple(made[4, 4]) == (255, 255, 255) and tuple(made[32, 48]) == (240, 10, 20)


def test_a_blurred_background_has_nothing_of_the_person(matter: livematte.Matter) -> None:
    made = matter(picture()).over("blur:40")
    np.testing.assert_allclose(made[4:12, 4:12], np.broadcast_to((0, 0, 200), (8, 8, 3)), atol=2)


def test_bgr_in_is_bgr_out(model: RedIsForeground) -> None:
    rgb = livematte.Matter(model=model, keep_islands=True).image(picture())
    bgr = livematte.Matter(model=model, keep_islands=True, channels="bgr").image(picture()[..., ::-1])
    np.testing.assert_array_equal(bgr.alpha, rgb.alpha)
    np.testing.assert_array_equal(bgr.picture[..., ::-1], rgb.picture)
    np.testing.assert_array_equal(bgr.foreground[..., ::-1], rgb.foreground)
    np.testing.assert_array_equal(bgr.over((255, 0, 0))[..., ::-1], rgb.over((255, 0, 0)))
    np.testing.assert_array_equal(bgr.cutout()[..., [2, 1, 0, 3]], rgb.cutout())
    assert bgr._repr_png_() == rgb._repr_png_()


def test_a_pictures_own_transparency_stays(matter: livematte.Matter) -> None:
    rgba = np.dstack([picture(), np.full((HEIGHT, WIDTH), 255, np.uint8)])
    rgba[16:32, :, 3] = 0
    matte = matter.image(rgba)
    assert matte.alpha[24, 48] == 0 and matte.alpha[40, 48] == 1


def test_the_state_of_a_video_is_kept_until_reset(matter: livematte.Matter, model: RedIsForeground) -> None:
    for _ in range(3):
        matter(picture())
    matter.image(picture())
    matter(picture())
    matter.reset()
    matter(picture())
    assert model.states == [None, 1, 2, None, 3, None]


def test_a_still_edge_is_smoothed_in_a_video_and_not_between_pictures() -> None:
    class Flicker(RedIsForeground):
        def __call__(self, rgb: Any, state: Any) -> tuple[Matte, Any]:
            matte, _ = super().__call__(rgb, state)
            return Matte(matte.alpha * np.float32(0.5 + 0.2 * (len(self.states) % 2))), None

    def spread(call: Any) -> float:
        return float(np.ptp([call(picture()).alpha[32, 48] for _ in range(6)]))

    matter = livematte.Matter(model=Flicker(), keep_islands=True, refine="none")
    assert spread(matter.image) > 0.15
    matter.reset()
    assert float(np.ptp([matter(picture()).alpha[32, 48] for _ in range(6)][3:])) < 0.1


def test_another_size_starts_a_new_shot(matter: livematte.Matter, model: RedIsForeground) -> None:
    matter(picture())
    assert matter(picture()[:40]).alpha.shape == (40, WIDTH)
    assert model.states == [None, None]


def test_two_threads_cannot_share_a_video() -> None:
    inside, go_on = threading.Event(), threading.Event()

    class Slow(RedIsForeground):
        def __call__(self, rgb: Any, state: Any) -> tuple[Matte, Any]:
            inside.set()
            assert go_on.wait(30)
            return super().__call__(rgb, state)

    matter = livematte.Matter(model=Slow())
    other = threading.Thread(target=matter, args=(picture(),))
    other.start()
    assert inside.wait(30)
    for call in (lambda: matter(picture()), matter.reset):
        with pytest.raises(UsageError, match="another thread is using this Matter"):
            call()
    go_on.set()
    other.join()
    assert matter(picture()).alpha.shape == (HEIGHT, WIDTH)


def test_many_threads_can_matte_single_pictures(matter: livematte.Matter) -> None:
    expected = {shift: matter.image(picture(shift)).alpha for shift in (-20, -10, 0, 10, 20)}
    wrong: list[int] = []

    def work(shift: int) -> None:
        for _ in range(5):
            if not np.array_equal(matter.image(picture(shift)).alpha, expected[shift]):
                wrong.append(shift)

    threads = [threading.Thread(target=work, args=(shift,)) for shift in expected]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


BAD = {
    "a number": (3, OptionError),
    "a list": ([[1, 2, 3]], OptionError),
    "nothing": (None, OptionError),
    "channels first": (np.zeros((3, 40, 50), np.uint8), InputError),
    "grey": (np.zeros((40, 50), np.uint8), InputError),
    "several": (np.zeros((2, 40, 50, 3), np.uint8), InputError),
    "no pixels": (np.zeros((0, 50, 3), np.uint8), InputError),
    "whole numbers": (np.zeros((40, 50, 3), np.int64), InputError),
    "floats to 255": (np.full((40, 50, 3), 200.0), InputError),
    "NaN": (np.full((40, 50, 3), np.nan), InputError),
    "no bytes": (b"", InputError),
    "bytes of something else": (b"GIF89 but not really" * 100, InputError),
    "too large": (np.broadcast_to(np.zeros(3, np.uint8), (20000, 4, 3)), InputError),
    "no such file": ("nobody.png", InputError),
}


@pytest.mark.parametrize("kind", BAD)
def test_what_is_no_picture_is_refused_in_one_line(matter: livematte.Matter, kind: str) -> None:
    given, error = BAD[kind]
    with pytest.raises(error) as caught:
        matter(given)
    line = str(caught.value)
    assert "\n" not in line and len(line) < 250 and "/tmp" not in line
    if error is OptionError:
        assert isinstance(caught.value, TypeError)


def test_a_pil_image_without_8_bits_is_refused(matter: livematte.Matter) -> None:
    image = pytest.importorskip("PIL.Image", reason="pip install pillow")
    with pytest.raises(InputError, match="mode I;16"):
        matter(image.fromarray(np.zeros((8, 8), np.uint16)))


def test_a_pil_image_is_used_as_its_pixels_are_stored_and_its_file_is_turned_upright(
    matter: livematte.Matter, tmp_path: Any
) -> None:
    image = pytest.importorskip("PIL.Image", reason="pip install pillow")
    ops = pytest.importorskip("PIL.ImageOps")
    stored = image.fromarray(np.rot90(picture()).copy())
    exif = stored.getexif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise
    stored.save(tmp_path / "phone.png", exif=exif)
    opened = image.open(tmp_path / "phone.png")
    upright = matter.image(picture()).alpha
    assert matter.image(opened).alpha.shape == (WIDTH, HEIGHT)
    np.testing.assert_array_equal(matter.image(ops.exif_transpose(opened)).alpha, upright)
    np.testing.assert_array_equal(matter.image(tmp_path / "phone.png").alpha, upright)
    np.testing.assert_array_equal(livematte.image(opened, model=RedIsForeground()).shape[:2], (WIDTH, HEIGHT))


def test_pil_images_of_other_modes_are_converted(matter: livematte.Matter) -> None:
    image = pytest.importorskip("PIL.Image", reason="pip install pillow")
    rgb = image.fromarray(picture())
    for mode in ("RGBA", "P", "RGBX"):
        assert matter.image(rgb.convert(mode)).alpha[32, 48] == 1
    grey = matter.image(rgb.convert("L")).picture
    np.testing.assert_array_equal(grey[..., 0], grey[..., 1])


@pytest.mark.parametrize("alpha", [np.zeros((48, 32), np.float32), np.zeros((32, 48)), None, [0.5]])
def test_a_wrong_alpha_of_the_model_is_refused(alpha: Any) -> None:
    class Wrong(RedIsForeground):
        def __call__(self, rgb: Any, state: Any) -> tuple[Matte, Any]:
            return Matte(alpha), None

    with pytest.raises(ModelError, match="the model Wrong gave"):
        livematte.Matter(model=Wrong())(picture())


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"fit": "covr"}, "fit 'covr' is invalid: did you mean 'cover'?"),
        ({"fit": 3}, "fit 3 is invalid: use cover, contain or stretch"),
    ],
)
def test_a_wrong_fit_is_refused(matter: livematte.Matter, options: Any, line: str) -> None:
    with pytest.raises(LivematteError, match=line.replace("?", r"\?")):
        matter(picture()).over("green", **options)


@pytest.mark.parametrize("background", [(300, 0, 0), [1, 2], object(), "no such colour", np.zeros((4, 4))])
def test_a_wrong_background_is_refused_in_one_line(matter: livematte.Matter, background: Any) -> None:
    with pytest.raises(LivematteError) as caught:
        matter(picture()).over(background)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 250


def test_long_values_are_not_printed() -> None:
    for value in ("x" * 5000, np.zeros((1000, 1000)), {"a": ["b"] * 1000}, 10**5000):
        with pytest.raises(LivematteError) as caught:
            livematte.Matter(size=value)  # type: ignore[arg-type]
        assert len(str(caught.value)) < 150


def test_frames_and_mattes_are_shown_in_one_line(matter: livematte.Matter) -> None:
    matte = matter(picture())
    assert repr(matte) == "<PictureMatte alpha (64, 96) float32, foreground (64, 96, 3) float32>"
    assert repr(matte.frame) == "<Frame 96x64 gbrp at 0.000 s>"


def test_a_file_as_background_is_opened_once_for_a_video(
    matter: livematte.Matter, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from livematte import picture_matte

    (tmp_path / "white.png").write_bytes(png(np.full((10, 10, 3), 255, np.uint8)))
    opened: list[object] = []
    real = picture_matte.resolve_background
    monkeypatch.setattr(
        picture_matte, "resolve_background", lambda *given: opened.append(given) or real(*given)
    )
    for _ in range(3):
        matter(picture()).over(tmp_path / "white.png")
    assert len(opened) == 1


def test_every_choice_is_typed_for_an_editor() -> None:
    typed = {each.name: each.choices for each in declared(MatterOptions) if each.choices}
    assert typed == {
        "temporal": ("on", "strong", "off"),
        "regions": ("auto", "off"),
        "runtime": ("auto", "openvino", "onnxruntime", "torch", "tensorrt"),
        "precision": ("auto", "int8", "fp32", "fp16", "bf16"),
        "channels": ("rgb", "bgr"),
    }
