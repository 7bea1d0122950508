"""Pictures whose numbers are linear light, such as OpenEXR: converted to and from sRGB codes.

In these files the colours are multiplied by alpha, and light above 1 is allowed (OpenEXR, technical
introduction). Frames have straight colours and codes of at most 12 bits.
"""

from __future__ import annotations

import struct
from functools import lru_cache
from typing import Any, cast

import numpy as np
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from livematte.errors import InputError
from livematte.frame import Array, Frame
from livematte.kernels.hdr.curves import srgb_code, srgb_light
from livematte.video.pixels import writable_planes

LINEAR = 8
"""AVColorTransferCharacteristic of linear light."""

_UNSPECIFIED_TRANSFERS = (0, 2)
_STEPS = 1 << 14
"""Length of the table from light to codes, over the root of light: fine near black."""

BRIGHT = 1.001
"""Light above this is reported: it becomes 1."""


def is_linear(frame: VideoFrame) -> bool:
    """Return True if the samples are linear light: RGB tagged so, or floats without another tag."""
    transfer = int(frame.color_trc)
    if transfer == LINEAR:
        return bool(frame.format.is_rgb) or _is_float(frame)
    return _is_float(frame) and transfer in _UNSPECIFIED_TRANSFERS


def _is_float(frame: VideoFrame) -> bool:
    return frame.format.name.rstrip("bel").endswith(("f16", "f32"))


def has_alpha(frame: VideoFrame) -> bool:
    """Return True if the pixel format has alpha, also in its palette."""
    return frame.format.name == "pal8" or any(component.is_alpha for component in frame.format.components)


def linear_format(frame: VideoFrame) -> str:
    """Return the pixel format of the frame that :func:`linear_to_srgb` returns."""
    return "gbrap12le" if has_alpha(frame) else "gbrp12le"


def linear_to_srgb(frame: VideoFrame, to_bt709: Array | None = None) -> tuple[VideoFrame, float]:
    """Convert linear light to straight sRGB codes of 12 bits. Colours in floats are multiplied by alpha.

    Args:
        frame: float samples, or RGB integers whose maximum is light 1.
        to_bt709: (3, 3) matrix to linear RGB of BT.709 and sRGB; None if the picture has these primaries.

    Returns:
        the new frame, without times and tags, and its brightest light.
    """
    channels = _channels(frame)
    light, alpha = channels[..., :3], channels[..., 3] if channels.shape[-1] == 4 else None
    if alpha is not None:
        alpha = np.clip(np.nan_to_num(alpha), 0, 1)
    if alpha is not None and _is_float(frame):
        light = light / np.maximum(alpha, np.float32(1e-6))[..., None]
    if to_bt709 is not None:
        import cv2  # only for pictures with other primaries

        light = cv2.transform(np.ascontiguousarray(light), to_bt709)
    light = np.nan_to_num(light, nan=0.0, posinf=1e9, neginf=0.0)
    brightest = float(light.max() if alpha is None else (light * (alpha > 0)[..., None]).max())
    index = np.sqrt(np.clip(light, 0, 1)) * np.float32(_STEPS - 1) + np.float32(0.5)
    codes = np.take(_code_table(), index.astype(np.uint16))
    name = linear_format(frame)
    out = VideoFrame(frame.width, frame.height, name)
    planes = writable_planes(out, name)
    for plane, channel in zip(planes, (1, 2, 0), strict=False):  # G, B, R
        np.copyto(plane, codes[..., channel])
    if alpha is not None:
        np.copyto(planes[3], np.rint(alpha * 4095).astype(np.uint16))
    return out, brightest


