"""dlib's frontal face detector (histograms of oriented gradients, King 2009) and its image pyramid.

The detector searches a pyramid of images, each 5/6 the size of the one before, and finds faces of about
75 pixels in each. Most of its time goes into the large levels, where only small faces are found, so the
searches of this package start from a smaller level.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import dlib

LEVEL_RATIO: Final = 1.2
"""Each level of the pyramid is this much smaller than the one before."""
EASY_FACE_PX: Final = 84
"""Width at which a known face is searched: one level above the smallest that is found."""
GRID_PX: Final = 48
"""Corners of searched regions lie on this grid. The detector's cells are 8 pixels: on this grid they fall on
the same pixels at its two largest levels, so a box does not jump because the region moved."""

_DETECTOR_FILE: Final = Path(__file__).with_name("frontal_face_detector.dat")
"""What ``dlib.get_frontal_face_detector().save`` writes."""

_of_thread = threading.local()


def frontal_face_detector() -> tuple[Any, Any]:
    """The detector and its pyramid, made once per thread: one detector used by several threads crashes."""
    if not hasattr(_of_thread, "detector"):
        _of_thread.detector = _read_detector(), dlib.pyramid_down(6)
    made: tuple[Any, Any] = _of_thread.detector
    return made


def _read_detector() -> Any:
    """The detector from our file, in a millisecond: dlib takes half a second to unpack its own."""
    try:
        return dlib.fhog_object_detector(str(_DETECTOR_FILE))
    except RuntimeError:  # another version of dlib may use another layout
        return dlib.get_frontal_face_detector()


def smaller_shape(height: int, width: int) -> tuple[int, int]:
    """Height and width of the next level of the pyramid: 5/6, rounded down."""
    return max(2, 5 * height // 6), max(2, 5 * width // 6)


def level_for_height(shape: Sequence[int], height_px: int) -> int:
    """The number of the level whose shorter side is nearest to a height; ``shape``: of level 0."""
    return max(0, round(math.log(min(shape) / height_px) / math.log(LEVEL_RATIO)))


def level_for_face(width_px: int) -> int:
    """The number of the smallest level on which a face of this width is still found easily."""
    return max(0, int(math.log(max(width_px, 1) / EASY_FACE_PX) / math.log(LEVEL_RATIO)))
