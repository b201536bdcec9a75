"""What people added to a timeline, as the formats show it: purpose, markers and excluded spans."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from emofuse.core.text import one_line
from emofuse.core.times import clock, milliseconds
from emofuse.exports.tiers import EXCLUDED, drawable_ms, plain_names
from emofuse.timeline.marks import ExcludedSpan, Marker
from emofuse.timeline.plain_rows import Row
from emofuse.timeline.records import Segment, SpanMs, Timeline

MARKER: Final = "marker"
EVERYBODY: Final = "everybody"
"""Whose an excluded span is that names nobody."""

MarkInterval = tuple[int, int, str]
"""Start and end in milliseconds, and what is written there, on one line."""


def has_marks(timeline: Timeline) -> bool:
    """Whether there are markers or excluded spans."""
    return bool(timeline.markers or timeline.excluded)


def span_ms(mark: Marker | ExcludedSpan, within: SpanMs) -> SpanMs:
    """Start and end of a mark, clipped to ``within``; equal for a marker at one time."""
    first, last = within
    end_s = mark.start_s if mark.end_s is None else mark.end_s
    start, end = (min(max(milliseconds(time_s), first), last) for time_s in (mark.start_s, end_s))
    return start, end


def mark_tiers(timeline: Timeline) -> Iterator[tuple[str, tuple[MarkInterval, ...]]]:
    """Tiers of markers and of excluded spans, by name; intervals of one tier do not overlap.

    A marker at one time is an interval of a millisecond. What lies before zero is left out.
    """
    within = drawable_ms(timeline)
    names = plain_names(timeline.people)
    tiers: dict[str, list[MarkInterval]] = {}
    marks = [(MARKER, span_ms(one, within), one.text) for one in timeline.markers if one.order[1] >= 0]
    marks += [
        (_excluded_tier(one, names), span_ms(one, within), one.reason)
        for one in timeline.excluded
        if one.end_s > 0
    ]
    for name, span, text in marks:
        interval = _at_least_a_millisecond((*span, one_line(text)), within[1])
        tiers.setdefault(name, []).append(interval)
    for name, intervals in tiers.items():
        for number, lane in enumerate(_lanes(intervals), 1):
            yield (name if number == 1 else f"{name} ({number})"), lane


def _excluded_tier(span: ExcludedSpan, names: Mapping[str, str]) -> str:
    return EXCLUDED if span.person is None else f"{EXCLUDED}@{names[span.person]}"


def _at_least_a_millisecond(interval: MarkInterval, last_ms: int) -> MarkInterval:
    start, end, text = interval
    if end > start:
        return interval
    return (start, start + 1, text) if start < last_ms else (max(start - 1, 0), max(start, 1), text)


def _lanes(intervals: Iterable[MarkInterval]) -> list[tuple[MarkInterval, ...]]:
    """The intervals, in order of start, in as few rows as keep them apart."""
    lanes: list[list[MarkInterval]] = []
    for interval in sorted(intervals):
        lane = next((one for one in lanes if one[-1][1] <= interval[0]), None)
        if lane is None:
            lanes.append([interval])
        else:
            lane.append(interval)
    return [tuple(lane) for lane in lanes]


# --- rows and lines

MARK_COLUMNS: Final = ("kind", "start_s", "end_s", "person", "text")


def mark_rows(timeline: Timeline) -> Iterator[Row]:
    """One row per marker and excluded span, in order of time.

    ``end_s`` is None for a marker at one time; ``person`` for an excluded span of everybody; ``text`` of an
    excluded span is its reason.
    """
    for row, _ in numbered_mark_rows(timeline):
        yield row


def numbered_mark_rows(timeline: Timeline) -> Iterator[tuple[Row, int]]:
    """The same, with the place of each among the timeline's markers, or among its excluded spans."""
    within = timeline.span_ms
    markers = (
        (span_ms(one, within), MARKER, one.end_s is None, None, one.text, number)
        for number, one in enumerate(timeline.markers)
    )
    excluded = (
        (span_ms(one, within), EXCLUDED, False, one.person, one.reason, number)
        for number, one in enumerate(timeline.excluded)
    )
    marks = sorted((*markers, *excluded), key=lambda one: (one[0], one[1], one[3] or "", one[4]))
    for (start_ms, end_ms), kind, at_once, person, text, number in marks:
        values = (kind, start_ms / 1000, None if at_once else end_ms / 1000, person, text)
        yield dict(zip(MARK_COLUMNS, values, strict=True)), number


def reason_of(segment: Segment, timeline: Timeline) -> str | None:
    """Why a segment is excluded; None if it is not."""
    if not segment.excluded:
        return None
    reasons = [
        one.reason
        for one in timeline.excluded
        if one.person in {None, segment.person}
        and one.start_s < segment.end_s
        and segment.start_s < one.end_s
    ]
    return "; ".join(dict.fromkeys(reasons)) or None


def mark_lines(timeline: Timeline) -> Iterator[str]:
    """One line per marker and excluded span: ``marker 00:00:03.000: question 1``."""
    names = plain_names(timeline.people)
    for row in mark_rows(timeline):
        times = " to ".join(
            _signed_clock(round(time_s * 1000))
            for time_s in (row["start_s"], row["end_s"])
            if time_s is not None
        )
        whose = ""
        if row["kind"] == EXCLUDED:
            whose = f", {EVERYBODY if row['person'] is None else names[row['person']]}"
        yield f"{row['kind']} {times}{whose}: {one_line(row['text'])}"


def _signed_clock(ms: int) -> str:
    return f"-{clock(-ms)}" if ms < 0 else clock(ms)
