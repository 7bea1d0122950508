"""The small parts of reading and writing video, against values worked out by hand."""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
import pytest
from av.video.format import VideoFormat

from livematte.errors import InputError, OutputError, UsageError
from livematte.frame import PIXEL_FORMATS, ColorInfo, Frame
from livematte.video import encoders
from livematte.video.alpha_video import to_grey_frame
from livematte.video.color import as_yuv, names
from livematte.video.encoders import ENCODERS, choose_encoder, choose_format, encoder_options
from livematte.video.orientation import Orientation, read_orientation
from livematte.video.pixels import Converter, nearest_format, to_video_frame, view_planes
from livematte.video.tags import content_tags


@pytest.mark.parametrize(
    ("decoded", "held"),
    [
        ("yuvj420p", "yuv420p"), ("gray", "yuv420p"), ("gray16le", "yuv420p12le"), ("ya8", "yuva420p"),
        ("rgb24", "gbrp"), ("bgra", "gbrap"), ("bgr0", "gbrp"), ("pal8", "gbrap"), ("rgb48be", "gbrp12le"),
        ("rgba64le", "gbrap12le"), ("gbrp16le", "gbrp12le"), ("gbrp9le", "gbrp10le"), ("yuv411p", "yuv422p"),
        ("yuv410p", "yuv420p"), ("yuv440p", "yuv444p"), ("p010le", "yuv420p10le"), ("nv12", "nv12"),
        ("nv21", "yuv420p"), ("yuyv422", "yuv422p"), ("nv16", "yuv422p"), ("yuva444p16le", "yuva444p12le"),
        ("yuv420p10le", "yuv420p10le"), ("yuv444p14le", "yuv444p12le"), ("ya16le", "yuva422p12le"),
    ],
)  # fmt: skip
def test_every_decoded_format_has_a_nearest(decoded: str, held: str) -> None:
    assert nearest_format(VideoFormat(decoded)) == held


def test_raw_sensor_data_is_refused() -> None:
    with pytest.raises(InputError, match="raw sensor"):
        nearest_format(VideoFormat("bayer_rggb8"))


@pytest.mark.parametrize("format", sorted(PIXEL_FORMATS))
@pytest.mark.parametrize("size", [(48, 64), (49, 65)])
def test_planes_survive_the_way_to_ffmpeg_and_back(format: str, size: tuple[int, int]) -> None:
    layout = PIXEL_FORMATS[format]
    noise = np.random.default_rng(0)
    dtype = np.uint8 if layout.depth == 8 else np.uint16
    small = layout.chroma_size(*size)
    shapes: list[tuple[int, ...]] = [size, (*small, 2)] if layout.interleaved else [size, small, small]
    shapes += [size] if layout.alpha else []
    shapes = [size] if layout.gray else shapes
    planes = tuple(noise.integers(0, layout.maximum + 1, shape).astype(dtype) for shape in shapes)
    frame = to_video_frame(Frame(planes, format, 7, Fraction(1, 30), 2))
    assert (frame.pts, frame.time_base, frame.duration, frame.format.name) == (7, Fraction(1, 30), 2, format)
    for back, plane in zip(view_planes(frame, format), planes, strict=True):
        np.testing.assert_array_equal(back, plane)


@pytest.mark.parametrize(
    ("turn", "shown"),
    [
        (Orientation(), [[1, 2], [3, 4]]),
        (Orientation(mirror_x=True), [[2, 1], [4, 3]]),
        (Orientation(mirror_y=True), [[3, 4], [1, 2]]),
        (Orientation(mirror_x=True, mirror_y=True), [[4, 3], [2, 1]]),
        (Orientation(transpose=True), [[1, 3], [2, 4]]),
        (Orientation(transpose=True, mirror_x=True), [[3, 1], [4, 2]]),  # a quarter clockwise
    ],
)
def test_turning_by_hand(turn: Orientation, shown: list[list[int]]) -> None:
    np.testing.assert_array_equal(turn(np.array([[1, 2], [3, 4]], np.uint8)), shown)


def test_a_frame_without_a_matrix_is_upright() -> None:
    assert read_orientation(av.VideoFrame(16, 16, "yuv420p")).is_identity


