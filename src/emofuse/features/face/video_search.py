"""Finds the faces in the frames of a video: near their last positions, where something moves, and everywhere.

The detector is that of ``clip_track``, and so are the boxes, within a few percent of their width: here a
frame is reduced in one step, not level by level. A known face is searched around its last position, on an
image just large enough for the detector to find it; that takes a tenth of a search of the whole frame. The
time for the whole frame depends on the smallest face to be found, so it is searched often for large faces and
rarely for small ones; these are searched at the start of each shot, and then wherever the frame changes.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np

from emofuse.core.records import UInt8
from emofuse.features.face.boxes import Box, FaceDetection, distinct_faces, is_inside, same_face
from emofuse.features.face.dlib_detector import (
    EASY_FACE_PX,
    GRID_PX,
    frontal_face_detector,
    level_for_face,
    level_for_height,
    smaller_shape,
)

_MARGIN: Final = 0.4
"""How far around its last box a known face is searched, in widths of the box."""
_DEEP_ROWS: Final = 720
"""Height of the largest image that is searched whole: finds faces from a ninth of the frame's height."""
_MIDDLE_ROWS: Final = 360
_EVERY_S: Final = 0.95
"""The whole frame is searched about once a second."""
_MIDDLE_EACH: Final = 3
_DEEP_EACH: Final = 9
"""Every third such search is for smaller faces, every ninth for small ones: that one takes as long as fifteen
searches for a known face."""
_AFTER_LOSS_S: Final = 0.39
"""A lost face is searched everywhere immediately, and then no more often than this."""
_CHANGED_EVERY_S: Final = 0.39
_CHANGED_PER_FRAME_S: Final = 2.5
"""What changed is searched for small faces no more often than the first, and than the second times its
share of the frame: at most a twentieth of the time of the video goes into it."""
_LONGEST_WAIT_S: Final = 3.2
"""Where something always moves (the shoulders of a person who talks) and no face was found, the next search
waits twice as long as the one before, up to this."""
_VIEWS: Final = 4
"""Shots before, of which one may be like the present one."""
_CHANGED_LEVELS: Final = 10
"""Gray levels of a change that is no noise."""
_CELL_ROWS: Final = 72
"""Changes are looked for in frames of this height, in which the smallest faces are 8 pixels wide."""
_LEAST_CHANGED: Final = 9
"""Such pixels, of a smallest face that appears."""
_CERTAIN: Final = 0.3
"""Least score of a small face that is searched for beside others: clothes and walls seldom reach it."""
_WEAK: Final = 0.7
"""A face with a lower score may be too small for the level on which it was found."""

Region = tuple[float, float, float, float]
"""Left, top, right and bottom of a part of a frame, or of its cells."""


class FaceSearch:
    """Finds the faces of consecutive frames."""

    def __init__(self, detect_height_px: int) -> None:
        """``detect_height_px``: height of the image that is searched every second, as in recipes."""
        self._rows = detect_height_px
        self._n_regular = 0
        self._last_s = -math.inf
        self._changes = _Changes()

    def find(
        self, image: UInt8, small: UInt8, time_s: float, known: Sequence[Box], *, fresh: bool
    ) -> list[FaceDetection]:
        """The faces of a frame, each once, from left to right.

        Args:
            image: (height, width) uint8 gray.
            small: (height', width', 3) uint8 BGR, the same frame.
            time_s: when it is shown.
            known: boxes of the faces a moment ago.
            fresh: the frame is the first after a cut, and may show anyone anywhere.
        """
        rows = self._rows_for(known, image.shape)
        found: list[FaceDetection] = []
        left = list(known)
        if fresh or time_s - self._last_s >= _EVERY_S:
            if fresh:
                found = self._ladder(image, small, rows)
                self._changes.restart(None if found else small, time_s)
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
        for region in self._changes.regions(image.shape, small, time_s, [face.box for face in found]):
            found += _others(_search(image, level_for_height(image.shape, _DEEP_ROWS), region), found)
        return distinct_faces(found)

    def _refined(self, image: UInt8, found: Sequence[FaceDetection]) -> list[FaceDetection]:
        """Search around faces with low scores in more detail: they may be smaller than their boxes."""
        out = list(found)
        for face in found:
            if face.score < _WEAK:
                left, top, right, bottom = face.box
                inset = (right - left) // 6
                out += self.near(image, (left + inset, top + inset, right - inset, bottom - inset))
        return distinct_faces(out)

    def near(self, image: UInt8, box: Box) -> list[FaceDetection]:
        """The faces around the last position of one. ``image``: (height, width) gray."""
        margin = _MARGIN * (box[2] - box[0])
        region = (box[0] - margin, box[1] - margin, box[2] + margin, box[3] + margin)
        return _search(image, level_for_face(box[2] - box[0]), region)

    def whole(self, image: UInt8, small: UInt8, rows: int | None = None) -> list[FaceDetection]:
        """The faces of a frame reduced to about ``rows`` on its shorter side; None: ``detect_height_px``."""
        number = level_for_height(image.shape, rows or self._rows)
        height, width = _level_shape(image.shape, number)
        source = image
        if small.shape[0] >= height:
            source = np.asarray(cv2.cvtColor(small, cv2.COLOR_BGR2GRAY), dtype=np.uint8)
        scale = image.shape[1] / width, image.shape[0] / height
        return _detect(_resized(source, (width, height)), (0, 0), scale, image.shape)

    def _rows_for(self, boxes: Sequence[Box], shape: Sequence[int]) -> int:
        """How many rows a whole frame needs for all of these faces to be found in it."""
        smallest = min((box[2] - box[0] for box in boxes), default=10**6)
        return max(self._rows, min(_DEEP_ROWS, math.ceil(min(shape) * EASY_FACE_PX / max(smallest, 1))))

    def _ladder(self, image: UInt8, small: UInt8, rows: int) -> list[FaceDetection]:
        """The faces of a frame without known faces: small ones only if there is no large one."""
        found: list[FaceDetection] = []
        for height in (rows, _MIDDLE_ROWS, _DEEP_ROWS):
            if not found and height >= rows:
                found = self.whole(image, small, height)
        return found

    def _regular(self) -> int:
        """The rows of the next regular search: every few times it is for smaller faces."""
        self._n_regular += 1
        if self._n_regular % _DEEP_EACH == 0:
            return _DEEP_ROWS
        return _MIDDLE_ROWS if self._n_regular % _MIDDLE_EACH == 0 else self._rows


