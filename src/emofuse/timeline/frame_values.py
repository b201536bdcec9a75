"""A timeline frame by frame: where each face is, and what it expresses at that time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from emofuse.timeline.plain_rows import Row
from emofuse.timeline.records import Timeline, Window

Float64 = NDArray[np.float64]

_LEAST_WEIGHT: Final = 1e-3
"""Of a window at its very edges, as at the first frame of a recording, over which no other window lies."""


def frame_columns(emotions: Sequence[str]) -> tuple[str, ...]:
    """The columns of :func:`frame_rows`."""
    edges = ("left_px", "top_px", "right_px", "bottom_px")
    return ("time_s", "person", *edges, *(f"face_{emotion}" for emotion in emotions), "baseline")


def frame_rows(timeline: Timeline) -> Iterator[Row]:
    """One row per face and frame in which it was found, in the order of ``timeline.faces``.

    A face is read in windows. Its probabilities at a time are the mean over the windows that cover it, each
    with a weight that falls from 1 in the middle of the window to 0 at its edges; None where no window
    could read it.
    """
    names = frame_columns(timeline.emotions)
    windows = timeline.by_person(timeline.windows)
    readings = {person: _FaceReadings(windows.get(person, [])) for person in timeline.people}
    blank = (None,) * len(timeline.emotions)
    span = timeline.span_ms
    for face in timeline.faces:
        place = face.as_row(span)
        read = readings[face.person].at(face.time_s)
        shares = blank if read is None else read.tolist()
        values = (*place.values(), *shares, timeline.leading(face.person))
        yield dict(zip(names, values, strict=True))


class _FaceReadings:
    """What one person's face expresses in their windows, looked up in order of time."""

    def __init__(self, windows: Sequence[Window]) -> None:
        self._windows = [one for one in windows if one.face is not None]
        self._longest_s = max((one.end_s - one.start_s for one in self._windows), default=0.0)
        self._first = 0

    def at(self, time_s: float) -> Float64 | None:
        """The weighted mean of the windows over a time; times must not decrease."""
        while (
            self._first < len(self._windows) and self._windows[self._first].start_s < time_s - self._longest_s
        ):
            self._first += 1
        total: Float64 | None = None
        weights = 0.0
        for window in self._windows[self._first :]:
            if window.start_s > time_s:
                break
            if window.end_s < time_s or window.face is None:
                continue
            half = (window.end_s - window.start_s) / 2
            weight = max(1.0 - abs(time_s - window.start_s - half) / half, _LEAST_WEIGHT)
            total = weight * window.face + (0.0 if total is None else total)
            weights += weight
        return None if total is None else total / weights
