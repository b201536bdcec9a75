"""The frames of a clip become a face track: detect, follow, crop.

The detector is dlib's, as in the notebooks, on the smaller levels of its pyramid: a frame is reduced exactly
as the detector would reduce it and searched from there. The boxes are those of a full-size search, within
rounding. Where a recipe says so, YuNet detects instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import cv2
import dlib
import numpy as np
from numpy.typing import NDArray

from emofuse.core.recipes.face import FaceFeatures
from emofuse.core.records import FaceTrack, TimedFrames, UInt8
from emofuse.features.face.boxes import SAME_OVERLAP, Box, area, crop, is_inside, overlap
from emofuse.features.face.dlib_detector import (
    GRID_PX,
    LEVEL_RATIO,
    frontal_face_detector,
    level_for_face,
    level_for_height,
    smaller_shape,
)
from emofuse.features.face.yunet import load_yunet
from emofuse.media.letterbox import searched_size

_WHOLE_PX: Final = 340
"""Frames up to this size are searched whole, larger ones only around the face that is followed."""
_COUNT_EVERY: Final = 5
"""Every fifth frame is searched whole, to count the faces in it."""
_LEAST_SHARE: Final = 0.25
"""A box with less of its area in the frame is left out: there is too little to crop."""
_DEEPEST_ROWS: Final = 1080
"""No frame is searched at more than this height, as 4K at its own would take seconds for each frame."""
_WHOLE_ROWS: Final = 720
"""Frames that are not cropped are searched at no more than this height: for faces from a ninth of it."""


def track_face(frames: TimedFrames, features: FaceFeatures, *, cropped: bool = True) -> FaceTrack | str:
    """Follow one face through the frames; see :class:`FaceTracker`.

    Returns:
        The track, or the reason why there is none.

    Raises:
        WeightsError: the detector is YuNet, and its weights are missing or altered.
    """
    tracker = FaceTracker(features, cropped=cropped)
    for image in frames.images:
        tracker.add(image)
    return tracker.track(frames.times_s)


class FaceTracker:
    """Follows one face through frames that come one by one: the largest in the first frame that has one."""

    def __init__(self, features: FaceFeatures, *, cropped: bool = True) -> None:
        """Prepare the detector.

        Args:
            features: the crop's size, the detector and the height at which it looks for faces.
            cropped: whether the frames are cropped to their central square, or might have been. Otherwise
                small faces are searched in every fifth frame only, until one is found: the frames are large,
                and most have no face at all.

        Raises:
            WeightsError: the detector is YuNet, and its weights are missing or altered.
        """
        kind = _YuNetFinder if features.detector == "yunet" else _DlibFinder
        self._finder = kind(features.detect_height_px, sparing=not cropped)
        self._size = features.size
        self._faces: list[tuple[Box, int] | None] = []
        self._crops: list[UInt8 | None] = []

    @property
    def first_box(self) -> Box | None:
        """Of the face in the first frame."""
        return self._faces[0][0] if self._faces and self._faces[0] is not None else None

    def add(self, image: UInt8) -> None:
        """The next frame: (height, width) gray."""
        height, width = image.shape
        size = searched_size((width, height))
        searched = image
        if size != (width, height):
            searched = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
        face = self._finder.find(searched, count=len(self._faces) % _COUNT_EVERY == 0)
        if face is not None and searched is not image:  # crops are cut from the whole frame
            left, top, right, bottom = (round(side * width / size[0]) for side in face[0])
            face = (left, top, right, bottom), face[1]
        self._faces.append(face)
        self._crops.append(None if face is None else crop(image, face[0], self._size))

    def track(self, times_s: NDArray[np.float64]) -> FaceTrack | str:
        """Where the face is at each of the times, or the reason why there is none.

        ``times_s``: when the frames are shown.
        """
        found = np.array([face is not None for face in self._faces], dtype=bool)
        if not found.any():
            n = len(self._faces)
            return f"no face found in {n} frame{'' if n == 1 else 's'}"
        with_face = np.flatnonzero(found)
        crops, boxes = [], []
        for time_s in times_s:
            nearest = int(with_face[np.abs(times_s[with_face] - time_s).argmin()])
            face, cut = self._faces[nearest], self._crops[nearest]
            assert face is not None and cut is not None
            crops.append(cut)
            boxes.append(face[0])
        return FaceTrack(
            crops=np.stack(crops),
            times_s=times_s,
            boxes=np.array(boxes, dtype=np.int32),
            found=found,
            n_faces=np.array([0 if face is None else face[1] for face in self._faces], dtype=np.int32),
        )


class _DlibFinder:
    """Finds faces with dlib's detector, and remembers where the followed one was last."""

    def __init__(self, detect_height_px: int, *, sparing: bool) -> None:
        self._height_px, self._sparing = detect_height_px, sparing
        self._last: Box | None = None
        self._shape: tuple[int, ...] = ()

    def find(self, image: UInt8, *, count: bool) -> tuple[Box, int] | None:
        """The box of the face in a frame, and how many faces were found.

        ``count``: search the whole frame, to count the faces in it.
        """
        if image.shape != self._shape:
            self._last, self._shape = None, image.shape
        boxes = self._boxes(image, count=count)
        if not boxes:
            return None
        self._last = self._followed(boxes)
        return self._last, len(boxes)

    def _boxes(self, image: UInt8, *, count: bool) -> list[Box]:
        pyramid = _Pyramid(image)
        start = pyramid.level_of_height(self._height_px)
        boxes: list[Box] = []
        if self._last is not None:
            boxes = self._near(pyramid, self._last, whole=count)
        if not boxes:
            boxes = pyramid.search(start)
        deepest = pyramid.level_of_height(_WHOLE_ROWS if self._sparing else _DEEPEST_ROWS)
        if not boxes and start > deepest and self._searches_small(count):
            boxes = pyramid.search(deepest)
        return boxes

    def _searches_small(self, count: bool) -> bool:
        """Whether small faces are searched in a frame that shows no other."""
        return count or self._last is not None or not self._sparing

    def _near(self, pyramid: _Pyramid, last: Box, *, whole: bool) -> list[Box]:
        level = level_for_face(last[2] - last[0])
        if whole or max(pyramid.level(level).shape) <= _WHOLE_PX:
            return pyramid.search(level)
        return pyramid.search(level, around=last)

    def _followed(self, boxes: list[Box]) -> Box:
        """The followed face, where it is among them; else the largest."""
        if self._last is not None:
            near = [box for box in boxes if overlap(box, self._last) > SAME_OVERLAP]
            if near:
                return max(near, key=area)
        return max(boxes, key=area)


