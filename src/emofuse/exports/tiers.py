"""A timeline as complete tiers: one a person, without a hole from zero to the end of the recording."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from emofuse.core.text import one_line
from emofuse.timeline.records import Segment, Timeline, part_ms

ABSTAINED = "abstained"
"""The label of a segment for which the recogniser would not answer."""
NOTHING = "—"
"""The label of a segment in which there was nothing to be read."""
VOICE = "a voice"
"""Who speaks where people are told apart and it is none of them that can be seen."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A stretch of a tier in whole milliseconds; without a segment it is a gap."""

    start_ms: int
    end_ms: int
    segment: Segment | None


@dataclass(frozen=True, slots=True)
class Tier:
    """One person's intervals, adjacent to each other. ``key`` is the name on one line, unlike any other."""

    person: str | None
    key: str | None
    intervals: tuple[Interval, ...]

    def name(self, kind: str) -> str:
        """What the tier of this kind is called: ``emotion@Anna``, as annotators do."""
        return kind if self.key is None else f"{kind}@{self.key}"


def label(segment: Segment) -> str:
    """The emotion, ``abstained`` or a dash."""
    if segment.emotion is not None:
        return one_line(segment.emotion)
    return ABSTAINED if segment.abstained else NOTHING


def drawable_ms(timeline: Timeline) -> tuple[int, int]:
    """The time that annotation files cover: from 0, because none of them knows earlier times."""
    return 0, max(timeline.span_ms[1], 0)


def filled(segments: Iterable[Segment], span: tuple[int, int]) -> tuple[Interval, ...]:
    """The segments, and a gap wherever there is none. What is shorter than half a millisecond is left out.

    Segments may overlap; they are ordered by time.
    """
    intervals: list[Interval] = []
    reached, last = span
    for segment in segments:
        start, end = part_ms(segment, span)
        if start >= end:
            continue
        if start > reached:
            intervals.append(Interval(reached, start, None))
        intervals.append(Interval(start, end, segment))
        reached = max(reached, end)
    if reached < last:
        intervals.append(Interval(reached, last, None))
    return tuple(intervals)


def plain_names(people: Iterable[str]) -> dict[str, str]:
    """Everyone's name on one line; two that look the same then are numbered."""
    keys: dict[str, str] = {}
    taken: set[str] = set()
    for person in people:
        # What a name is made of may vanish: a name of control characters is still somebody's.
        plain = one_line(person) or "?"
        key, number = plain, 1
        while key in taken:
            number += 1
            key = f"{plain} ({number})"
        taken.add(key)
        keys[person] = key
    return keys


def complete_tiers(timeline: Timeline) -> tuple[Tier, ...]:
    """A tier for everyone, and one for what belongs to nobody where there is such, or nobody at all."""
    span = drawable_ms(timeline)
    of_whom: dict[str | None, list[Segment]] = {person: [] for person in timeline.people}
    for segment in timeline.segments:
        of_whom.setdefault(segment.person, []).append(segment)
    keys = plain_names(timeline.people)
    people: tuple[str | None, ...] = tuple(of_whom) or (None,)
    return tuple(
        Tier(person, None if person is None else keys[person], filled(of_whom.get(person, ()), span))
        for person in people
    )
