"""Whether a face moves: a picture of a face on a wall or a screen does not, a person always does.

The part of the frame with the face is compared with what it was when the face came to rest there. Nobody
holds as still as a picture for long: breathing, blinking and the balance of the head change a face by more
than the noise of a camera and of an encoder. A picture that is carried or filmed by a moving camera moves,
and is taken for a person.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import cv2
import numpy as np

from emofuse.core.records import Float32, UInt8
from emofuse.features.face.boxes import Box, cut_out

LEAST_S: Final = 2.5
"""A face that was seen for a shorter time is not judged."""
LEAST_FRAMES: Final = 5
"""Nor is one in fewer frames."""
_PX: Final = 32
_MOVED: Final = 4.5
"""Gray levels, of the sixteenth of the face that changed most, at a standard deviation of 40. Three stills
with noise of 6 levels: 0.5 to 0.9 after H.264 at crf 23, at most 2.4 after MPEG-4, VP8 and MPEG-2, and 3.9
after H.264 at 120 kbit/s, whose first frames are the worst; 5.8 at 80 kbit/s. Nine RAVDESS clips, five of
them at 60 kbit/s too: at least 9.5 within any second, 13 within any two. A still that sways by a hundredth
of the face, and does nothing else: 5 within two seconds."""


class Stillness:
    """Watches one face."""

    def __init__(self) -> None:
        self.rest_s = 0.0
        """For how long it has not moved."""
        self.moves = False
        """Whether it has moved since the frame before."""
        self._box: Box | None = None
        self._at_rest: Float32 | None = None
        self._since_s = 0.0
        self._lighting = -1

    def update(self, image: UInt8, box: Box, time_s: float, lighting: int) -> None:
        """Look at the next frame.

        Args:
            image: (height, width) gray.
            box: of the face.
            time_s: when the frame is shown.
            lighting: the number of the shot and of its lighting: across a change, nothing is compared.
        """
        self.moves = False
        if self._box is None or self._at_rest is None or lighting != self._lighting:
            self._rest(image, box, time_s)
            self._lighting = lighting
        elif _change(self._at_rest, _patch(image, self._box)) > _MOVED:
            self.moves = True
            self._rest(image, box, time_s)
        self.rest_s = time_s - self._since_s

    def _rest(self, image: UInt8, box: Box, time_s: float) -> None:
        self._box, self._at_rest, self._since_s = box, _patch(image, box), time_s


def never_moves(images: Sequence[UInt8], times_s: Sequence[float], boxes: Sequence[Box]) -> bool:
    """Whether a face in the frames of a clip, seen in all of them, never moves.

    Args:
        images: (height, width) gray each.
        times_s: when they are shown.
        boxes: of the face in each.
    """
    stillness = ClipStillness()
    for image in images:
        stillness.add(image, boxes[0])
    return stillness.never_moves(times_s)


class ClipStillness:
    """Compares a face in the frames of a clip, which come one by one, with the first of them."""

    def __init__(self) -> None:
        self._at_first: Float32 | None = None
        self._moved = False

    def add(self, image: UInt8, box: Box | None) -> None:
        """The next frame. ``box``: of the face in the first one; None if it has none."""
        if box is None or self._moved:
            return
        patch = _patch(image, box)
        if self._at_first is None:
            self._at_first = patch
        self._moved = _change(self._at_first, patch) > _MOVED

    def never_moves(self, times_s: Sequence[float]) -> bool:
        """Whether the face is the same in all frames, which are shown at these times."""
        distinct = {float(time_s) for time_s in times_s}
        if self._at_first is None or self._moved:
            return False
        return len(distinct) >= LEAST_FRAMES and max(distinct) - min(distinct) >= LEAST_S


def _patch(image: UInt8, box: Box) -> Float32:
    """(32, 32) float32: the face, without noise, and at one brightness and contrast."""
    reduced = cv2.resize(cut_out(image, box), (_PX, _PX), interpolation=cv2.INTER_AREA).astype(np.float32)
    smooth = cv2.GaussianBlur(reduced, (3, 3), 0)
    return np.asarray((smooth - smooth.mean()) * (40 / (smooth.std() + 5)), dtype=np.float32)


def _change(before: Float32, now: Float32) -> float:
    """The mean change of the part that changed most, a quarter of the face wide and high."""
    quarter = _PX // 4
    change = cv2.blur(np.abs(now - before), (quarter, quarter))
    return float(change[quarter // 2 : -quarter // 2].max())
