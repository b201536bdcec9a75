"""What a video decoder may take: pixels of a frame, and frames that are decoded at once."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final

from av.video.stream import VideoStream

from emofuse.core.errors import LimitError
from emofuse.core.limits import MAX_PIXELS, Limits
from emofuse.media.letterbox import pixel_aspect

_AT_ONCE_PX: Final = 2**25
"""Each thread decodes a frame of its own and holds it: of full HD up to 16 frames, of 4K up to 4."""


_PADDING_PX: Final = 2**16
"""Decoders count whole blocks: 1088 rows for 1080. With these, no allowed frame is refused."""
_ANY: Final = 16
"""FFmpeg uses no more threads by itself."""


def codec_options(limits: Limits) -> dict[str, str]:
    """The options of FFmpeg with which every decoder refuses larger frames, also while a file is opened."""
    return {"max_pixels": str(limits.max_pixels + limits.max_pixels // 8 + _PADDING_PX)}


def check_size(path: Path, video: VideoStream, limits: Limits) -> None:
    """Refuse a video before a frame of it is decoded.

    Raises:
        LimitError: its frames have too many pixels.
    """
    width, height = video.codec_context.width, video.codec_context.height
    n_pixels = round(width * height * _stretch(video))
    if n_pixels > limits.max_pixels:
        most = f"{limits.max_pixels / 1e6:g}"
        problem = (
            f"frames of {width}x{height} are over the limit: {n_pixels / 1e6:.0f} of {most} million pixels; "
            f"raise it by {MAX_PIXELS} or Limits(max_pixels=…)"
        )
        raise LimitError(path, problem)


def set_up_decoder(path: Path, video: VideoStream, threads: int, limits: Limits) -> None:
    """Prepare the decoder of a video: several frames at once where they are small.

    ``threads``: 0: one per core. What is decoded does not depend on it.

    Raises:
        LimitError: its frames have too many pixels.
    """
    check_size(path, video, limits)
    context: Any = video.codec_context
    n_pixels = context.width * context.height
    most = _AT_ONCE_PX // n_pixels if n_pixels else _ANY
    video.thread_type = "AUTO" if most > 1 else "SLICE"
    if 1 < most <= _ANY:
        threads = min(threads or os.cpu_count() or 1, most)
    context.thread_count = threads
    # frames may grow on the way
    context.options = codec_options(Limits(max(1, int(limits.max_pixels / _stretch(video)))))


def _stretch(video: VideoStream) -> float:
    """How many times as many pixels a frame has when its pixels are made square."""
    return max(1.0, pixel_aspect(video))
