"""One frame of reference for a video whose frames change their size: the size of the first frame.

Browsers record what their network allows, and joined broadcasts change on the way. A frame of another size is
shown as large as fits, in the middle, and the rest is black.
"""

from __future__ import annotations

import math
from typing import Final

import cv2
import numpy as np
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from emofuse.core.records import UInt8
from emofuse.media.orientation import orientation

Size = tuple[int, int]
"""Width and height, in pixels."""


MOST_PX: Final = 9_000_000
"""Larger frames than 4K are reduced to a half, a third, … before faces are searched in them."""


def searched_size(size: Size) -> Size:
    """The size to which frames of a size are reduced before faces are searched in them."""
    width, height = size
    step = math.ceil(math.sqrt(width * height / MOST_PX))
    return max(1, width // step), max(1, height // step)


def pixel_aspect(video: VideoStream) -> float:
    """Width of a pixel over its height; 1 where the file gives none, or an implausible one."""
    ratio = video.sample_aspect_ratio
    value = float(ratio) if ratio else 1.0
    return value if 0.25 < value < 4 else 1.0


def upright_size(frame: VideoFrame, aspect: float) -> Size:
    """Of the upright frame with square pixels; ``aspect``: width of a coded pixel over its height."""
    width, height = frame.width, frame.height
    if aspect != 1.0:
        width = max(1, round(width * aspect))
    return (height, width) if orientation(frame).transposed else (width, height)


def letterboxed(image: UInt8, size: Size) -> UInt8:
    """A gray or color image in the middle of a black one of the given size, as large as fits."""
    width, height = size
    if image.shape[:2] == (height, width):
        return image
    scale = min(width / image.shape[1], height / image.shape[0])
    inner = max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    scaled = np.asarray(cv2.resize(image, inner, interpolation=how), dtype=np.uint8)
    canvas = np.zeros((height, width, *image.shape[2:]), np.uint8)
    left, top = (width - inner[0]) // 2, (height - inner[1]) // 2
    canvas[top : top + inner[1], left : left + inner[0]] = scaled
    return canvas
