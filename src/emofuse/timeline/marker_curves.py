"""Curves around markers: what each person expresses from some seconds before a marker to some after it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from emofuse.timeline.marks import Marker
from emofuse.timeline.records import Timeline, Window
from emofuse.timeline.value_checks import check_span

Float64 = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class CurveRules:
    """Which times around a marker a curve has."""

    before_s: float = 5.0
    after_s: float = 15.0
    step_s: float = 1.0

    def __post_init__(self) -> None:
        check_span("curve", -self.before_s, self.after_s)
        if not self.step_s > 0 or (self.before_s + self.after_s) / self.step_s > 10_000:
            raise ValueError(f"step_s must be positive, and not too small, got {self.step_s}")

    @property
    def offsets_s(self) -> Float64:
        """(n_offsets,) seconds after the marker, multiples of the step; 0 is one of them."""
        first, last = round(-self.before_s / self.step_s), round(self.after_s / self.step_s)
        return np.arange(first, last + 1, dtype=np.float64) * float(self.step_s)


@dataclass(frozen=True, slots=True, eq=False)
class MarkerCurve:
    """What one person expresses around one marker."""

    person: str | None
    marker: Marker
    values: Float64
    """(n_offsets, n_emotions) mean fused probabilities; NaN where nothing was read."""


def marker_curves(timeline: Timeline, rules: CurveRules | None = None) -> Iterator[MarkerCurve]:
    """A curve of each person around each marker where something of them was read.

    A value is the mean of the windows whose middle lies within half a step of its offset from the start of
    the marker. A window is some seconds long, so that what happens at a marker is in the windows up to half
    of one before it, too. Voices of nobody in view count only where nobody is in view at all.
    """
    rules = rules or CurveRules()
    own = timeline.by_person(timeline.windows)
    people = timeline.people or (None,)
    read = {person: _Read.of(own.get(person, []), len(timeline.emotions)) for person in people}
    for marker in timeline.markers:
        for person in people:
            values = read[person].around(marker.start_s, rules)
            if not np.isnan(values).all():
                yield MarkerCurve(person, marker, values)


@dataclass(frozen=True, slots=True, eq=False)
class _Read:
    """The windows of one person that were read: their middles, in order, and probabilities."""

    middles_s: Float64
    fused: Float64

    @classmethod
    def of(cls, windows: list[Window], n_emotions: int) -> _Read:
        known = [(one.start_s + one.end_s, one.fused) for one in windows if one.fused is not None]
        known.sort(key=lambda one: one[0])
        middles = np.array([middle / 2 for middle, _ in known])
        return cls(middles, np.array([fused for _, fused in known]).reshape(len(known), n_emotions))

    def around(self, time_s: float, rules: CurveRules) -> Float64:
        offsets = rules.offsets_s
        edges = time_s + np.append(offsets - rules.step_s / 2, offsets[-1] + rules.step_s / 2)
        places = np.searchsorted(self.middles_s, edges)
        values = np.full((len(offsets), self.fused.shape[1]), np.nan)
        for number, (first, last) in enumerate(pairwise(places.tolist())):
            if last > first:
                values[number] = self.fused[first:last].mean(0)
        return values
