"""Ratings on numeric scales over the windows of a timeline: their means, and their course."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np

from emofuse.core.dimensions import Rated, Scale
from emofuse.core.times import milliseconds
from emofuse.timeline.records import SpanMs, Window


def mean_ratings(windows: Sequence[Window], scales: Sequence[Scale]) -> tuple[float | None, ...]:
    """The mean of each dimension over some windows, by their length; None where none was rated."""
    means: list[float | None] = []
    for scale in scales:
        known = [
            (one.ratings[scale.name].value, one.end_s - one.start_s)
            for one in windows
            if scale.name in one.ratings
        ]
        if known:
            values, lengths = zip(*known, strict=True)
            means.append(float(np.average(values, weights=lengths)))
        else:
            means.append(None)
    return tuple(means)


def rating_steps(windows: Sequence[Window], name: str, within: SpanMs) -> Iterator[tuple[int, int, Rated]]:
    """One dimension of one person's windows as steps that do not overlap: start, end in ms, and the rating.

    A step reaches from halfway to the window before to halfway to the one after; the first and the last, and
    those beside a gap, reach to the edges of their windows.

    Args:
        windows: of one person.
        name: the dimension.
        within: the span of the recording.
    """
    rated = sorted((one for one in windows if name in one.ratings), key=lambda one: one.start_s + one.end_s)
    first, last = within
    starts = [one.start_s for one in rated]
    ends = [one.end_s for one in rated]
    for k, (one, other) in enumerate(pairwise(rated)):
        if other.start_s <= one.end_s:
            ends[k] = starts[k + 1] = (one.start_s + one.end_s + other.start_s + other.end_s) / 4
    for one, start_s, end_s in zip(rated, starts, ends, strict=True):
        start, end = (min(max(milliseconds(time_s), first), last) for time_s in (start_s, end_s))
        if start < end:
            yield start, end, one.ratings[name]
