"""A JPEG or WebP picture in memory → the frame that it holds."""

from __future__ import annotations

from typing import Final

import av
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame

from emofuse.core.errors import LimitError, MediaError
from emofuse.core.limits import Limits
from emofuse.media.container import DECODING_ERRORS

PICTURE: Final = "<picture>"
"""What a picture is called in messages."""


def decode_picture(data: bytes, limits: Limits | None = None) -> VideoFrame:
    """Decode one picture. Its number of pixels is checked before room is made for them.

    Args:
        data: the bytes of a JPEG or a WebP file; of an animation, the first picture is meant.
        limits: how many pixels it may have.

    Raises:
        LimitError: it has too many pixels.
        MediaError: it is neither a JPEG nor a WebP picture, or is damaged or cut off.
    """
    limits = limits or Limits()
    # a decoder for each picture: what one holds cannot change how the next is read
    decoder = av.CodecContext.create(_codec(data), "r")
    assert isinstance(decoder, VideoCodecContext)
    decoder.options = {"max_pixels": str(limits.max_pixels), "err_detect": "explode"}
    decoder.thread_count = 1
    try:
        frames = [*decoder.decode(Packet(data)), *decoder.decode(None)]
    except av.error.ArgumentError:
        most = f"{limits.max_pixels / 1e6:g}"
        raise LimitError(PICTURE, f"it has more pixels than the limit, {most} million") from None
    except DECODING_ERRORS:
        frames = []
    if not frames:
        raise MediaError(PICTURE, "it is damaged or cut off")
    return frames[0]


def _codec(data: bytes) -> str:
    if data.startswith(b"\xff\xd8\xff"):
        return "mjpeg"
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "webp"
    raise MediaError(PICTURE, "it is neither a JPEG nor a WebP picture")
