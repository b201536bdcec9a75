"""Frames become a face track: detect, follow, crop.

The detector is dlib's frontal face detector (histograms of oriented gradients, King 2009), as in the
notebooks. It looks at a pyramid of pictures, each 5/6 as large as the one before, and finds faces of about
75 pixels in each. Most of its time goes into the large levels, in which only small faces can be found, so
they are left out: the picture is brought down exactly as the detector would, and searched from there.
The boxes are those of a full-size search, within rounding. Where a recipe says so, YuNet looks instead (see
:mod:`emofuse.features.face.yunet`).
"""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import cv2
import dlib
import numpy as np

from emofuse.core.recipes import FaceFeatures
from emofuse.core.records import FaceTrack, TimedFrames, UInt8

Box = tuple[int, int, int, int]
"""Left, top, right, bottom in pixels; right and bottom are just outside."""

_DETECTOR_FILE: Final = Path(__file__).with_name("frontal_face_detector.dat")
"""What ``dlib.get_frontal_face_detector().save`` writes."""
_FOLLOW_PX: Final = 84
"""A followed face is searched where it is still so wide: one level above the smallest that is found."""
_WHOLE_PX: Final = 340
"""Pictures up to this size are searched whole; in larger ones only around the face that is followed."""
_ALIGN_PX: Final = 48
"""The detector's cells are 8 pixels: on this grid they fall on the same places at its two largest levels."""
_COUNT_EVERY: Final = 5
"""Every so many frames the whole picture is searched, to count the faces in it."""


@dataclass(frozen=True, slots=True)
class _Found:
    box: Box
    n_faces: int


def track_face(frames: TimedFrames, features: FaceFeatures) -> FaceTrack | str:
    """Follow one face through the frames; the largest of the first picture with a face.

    Args:
        frames: grey pictures, already cropped to their central square where the recipe asks for it.
        features: the crop's size, the detector and the height at which it looks for faces.

    Returns:
        The track, or the reason why there is none.

    Raises:
        WeightsError: the detector is YuNet, and its weights are absent or altered.
    """
    finder = (_YuNetFinder if features.detector == "yunet" else _Finder)(features.detect_height_px)
    found = [finder.find(image, count=i % _COUNT_EVERY == 0) for i, image in enumerate(frames.images)]
    seen = np.array([face is not None for face in found], dtype=bool)
    if not seen.any():
        n = len(found)
        return f"no face found in {n} frame{'' if n == 1 else 's'}"
    places = np.flatnonzero(seen)
    crops, boxes = [], []
    for i in range(len(found)):
        nearest = int(places[np.abs(frames.times_s[places] - frames.times_s[i]).argmin()])
        face = found[nearest]
        assert face is not None
        crops.append(crop(frames.images[nearest], face.box, features.size))
        boxes.append(face.box)
    return FaceTrack(
        crops=np.stack(crops),
        times_s=frames.times_s,
        boxes=np.array(boxes, dtype=np.int32),
        found=seen,
        n_faces=np.array([0 if face is None else face.n_faces for face in found], dtype=np.int32),
    )


def crop(image: UInt8, box: Box, size: int) -> UInt8:
    """(size, size) uint8: the box, area-resized; what lies outside the picture repeats its edge."""
    left, top, right, bottom = box
    height, width = image.shape
    inside = image[max(top, 0) : min(bottom, height), max(left, 0) : min(right, width)]
    missing = (max(-top, 0), max(bottom - height, 0), max(-left, 0), max(right - width, 0))
    if any(missing):
        inside = np.asarray(cv2.copyMakeBorder(inside, *missing, cv2.BORDER_REPLICATE), dtype=np.uint8)
    return np.asarray(cv2.resize(inside, (size, size), interpolation=cv2.INTER_AREA), dtype=np.uint8)


class _Finder:
    """Looks for faces, and remembers where the last one was."""

    def __init__(self, detect_height_px: int) -> None:
        self._height_px = detect_height_px
        self._last: Box | None = None
        self._shape: tuple[int, ...] = ()

    def find(self, image: UInt8, *, count: bool) -> _Found | None:
        """The face in a picture; ``count``: look at the whole picture, to see whether there are more."""
        if image.shape != self._shape:
            self._last, self._shape = None, image.shape
        boxes = self._boxes(image, count=count)
        if not boxes:
            return None
        self._last = self._same(boxes)
        return _Found(self._last, len(boxes))

    def _boxes(self, image: UInt8, *, count: bool) -> list[Box]:
        pyramid = _Pyramid(image)
        start = pyramid.level_of_height(self._height_px)
        boxes: list[Box] = []
        if self._last is not None:
            boxes = self._near(pyramid, self._last, whole=count)
        if not boxes:
            boxes = pyramid.search(start)
        if not boxes and start > 0:
            boxes = pyramid.search(0)
        return boxes

    def _near(self, pyramid: _Pyramid, last: Box, *, whole: bool) -> list[Box]:
        level = pyramid.level_of_face(last[2] - last[0])
        if whole or max(pyramid.level(level).shape) <= _WHOLE_PX:
            return pyramid.search(level)
        return pyramid.search(level, around=last)

    def _same(self, boxes: list[Box]) -> Box:
        """The followed face, where it is among them; else the largest."""
        if self._last is not None:
            near = [box for box in boxes if overlap(box, self._last) > 0.3]
            if near:
                return max(near, key=_area)
        return max(boxes, key=_area)


