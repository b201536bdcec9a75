"""Active speaker detection: whose mouth moves while there is speech.

A mouth is stored as a patch of 16 × 24 pixels whose position follows the brows, eyes and nose, since the
detector's box jumps by a tenth of its width on a still face. Five to ten frames per second are too few for
lip reading; but a speaking mouth differs from frame to frame, and a silent one does not.

A voice is assigned to no one if that is not clear. Chewing and laughing look like speech.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from emofuse.core.records import UInt8
from emofuse.features.face.boxes import Box, cut_out

Float64 = NDArray[np.float64]

MOUTH_SHAPE: Final = (16, 24)
"""Rows and columns of the patch."""

_MOUTH: Final = (0.17, 0.54, 0.83, 0.98)
"""Left, top, right, bottom of the patch, in widths of the box from its corner."""
_RIGID: Final = (0.10, 0.02, 0.90, 0.54)
"""Brows, eyes and nose: they move with the head and not with the jaw."""
_PX: Final = 48
"""Pixels of the tracked pattern per width of the box."""
_REACH: Final = 0.25
"""How far the head may move between two detections, in widths of the box."""
_SURE: Final = 0.6
"""Least correlation for the pattern to count as found again."""
_PULL: Final = 0.05
"""Share of the way back to the detector's box at each detection, against drift."""

_LONGEST_S: Final = 0.65
"""Detections further apart tell nothing about movement."""
_FLAT: Final = 6.0
"""Gray levels: patches with less contrast show mainly noise."""
_MOST: Final = 0.2
"""A larger change counts as this: one jerk of the head must not outweigh a sentence."""

# Means over speech, in nine RAVDESS clips at 5 and 10 frames per second: 0.026 to 0.10; before and after
# speech 0.002 to 0.015.
_MOVES: Final = 0.022
_CLEARLY: Final = 2.0
"""How many times as much as any other mouth the speaker's must move."""
_SPEECH: Final = 0.5
_FEWEST: Final = 3
"""With fewer detections during speech, a mouth is not judged."""
_VISIBLE: Final = 0.4
"""Least share of the speech during which the speaker's mouth is visible."""


class MouthTracker:
    """Tracks one head, and cuts out its mouth."""

    def __init__(self) -> None:
        self._center = np.zeros(2)
        self._width = 0.0
        self._log_width = 0.0
        self._pattern: UInt8 | None = None

    def update(self, image: UInt8, box: Box) -> UInt8:
        """(16, 24) uint8: the mouth of the face in ``box`` of ``image``, (height, width) gray."""
        center, width = np.array([box[0] + box[2], box[1] + box[3]]) / 2, float(box[2] - box[0])
        if self._pattern is None or not self._follow(image, center, width):
            self._center, self._width, self._log_width = center, width, math.log(width)
        self._pattern = self._part(image, _RIGID, (_px(_RIGID[2] - _RIGID[0]), _px(_RIGID[3] - _RIGID[1])))
        return self._part(image, _MOUTH, MOUTH_SHAPE[::-1])

    def _follow(self, image: UInt8, center: Float64, width: float) -> bool:
        """Move to where the pattern is now; False if it is not found, or if the box clearly differs."""
        assert self._pattern is not None
        self._log_width += 0.3 * (math.log(width) - self._log_width)
        if abs(self._log_width - math.log(self._width)) > 0.2:
            return False
        region = (_RIGID[0] - _REACH, _RIGID[1] - _REACH, _RIGID[2] + _REACH, _RIGID[3] + _REACH)
        rows, columns = self._pattern.shape
        searched = self._part(image, region, (columns + 2 * _px(_REACH), rows + 2 * _px(_REACH)))
        correlation = cv2.matchTemplate(searched, self._pattern, cv2.TM_CCOEFF_NORMED)
        _, best, _, (x, y) = cv2.minMaxLoc(correlation)
        if best < _SURE:
            return False
        step = np.array([_peak(correlation[y, :].tolist(), x), _peak(correlation[:, x].tolist(), y)]) - _px(
            _REACH
        )
        moved = self._center + step / _PX * self._width
        if np.abs(moved - center).max() > 0.3 * self._width:
            return False
        self._center = moved + _PULL * (center - moved)
        return True

    def _part(self, image: UInt8, part: Sequence[float], size: tuple[int, int]) -> UInt8:
        """A part of the box, (size[1], size[0]); pixels outside the image repeat its edge."""
        corner = self._center - self._width / 2
        left, top = corner + self._width * np.array(part[:2])
        wide, high = self._width * (part[2] - part[0]), self._width * (part[3] - part[1])
        # Cut out at whole pixels: an affine transformation does the scaling and the fraction of a pixel.
        step = np.array([[wide / size[0], 0, 0], [0, high / size[1], 0]])
        x, y = math.floor(left), math.floor(top)
        step[:, 2] = (left - x + step[0, 0] / 2 - 0.5, top - y + step[1, 1] / 2 - 0.5)
        block = cut_out(image, (x, y, x + math.ceil(wide) + 2, y + math.ceil(high) + 2))
        blur = max(1, round(min(step[0, 0], step[1, 1])))
        block = np.asarray(cv2.blur(block, (blur, blur)), dtype=np.uint8)
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        patch = cv2.warpAffine(block, step, size, flags=flags, borderMode=cv2.BORDER_REPLICATE)
        return np.asarray(patch, dtype=np.uint8)


