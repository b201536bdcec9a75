"""Where a new shot begins: a cut changes what is seen, while a change of light leaves it in its place.

Light that is dimmed, switched, colored or faded maps every color to another one, wherever it is in the frame;
after a cut, the colors of one frame say little about those at the same places of the next.
"""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np

from emofuse.core.records import Float32, UInt8

_CUT_LEAST: Final = 0.1
_CUT_MOST: Final = 1.5
"""Mean change of 18 × 32 colors (Lab) that may be a cut, and that certainly is one. Within RAVDESS clips:
0.02, up to 0.09; between clips of the same man: 0.05 to 0.18; two heads crossing: up to 0.7; between
synthetic people: 1.2 to 6. Taking movement for a cut does little harm: then the appearance decides."""
_CUT_RATIO: Final = 3.0
"""In between: the ratio of a cut to the changes before it."""

_JUMP_LEAST: Final = 0.2
"""A smaller change is none of people: between 24 RAVDESS actors before the same wall it is 0.25 to 2.5."""

_LIGHT_LEAST: Final = 2.0
"""Mean change of 8-bit colors that may come from the light."""
_LIGHT_LEFT: Final = 0.4
"""Share of the change that a change of light leaves unexplained, at most. Dimming, switching and coloring the
light over RAVDESS clips leaves 0.01 to 0.19; cuts between 24 RAVDESS actors before the same wall 1.2 to 4."""
_LIGHT_EXPLAINS: Final = 0.9
"""Share of the variance of the new colors that the old ones explain, at least: 0.94 to 1 and 0.47 to 0.89."""
_CURVE_POINTS: Final = 8


class Shots:
    """Counts shots by detecting cuts."""

    def __init__(self) -> None:
        self.number = 0
        self.light_changed = False
        """Whether the light of the last frame differs from that of the frame before, within the shot."""
        self.may_be_cut = False
        """Whether the last frame may be the first of a shot nevertheless: a change like that of a cut, after
        hardly any, while little is known of the changes before."""
        self.lighting = 0
        """Counts shots and changes of light."""
        self._last_change = 0.0
        self._before: UInt8 | None = None
        self._peak = _CUT_MOST / _CUT_RATIO

    def update(self, small: UInt8) -> bool:
        """Whether a frame, (height, width, 3) BGR, is the first of a shot."""
        now = np.asarray(cv2.resize(small, (32, 18), interpolation=cv2.INTER_AREA), dtype=np.uint8)
        before, self._before = self._before, now
        self.may_be_cut = False
        if before is None:
            return True
        self.light_changed = _is_change_of_light(before, now)
        if self.light_changed:
            self.lighting += 1
            return False
        change = _change(_color_field(before), _color_field(now))
        cut = change > min(_CUT_MOST, max(_CUT_LEAST, _CUT_RATIO * self._peak))
        if cut:
            self.number += 1
            self.lighting += 1
        else:
            self.may_be_cut = change > max(_JUMP_LEAST, _CUT_RATIO * self._last_change)
            self._peak = max(change, 0.8 * self._peak)
        self._last_change = change
        return cut


def _color_field(colors: UInt8) -> Float32:
    """(18, 32, 3) float32 8-bit Lab, with brightness and contrast removed from L."""
    lab = cv2.cvtColor(colors, cv2.COLOR_BGR2LAB).astype(np.float32)
    light = lab[:, :, 0]
    lab[:, :, 0] = (light - light.mean()) * (30 / (light.std() + 5))
    return np.asarray(lab, dtype=np.float32)


def _change(before: Float32, now: Float32) -> float:
    """Mean change of the colors beyond what a movement by one cell can explain."""
    kernel = np.ones((3, 3), dtype=np.uint8)
    above = now - cv2.dilate(before, kernel)
    below = cv2.erode(before, kernel) - now
    return float(np.maximum(np.maximum(above, below), 0).mean())


def _is_change_of_light(before: UInt8, now: UInt8) -> bool:
    """Whether one curve per channel, from old to new values, explains how a frame changed."""
    old, new = before.astype(np.float32), now.astype(np.float32)
    change = _change(old, new)
    if change < _LIGHT_LEAST:
        return False
    relit = np.stack([_relit(old[..., c], new[..., c]) for c in range(3)], axis=-1)
    if _change(relit, new) > _LIGHT_LEFT * change:
        return False
    variance = float(np.square(new - new.mean(axis=(0, 1))).sum())
    return float(np.square(new - relit).sum()) <= (1 - _LIGHT_EXPLAINS) * variance


def _relit(old: Float32, new: Float32) -> Float32:
    """The old values of a channel on the never falling curve that leads to the new ones."""
    order = old.ravel().argsort(kind="stable")
    points = [part.mean() for part in np.array_split(old.ravel()[order], _CURVE_POINTS)]
    values = [part.mean() for part in np.array_split(new.ravel()[order], _CURVE_POINTS)]
    rising = np.array(points) + 1e-3 * np.arange(_CURVE_POINTS)
    return np.interp(old, rising, np.maximum.accumulate(values)).astype(np.float32)
