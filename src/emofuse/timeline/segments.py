"""Windows → segments: overlapping probabilities become stretches of time with one result each.

The probabilities of all windows over a moment are averaged, with more weight near the middle of a window.
Then the most likely sequence of emotions is found in which each change has a cost (Viterbi 1967), so that a
single window seldom makes a segment of its own.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from emofuse.core.alike import alike_indices
from emofuse.timeline.records import FaceBox, Segment, Window

Float64 = NDArray[np.float64]
Span = tuple[float, float]

_MIN_PROBABILITY: Final = 1e-6
_ROUNDING_S: Final = 1e-6
_MAX_GAP_S: Final = 0.1
"""A gap up to this length is not a segment of its own: the first frame comes a little after the start of the
audio, and the last window ends a little before its end."""
_ABSENT_S: Final = 1.0
"""Somebody who is not seen for longer than this was absent."""


@dataclass(frozen=True, slots=True)
class SegmentRules:
    """How segments are made of windows."""

    change_cost: float = 0.5
    """The cost of a change of emotion, in nats. Higher: fewer, longer segments. The default did best on
    RAVDESS clips of 3 s, one after the other; in conversation expressions last longer."""
    abstain_below: float = 0.4
    """A segment with a lower mean probability has no emotion: the recognizer abstains. Emotions that a face
    alone does not tell apart count together."""

    def __post_init__(self) -> None:
        if not self.change_cost >= 0:
            raise ValueError(f"change_cost must not be negative, got {self.change_cost}")
        if not 0 <= self.abstain_below <= 1:
            raise ValueError(f"abstain_below must be between 0 and 1, got {self.abstain_below}")


@dataclass(frozen=True, slots=True)
class _Steps:
    """Steps of time with the averaged probabilities of each, NaN where there are none."""

    edges: Float64
    """(n + 1,) seconds."""
    probabilities: Float64
    """(n, n_emotions)."""
    face_alone: NDArray[np.bool_]
    """(n,) whether no voice took part."""


def make_segments(
    windows: Sequence[Window],
    span: Span,
    emotions: Sequence[str],
    *,
    presence: Mapping[str | None, Sequence[Span]] | None = None,
    frame_times: Float64 | None = None,
    rules: SegmentRules | None = None,
) -> tuple[Segment, ...]:
    """Segments of all people, each person's from the start of the recording to its end.

    Args:
        windows: of all people, in order of time.
        span: start and end of the recording, in seconds.
        emotions: the order of the probabilities.
        presence: when each person was present; outside of it they have no result. People who are not in it
            have results whenever a window does.
        frame_times: increasing times, at one of which each change happens.
        rules: the cost of a change, and when to abstain.

    Returns:
        Segments ordered by start; those of one person are adjacent and do not overlap. Where there was
        nothing to read they have neither emotion nor confidence.
    """
    rules = rules or SegmentRules()
    if span[1] - span[0] <= _ROUNDING_S or not emotions:
        return ()
    by_person: dict[str | None, list[Window]] = {}
    for window in windows:
        by_person.setdefault(window.person, []).append(window)
    segments: list[Segment] = []
    for person, own in by_person.items():
        present = None if presence is None else presence.get(person)
        steps = _average(own, present, len(emotions), frame_times)
        segments += _person_segments(steps, span, person, emotions, rules)
    return tuple(sorted(segments, key=lambda segment: (segment.start_s, segment.person or "")))


def presence(faces: Sequence[FaceBox], frame_times: Float64, end_s: float) -> dict[str | None, list[Span]]:
    """When each person was present: from the first frame with the face to the one after the last.

    Args:
        faces: in order of time.
        frame_times: of all frames that were searched, increasing.
        end_s: the end of the recording, for a face in the last frame; where the recording continues without
            video, the last frame lasts as long as the others.
    """
    if len(frame_times) > 1 and end_s - frame_times[-1] > _ABSENT_S:
        end_s = min(end_s, float(frame_times[-1] + np.median(np.diff(frame_times))))
    spans: dict[str | None, list[Span]] = {}
    for face in faces:
        next_frame = int(np.searchsorted(frame_times, face.time_s, "right"))
        until_s = float(frame_times[next_frame]) if next_frame < len(frame_times) else end_s
        own_spans = spans.setdefault(face.person, [])
        if own_spans and face.time_s - own_spans[-1][1] <= _ABSENT_S:
            own_spans[-1] = own_spans[-1][0], until_s
        else:
            own_spans.append((face.time_s, until_s))
    return spans


def _average(
    windows: Sequence[Window], present: Sequence[Span] | None, n_emotions: int, frame_times: Float64 | None
) -> _Steps:
    """Average the windows over each step between their edges; absent people have no result."""
    limits = [limit for w in windows for limit in (w.start_s, w.end_s)]
    edges: Float64 = _at_frames(np.unique(np.array(limits, dtype=np.float64).round(6)), frame_times)
    if present is not None:
        cuts = np.array([limit for one in present for limit in one], dtype=np.float64)
        edges = np.unique(np.concatenate([edges, cuts[(cuts > edges[0]) & (cuts < edges[-1])]]))
    middles = (edges[:-1] + edges[1:]) / 2
    total = np.zeros((len(middles), n_emotions))
    weight = np.zeros(len(middles))
    face_alone = np.ones(len(middles), dtype=bool)
    for window in windows:
        if window.fused is None:
            continue
        half = (window.end_s - window.start_s) / 2
        weight_of_window = 1.0 - np.abs(middles - window.start_s - half) / half
        inside = np.flatnonzero(weight_of_window > 0)
        total[inside] += weight_of_window[inside, None] * window.fused
        weight[inside] += weight_of_window[inside]
        face_alone[inside] &= window.voice is None and window.face is not None
    if present is not None:
        weight[~_within(middles, present)] = 0.0
    probabilities = np.full_like(total, np.nan)
    known = weight > 0
    probabilities[known] = total[known] / weight[known, None]
    return _Steps(edges, probabilities, face_alone)


def _at_frames(edges: Float64, frame_times: Float64 | None) -> Float64:
    """Move inner edges to the nearest frame where that keeps them in order."""
    if frame_times is None or len(frame_times) < 2 or len(edges) < 3:
        return edges
    right = np.clip(np.searchsorted(frame_times, edges), 1, len(frame_times) - 1)
    nearest = np.where(edges - frame_times[right - 1] <= frame_times[right] - edges, right - 1, right)
    frames = frame_times[nearest]
    moved = np.where(np.abs(frames - edges) <= np.diff(edges).min() / 2, frames, edges)
    moved[0], moved[-1] = edges[0], edges[-1]
    return np.unique(np.clip(moved, edges[0], edges[-1]))


def _within(times: Float64, spans: Iterable[Span]) -> NDArray[np.bool_]:
    inside = np.zeros(len(times), dtype=bool)
    for start, end in spans:
        inside |= (times >= start) & (times <= end)
    return inside


def _person_segments(
    steps: _Steps, span: Span, person: str | None, emotions: Sequence[str], rules: SegmentRules
) -> list[Segment]:
    segments: list[Segment] = []
    end = span[0]
    known = ~np.isnan(steps.probabilities[:, 0])
    for first, last in _runs(known):
        path = viterbi_path(steps.probabilities[first:last], rules.change_cost)
        for start, stop in _equal_runs(path):
            cells = slice(first + start, first + stop)
            start_s, end_s = float(steps.edges[cells.start]), float(steps.edges[cells.stop])
            lengths = np.diff(steps.edges[cells.start : cells.stop + 1])
            confidence = float(np.average(steps.probabilities[cells, path[start]], weights=lengths))
            alike: tuple[int, ...] = ()
            if steps.face_alone[cells].all():
                alike = alike_indices(emotions, steps.probabilities[cells], int(path[start]))
            if start_s - end > _MAX_GAP_S:
                segments.append(Segment(end, start_s, None, person=person))
            else:
                start_s = end
            named = tuple(emotions[i] for i in (path[start], *alike))
            segments.append(_segment(start_s, end_s, named, confidence, person, rules))
            end = end_s
    if span[1] - end > (_MAX_GAP_S if segments else _ROUNDING_S):
        segments.append(Segment(end, span[1], None, person=person))
    elif segments:
        segments[-1] = replace(segments[-1], end_s=span[1])
    return _merged(segments)


def _segment(
    start_s: float,
    end_s: float,
    emotions: tuple[str, ...],
    confidence: float,
    person: str | None,
    rules: SegmentRules,
) -> Segment:
    """The segment of an emotion, or of several that are alike; ``confidence``: that of each."""
    confidence = min(confidence, 1.0)
    if confidence * len(emotions) < rules.abstain_below:
        return Segment(start_s, end_s, None, confidence, abstained=True, person=person)
    return Segment(start_s, end_s, emotions[0], confidence, person=person, alike=emotions[1:])


def _merged(segments: Sequence[Segment]) -> list[Segment]:
    """Merge neighbors with the same result; two that were abstained from get the mean confidence."""
    merged: list[Segment] = []
    for segment in segments:
        before = merged[-1] if merged else None
        if before is None or _result(before) != _result(segment):
            merged.append(segment)
            continue
        confidence = segment.confidence
        if confidence is not None and before.confidence is not None:
            weights = (before.duration_s, segment.duration_s)
            confidence = float(np.average((before.confidence, confidence), weights=weights))
        merged[-1] = replace(before, end_s=segment.end_s, confidence=confidence)
    return merged


def _result(segment: Segment) -> tuple[str | None, bool, tuple[str, ...]]:
    return segment.emotion, segment.abstained, segment.alike


def viterbi_path(probabilities: Float64, change_cost: float) -> NDArray[np.int64]:
    """The sequence of classes with the highest sum of log-probabilities, minus the cost of changes.

    Args:
        probabilities: (n, n_classes).
        change_cost: of every change, in nats.

    Returns:
        (n,) classes.
    """
    logs = np.log(np.maximum(probabilities, _MIN_PROBABILITY))
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
    """Start and end (exclusive) of each run of True."""
    padded = np.concatenate([[False], flags, [False]])
    changes = np.flatnonzero(padded[1:] != padded[:-1])
    return [(int(a), int(b)) for a, b in changes.reshape(-1, 2)]


def _equal_runs(path: NDArray[np.int64]) -> list[tuple[int, int]]:
    edges = [0, *(int(i) + 1 for i in np.flatnonzero(np.diff(path))), len(path)]
    return list(itertools.pairwise(edges))
