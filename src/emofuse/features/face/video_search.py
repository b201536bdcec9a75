"""Where the faces of a film's pictures are: near the places where they were, and now and then everywhere.

The detector is that of ``clip_track``, and so are the boxes, within a few per cent of their
width: its pictures are reduced in one step here, not level by level. A known face is looked for around its
last place, on a picture so small that the detector just finds it; that costs a tenth of a search of the
whole picture. What the whole picture costs depends on the smallest face that is to be found, so it is
searched for large faces often and for small ones seldom.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np

from emofuse.core.records import UInt8
from emofuse.features.face.clip_track import Box, frontal_face_detector

_FOLLOW_PX: Final = 84
"""A known face is searched where it is so wide; the detector finds faces from about 75 pixels."""
_MARGIN: Final = 0.4
"""How far around a known face it is searched, in widths of its box."""
_GRID_PX: Final = 48
"""Cells of the detector are 8 pixels: regions that start on this grid have them on the same places at the
detector's two largest levels, so that a box does not jump because the region moved."""
_DEEP_ROWS: Final = 720
"""The largest picture that is searched whole: a face a ninth as wide as the picture is high is found."""
_MIDDLE_ROWS: Final = 360
_EVERY_S: Final = 0.95
"""The whole picture is searched about once a second,"""
_MIDDLE_EACH: Final = 3
"""every third time for smaller faces,"""
_DEEP_EACH: Final = 9
"""and every ninth for small ones: that takes as long as fifteen searches for a known face."""
_AFTER_LOSS_S: Final = 0.39
"""A lost face is searched everywhere at once, but not in every picture from then on."""
_WEAK: Final = 0.7
"""Score below which a face may be too small for the level on which it was found."""
_SAME: Final = 0.3
"""Boxes that overlap so much (intersection over union) are one face."""


@dataclass(frozen=True, slots=True)
class Found:
    """A face in a picture: its box, and how sure the detector is (0 is its threshold)."""

    box: Box
    score: float


