from __future__ import annotations

import numpy as np
import pytest

from emofuse.core.errors import ProfileError
from emofuse.features.profile import Profile
from emofuse.timeline.people import KnownPeople, rename_people
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


def test_one_profile_is_everybodys_and_several_are_found_by_their_faces() -> None:
    face = np.zeros(128, np.float32)
    anna, bert = Profile("r", {}, 8, face=face), Profile("r", {}, 9, face=face + 1)
    everybody = KnownPeople.of(anna)
    assert everybody.profile_of(None) is anna and everybody.profile_of("Bert") is anna
    assert everybody.faces == {}
    both = KnownPeople.of({"Anna": anna, "Bert": bert})
    assert both.profile_of(None) is None and both.profile_of("Bert") is bert
    assert list(both.faces) == ["Anna", "Bert"] and both.faces["Bert"] is bert.face
    nobody = KnownPeople.of(None)
    assert nobody.profile_of(None) is None and nobody.faces == {}


def test_several_profiles_need_faces_and_names() -> None:
    with pytest.raises(ProfileError, match=r"profile of Anna holds no face.*--with-face"):
        KnownPeople.of({"Anna": Profile("r", {}, 8)})
    for name in (" ", "person 3", "Person 1"):
        with pytest.raises(ValueError, match="cannot be the name"):
            KnownPeople.of({name: Profile("r", {}, 8, face=np.zeros(128, np.float32))})