@pytest.mark.parametrize(
    ("matrix", "full", "y", "u", "v"),
    [
        # Pure green, worked out from Kr and Kb of the standards.
        ("bt709", False, 16 + 219 * 0.7152, 128 - 112 * 0.7152 / 0.9278, 128 - 112 * 0.7152 / 0.7874),
        ("bt601", False, 16 + 219 * 0.587, 128 - 112 * 0.587 / 0.886, 128 - 112 * 0.587 / 0.701),
        ("bt2020", False, 16 + 219 * 0.678, 128 - 112 * 0.678 / 0.9407, 128 - 112 * 0.678 / 0.7373),
        ("bt709", True, 255 * 0.7152, 128 - 127.5 * 0.7152 / 0.9278, 128 - 127.5 * 0.7152 / 0.7874),
    ],
)
def test_conversion_uses_matrix_and_range(matrix: str, full: bool, y: float, u: float, v: float) -> None:
    rgb = ColorInfo("rgb", True)
    planes = tuple(np.full((32, 32), value, np.uint8) for value in (255, 0, 0))
    green = to_video_frame(Frame(planes, "gbrp", 0, Fraction(1), color=rgb))
    made = Converter()(green, "yuv444p", rgb, ColorInfo(matrix, full))
    assert [float(plane[9, 9]) for plane in view_planes(made, "yuv444p")] == pytest.approx([y, u, v], abs=1)


@pytest.mark.parametrize("format", ["yuv420p", "yuv420p10le"])
def test_conversion_between_rgb_and_bt2020_and_back(format: str) -> None:
    rgb, hdr = ColorInfo("rgb", True), ColorInfo("bt2020", primaries=9, transfer=16, matrix_tag=9)
    planes = tuple(np.full((32, 32), value, np.uint8) for value in (200, 90, 40))
    stored = Converter()(to_video_frame(Frame(planes, "gbrp", 0, Fraction(1), color=rgb)), format, rgb, hdr)
    back = Converter()(stored, "gbrp", hdr, rgb)
    assert [int(plane[9, 9]) for plane in view_planes(back, "gbrp")] == pytest.approx([200, 90, 40], abs=2)


def test_tags_pass_conversion_untouched_even_reserved_ones() -> None:
    frame = av.VideoFrame(32, 32, "yuv420p")
    frame.colorspace, frame.color_primaries, frame.color_trc = 9, 0, 3
    made = Converter()(frame, "yuv444p", ColorInfo(), ColorInfo())
    assert (made.color_primaries, made.color_trc) == (0, 3)
    assert (frame.colorspace, frame.color_primaries, frame.color_trc) == (9, 0, 3)


def test_grey_of_alpha_by_hand() -> None:
    alpha = np.array([[0, 51], [128, 255]], np.uint8)
    planes = (alpha, np.zeros((1, 1), np.uint8), np.zeros((1, 1), np.uint8), alpha)
    made = to_grey_frame(Frame(planes, "yuva420p", 0, Fraction(1)))
    np.testing.assert_array_equal(view_planes(made, "yuv420p")[0], [[16, 60], [126, 235]])
    np.testing.assert_array_equal(view_planes(made, "yuv420p")[1], [[128]])


def test_untagged_rgb_is_stored_by_size() -> None:
    assert as_yuv(ColorInfo("rgb", True), 480, 640).matrix == "bt601"
    assert as_yuv(ColorInfo("rgb", True), 720, 640).matrix_tag == 1
    assert names(ColorInfo("bt2020", False, 9, 16, 9, 1))["transfer"] == "pq"


def test_codecs_by_container_and_alias() -> None:
    assert choose_encoder("hevc", "mov", alpha=False) == "x265"
    assert choose_encoder("libvpx-vp9", "webm", alpha=True) == "vp9"
    with pytest.raises(UsageError, match="did you mean 'x265'"):
        choose_encoder("x256", "mp4", alpha=False)
    assert encoder_options("x264", None, None, "yuv420p") == {"crf": "18", "preset": "veryfast"}
    assert encoder_options("prores", None, None, "yuva444p10le")["alpha_bits"] == "16"
    with pytest.raises(UsageError, match="0 .best. to 51"):
        encoder_options("x264", 60, None, "yuv420p")


