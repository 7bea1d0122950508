"""A ball stays round: in clips, backgrounds, stills and live, whatever shape the pixels have."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import PIL.Image
import pytest

import livematte
from livematte.frame import Array, ColorInfo, Frame, Matte
from livematte.kernels.convert import planes_from_rgb, to_rgb
from livematte.matting.backgrounds import parse_background, read_image
from livematte.protocols import LiveFormat
from livematte.streaming.frame_normalizer import FrameNormalizer
from livematte.video.file_camera import open_file_camera
from livematte.video.images import write_image
from livematte.video.reader import open_video
from livematte.video.writer import open_sink
from tests.balls import BALL, GROUND, ball, ball_clip, joined, roundness
from tests.livepeers import FindsThePerson

WIDE = Fraction(64, 45)
"""PAL at 16:9."""
ROUND = 0.06
"""Tolerance: a ball of 34 pixels, and a pixel."""


def picture(size: tuple[int, int], aspect: Fraction, format: str = "yuv420p") -> Frame:
    """A frame whose pixels have the sample aspect ``aspect``, with a ball that is round as shown."""
    planes = planes_from_rgb(ball(size, aspect), format, ColorInfo())
    return Frame(planes, format, 0, Fraction(1, 25), sample_aspect=aspect)


def has_bars(frame: Frame) -> bool:
    """Whether a row or column at the border is black."""
    grey = to_rgb(frame)[..., 1]
    return any(np.median(line) < GROUND / 2 for line in (grey[0], grey[-1], grey[:, 0], grey[:, -1]))


def is_round(frame: Frame) -> bool:
    return abs(roundness(to_rgb(frame), frame.sample_aspect) - 1) < ROUND


@pytest.mark.parametrize(
    ("name", "codec", "aspect"),
    [
        ("a.mp4", "libx264", WIDE),
        ("a.mov", "mpeg4", Fraction(8, 9)),
        ("a.mkv", "mpeg4", WIDE),
        ("a.mp4", "libsvtav1", Fraction(4, 3)),
        ("b.mov", "prores_ks", Fraction(4, 3)),
        ("a.ts", "libx264", Fraction(16, 11)),
        ("a.avi", "mpeg4", Fraction(16, 11)),
        ("a.mpg", "mpeg2video", Fraction(16, 9) / Fraction(96, 72)),
    ],
)
def test_every_container_and_codec_gives_the_shape_of_its_pixels(
    tmp_path: Path, name: str, codec: str, aspect: Fraction
) -> None:
    format = "yuv422p10le" if codec == "prores_ks" else "yuv420p"
    clip = ball_clip(tmp_path / name, (72, 96), aspect, codec=codec, format=format)
    with closing(open_video(clip)) as source:
        frames = list(source)
        assert abs(source.info.sample_aspect / aspect - 1) < 0.02
        assert all(frame.sample_aspect == source.info.sample_aspect and is_round(frame) for frame in frames)


def test_pixels_of_a_rotated_clip_are_rotated_too(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "a.mp4"), "w") as out:
        stream = out.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 96, 72, "yuv420p"
        stream.codec_context.sample_aspect_ratio = WIDE
        stream.set_display_rotation(90)
        out.mux(stream.encode(av.VideoFrame.from_ndarray(ball((72, 96), WIDE), "rgb24")))
        out.mux(stream.encode(None))
    with closing(open_video(tmp_path / "a.mp4")) as source:
        (frame,) = source
        assert frame.size == (96, 72) and frame.sample_aspect == 1 / WIDE and is_round(frame)


CHANGES: dict[str, Sequence[tuple[tuple[int, int], Fraction]]] = {
    "pixel shape": [((72, 96), Fraction(16, 15)), ((72, 96), WIDE), ((72, 96), Fraction(16, 15))],
    "size": [((72, 128), Fraction(1)), ((96, 96), Fraction(1)), ((128, 72), Fraction(1))],
    "both": [((72, 96), WIDE), ((90, 160), Fraction(1)), ((64, 48), Fraction(2))],
}


@pytest.mark.parametrize("codec", ["libx264", "mpeg2video"])
@pytest.mark.parametrize("change", CHANGES)
def test_a_change_in_mid_stream_gives_bars_and_no_frame_is_stretched(
    tmp_path: Path, codec: str, change: str
) -> None:
    if codec == "mpeg2video" and change != "size":
        parts = [((72, 96), Fraction(1)), ((72, 96), Fraction(4, 3)), ((72, 96), Fraction(1))]
    else:
        parts = list(CHANGES[change])
    clips = [
        ball_clip(tmp_path / f"{number}.ts", size, aspect, codec=codec, frames=6)
        for number, (size, aspect) in enumerate(parts)
    ]
    clip = joined(tmp_path / "joined.ts", clips)
    with closing(open_video(clip)) as source:
        frames = list(source)
        assert len(frames) >= 14
        assert {(f.size, f.sample_aspect) for f in frames} == {(parts[0][0], parts[0][1])}
        assert all(map(is_round, frames))
        assert any("bars" in note for note in source.notes)
        assert not has_bars(frames[0]) and any(map(has_bars, frames))
    with closing(open_video(clip, one_size=False)) as source:
        frames = list(source)
        assert {(f.size, f.sample_aspect) for f in frames} == set(parts) and all(map(is_round, frames))


@pytest.mark.parametrize("rotation", [0, 90])
def test_a_segment_that_begins_with_another_shape_is_fitted_like_the_whole(
    tmp_path: Path, rotation: int
) -> None:
    infos, clips = [], []
    for size, aspect in (((216, 288), WIDE), ((288, 216), Fraction(1))):
        clips.append(ball_clip(tmp_path / f"{size[0]}.mp4", size, aspect, rotation=rotation))
        with closing(open_video(clips[-1])) as source:
            infos.append(source.info)
    for like in infos:
        for clip in clips:
            with closing(open_video(clip, like=like)) as source:
                frames = list(source)
                assert (source.info.height, source.info.width) == (like.height, like.width)
            assert all(f.size == (like.height, like.width) for f in frames)
            assert all(f.sample_aspect == like.sample_aspect and is_round(f) for f in frames)


def test_a_change_of_size_alone_fills_the_picture(tmp_path: Path) -> None:
    clips = [ball_clip(tmp_path / f"{h}.ts", (h, h * 4 // 3)) for h in (72, 96)]
    with closing(open_video(joined(tmp_path / "joined.ts", clips))) as source:
        frames = list(source)
        assert "the picture size changes: scaled to 96x72" in source.notes
    assert not any(has_bars(frame) for frame in frames) and all(map(is_round, frames))


def test_bars_around_a_picture_with_alpha_are_transparent(tmp_path: Path) -> None:
    for number, size in enumerate(((48, 64), (64, 48))):
        PIL.Image.fromarray(np.full((*size, 4), 255, np.uint8)).save(tmp_path / f"{number}.png")
    with closing(open_video(tmp_path / "%d.png")) as source:
        first, second = source
    assert first.planes[3].min() == 255
    assert second.planes[3].max() == 255 and second.planes[3][:, :8].max() == 0


@pytest.mark.parametrize("fit", ["cover", "contain"])
@pytest.mark.parametrize("behind", [Fraction(1), WIDE, Fraction(1, 2)])
@pytest.mark.parametrize("front", [Fraction(1), WIDE, Fraction(8, 9)])
def test_a_background_video_and_a_picture_keep_their_shape(
    tmp_path: Path, front: Fraction, behind: Fraction, fit: str
) -> None:
    clip = ball_clip(tmp_path / "ball.mkv", (72, 96), behind, frames=1)
    still = tmp_path / "ball.png"
    write_image(still, picture((72, 96), behind, "gbrp"))
    for format in ("yuv420p", "gbrp"):
        frame = picture((80, 120), front, format)
        for spec in (clip, still):
            background = parse_background(str(spec), fit=fit)
            made = background(frame, np.zeros((8, 12), np.float32))
            background.close()
            assert made.sample_aspect == front and is_round(made), (spec, format)
            thin = abs(80 * 96 * behind / (72 * 120 * front) - 1) < Fraction(1, 20)
            assert thin or has_bars(made) == (fit == "contain")


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tiff"])
def test_the_pixel_shape_of_a_still_is_read(tmp_path: Path, suffix: str) -> None:
    still = tmp_path / f"ball{suffix}"
    drawn = PIL.Image.fromarray(ball((72, 96), Fraction(3, 2)))
    drawn.save(still, dpi=(96, 144))  # pixels 1.5 times as wide as high
    with closing(open_video(still)) as source:
        (frame,) = source
    assert abs(frame.sample_aspect - Fraction(3, 2)) < 0.01 and is_round(frame)
    rgb = read_image(still)
    assert rgb.shape[:2] == (72, 144) and abs(roundness(rgb) - 1) < ROUND


@pytest.mark.parametrize("aspect", [WIDE, Fraction(1, 2)])
def test_image_writes_square_pixels_and_says_so(tmp_path: Path, aspect: Fraction) -> None:
    clip = ball_clip(tmp_path / "ball.mkv", (72, 96), aspect, codec="mpeg4", frames=1)
    out, alpha = tmp_path / "out.png", tmp_path / "alpha.png"
    report = livematte.image(clip, out, background="black", model=_Bright(), alpha_out=alpha)
    size = (144, 96) if aspect < 1 else (72, 137)
    for file in (out, alpha):
        shown = np.asarray(PIL.Image.open(file).convert("RGB"))
        assert shown.shape[:2] == size and abs(roundness(shown) - 1) < ROUND
    assert report.notes == [f"96x72 becomes {size[1]}x{size[0]}: with square pixels"]


def test_numbered_pictures_keep_their_pixels_and_declare_their_shape(tmp_path: Path) -> None:
    clip = ball_clip(tmp_path / "ball.mkv", (72, 96), WIDE, frames=2)
    with closing(open_video(clip)) as source:
        sink = open_sink(tmp_path / "out" / "%02d.png", source.info)
        for frame in source:
            sink.write(frame)
        sink.close()
        assert any("64:45" in note for note in sink.notes)
    with closing(open_video(tmp_path / "out" / "%02d.png")) as source:
        assert source.info.sample_aspect == WIDE and all(map(is_round, source))


@pytest.mark.parametrize(
    ("name", "codec", "size"),
    [
        ("a.mp4", None, (72, 96)),
        ("a.mov", "prores", (72, 96)),
        ("a.mkv", "x264", (72, 96)),
        ("a.mkv", "ffv1", (72, 137)),
        ("a.webm", "vp9", (72, 137)),
    ],
)
def test_what_is_written_is_round_in_every_player(
    tmp_path: Path, name: str, codec: str | None, size: tuple[int, int]
) -> None:
    clip = ball_clip(tmp_path / "ball.mkv", (72, 96), WIDE, frames=2)
    with closing(open_video(clip)) as source:
        sink = open_sink(tmp_path / name, source.info, codec=codec)
        for frame in source:
            sink.write(frame)
        sink.close()
        assert any("square pixels" in note for note in sink.notes) == (size != (72, 96))
    with av.open(str(tmp_path / name)) as container:
        declared = container.streams.video[0].sample_aspect_ratio or 1
        frame = next(container.decode(video=0)).to_ndarray(format="rgb24")
    assert frame.shape[:2] == size and abs(roundness(frame, declared) - 1) < ROUND


class _Bright(FindsThePerson):
    """Takes what is bright for the person, and remembers the pictures that it saw."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Array] = []

    def __call__(self, rgb: Array, state: object) -> object:  # type: ignore[override]
        self.seen.append(rgb)
        return Matte((rgb.mean(-1) > (BALL + GROUND) / 2).astype(np.float32)), None

    def input_size(self, height: int, width: int) -> tuple[int, int]:
        return height, width


