"""Files in a container: attachments, and covers that are stored as such."""

from __future__ import annotations

from av.container.output import OutputContainer
from av.stream import Stream

from livematte.video.transcode import HeaderOnly

_COVER_TYPES = {
    "mjpeg": ("image/jpeg", "jpg"), "png": ("image/png", "png"), "bmp": ("image/bmp", "bmp"),
    "gif": ("image/gif", "gif"), "webp": ("image/webp", "webp"), "tiff": ("image/tiff", "tiff"),
}  # fmt: skip
"""MIME type and extension of an attached cover picture, by codec."""


def attach(output: OutputContainer, stream: Stream) -> HeaderOnly:
    """Copy an attachment."""
    output.add_stream_from_template(stream)
    return HeaderOnly()


def attach_cover(output: OutputContainer, stream: Stream, data: bytes) -> HeaderOnly:
    """Store a cover picture as Matroska does: as an attachment with a name.

    Raises:
        ValueError: it is not of a type that is used for covers.
    """
    kind = _COVER_TYPES.get(stream.codec_context.codec.canonical_name)
    if kind is None or not data:
        raise ValueError("not a type of picture for covers")
    tags = {key.lower(): value for key, value in stream.metadata.items()}
    output.add_attachment(tags.get("filename", f"cover.{kind[1]}"), kind[0], data)
    return HeaderOnly()
