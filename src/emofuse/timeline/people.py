"""The names of people in a timeline."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from emofuse.timeline.records import Timeline


def rename_people(timeline: Timeline, names: Mapping[str, str]) -> tuple[Timeline, tuple[str, ...]]:
    """The timeline with other names of people.

    Args:
        timeline: whose people have the names of :func:`person_name`, or any others.
        names: the new name of each; people who are not in it keep theirs.

    Returns:
        The timeline, and those of ``names`` who are not in it.

    Raises:
        ValueError: a name is blank, or two people would have the same.
    """
    unused = tuple(who for who in names if who not in timeline.people)
    if len(unused) == len(names):
        return timeline, unused
    new = {who: names.get(who, who) for who in timeline.people}

    def of(person: str | None) -> str | None:
        return None if person is None else new[person]

    windows = tuple(replace(one, person=of(one.person), speaker=of(one.speaker)) for one in timeline.windows)
    segments = tuple(replace(one, person=of(one.person)) for one in timeline.segments)
    faces = tuple(replace(one, person=new[one.person]) for one in timeline.faces)
    return replace(
        timeline, people=tuple(new.values()), windows=windows, segments=segments, faces=faces
    ), unused