@pytest.mark.parametrize("aspect", [WIDE, Fraction(1, 2)])
def test_a_model_sees_round_balls(tmp_path: Path, aspect: Fraction) -> None:
    clip, model = ball_clip(tmp_path / "ball.mkv", (72, 96), aspect), _Bright()
    assert len(list(livematte.mattes(clip, model=model))) == 3
    assert all(abs(roundness(rgb) - 1) < ROUND for rgb in model.seen)


@pytest.mark.parametrize("fit", ["crop", "pad"])
@pytest.mark.parametrize("format", ["yuv420p", "nv12", "yuv422p", "gbrp", "yuva420p10le"])
@pytest.mark.parametrize(
    ("size", "aspect"), [((72, 96), WIDE), ((72, 72), Fraction(1)), ((96, 40), Fraction(8, 9))]
)
def test_live_frames_have_square_pixels_and_are_cropped_or_shown_whole(
    size: tuple[int, int], aspect: Fraction, format: str, fit: str
) -> None:
    notes: list[str] = []
    normalize = FrameNormalizer(LiveFormat(160, 90, Fraction(25)), fit=fit, note=notes.append)
    made = normalize(picture(size, aspect, format))
    assert made.size == (90, 160) and made.sample_aspect == 1 and is_round(made)
    assert bool(notes) == (fit == "crop")
    if fit == "pad":
        assert made.format == "yuva420p"
        rows, columns = (made.planes[3].max(axis) > 0 for axis in (1, 0))
        assert abs(columns.sum() / rows.sum() / (size[1] * float(aspect) / size[0]) - 1) < 0.05
        inside = to_rgb(made)[rows][:, columns]
        assert not rows.all() or not columns.all()
        assert abs(int(np.median(inside[0])) - GROUND) < 8
    else:
        assert made.format == ("nv12" if format == "nv12" else "yuv420p")
    assert abs(int(to_rgb(made)[45, 80].mean()) - BALL) < 8


def test_a_note_says_how_much_of_a_square_camera_is_cropped() -> None:
    notes: list[str] = []
    normalize = FrameNormalizer(LiveFormat(160, 90, Fraction(25)), note=notes.append)
    normalize(picture((96, 96), Fraction(1)))
    normalize(picture((90, 160), Fraction(1)))
    (note,) = notes
    assert note.startswith("the camera's picture of 96x96 is cropped: 44 % of its height is not shown; ")


def test_a_file_as_camera_keeps_the_shape_of_each_frame(tmp_path: Path) -> None:
    clips = [ball_clip(tmp_path / f"{w}.ts", (72, w)) for w in (96, 128)]
    normalize = FrameNormalizer(LiveFormat(128, 72, Fraction(25)), fit="pad")
    seen = set()
    with open_file_camera(joined(tmp_path / "joined.ts", clips)) as camera:
        for number, frame in enumerate(camera):
            made = normalize(frame)
            assert is_round(made)
            seen.add((frame.size, made.format))
            if number == 5:
                break
    assert seen == {((72, 96), "yuva420p"), ((72, 128), "yuv420p")}