def test_nvenc_takes_crf_as_its_constant_quality() -> None:
    assert encoder_options("h264_nvenc", 23, "p6", "yuv420p") == {
        "rc": "vbr", "b": "0", "cq": "23", "preset": "p6",
    }  # fmt: skip
    known = {"h264_nvenc": 51, "hevc_nvenc": 51, "av1_nvenc": 63}
    for name, worst in known.items():
        told = {option.name: option for option in av.CodecContext.create(name, "w").supported_options.private}
        choices = {choice.name for choice in told["preset"].choices}
        assert set(ENCODERS[name].presets) <= choices
        assert told["cq"].max == ENCODERS[name].best_worst_crf[1] == worst
        assert "vbr" in {choice.name for choice in told["rc"].choices}
    with pytest.raises(UsageError, match="p1, p2"):
        encoder_options("hevc_nvenc", None, "veryfast", "yuv420p")


def test_hevc_is_called_what_apples_players_take_whoever_encodes_it() -> None:
    for name, encoder in ENCODERS.items():
        hevc = av.codec.Codec(encoder.library, "w").canonical_name == "hevc"
        assert encoder.codec_tag == ("hvc1" if hevc else ""), name


@pytest.mark.parametrize(
    ("name", "format", "chosen"),
    [
        ("h264_nvenc", "nv12", "nv12"), ("h264_nvenc", "yuv420p10le", "yuv420p"),
        ("h264_nvenc", "gbrp", "yuv420p"), ("hevc_nvenc", "yuv420p10le", "p010le"),
        ("hevc_nvenc", "yuv422p10le", "yuv444p16le"), ("av1_nvenc", "yuv420p12le", "p010le"),
        ("av1_nvenc", "yuv444p", "yuv420p"),
    ],
)  # fmt: skip
def test_nvenc_gets_what_the_oldest_card_takes(name: str, format: str, chosen: str) -> None:
    assert choose_format(name, PIXEL_FORMATS[format], 120, 160, alpha=False) == chosen


@pytest.mark.parametrize(
    ("format", "stored", "shift"), [("yuv420p10le", "p010le", 6), ("yuv444p10le", "yuv444p16le", 6)]
)
def test_ten_bits_come_whole_to_an_encoder_that_wants_them_high(format: str, stored: str, shift: int) -> None:
    luma = (np.arange(64 * 64, dtype=np.uint16) % 1024).reshape(64, 64)
    chroma = np.ascontiguousarray(luma[::2, ::2] if "420" in format else luma.T)
    frame = Frame((luma, chroma, chroma), format, 0, Fraction(1))
    made = Converter()(to_video_frame(frame), stored, ColorInfo(), ColorInfo())
    step = made.planes[0].line_size // 2
    high = np.frombuffer(made.planes[0], np.uint16).reshape(64, step)[:, :64]
    np.testing.assert_array_equal(high >> shift, luma)


def test_an_encoder_of_a_gpu_that_is_not_there_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoders, "driver_gpus", lambda: 0)
    for asked, name, instead in (("nvenc", "h264_nvenc", "x264"), ("h265_nvenc", "hevc_nvenc", "x265")):
        with pytest.raises(OutputError, match=f"--codec {name}: no NVIDIA GPU .* --codec {instead} instead"):
            choose_encoder(asked, "mp4", alpha=False)
    monkeypatch.setattr(encoders, "driver_gpus", lambda: 1)
    assert choose_encoder("nvenc", "matroska", alpha=False) == "h264_nvenc"
    with pytest.raises(UsageError, match="invalid in webm"):
        choose_encoder("nvenc", "webm", alpha=False)


@pytest.mark.parametrize("name", sorted(ENCODERS))
@pytest.mark.parametrize("format", sorted(PIXEL_FORMATS))
def test_an_encoder_format_loses_no_chroma_it_could_keep(name: str, format: str) -> None:
    source = PIXEL_FORMATS[format]
    chosen = choose_format(name, source, 120, 160, alpha=False)
    if chosen in ("bgr0", "bgra"):
        assert source.rgb
        assert source.depth == 8
    elif not source.rgb and not source.gray and name in ("x264", "x265", "ffv1", "prores"):
        assert PIXEL_FORMATS[chosen].chroma <= source.chroma
        assert PIXEL_FORMATS[chosen].depth >= min(source.depth, 10)


def test_stale_tags_are_left_behind() -> None:
    tags = {"title": "a", "encoder": "x", "BPS-eng": "1", "major_brand": "isom", "_STATISTICS_TAGS": "y"}
    assert content_tags(tags) == {"title": "a"}