class _YuNetFinder(_Finder):
    """Looks with YuNet, which is fast enough to search the whole of every picture."""

    def __init__(self, detect_height_px: int) -> None:
        super().__init__(detect_height_px)
        # Imported here: it imports this module, and most recipes have no use for it.
        from emofuse.features.face.yunet import yunet

        self._yunet = yunet()

    def _boxes(self, image: UInt8, *, count: bool) -> list[Box]:  # noqa: ARG002 - every picture is counted
        found = self._yunet.find(image, self._height_px) or self._yunet.find(image, min(image.shape))
        return [face.box for face in found if _inside(face.box, image.shape)]


class _Pyramid:
    """The detector's own pyramid of a picture, made as far as it is asked for."""

    def __init__(self, image: UInt8) -> None:
        self._levels = [image]

    def level(self, number: int) -> UInt8:
        """The picture, reduced to 5/6 so many times."""
        while len(self._levels) <= number:
            self._levels.append(_reduced(self._levels[-1]))
        return self._levels[number]

    def level_of_height(self, height_px: int) -> int:
        """The level whose shorter side is nearest to a height."""
        side = min(self._levels[0].shape)
        return max(0, round(math.log(side / height_px) / math.log(1.2)))

    def level_of_face(self, width_px: int) -> int:
        """The level on which a face of this width is still easily found, and as small as can be."""
        return max(0, int(math.log(max(width_px, 1) / _FOLLOW_PX) / math.log(1.2)))

    def search(self, number: int, around: Box | None = None) -> list[Box]:
        """Boxes, in pixels of the full picture, of the faces found from a level upwards."""
        image = self.level(number)
        left = top = 0
        if around is not None:
            left, top, right, bottom = _region(around, 1.2**number, image.shape)
            image = np.ascontiguousarray(image[top:bottom, left:right])
        detector, scale = frontal_face_detector()
        boxes = []
        for face in detector(image, 0):
            moved = dlib.translate_rect(face, dlib.point(left, top))
            full = scale.rect_up(moved, number) if number else moved
            boxes.append((full.left(), full.top(), full.right() + 1, full.bottom() + 1))
        return [box for box in boxes if _inside(box, self._levels[0].shape)]


def _reduced(image: UInt8) -> UInt8:
    """One step down, sampled at the places where dlib's pyramid_down<6> samples: corners on corners."""
    height, width = image.shape
    new_height, new_width = max(2, 5 * height // 6), max(2, 5 * width // 6)
    step = np.array(
        [[(width - 1) / (new_width - 1), 0, 0], [0, (height - 1) / (new_height - 1), 0]], dtype=np.float64
    )
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpAffine(image, step, (new_width, new_height), flags=flags), dtype=np.uint8)


def _region(box: Box, scale: float, shape: Sequence[int]) -> Box:
    """The box and three quarters of its width around it, on a reduced picture, on the detector's grid."""
    margin = 0.75 * (box[2] - box[0])
    left = max(0, int((box[0] - margin) / scale) // _ALIGN_PX * _ALIGN_PX)
    top = max(0, int((box[1] - margin) / scale) // _ALIGN_PX * _ALIGN_PX)
    right = min(shape[1], int((box[2] + margin) / scale) + 1)
    bottom = min(shape[0], int((box[3] + margin) / scale) + 1)
    return left, top, right, bottom


def _inside(box: Box, shape: Sequence[int]) -> bool:
    """Whether enough of the box lies in the picture to crop something."""
    width = min(box[2], shape[1]) - max(box[0], 0)
    height = min(box[3], shape[0]) - max(box[1], 0)
    return width > 0 and height > 0 and 4 * width * height >= _area(box)


def _area(box: Box) -> int:
    return (box[2] - box[0]) * (box[3] - box[1])


def overlap(a: tuple[float, ...], b: tuple[float, ...]) -> float:
    """Intersection over union of two boxes: left, top, right, bottom."""
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    both = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1])
    return width * height / (both - width * height)


_of_thread = threading.local()


def frontal_face_detector() -> tuple[Any, Any]:
    """dlib's detector and its pyramid, made once a thread: several threads in one detector crash."""
    if not hasattr(_of_thread, "detector"):
        _of_thread.detector = _read_detector(), dlib.pyramid_down(6)
    made: tuple[Any, Any] = _of_thread.detector
    return made


def _read_detector() -> Any:
    """dlib unpacks its own for half a second; this is the same, read in a millisecond."""
    try:
        return dlib.fhog_object_detector(str(_DETECTOR_FILE))
    except RuntimeError:  # another version of dlib may read another layout
        return dlib.get_frontal_face_detector()