class _YuNetFinder(_DlibFinder):
    """Finds faces with YuNet, which is fast enough to search every frame whole."""

    def __init__(self, detect_height_px: int, *, sparing: bool) -> None:
        super().__init__(detect_height_px, sparing=sparing)
        self._yunet = load_yunet()

    def _boxes(self, image: UInt8, *, count: bool) -> list[Box]:
        found = self._yunet.find(image, self._height_px)
        if not found and self._searches_small(count):
            rows = min(image.shape)
            found = self._yunet.find(image, min(rows, _WHOLE_ROWS if self._sparing else _DEEPEST_ROWS))
        return [face.box for face in found if is_inside(face.box, image.shape, _LEAST_SHARE)]


class _Pyramid:
    """The detector's own pyramid of a frame, made as far as it is needed."""

    def __init__(self, image: UInt8) -> None:
        self._levels = [image]

    def level(self, number: int) -> UInt8:
        """The frame, reduced to 5/6 that many times."""
        while len(self._levels) <= number:
            self._levels.append(_reduced(self._levels[-1]))
        return self._levels[number]

    def level_of_height(self, height_px: int) -> int:
        """The level whose shorter side is nearest to a height."""
        return level_for_height(self._levels[0].shape, height_px)

    def search(self, number: int, around: Box | None = None) -> list[Box]:
        """Boxes, in pixels of the whole frame, of the faces found from a level upwards."""
        image = self.level(number)
        left = top = 0
        if around is not None:
            left, top, right, bottom = _region(around, LEVEL_RATIO**number, image.shape)
            image = np.ascontiguousarray(image[top:bottom, left:right])
        detector, scale = frontal_face_detector()
        boxes = []
        for face in detector(image, 0):
            moved = dlib.translate_rect(face, dlib.point(left, top))
            full = scale.rect_up(moved, number) if number else moved
            boxes.append((full.left(), full.top(), full.right() + 1, full.bottom() + 1))
        return [box for box in boxes if is_inside(box, self._levels[0].shape, _LEAST_SHARE)]


def _reduced(image: UInt8) -> UInt8:
    """The next level, sampled where dlib's pyramid_down<6> samples: corners on corners."""
    height, width = image.shape
    new_height, new_width = smaller_shape(height, width)
    step = np.array(
        [[(width - 1) / (new_width - 1), 0, 0], [0, (height - 1) / (new_height - 1), 0]], dtype=np.float64
    )
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpAffine(image, step, (new_width, new_height), flags=flags), dtype=np.uint8)


def _region(box: Box, scale: float, shape: Sequence[int]) -> Box:
    """The box and three quarters of its width around it, on a reduced frame and on the detector's grid."""
    margin = 0.75 * (box[2] - box[0])
    left = max(0, int((box[0] - margin) / scale) // GRID_PX * GRID_PX)
    top = max(0, int((box[1] - margin) / scale) // GRID_PX * GRID_PX)
    right = min(shape[1], int((box[2] + margin) / scale) + 1)
    bottom = min(shape[0], int((box[3] + margin) / scale) + 1)
    return left, top, right, bottom
