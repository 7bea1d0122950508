"""Colour tags of a stream: interpretation when reading, tags when writing."""

from __future__ import annotations

from dataclasses import replace

from av.video.frame import VideoFrame

from livematte.frame import ColorInfo

MATRIX_BY_TAG = {1: "bt709", 4: "bt601", 5: "bt601", 6: "bt601", 7: "bt709", 9: "bt2020", 10: "bt2020"}
"""AVColorSpace to the matrix used for computation. FCC and SMPTE 240M are within 1 % of 601 and 709."""

TAG_BY_MATRIX = {"bt709": 1, "bt601": 6, "bt2020": 9, "rgb": 0}
"""AVColorSpace value of each matrix."""

SWS_BY_MATRIX = {"bt709": 1, "bt601": 5, "bt2020": 9, "rgb": 0}
"""swscale's own numbers for the same matrices (SWS_CS_*); 0 leaves RGB frames unchanged."""

RANGE_NAMES = {0: "unspecified", 1: "limited", 2: "full"}
MATRIX_NAMES = {0: "rgb", 1: "bt709", 2: "unspecified", 4: "fcc", 5: "bt470bg", 6: "smpte170m",
                7: "smpte240m", 8: "ycgco", 9: "bt2020nc", 10: "bt2020c", 14: "ictcp"}  # fmt: skip
PRIMARIES_NAMES = {1: "bt709", 2: "unspecified", 4: "bt470m", 5: "bt470bg", 6: "smpte170m", 7: "smpte240m",
                   8: "film", 9: "bt2020", 10: "smpte428", 11: "dci-p3",
                   12: "display-p3", 22: "ebu3213"}  # fmt: skip
TRANSFER_NAMES = {1: "bt709", 2: "unspecified", 4: "gamma22", 5: "gamma28", 6: "smpte170m", 7: "smpte240m",
                  8: "linear", 11: "xvycc", 13: "srgb", 14: "bt2020-10", 15: "bt2020-12", 16: "pq",
                  17: "smpte428", 18: "hlg"}  # fmt: skip
HDR_TRANSFERS = {16: "PQ (HDR10)", 18: "HLG"}

_SD_ROWS, _HD_COLUMNS = 576, 1280
"""Untagged video with more rows, or at least as many columns, is assumed to be BT.709, as in mpv and VLC."""

_UNSPECIFIED = (0, 2)
_PRIMARIES_BY_MATRIX = {"bt709": 1, "bt2020": 9}
_PRIMARIES_BY_ROWS = {480: 6, 486: 6, 488: 6, 576: 5}
"""Primaries of untagged SD video of 525 or 625 lines (ITU-R BT.601). Others have those of BT.709."""


def guess_matrix(height: int, width: int) -> str:
    """Return the matrix that players use for untagged video of this size."""
    return "bt709" if height > _SD_ROWS or width >= _HD_COLUMNS else "bt601"


def with_tags(color: ColorInfo, height: int) -> ColorInfo:
    """Return ``color`` with a tag for each unspecified property of an SDR picture, as players assume it.

    Args:
        height: rows, which tell apart the standards of SD video.
    """
    if color.matrix == "rgb":
        return color
    sd = color.matrix == "bt601"
    primaries, transfer, tag = color.primaries, color.transfer, color.matrix_tag
    if tag in _UNSPECIFIED:
        tag = 5 if sd and height == _SD_ROWS else TAG_BY_MATRIX[color.matrix]
    if primaries in _UNSPECIFIED:
        primaries = _PRIMARIES_BY_MATRIX.get(color.matrix) or _PRIMARIES_BY_ROWS.get(height, 1)
    if transfer in _UNSPECIFIED and color.matrix != "bt2020":
        transfer = 6 if primaries in (5, 6) else 1  # the same curve
    return replace(
        color,
        matrix_tag=tag,
        primaries=primaries,
        transfer=transfer,
        range_tag=2 if color.full_range else 1,
    )


def read_color_info(
    frame: VideoFrame, *, rgb: bool, full_range_default: bool, size: tuple[int, int]
) -> ColorInfo:
    """Return the colour interpretation of a decoded frame.

    Args:
        frame: a decoded frame; only its tags are read.
        rgb: True if its planes hold R, G and B.
        full_range_default: the range of untagged frames (True for JPEG and still pictures).
        size: coded (height, width), from which an untagged matrix is guessed.
    """
    tag, primaries = int(frame.colorspace), int(frame.color_primaries)
    if rgb:
        matrix = "rgb"
    elif tag in MATRIX_BY_TAG:
        matrix = MATRIX_BY_TAG[tag]
    elif primaries == 9:
        matrix = "bt2020"
    else:
        matrix = guess_matrix(*size)
    range_tag = int(frame.color_range)
    full = True if rgb else (range_tag == 2 if range_tag in (1, 2) else full_range_default)
    return ColorInfo(matrix, full, primaries, int(frame.color_trc), tag, range_tag)


def as_yuv(color: ColorInfo, height: int, width: int) -> ColorInfo:
    """Return the colour interpretation of an RGB picture that is stored as YUV.

    This is limited range with tags, and BT.601 or BT.709 by size. Other pictures are returned unchanged.
    """
    if color.matrix != "rgb":
        return color
    matrix = guess_matrix(height, width)
    return replace(color, matrix=matrix, full_range=False, matrix_tag=TAG_BY_MATRIX[matrix], range_tag=1)


def as_rgb(color: ColorInfo) -> ColorInfo:
    """Return the colour interpretation of the same colours stored as full-range RGB."""
    return replace(color, matrix="rgb", full_range=True, matrix_tag=TAG_BY_MATRIX["rgb"], range_tag=2)


def names(color: ColorInfo) -> dict[str, str]:
    """Return readable names of the tags: matrix, range, primaries, transfer."""
    return {
        "matrix": MATRIX_NAMES.get(color.matrix_tag, str(color.matrix_tag)),
        "matrix used": color.matrix,
        "range": "full" if color.full_range else "limited",
        "primaries": PRIMARIES_NAMES.get(color.primaries, str(color.primaries)),
        "transfer": TRANSFER_NAMES.get(color.transfer, str(color.transfer)),
    }