def mouth_movement(mouths: UInt8, times_s: Float64) -> Float64:
    """How much a mouth changed since the detection before.

    Args:
        mouths: (n, 16, 24) uint8 patches of one person.
        times_s: (n,) float64, their times, increasing.

    Returns:
        (n,) float64 from 0 (no change except of light and position) to about 1; nan for the first one and
        after a gap of more than 0.65 s.
    """
    movement = np.full(len(mouths), np.nan)
    for i in range(1, len(mouths)):
        if times_s[i] - times_s[i - 1] <= _LONGEST_S:
            movement[i] = _change(mouths[i - 1], mouths[i])
    return movement


def find_active_speaker(
    movement: Mapping[int, tuple[Float64, Float64]], speech_times_s: Float64, speech: Float64
) -> int | None:
    """The person to whom the voice in a span of a video belongs.

    The speaker's mouth moves during speech, more than without speech, and clearly more than anyone else's. If
    the visible mouths do not move, the voice belongs to someone outside the frame.

    Args:
        movement: of each person, times_s (n,) and the output of :func:`mouth_movement`, (n,).
        speech_times_s: (m,) float64, increasing.
        speech: (m,) float64, probability of speech at these times.

    Returns:
        The person's number; None if no one clearly is the speaker.
    """
    if not len(speech) or not (speech > _SPEECH).any():
        return None
    spoken_s = float((speech > _SPEECH).mean()) * _span_s(speech_times_s)
    strength: dict[int, float] = {}
    speakers: list[int] = []
    for person, (times_s, amount) in sorted(movement.items()):
        known, share, lasting_s = _between(times_s, amount, speech_times_s, speech)
        loud = share > _SPEECH
        if not loud.any():
            continue
        quiet = ~loud
        moved = np.minimum(known, _MOST)
        strength[person] = float(moved[loud].mean())
        if quiet.sum() >= _FEWEST:
            # A mouth that moves all the time may be chewing or laughing.
            strength[person] -= 0.5 * float(moved[quiet].mean())
        if loud.sum() >= _FEWEST and lasting_s[loud].sum() >= _VISIBLE * spoken_s:
            speakers.append(person)
    if not speakers:
        return None
    best = max(speakers, key=lambda person: (strength[person], -person))
    others = max((value for person, value in strength.items() if person != best), default=0.0)
    clear = strength[best] >= _MOVES and strength[best] >= _CLEARLY * others
    return best if clear else None


def _between(
    times_s: Float64, amount: Float64, speech_times_s: Float64, speech: Float64
) -> tuple[Float64, Float64, Float64]:
    """For each known change: its amount, and mean speech and time since the detection before."""
    known = np.flatnonzero(~np.isnan(amount))
    known = known[known > 0]
    first = np.searchsorted(speech_times_s, times_s[known - 1], side="left")
    last = np.searchsorted(speech_times_s, times_s[known], side="right")
    inside = last > first
    known, first, last = known[inside], first[inside], last[inside]
    total = np.concatenate([[0.0], np.cumsum(speech)])
    return amount[known], (total[last] - total[first]) / (last - first), times_s[known] - times_s[known - 1]


def _span_s(times_s: Float64) -> float:
    """The duration that evenly spaced values cover."""
    n = len(times_s)
    return float(times_s[-1] - times_s[0]) * n / (n - 1) if n > 1 else 0.0


def _change(before: UInt8, now: UInt8) -> float:
    """1 − correlation at the best shift within 2 pixels, in half pixels."""
    rows, columns = MOUTH_SHAPE
    searched = cv2.resize(before, (2 * columns, 2 * rows), interpolation=cv2.INTER_LINEAR)
    center = cv2.resize(now, (2 * columns, 2 * rows), interpolation=cv2.INTER_LINEAR)[4:-4, 4:-4]
    correlation = float(cv2.matchTemplate(searched, np.ascontiguousarray(center), cv2.TM_CCOEFF_NORMED).max())
    contrast = min(float(before.std()), float(now.std()))
    return float(np.clip(1 - correlation, 0, 1)) * min(1.0, contrast / _FLAT) ** 2


def _peak(row: list[float], at: int) -> float:
    """The position of the maximum between the samples, by a parabola through three."""
    if not 0 < at < len(row) - 1:
        return float(at)
    before, here, after = row[at - 1 : at + 2]
    bend = before - 2 * here + after
    return at if bend >= -1e-9 else at + float(np.clip(0.5 * (before - after) / bend, -0.5, 0.5))


def _px(share: float) -> int:
    return round(share * _PX)