@dataclass(frozen=True, slots=True)
class _View:
    """What a camera showed, as far as it was searched for small faces."""

    searched: UInt8
    """(72, width) gray: each cell as it was when it was searched last."""
    faces: UInt8
    """The same shape, 1 where a face was."""


class _Changes:
    """What changed in a shot since it was last searched for small faces.

    Of a shot like one before (two cameras that take turns, a jump cut), only what differs is searched, and
    where faces were.
    """

    def __init__(self) -> None:
        self._view: _View | None = None
        """None: the shot has not been searched yet."""
        self._before: deque[_View] = deque(maxlen=_VIEWS)
        self._searched_s = -math.inf
        self._wait_s = self._due_s = np.zeros((0, 0), np.float32)
        """Of each cell: how long after a search the next one waits, and until when it waits now."""

    def restart(self, searched: UInt8 | None, time_s: float) -> None:
        """A shot begins. ``searched``: its first frame, (height, width, 3) BGR, if all of it was searched."""
        if self._view is not None:
            self._before.append(self._view)
        self._view = None
        if searched is not None:
            cells = _cells(searched)
            self._begin(_View(cells, np.zeros_like(cells)), time_s)

    def _begin(self, view: _View, time_s: float) -> None:
        self._view, self._searched_s = view, time_s
        self._wait_s = np.full(view.searched.shape, _CHANGED_EVERY_S, np.float32)
        self._due_s = np.full(view.searched.shape, time_s, np.float32)

    def regions(
        self, shape: Sequence[int], small: UInt8, time_s: float, faces: Sequence[Box]
    ) -> list[Region]:
        """The parts of a frame of ``shape`` to be searched now, in its pixels; the faces are known."""
        if time_s - self._searched_s < _CHANGED_EVERY_S:
            return []
        now = _cells(small)
        scale = shape[0] / now.shape[0]
        boxes = [[side / scale for side in box] for box in faces]
        last_s = self._searched_s
        if self._view is None or self._view.searched.shape != now.shape:
            last_s = -math.inf  # what a new shot shows does not wait
            view, changed = self._begun(now, time_s)
        else:
            view, changed = self._view, _differing(self._view.searched, now)
            changed[self._due_s > time_s] = 0
        for box in boxes:
            view.faces[_part(box)] = 1
        regions = _around(changed, boxes)
        share = sum((right - left) * (bottom - top) for left, top, right, bottom in regions) / now.size
        if not regions or time_s - last_s < _CHANGED_PER_FRAME_S * share:
            return []
        if share >= 1:
            regions = [(0, 0, now.shape[1], now.shape[0])]
        self._searched_s = time_s
        for region in regions:
            self._wait(view, region, now, time_s)
        return [(x0 * scale, y0 * scale, x1 * scale, y1 * scale) for x0, y0, x1, y1 in regions]

    def _begun(self, now: UInt8, time_s: float) -> tuple[_View, UInt8]:
        """A shot that was not searched yet: the view of it, and 1 where it is to be searched."""
        like = min(
            (view for view in self._before if view.searched.shape == now.shape),
            key=lambda view: int(_differing(view.searched, now).sum()), default=None,
        )  # fmt: skip
        view = _View((now if like is None else like.searched).copy(), np.zeros_like(now))
        self._begin(view, time_s)
        return view, np.ones_like(now) if like is None else _differing(like.searched, now) | like.faces

    def _wait(self, view: _View, region: tuple[int, int, int, int], now: UInt8, time_s: float) -> None:
        """A part of the frame is being searched: the longer, the more often it was of late."""
        left, top, right, bottom = region
        part = slice(top, bottom), slice(left, right)
        view.searched[part] = now[part]
        calm = time_s > self._due_s[part] + self._wait_s[part]
        longer = np.minimum(2 * self._wait_s[part], _LONGEST_WAIT_S)
        self._wait_s[part] = np.where(calm, 2 * _CHANGED_EVERY_S, longer)
        self._due_s[part] = time_s + self._wait_s[part]


