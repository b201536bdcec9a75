"""The spans of a timeline's parts in whole milliseconds."""

from __future__ import annotations

from fractions import Fraction

from emofuse.core.times import milliseconds
from emofuse.timeline.records import Segment, Timeline, Window


def span_ms(timeline: Timeline) -> tuple[int, int]:
    """When the recording begins and ends."""
    end = round((Fraction(timeline.start_s) + Fraction(timeline.duration_s)) * 1000)
    return milliseconds(timeline.start_s), end


def part_ms(part: Window | Segment, span: tuple[int, int]) -> tuple[int, int]:
    """When a window or a segment begins and ends, held inside ``span``."""
    first, last = span
    start, end = (min(max(milliseconds(t), first), last) for t in (part.start_s, part.end_s))
    return start, end
