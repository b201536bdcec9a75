"""Leaves faces that never move, such as posters, out of what is read of a recording."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from emofuse.features.face.stillness import LEAST_FRAMES, LEAST_S
from emofuse.features.face.tracker import TrackedFace
from emofuse.timeline.records import FaceBox, Window, person_name

STILL: Final = "face:never_moves"
"""The reason why a window has no face."""
_OF_FACE: Final = "face_size_px"
_LONG_REST_S: Final = 15.0
"""People blink and shift before they have held still for this long."""
_RESTS: Final = 0.8
"""A face that is at such rests for this share of the time moves only where something passes before it."""


class Movement:
    """Whether a person's face ever moves. Memory does not grow with the recording."""

    def __init__(self) -> None:
        self.has_moved = False
        self._longest_rest_s = 0.0
        self._n_frames = self._n_rest = self._n_long = 0

    def add(self, face: TrackedFace) -> None:
        """Add the face in the next frame."""
        self.has_moved |= face.moves
        self._longest_rest_s = max(self._longest_rest_s, face.rest_s)
        self._n_frames += 1
        self._n_rest = self._n_rest + 1 if face.rest_s else 1
        if face.rest_s >= _LONG_REST_S:
            self._n_long += self._n_rest
            self._n_rest = 0

    @property
    def is_still(self) -> bool:
        """Whether it is a picture's, as far as can be told by now."""
        if self._n_frames < LEAST_FRAMES:
            return False
        never = not self.has_moved and self._longest_rest_s >= LEAST_S
        return never or self._n_long >= _RESTS * self._n_frames


@dataclass(frozen=True, slots=True)
class Seen:
    """What was read of everybody in a recording."""

    windows: list[Window]
    faces: list[FaceBox]
    people: tuple[str, ...]
    notes: tuple[str, ...] = ()


def without_still_faces(seen: Seen, still: Collection[str]) -> Seen:
    """The same without people whose faces never move; the others are renamed in order, and a note says so.

    Args:
        seen: everything.
        still: those whose faces never move.
    """
    if not still:
        return seen
    retained = [person for person in seen.people if person not in still]
    renamed = {person: person_name(1 + i) for i, person in enumerate(retained)}
    faces = [replace(box, person=renamed[box.person]) for box in seen.faces if box.person in renamed]
    windows = list(_windows(seen.windows, still, renamed))
    what = "a face that never moves was" if len(still) == 1 else f"{len(still)} faces that never move were"
    note = f"{what} left out: a picture, not a person"
    return Seen(windows, faces, tuple(renamed.values()), (*seen.notes, note))


class MovingPeople:
    """The same for windows as they come, by what is known by then.

    People are named in order of the first window in which they count. A picture that moves later on counts
    from then on.
    """

    def __init__(self) -> None:
        self._renamed: dict[str, str] = {}

    @property
    def names(self) -> dict[str, str]:
        """The names in the windows so far, by those that people were given when they were first seen."""
        return dict(self._renamed)

    def select(
        self, windows: Sequence[Window], still: Collection[str], names: Mapping[str, str] | None = None
    ) -> list[Window]:
        """The windows of those who are not ``still``, and of voices; ``names``: of known people."""
        for window in windows:
            for person in (window.person, window.speaker):
                if person is not None and person not in still and person not in self._renamed:
                    self._renamed[person] = person_name(len(self._renamed) + 1)
        return list(_windows(windows, still, self._renamed | dict(names or {})))


def _windows(
    windows: Sequence[Window], still: Collection[str], renamed: Mapping[str, str]
) -> Iterator[Window]:
    """The windows of the others; where only still faces were seen, one without a face.

    A voice is never attributed to a face that has not moved, so the windows of still faces have none.
    """
    people: dict[tuple[float, float], set[str | None]] = {}
    for one in windows:
        people.setdefault((one.start_s, one.end_s), set()).add(one.person)
    for window in windows:
        seen = people[window.start_s, window.end_s]
        only_still = seen - {None} <= set(still) and seen != {None}
        speaker = None if window.speaker is None else renamed.get(window.speaker)
        if window.person is None:
            face_present = 0.0 if only_still else window.face_present
            reasons = (STILL, *window.reasons) if only_still else window.reasons
            yield replace(window, speaker=speaker, face_present=face_present, reasons=reasons)
        elif window.person not in still:
            yield replace(window, person=renamed[window.person], speaker=speaker)
        elif only_still and None not in seen:
            seen.add(None)
            quality = {name: value for name, value in window.quality.items() if name != _OF_FACE}
            reasons = tuple(code for code in window.reasons if not code.startswith("face:"))
            yield replace(
                window, face=None, fused=None, person=None, speaker=None, face_present=0.0, quality=quality,
                reasons=(STILL, *reasons),
            )  # fmt: skip
