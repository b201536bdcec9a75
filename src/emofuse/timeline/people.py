"""The people of a timeline: who is known by a profile, and their names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from emofuse.core.errors import ProfileError
from emofuse.features.profile import Profile
from emofuse.timeline.records import Timeline

Profiles = Profile | Mapping[str, Profile]
"""That of the one person in a recording; or those of several, by name, who are found by their faces."""

_NUMBERED: Final = re.compile(r"person \d+", re.IGNORECASE)


def is_numbered(name: str) -> bool:
    """Whether a name is that of an unknown person, such as ``person 1``."""
    return _NUMBERED.fullmatch(name.strip()) is not None


@dataclass(frozen=True, slots=True)
class KnownPeople:
    """Who is known of those in a recording."""

    only: Profile | None = None
    """Of the one person who is seen and heard."""
    by_name: Mapping[str, Profile] = field(default_factory=dict)
    """Of people who are found by their faces."""

    @classmethod
    def of(cls, profiles: Profiles | None) -> KnownPeople:
        """From the argument of :meth:`Recognizer.timeline`.

        Raises:
            ProfileError: of several profiles, one has no face.
            ValueError: a name is blank or that of an unknown person, such as ``person 1``.
        """
        if profiles is None or isinstance(profiles, Profile):
            return cls(profiles)
        for name, profile in profiles.items():
            if not name.strip() or is_numbered(name):
                raise ValueError(f"{name!r} cannot be the name of a known person: it is blank or a number")
            if profile.face is None:
                raise ProfileError(
                    f"the profile of {name} holds no face, by which to tell {name} from others: "
                    "enroll again with --with-face"
                )
        return cls(None, dict(profiles))

    @property
    def faces(self) -> dict[str, NDArray[np.float32]]:
        """(128,) the embedding of each by name."""
        return {name: one.face for name, one in self.by_name.items() if one.face is not None}

    def profile_of(self, name: str | None) -> Profile | None:
        """The profile with which to read somebody; ``name``: of a known person, None: nobody known."""
        return self.only if name is None else self.by_name.get(name, self.only)


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
    baselines = {new[person]: baseline for person, baseline in timeline.baselines.items()}
    excluded = tuple(replace(one, person=of(one.person)) for one in timeline.excluded)
    how = timeline.provenance
    if how is not None:
        how = replace(how, enrolled=tuple(new.get(person, person) for person in how.enrolled))
    return replace(
        timeline, people=tuple(new.values()), windows=windows, segments=segments, faces=faces,
        baselines=baselines, excluded=excluded, provenance=how,
    ), unused  # fmt: skip


def name_voice(timeline: Timeline, name: str) -> Timeline:
    """The timeline of a recording in which nobody is in view, with a name for the one voice in it.

    A timeline with people stays as it is.

    Raises:
        ValueError: the name is blank.
    """
    if timeline.people:
        return timeline
    return replace(
        timeline, people=(name,),
        windows=tuple(replace(one, person=name, speaker=name) for one in timeline.windows),
        segments=tuple(replace(one, person=name) for one in timeline.segments),
    )  # fmt: skip