class FaceSearch:
    """Finds the faces of pictures that follow each other."""

    def __init__(self, detect_height_px: int) -> None:
        """``detect_height_px``: height of the picture that is searched every second, as in recipes."""
        self._rows = detect_height_px
        self._n_regular = 0
        self._last_s = -math.inf

    def find(
        self, image: UInt8, small: UInt8, time_s: float, known: Sequence[Box], *, fresh: bool
    ) -> list[Found]:
        """The faces of a picture, each once, from left to right.

        Args:
            image: (height, width) uint8 grey.
            small: (height', width', 3) uint8 BGR, the same picture.
            time_s: when it is shown.
            known: where there were faces a moment ago.
            fresh: the picture is the first after a cut, and may hold anybody anywhere.
        """
        rows = self._rows_for(known, image.shape)
        found: list[Found] = []
        left = list(known)
        if fresh or time_s - self._last_s >= _EVERY_S:
            if fresh:
                found = self._ladder(image, small, rows)
            else:
                found = self.whole(image, small, max(rows, self._regular()))
            self._last_s = time_s
            found = self._refined(image, found)
            left = [box for box in known if not any(same_face(box, face.box) for face in found)]
        near = [self.near(image, box) for box in left]
        found += [face for faces in near for face in faces]
        if not all(near) and time_s - self._last_s >= _AFTER_LOSS_S:
            found += self._refined(image, self.whole(image, small, rows))
            self._last_s = time_s
        return merged(found)

    def _refined(self, image: UInt8, found: Sequence[Found]) -> list[Found]:
        """With what a finer picture shows around weak faces: too small ones are found weakly, too large."""
        out = list(found)
        for face in found:
            if face.score < _WEAK:
                left, top, right, bottom = face.box
                edge = (right - left) // 6
                out += self.near(image, (left + edge, top + edge, right - edge, bottom - edge))
        return merged(out)

    def near(self, image: UInt8, box: Box) -> list[Found]:
        """The faces around a place where one was. ``image``: (height, width) grey."""
        number = max(0, int(math.log(max(box[2] - box[0], 1) / _FOLLOW_PX) / math.log(1.2)))
        height, width = _level_shape(image.shape, number)
        scale = image.shape[1] / width, image.shape[0] / height
        margin = _MARGIN * (box[2] - box[0])
        left = max(0, int((box[0] - margin) / scale[0]) // _GRID_PX * _GRID_PX)
        top = max(0, int((box[1] - margin) / scale[1]) // _GRID_PX * _GRID_PX)
        right = min(width, math.ceil((box[2] + margin) / scale[0]))
        bottom = min(height, math.ceil((box[3] + margin) / scale[1]))
        if right - left < _GRID_PX or bottom - top < _GRID_PX:
            return []
        part = image[
            round(top * scale[1]) : round(bottom * scale[1]), round(left * scale[0]) : round(right * scale[0])
        ]
        return _detect(_resized(part, (right - left, bottom - top)), (left, top), scale, image.shape)

    def whole(self, image: UInt8, small: UInt8, rows: int | None = None) -> list[Found]:
        """The faces of a picture reduced to about so many rows (on its shorter side; None: as set)."""
        number = max(0, round(math.log(min(image.shape) / (rows or self._rows)) / math.log(1.2)))
        height, width = _level_shape(image.shape, number)
        source = image
        if small.shape[0] >= height:
            source = np.asarray(cv2.cvtColor(small, cv2.COLOR_BGR2GRAY), dtype=np.uint8)
        scale = image.shape[1] / width, image.shape[0] / height
        return _detect(_resized(source, (width, height)), (0, 0), scale, image.shape)

    def _rows_for(self, boxes: Sequence[Box], shape: Sequence[int]) -> int:
        """How many rows a whole picture must have for all of these faces to be found in it."""
        smallest = min((box[2] - box[0] for box in boxes), default=10**6)
        return max(self._rows, min(_DEEP_ROWS, math.ceil(min(shape) * _FOLLOW_PX / max(smallest, 1))))

    def _ladder(self, image: UInt8, small: UInt8, rows: int) -> list[Found]:
        """The faces of a picture of which nothing is known: small ones only where there is no large one."""
        found: list[Found] = []
        for height in (rows, _MIDDLE_ROWS, _DEEP_ROWS):
            if not found and height >= rows:
                found = self.whole(image, small, height)
        return found

    def _regular(self) -> int:
        """The rows of the next regular search: now and then smaller faces are looked for."""
        self._n_regular += 1
        if self._n_regular % _DEEP_EACH == 0:
            return _DEEP_ROWS
        return _MIDDLE_ROWS if self._n_regular % _MIDDLE_EACH == 0 else self._rows


def merged(found: Sequence[Found]) -> list[Found]:
    """Each face once, the surest box of each, from left to right."""
    kept: list[Found] = []
    for face in sorted(found, key=lambda f: (-f.score, f.box)):
        if all(not same_face(face.box, other.box) for other in kept):
            kept.append(face)
    return sorted(kept, key=lambda f: f.box)


def same_face(a: Box, b: Box) -> bool:
    """Whether two boxes of one picture hold one face: they overlap, or one lies within the other."""
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return False
    one, other = (a[2] - a[0]) * (a[3] - a[1]), (b[2] - b[0]) * (b[3] - b[1])
    common = width * height
    return common > _SAME * (one + other - common) or common > 0.7 * min(one, other)


def _level_shape(shape: Sequence[int], number: int) -> tuple[int, int]:
    """Height and width of a level of the detector's pyramid: each is 5/6 of the one before, rounded down."""
    height, width = shape
    for _ in range(number):
        height, width = max(2, 5 * height // 6), max(2, 5 * width // 6)
    return height, width


def _resized(image: UInt8, size: tuple[int, int]) -> UInt8:
    if image.shape == size[::-1]:
        return np.ascontiguousarray(image)
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def _detect(
    image: UInt8, corner: tuple[int, int], scale: tuple[float, float], shape: Sequence[int]
) -> list[Found]:
    """The faces that lie in a reduced picture for the most part, in pixels of the whole one."""
    faces, scores, _ = frontal_face_detector()[0].run(image, 0, 0.0)
    found = []
    for face, score in zip(faces, scores, strict=True):
        box = (
            round((face.left() + corner[0]) * scale[0]),
            round((face.top() + corner[1]) * scale[1]),
            round((face.right() + 1 + corner[0]) * scale[0]),
            round((face.bottom() + 1 + corner[1]) * scale[1]),
        )
        width = min(box[2], shape[1]) - max(box[0], 0)
        height = min(box[3], shape[0]) - max(box[1], 0)
        if width > 0 and height > 0 and 2 * width * height >= (box[2] - box[0]) * (box[3] - box[1]):
            found.append(Found(box, float(score)))
    return found
