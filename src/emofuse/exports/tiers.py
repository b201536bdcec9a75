"""A timeline as complete tiers: one per person, without gaps from zero to the end of the recording."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from emofuse.core.text import one_line
from emofuse.timeline.records import Segment, Timeline, part_ms

ABSTAINED = "abstained"
"""The label of a segment in which the recognizer abstained."""
EXCLUDED = "excluded"
"""The label of a segment that somebody left out."""
NOTHING = "—"
"""The label of a segment in which there was nothing to read."""
VOICE = "a voice"
"""The name of a speaker who is none of the visible people."""

WORDS: Final = {
    "voice:no_audio_stream": "no audio",
    "voice:no_sound_here": "no audio here",
    "voice:silent": "silence",
    "voice:no_speech": "nobody speaks",
    "voice:little_speech": "too little speech to read",
    "voice:of_another": "the voice is someone else's",
    "voice:unattributed": "a voice, but nobody's mouth moves with it",
    "voice:unreadable": "the voice could not be read",
    "face:no_video_stream": "no video",
    "face:none_seen": "no face in view",
    "face:seldom_seen": "the face is in view too seldom",
    "face:never_moves": "a picture, not a person",
    "face:unreadable": "the face could not be read",
    "face:not_read_in_timelines": "this recognizer reads no faces in timelines",
}
"""The codes of reasons, as the page shows them."""


@dataclass(frozen=True, slots=True)
class Interval:
    """An interval of a tier in whole milliseconds; without a segment it is a gap."""

    start_ms: int
    end_ms: int
    segment: Segment | None


@dataclass(frozen=True, slots=True)
class Tier:
    """One person's intervals, adjacent to each other. ``key`` is the name on one line, and unique."""

    person: str | None
    key: str | None
    intervals: tuple[Interval, ...]

    def name(self, kind: str) -> str:
        """The name of the tier of this kind: ``emotion@Anna``, as is customary in annotation."""
        return kind if self.key is None else f"{kind}@{self.key}"


def label(segment: Segment) -> str:
    """The emotion, ``abstained``, ``excluded`` or a dash."""
    if segment.emotion is not None:
        return one_line(segment.emotion)
    if segment.excluded:
        return EXCLUDED
    return ABSTAINED if segment.abstained else NOTHING


def drawable_ms(timeline: Timeline) -> tuple[int, int]:
    """The time that annotation files cover: from 0, since none of their formats has earlier times."""
    return 0, max(timeline.span_ms[1], 0)


def filled(segments: Iterable[Segment], span: tuple[int, int]) -> tuple[Interval, ...]:
    """The segments, with gaps between them. Segments shorter than half a millisecond are left out.

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
    """Everyone's name on one line; names that become equal are numbered."""
    keys: dict[str, str] = {}
    used: set[str] = set()
    for person in people:
        # a name of control characters alone would be empty
        plain = one_line(person) or "?"
        key, number = plain, 1
        while key in used:
            number += 1
            key = f"{plain} ({number})"
        used.add(key)
        keys[person] = key
    return keys


def against_own_baseline(timeline: Timeline) -> str | None:
    """On one line, who is read against their own baseline; None: nobody."""
    names = plain_names(timeline.people)
    who = [names[person] for person in timeline.people if timeline.leading(person) == "own"]
    return f"against their own baseline: {', '.join(who)}" if who else None


def complete_tiers(timeline: Timeline) -> tuple[Tier, ...]:
    """One tier per person, and one for unattributed segments if there are any, or if there are no people."""
    span = drawable_ms(timeline)
    segments = timeline.by_person(timeline.segments)
    keys = plain_names(timeline.people)
    return tuple(
        Tier(person, None if person is None else keys[person], filled(own, span))
        for person, own in (segments or {None: []}).items()
    )
