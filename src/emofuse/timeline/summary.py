"""A timeline in one row per person: for how long they talk and are in view, what they express, how surely."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from emofuse.core.dimensions import Scale, rating_column
from emofuse.timeline.plain_rows import Row
from emofuse.timeline.records import Segment, Timeline, Window
from emofuse.timeline.segments import Span
from emofuse.timeline.window_ratings import mean_ratings

Float64 = NDArray[np.float64]

_LEAST_SHOWN: Final = 0.05
_LEAST_TALKING_S: Final = 0.0005
"""Speech that is nobody's and shorter than this has no row: tables have milliseconds."""


@dataclass(frozen=True, slots=True)
class PersonSummary:
    """One person's row; ``person`` is None for voices that are attributed to nobody in view.

    A value is None where it was not measured, or where nothing could be read.
    """

    person: str | None
    talking_s: float | None
    """Seconds of speech that is attributed to them."""
    seen_s: float | None
    """Seconds during which their face is in view."""
    shares: tuple[float, ...] | None
    """Of ``read_s``, for each emotion of the timeline; with ``abstained_share`` they add up to 1."""
    probabilities: tuple[float, ...] | None
    """Mean fused probability of each emotion, over their windows."""
    confidence: float | None
    """Mean confidence of the segments with an emotion, by their length."""
    read_s: float
    """Seconds of segments with an emotion, or in which the recognizer abstained."""
    abstained_share: float | None
    shown: tuple[tuple[tuple[str, ...], float], ...] = ()
    """The same shares as they are shown to people: of ``("neutral", "calm")`` where only a face was read,
    which does not tell the two apart; of ``()`` where the recognizer abstained."""
    ratings: tuple[float | None, ...] = ()
    """Mean rating on each dimension of the timeline, over their windows."""


def summarize(timeline: Timeline) -> tuple[PersonSummary, ...]:
    """One summary per person, in the order of ``people``; last that of voices that are nobody's, if any.

    Windows overlap: the speech and the face of a moment are the mean over the windows that cover it. An
    emotion that a face does not tell from another (``neutral or calm``) gets its half of the time.
    """
    speech: dict[Span, tuple[float, str | None]] = {}
    seen: dict[Span, dict[str | None, float]] = {}
    for window in timeline.windows:
        span = window.start_s, window.end_s
        if window.speech is not None:
            speech.setdefault(span, (window.speech, window.speaker))
        if window.face_present is not None:
            seen.setdefault(span, {})[window.person] = window.face_present
    windows, segments = timeline.by_person(timeline.windows), timeline.by_person(timeline.segments)
    summaries = []
    for person in (*timeline.people, None):
        talking = [share if speaker == person else 0.0 for share, speaker in speech.values()]
        visible = [shares.get(person, 0.0) for shares in seen.values()]
        summaries.append(_summary(
            person, windows.get(person, []), segments.get(person, []), timeline.emotions,
            scales=timeline.dimensions,
            talking_s=_mean_s(list(speech), talking),
            seen_s=None if person is None else _mean_s(list(seen), visible),
        ))  # fmt: skip
    *people, nobody = summaries
    silent = (nobody.talking_s or 0.0) < _LEAST_TALKING_S
    unrated = all(rating is None for rating in nobody.ratings)
    if people and silent and not nobody.read_s and nobody.probabilities is None and unrated:
        return tuple(people)
    return tuple(summaries)


