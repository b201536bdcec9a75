"""What a person looks like in a frame, and how much two appearances differ.

An appearance has two parts: the pattern of the face (brows, eyes, nose, mouth, as edges, independent of
brightness), and the colors of hair, skin, clothes and background. Both are simple on purpose: they need
OpenCV only, take a millisecond, and serve to tell apart the few people of one video.

Limits: they cannot recognize a person who returns in other clothes before another wall, in strongly colored
light, or turned far to the side, nor tell apart twins in the same uniform. This is not face recognition: an
appearance is stored only while a video is read, and means nothing beyond it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np

from emofuse.core.records import Float32, UInt8
from emofuse.features.face.boxes import Box, cut_out

_WIDE: Final = 1.5
"""Side of the square stored around the center of a face, in widths of its box."""
_WIDE_PX: Final = 60
_FACE_PX: Final = 34
"""The part of it that is searched in the other pattern: the face without its outline."""
_SCALES_PX: Final = (60, 50, 72, 55, 66)
"""The detector's sizes are a fifth apart: patterns are compared at these and at sizes in between."""
_REACH_PX: Final = 16
"""How far, in both directions together, the other face may be off the center of its box."""
_ALIKE: Final = 0.85
"""Patterns with a higher correlation need no further comparison."""

# Left, top, right, bottom of each part, in widths of the box from its upper left corner.
_PARTS: Final = np.array(
    [
        (0.15, -0.45, 0.85, -0.10),  # hair
        (0.20, 0.25, 0.80, 0.90),  # skin
        (-0.20, 1.45, 1.20, 1.90),  # clothes
        (-0.80, -0.20, -0.40, 0.80),  # behind, on the left
        (1.40, -0.20, 1.80, 0.80),  # behind, on the right
    ]
)
_SIZES: Final = (1.0, 1 / 1.2, 1.2)
_SKIN: Final = 1
_SKIN_LEVEL: Final = 140.0
_COMPENSATION: Final = 0.7
_COLOR_SPREAD: Final = np.array([28.0, 5.0, 5.0], dtype=np.float32)
"""How much one person's colors vary in a video, in 8-bit Lab: light changes L more than a and b."""


@dataclass(frozen=True, slots=True)
class Appearance:
    """A person's appearance in one frame.

    ``pattern``: (60, 60) float32, the face and its surroundings, without local mean and contrast; ``colors``:
    (3, 5, 3) float32: for a box of the detected size, a smaller and a larger one, mean Lab of hair, skin,
    clothes, left, right; nan outside the frame.
    """

    pattern: Float32
    colors: Float32


def describe_appearance(small: UInt8, box: Box, scale: float) -> Appearance:
    """A person's appearance in ``small``, (height, width, 3) BGR; ``scale``: its pixels per box pixel."""
    left, top, right, bottom = (side * scale for side in box)
    center = (left + right) / 2, (top + bottom) / 2
    return Appearance(_pattern(small, (left, top, right, bottom)), _colors(small, center, right - left))


def pattern_difference(a: Appearance, b: Appearance) -> float:
    """0: the same face; about 1: nothing in common. Shifts and sizes of the boxes are compensated."""
    inset = (_WIDE_PX - _FACE_PX) // 2
    face = a.pattern[inset : inset + _FACE_PX, inset : inset + _FACE_PX]
    best = -1.0
    for side in _SCALES_PX:
        other = b.pattern if side == _WIDE_PX else cv2.resize(b.pattern, (side, side))
        margin = (side - _FACE_PX - _REACH_PX) // 2
        other = np.ascontiguousarray(other[margin : side - margin, margin : side - margin])
        best = max(best, float(cv2.matchTemplate(other, face, cv2.TM_CCOEFF_NORMED).max()))
        if best > _ALIKE:
            break
    return 1.0 - best


def color_difference(a: Appearance, b: Appearance) -> float:
    """Root mean square over the parts that both show, in spreads of one person; 0 if they share none."""
    smaller = min(_distance(a.colors[:1], b.colors), _distance(a.colors, b.colors[:1]))
    return math.sqrt(smaller)


def _distance(a: Float32, b: Float32) -> float:
    squares = np.square((a - b) / _COLOR_SPREAD).mean(axis=2)
    visible = ~np.isnan(squares)
    shared = visible.sum(axis=1)
    return float((np.where(visible, squares, 0.0).sum(axis=1) / np.maximum(shared, 1)).min())


def _pattern(small: UInt8, box: tuple[float, float, float, float]) -> Float32:
    side = _WIDE * (box[2] - box[0])
    left, top = round((box[0] + box[2] - side) / 2), round((box[1] + box[3] - side) / 2)
    size = max(4, round(side))
    gray = cv2.cvtColor(cut_out(small, (left, top, left + size, top + size)), cv2.COLOR_BGR2GRAY)
    patch = cv2.resize(gray, (_WIDE_PX, _WIDE_PX), interpolation=cv2.INTER_AREA).astype(np.float32)
    patch -= cv2.GaussianBlur(patch, (0, 0), 5)
    contrast = np.sqrt(cv2.GaussianBlur(patch * patch, (0, 0), 8)) + 3.0
    return np.asarray(patch / contrast, dtype=np.float32)


def _colors(small: UInt8, center: tuple[float, float], width: float) -> Float32:
    means = np.full((len(_SIZES), len(_PARTS), 3), np.nan, dtype=np.float32)
    for size, rows in zip(_SIZES, means, strict=True):
        corner = np.array(center * 2) - size * width / 2
        for row, (left, top, right, bottom) in zip(
            rows, np.rint(corner + size * width * _PARTS).astype(int).tolist(), strict=True
        ):
            piece = small[max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)]
            # Less than a third of a part is too little to determine its color.
            if 3 * piece.shape[0] * piece.shape[1] >= max(1, (right - left) * (bottom - top)):
                row[:] = cv2.mean(piece)[:3]
    skin = float(means[0, _SKIN].mean())
    # Brightness is compensated in part: completely, and all people's skin would be equally bright.
    gain = 1.0 if math.isnan(skin) else (_SKIN_LEVEL / max(skin, 10.0)) ** _COMPENSATION
    balanced = np.nan_to_num(np.minimum(means * (gain / 255), 1.5))
    lab = np.asarray(cv2.cvtColor(balanced, cv2.COLOR_BGR2LAB), dtype=np.float32)
    lab[:, :, 0] *= 2.55
    lab[np.isnan(means[:, :, 0])] = np.nan
    return lab