def _differing(before: UInt8, now: UInt8) -> UInt8:
    """1 for each cell that differs by more than noise."""
    return np.asarray(cv2.absdiff(now, before) > _CHANGED_LEVELS, dtype=np.uint8)


def _part(box: Sequence[float], margin: float = 0.0) -> tuple[slice, slice]:
    """The cells of a box, and so many around it."""
    left, top, right, bottom = box
    rows = slice(max(0, int(top - margin)), max(0, math.ceil(bottom + margin)))
    return rows, slice(max(0, int(left - margin)), max(0, math.ceil(right + margin)))


def _around(changed: UInt8, faces: Sequence[Sequence[float]]) -> list[tuple[int, int, int, int]]:
    """The parts around cells that changed, 1 for each, if that is enough for a smallest face beside these."""
    for box in faces:
        changed[_part(box, (box[2] - box[0]) / 4)] = 0
    changed = np.asarray(cv2.morphologyEx(changed, cv2.MORPH_OPEN, np.ones((2, 2), np.uint8)), dtype=np.uint8)
    if int(changed.sum()) < _LEAST_CHANGED:
        return []
    # Half a smallest face around each change: a face may change in part.
    around = cv2.dilate(changed, np.ones((9, 9), np.uint8))
    _, _, parts, _ = cv2.connectedComponentsWithStats(around)
    return [(x, y, x + width, y + height) for x, y, width, height, _ in parts[1:].tolist()]


def _cells(small: UInt8) -> UInt8:
    """A frame in gray, reduced to 72 rows."""
    size = (max(1, round(small.shape[1] * _CELL_ROWS / small.shape[0])), _CELL_ROWS)
    reduced = cv2.resize(small, size, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.cvtColor(reduced, cv2.COLOR_BGR2GRAY), dtype=np.uint8)


def _others(found: Sequence[FaceDetection], known: Sequence[FaceDetection]) -> list[FaceDetection]:
    """The faces that are certain and none of the known ones."""
    return [
        face
        for face in found
        if face.score >= _CERTAIN and not any(same_face(face.box, other.box) for other in known)
    ]


def _search(image: UInt8, number: int, region: tuple[float, float, float, float]) -> list[FaceDetection]:
    """The faces in a region of a frame, on a level of its pyramid."""
    height, width = _level_shape(image.shape, number)
    scale = image.shape[1] / width, image.shape[0] / height
    left = max(0, int(region[0] / scale[0]) // GRID_PX * GRID_PX)
    top = max(0, int(region[1] / scale[1]) // GRID_PX * GRID_PX)
    right = min(width, math.ceil(region[2] / scale[0]))
    bottom = min(height, math.ceil(region[3] / scale[1]))
    if right - left < GRID_PX or bottom - top < GRID_PX:
        return []
    part = image[
        round(top * scale[1]) : round(bottom * scale[1]), round(left * scale[0]) : round(right * scale[0])
    ]
    return _detect(_resized(part, (right - left, bottom - top)), (left, top), scale, image.shape)


def _level_shape(shape: Sequence[int], number: int) -> tuple[int, int]:
    """Height and width of a level of the detector's pyramid: each is 5/6 of the one before, rounded down."""
    height, width = shape
    for _ in range(number):
        height, width = smaller_shape(height, width)
    return height, width


def _resized(image: UInt8, size: tuple[int, int]) -> UInt8:
    if image.shape == size[::-1]:
        return np.ascontiguousarray(image)
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def _detect(
    image: UInt8, corner: tuple[int, int], scale: tuple[float, float], shape: Sequence[int]
) -> list[FaceDetection]:
    """The faces that are mostly within a reduced image, in pixels of the whole frame."""
    faces, scores, _ = frontal_face_detector()[0].run(image, 0, 0.0)
    found = []
    for face, score in zip(faces, scores, strict=True):
        box = (
            round((face.left() + corner[0]) * scale[0]),
            round((face.top() + corner[1]) * scale[1]),
            round((face.right() + 1 + corner[0]) * scale[0]),
            round((face.bottom() + 1 + corner[1]) * scale[1]),
        )
        if is_inside(box, shape, 0.5):
            found.append(FaceDetection(box, float(score)))
    return found