def _channels(frame: VideoFrame) -> Array:
    """Return (h, w, 3 or 4) float32 R, G, B and alpha; grey is repeated."""
    name = frame.format.name
    if not _is_float(frame):
        deep = frame.reformat(format="rgba64le" if has_alpha(frame) else "rgb48le").to_ndarray()
        return deep.astype(np.float32) / np.float32(65535)
    order, size = ">" if name.endswith("be") else "<", 2 if "f16" in name else 4
    planes = []
    for plane in frame.planes:
        shape = (plane.height, plane.line_size // size)
        planes.append(np.frombuffer(cast(Any, plane), f"{order}f{size}").reshape(shape).astype(np.float32))
    if len(planes) == 1 and len(frame.format.components) > 1:  # interleaved
        count = len(frame.format.components)
        samples = planes[0][:, : frame.width * count].reshape(frame.height, frame.width, count)
        planes = [samples[..., channel] for channel in range(count)]
        if count == 2:
            planes = [planes[0], planes[0], planes[0], planes[1]]
    else:
        planes = [plane[:, : frame.width] for plane in planes]
        planes = [planes[0]] * 3 if len(planes) == 1 else [planes[2], planes[0], planes[1], *planes[3:]]
    return np.stack(planes, -1)


@lru_cache(maxsize=1)
def _code_table() -> NDArray[np.uint16]:
    """Codes of 12 bits of light (index / (_STEPS - 1))²."""
    return np.rint(srgb_code(np.linspace(0, 1, _STEPS) ** 2) * 4095).astype(np.uint16)


@lru_cache(maxsize=4)
def _light_table(depth: int) -> NDArray[np.float32]:
    return srgb_light(np.arange(1 << depth) / ((1 << depth) - 1)).astype(np.float32)


def linear_picture(rgb: Frame, opacity: Array | None) -> VideoFrame:
    """Return linear light as floats, for an encoder of OpenEXR.

    Args:
        rgb: a frame whose first planes are G, B and R in sRGB codes, or a grey one, whose values are data and
            are not converted.
        opacity: (h, w) float32 alpha in [0, 1], which is written and multiplies the colours; None is no
            alpha.
    """
    layout = rgb.pixel_format
    if layout.gray:
        name, values = "grayf32le", [rgb.planes[0] / np.float32(layout.maximum)]
    else:
        name = "gbrpf32le" if opacity is None else "gbrapf32le"
        values = [np.take(_light_table(layout.depth), plane) for plane in rgb.planes[:3]]
        if opacity is not None:
            values = [*(light * opacity for light in values), opacity]
    out = VideoFrame(rgb.width, rgb.height, name)
    for plane, value in zip(out.planes, values, strict=True):
        shape = (plane.height, plane.line_size // 4)
        view: Array = np.ndarray(shape, np.float32, cast(Any, plane))
        view[:, : rgb.width] = value
    return out


BT709 = (0.64, 0.33, 0.30, 0.60, 0.15, 0.06, 0.3127, 0.3290)
"""CIE 1931 x, y of red, green, blue and white of BT.709 and sRGB; the default of OpenEXR."""

_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
"""Cone responses of the Bradford chromatic adaptation (ICC.1:2022, annex E)."""

_EXR_MAGIC = b"\x76\x2f\x31\x01"
_MAX_HEADER = 1 << 20


def exr_matrix(data: bytes) -> NDArray[np.float32] | None:
    """Return the matrix from the primaries of an OpenEXR file to BT.709; None if it has these, or is no EXR.

    Raises:
        InputError: the primaries are no colours.
    """
    given = _exr_attribute(data, b"chromaticities")
    if given is None or len(given) != 32:
        return None
    primaries = struct.unpack("<8f", given)
    if np.allclose(primaries, BT709, atol=2e-4):
        return None
    try:
        source, target = _xyz_from_rgb(primaries), _xyz_from_rgb(BT709)
        adapted = np.linalg.inv(_BRADFORD) @ np.diag(
            (_BRADFORD @ target.sum(1)) / (_BRADFORD @ source.sum(1))
        ) @ _BRADFORD @ source  # fmt: skip
        matrix = np.linalg.inv(target) @ adapted
    except (np.linalg.LinAlgError, ZeroDivisionError) as error:
        raise InputError("the primaries in the file are no colours") from error
    if not np.isfinite(matrix).all():
        raise InputError("the primaries in the file are no colours")
    return np.asarray(matrix, np.float32)


def _xyz_from_rgb(primaries: tuple[float, ...]) -> NDArray[np.float64]:
    """(3, 3) matrix from linear RGB to CIE XYZ with white at Y = 1 (SMPTE RP 177)."""
    columns = np.array(
        [[x / y, 1, (1 - x - y) / y] for x, y in zip(primaries[::2], primaries[1::2], strict=True)]
    )
    return columns[:3].T * np.linalg.solve(columns[:3].T, columns[3])


def _exr_attribute(data: bytes, wanted: bytes) -> bytes | None:
    """Return the value of an attribute in the (first) header of an OpenEXR file."""
    if data[:4] != _EXR_MAGIC:
        return None
    position, end = 8, min(len(data), _MAX_HEADER)
    while position < end and data[position]:
        name_end = data.find(b"\0", position, end)
        type_end = data.find(b"\0", name_end + 1, end)
        if name_end < 0 or type_end < 0 or type_end + 5 > end:
            return None
        size = int.from_bytes(data[type_end + 1 : type_end + 5], "little")
        begin = type_end + 5
        if data[position:name_end] == wanted:
            return data[begin : begin + size]
        position = begin + size
    return None
