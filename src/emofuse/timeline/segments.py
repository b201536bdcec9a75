"""Windows → segments: overlapping answers become stretches of time with one answer each.

The answers of all windows over a moment are averaged, the nearer their middle the more; then the most likely
course of emotions is found in which a change costs something (Viterbi 1967), so that a single window seldom
makes a segment of its own.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from emofuse.timeline.records import Segment, Window

Float64 = NDArray[np.float64]
Span = tuple[float, float]

_LEAST_PROBABILITY: Final = 1e-6
_ROUNDING_S: Final = 1e-6
_SLIVER_S: Final = 0.1
"""A hole that is not longer is no segment of its own: the first picture comes a little after the sound, the
last window ends a little before it."""


@dataclass(frozen=True, slots=True)
class SegmentRules:
    """How segments are made of windows."""

    change_cost: float = 0.5
    """What a change of emotion costs, in nats. Higher: fewer, longer segments. The default did best on clips
    of RAVDESS of 3 s, one after the other; in talk expressions last longer."""
    abstain_below: float = 0.4
    """A segment whose mean probability is lower has no emotion: the recogniser abstains."""

    def __post_init__(self) -> None:
        if not self.change_cost >= 0:
            raise ValueError(f"change_cost must not be negative, got {self.change_cost}")
        if not 0 <= self.abstain_below <= 1:
            raise ValueError(f"abstain_below must be between 0 and 1, got {self.abstain_below}")


@dataclass(frozen=True, slots=True)
class _Course:
    """Steps of time with the averaged answer of each, NaN where there is none."""

    edges: Float64
    """(n + 1,) seconds."""
    answers: Float64
    """(n, n_emotions)."""


def make_segments(
    windows: Sequence[Window],
    span: Span,
    emotions: Sequence[str],
    *,
    presence: Mapping[str | None, Sequence[Span]] | None = None,
    moments: Float64 | None = None,
    rules: SegmentRules | None = None,
) -> tuple[Segment, ...]:
    """Segments of everybody, each person's from the begin of the recording to its end.

    Args:
        windows: of all people, in order of time.
        span: begin and end of the recording, seconds.
        emotions: the order of the probabilities.
        presence: when each person was there to be read; outside of it nothing is said of them. A person who
            is not in it: whenever a window has an answer.
        moments: increasing times, such as those of pictures: changes happen at one of them.
        rules: what a change costs, and when to abstain.

    Returns:
        Ordered by begin; those of one person touch and do not overlap. Where nothing was to be read they
        have neither emotion nor confidence.
    """
    rules = rules or SegmentRules()
    if span[1] - span[0] <= _ROUNDING_S:
        return ()
    by_person: dict[str | None, list[Window]] = {}
    for window in windows:
        by_person.setdefault(window.person, []).append(window)
    found: list[Segment] = []
    for person, own in by_person.items():
        there = None if presence is None else presence.get(person)
        course = _course(own, there, len(emotions), moments)
        found += _of_one(course, span, person, emotions, rules)
    return tuple(sorted(found, key=lambda segment: (segment.start_s, segment.person or "")))


def _course(
    windows: Sequence[Window], there: Sequence[Span] | None, n_emotions: int, moments: Float64 | None
) -> _Course:
    """Average the windows over each step between their begins, and cut the steps where nobody was there."""
    limits = [limit for w in windows for limit in (w.start_s, w.end_s)]
    edges: Float64 = _at_moments(np.unique(np.array(limits, dtype=np.float64).round(6)), moments)
    if there is not None:
        cuts = np.array([limit for one in there for limit in one], dtype=np.float64)
        edges = np.unique(np.concatenate([edges, cuts[(cuts > edges[0]) & (cuts < edges[-1])]]))
    middles = (edges[:-1] + edges[1:]) / 2
    total = np.zeros((len(middles), n_emotions))
    weight = np.zeros(len(middles))
    for window in windows:
        if window.fused is None:
            continue
        half = (window.end_s - window.start_s) / 2
        near = 1.0 - np.abs(middles - window.start_s - half) / half
        inside = np.flatnonzero(near > 0)
        total[inside] += near[inside, None] * window.fused
        weight[inside] += near[inside]
    if there is not None:
        weight[~_within(middles, there)] = 0.0
    answers = np.full_like(total, np.nan)
    read = weight > 0
    answers[read] = total[read] / weight[read, None]
    return _Course(edges, answers)


def _at_moments(edges: Float64, moments: Float64 | None) -> Float64:
    """Move inner edges to the nearest moment, where that leaves them in order."""
    if moments is None or len(moments) < 2 or len(edges) < 3:
        return edges
    right = np.clip(np.searchsorted(moments, edges), 1, len(moments) - 1)
    nearest = np.where(edges - moments[right - 1] <= moments[right] - edges, right - 1, right)
    moved = np.where(np.abs(moments[nearest] - edges) <= np.diff(edges).min() / 2, moments[nearest], edges)
    moved[0], moved[-1] = edges[0], edges[-1]
    return np.unique(np.clip(moved, edges[0], edges[-1]))


def _within(times: Float64, spans: Iterable[Span]) -> NDArray[np.bool_]:
    inside = np.zeros(len(times), dtype=bool)
    for start, end in spans:
        inside |= (times >= start) & (times <= end)
    return inside


def _of_one(
    course: _Course, span: Span, person: str | None, emotions: Sequence[str], rules: SegmentRules
) -> list[Segment]:
    segments: list[Segment] = []
    end = span[0]
    read = ~np.isnan(course.answers[:, 0])
    for first, last in _runs(read):
        path = most_likely_course(course.answers[first:last], rules.change_cost)
        for begin, stop in _equal_runs(path):
            cells = slice(first + begin, first + stop)
            start_s, end_s = float(course.edges[cells.start]), float(course.edges[cells.stop])
            lengths = np.diff(course.edges[cells.start : cells.stop + 1])
            confidence = float(np.average(course.answers[cells, path[begin]], weights=lengths))
            if start_s - end > _SLIVER_S:
                segments.append(Segment(end, start_s, None, person=person))
            else:
                start_s = end
            segments.append(_answer(start_s, end_s, emotions[path[begin]], confidence, person, rules))
            end = end_s
    if span[1] - end > (_SLIVER_S if segments else _ROUNDING_S):
        segments.append(Segment(end, span[1], None, person=person))
    elif segments:
        segments[-1] = replace(segments[-1], end_s=span[1])
    return _joined(segments)


def _answer(
    start_s: float, end_s: float, emotion: str, confidence: float, person: str | None, rules: SegmentRules
) -> Segment:
    confidence = min(confidence, 1.0)
    if confidence < rules.abstain_below:
        return Segment(start_s, end_s, None, confidence, abstained=True, person=person)
    return Segment(start_s, end_s, emotion, confidence, person=person)


def _joined(segments: Sequence[Segment]) -> list[Segment]:
    """Neighbours that say the same become one; of two that were abstained from the confidence is the mean."""
    joined: list[Segment] = []
    for segment in segments:
        before = joined[-1] if joined else None
        if before is None or (before.emotion, before.abstained) != (segment.emotion, segment.abstained):
            joined.append(segment)
            continue
        confidence = segment.confidence
        if confidence is not None and before.confidence is not None:
            weights = (before.duration_s, segment.duration_s)
            confidence = float(np.average((before.confidence, confidence), weights=weights))
        joined[-1] = replace(before, end_s=segment.end_s, confidence=confidence)
    return joined


def most_likely_course(answers: Float64, change_cost: float) -> NDArray[np.int64]:
    """The sequence of classes with the highest sum of log-probabilities, each change at a cost.

    Args:
        answers: (n, n_classes) probabilities.
        change_cost: taken off for every change, in nats.

    Returns:
        (n,) classes.
    """
    logs = np.log(np.maximum(answers, _LEAST_PROBABILITY))
    n, n_classes = logs.shape
    back = np.empty((n, n_classes), dtype=np.int64)
    score = logs[0].copy()
    for i in range(1, n):
        best = int(score.argmax())
        stays = score >= score[best] - change_cost
        back[i] = np.where(stays, np.arange(n_classes), best)
        score = np.where(stays, score, score[best] - change_cost) + logs[i]
    path = np.empty(n, dtype=np.int64)
    path[-1] = score.argmax()
    for i in range(n - 1, 0, -1):
        path[i - 1] = back[i, path[i]]
    return path


def _runs(flags: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Begin and end (exclusive) of each run of True."""
    padded = np.concatenate([[False], flags, [False]])
    changes = np.flatnonzero(padded[1:] != padded[:-1])
    return [(int(a), int(b)) for a, b in changes.reshape(-1, 2)]


def _equal_runs(path: NDArray[np.int64]) -> list[tuple[int, int]]:
    edges = [0, *(int(i) + 1 for i in np.flatnonzero(np.diff(path))), len(path)]
    return list(itertools.pairwise(edges))
