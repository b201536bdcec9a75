"""Boxes around faces: how much they overlap, which of them are one face, and the crop."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np

from emofuse.core.records import UInt8

SAME_OVERLAP: Final = 0.3
"""Boxes with a larger intersection over union are of one face."""
_SAME_SHARE: Final = 0.7
"""So are boxes if more than this share of the smaller one lies within the other."""

Box = tuple[int, int, int, int]
"""Left, top, right and bottom in pixels; right and bottom are exclusive."""


@dataclass(frozen=True, slots=True)
class FaceDetection:
    """A face in a frame: its box and the detector's score, counted from its threshold, which is 0."""

    box: Box
    score: float


def area(box: tuple[float, ...]) -> float:
    """Width times height, in pixels."""
    return (box[2] - box[0]) * (box[3] - box[1])


def overlap(a: tuple[float, ...], b: tuple[float, ...]) -> float:
    """Intersection over union of two boxes, from 0 to 1; they may have fractions of pixels."""
    common = _common_area(a, b)
    if common == 0:
        return 0.0
    both = area(a) + area(b)
    return common / (both - common)


def same_face(a: Box, b: Box) -> bool:
    """Whether two boxes of one frame hold one face: they overlap, or one lies within the other."""
    common = _common_area(a, b)
    if common == 0:
        return False
    both = area(a) + area(b)
    return common > SAME_OVERLAP * (both - common) or common > _SAME_SHARE * min(area(a), area(b))


def distinct_faces(detections: Sequence[FaceDetection]) -> list[FaceDetection]:
    """Each face once, with the highest-scoring box of each, from left to right."""
    retained: list[FaceDetection] = []
    for face in sorted(detections, key=lambda face: (-face.score, face.box)):
        if all(not same_face(face.box, other.box) for other in retained):
            retained.append(face)
    return sorted(retained, key=lambda face: face.box)


def is_inside(box: Box, shape: Sequence[int], least_share: float) -> bool:
    """Whether at least this share of a box's area lies in an image of ``shape``: height, width."""
    common = _common_area(box, (0, 0, shape[1], shape[0]))
    return common > 0 and common >= least_share * area(box)


def crop(image: UInt8, box: Box, size: int) -> UInt8:
    """(size, size) uint8: the box, resized by area; pixels outside the image repeat its edge."""
    return np.asarray(
        cv2.resize(cut_out(image, box), (size, size), interpolation=cv2.INTER_AREA), dtype=np.uint8
    )


def cut_out(image: UInt8, box: Box) -> UInt8:
    """The pixels of a box, (height, width) or (height, width, 3); those outside the image repeat its edge.

    A box that lies outside altogether holds nothing but the nearest edge.
    """
    left, top, right, bottom = box
    height, width = image.shape[:2]
    first_row, first_column = min(max(top, 0), height - 1), min(max(left, 0), width - 1)
    inside = image[first_row : max(bottom, first_row + 1), first_column : max(right, first_column + 1)]
    above, before = max(0, first_row - top), max(0, first_column - left)
    below = max(0, bottom - top - above - inside.shape[0])
    after = max(0, right - left - before - inside.shape[1])
    if above or below or before or after:
        inside = np.asarray(
            cv2.copyMakeBorder(inside, above, below, before, after, cv2.BORDER_REPLICATE), dtype=np.uint8
        )
    return inside[: bottom - top, : right - left]


def _common_area(a: tuple[float, ...], b: tuple[float, ...]) -> float:
    """Area of the intersection; 0 where there is none."""
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    return width * height if width > 0 and height > 0 else 0