def _summary(
    person: str | None,
    windows: Sequence[Window],
    segments: Sequence[Segment],
    emotions: Sequence[str],
    *,
    scales: Sequence[Scale],
    talking_s: float | None,
    seen_s: float | None,
) -> PersonSummary:
    lengths = dict.fromkeys(emotions, 0.0)
    shown: dict[tuple[str, ...], float] = defaultdict(float)
    abstained_s = sure_s = 0.0
    for segment in segments:
        if segment.abstained:
            abstained_s += segment.duration_s
            shown[()] += segment.duration_s
        elif segment.emotion is not None and segment.shown_confidence is not None:
            alike = (segment.emotion, *segment.alike)
            shown[tuple(sorted(alike, key=emotions.index))] += segment.duration_s
            for emotion in alike:
                lengths[emotion] += segment.duration_s / len(alike)
            sure_s += segment.duration_s * segment.shown_confidence
    named_s = sum(lengths.values())
    read_s = named_s + abstained_s
    return PersonSummary(
        person,
        talking_s,
        seen_s,
        tuple(length / read_s for length in lengths.values()) if read_s else None,
        _mean_probabilities(windows),
        min(sure_s / named_s, 1.0) if named_s else None,
        read_s,
        abstained_s / read_s if read_s else None,
        tuple((names, length / read_s) for names, length in shown.items() if length),
        mean_ratings(windows, scales),
    )


def _mean_probabilities(windows: Sequence[Window]) -> tuple[float, ...] | None:
    known = [(one.fused, one.end_s - one.start_s) for one in windows if one.fused is not None]
    if not known:
        return None
    vectors, lengths = zip(*known, strict=True)
    return tuple(np.average(np.stack(vectors), axis=0, weights=lengths).tolist())


def _mean_s(spans: Sequence[Span], shares: Sequence[float]) -> float | None:
    """Seconds: the integral over time of the mean share of the spans that cover each moment."""
    if not spans:
        return None
    limits: Float64 = np.array(spans, dtype=np.float64)
    edges = np.unique(limits)
    first, last = (np.searchsorted(edges, limits[:, column]) for column in (0, 1))
    total, count = np.zeros(len(edges)), np.zeros(len(edges), dtype=np.int64)
    np.add.at(total, first, shares)
    np.subtract.at(total, last, shares)
    np.add.at(count, first, 1)
    np.subtract.at(count, last, 1)
    covering = np.cumsum(count)[:-1]
    means = np.cumsum(total)[:-1] / np.maximum(covering, 1)
    # sums of many shares leave rounding errors
    return max(0.0, float((np.where(covering > 0, means, 0.0) * np.diff(edges)).sum()))


def main_results(one: PersonSummary) -> list[tuple[tuple[str, ...], float]]:
    """What was read for at least a twentieth of the time, most frequent first, as in ``shown``."""
    return sorted((each for each in one.shown if each[1] >= _LEAST_SHOWN), key=lambda each: -each[1])


def excluded_s(timeline: Timeline, person: str | None) -> float:
    """For how many seconds a person is excluded; None: voices of nobody."""
    own = [one for one in timeline.segments if one.excluded and one.person == person]
    return sum(one.duration_s for one in own)


def summary_columns(emotions: Sequence[str], scales: Sequence[Scale] = ()) -> tuple[str, ...]:
    """The columns of a summary as a table; ``mean_rated_valence`` and so on where windows are rated."""
    return (
        *("person", "condition", "talking_s", "seen_s"),
        *(f"share_{emotion}" for emotion in emotions),
        *(f"mean_probability_{emotion}" for emotion in emotions),
        *("mean_confidence", "read_s", "share_abstained", "baseline"),
        *(f"mean_{rating_column(scale.name)}" for scale in scales),
    )


def summary_rows(timeline: Timeline, condition: str | None = None) -> Iterator[Row]:
    """One row per person; None where there is nothing.

    Args:
        timeline: what is summarized.
        condition: of an experiment, in which the recording was made.
    """
    names = summary_columns(timeline.emotions, timeline.dimensions)
    blank = (None,) * len(timeline.emotions)
    for one in summarize(timeline):
        values = (
            *(one.person, condition, one.talking_s, one.seen_s),
            *(one.shares or blank),
            *(one.probabilities or blank),
            *(one.confidence, one.read_s, one.abstained_share, timeline.leading(one.person)),
            *one.ratings,
        )
        yield dict(zip(names, values, strict=True))
