from __future__ import annotations

import pytest

from emofuse.timeline.people import rename_people
from emofuse.timeline.records import FaceBox, Segment
from tests.support import timelines


def test_names_change_everywhere_and_nothing_else_does() -> None:
    for seed in range(10):
        timeline = timelines.random_timeline(seed)
        names = {who: f"N. {number}" for number, who in enumerate(timeline.people[::2])}
        renamed, unused = rename_people(timeline, names | {"person 99": "Zoë"})
        assert unused == ("person 99",)
        assert renamed.people == tuple(names.get(who, who) for who in timeline.people)
        back = {new: old for old, new in names.items()}
        again, _ = rename_people(renamed, back)
        assert again.segments == timeline.segments and again.faces == timeline.faces
        for one, other in zip(again.windows, timeline.windows, strict=True):
            assert (one.person, one.speaker, one.fused is other.fused) == (other.person, other.speaker, True)


def test_names_that_cannot_be() -> None:
    timeline = timelines.timeline(
        people=("person 1", "person 2"), segments=(Segment(0, 1, None, person="person 2"),),
        faces=(FaceBox(0.0, "person 1", 0, 0, 9, 9),), picture_size=(64, 64),
    )  # fmt: skip
    swapped, _ = rename_people(timeline, {"person 1": "person 2", "person 2": "person 1"})
    assert swapped.segments[0].person == "person 1" and swapped.faces[0].person == "person 2"
    with pytest.raises(ValueError, match="different names"):
        rename_people(timeline, {"person 1": "person 2"})
    with pytest.raises(ValueError, match="not a valid name"):
        rename_people(timeline, {"person 1": " "})
    assert rename_people(timeline, {}) == (timeline, ())
