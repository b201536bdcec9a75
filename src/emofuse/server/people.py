"""Enrolled people: a profile each, in the data folder, until it is erased.

::

    DATA/people/ID/person.json   what the client calls the person, and what the profile was made of
    DATA/people/ID/profile.npz   the profile

A profile is personal data, and with a face biometric data. Both files of a person appear and disappear at
once.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from emofuse.core.errors import ProfileError
from emofuse.server.kept_folders import KeptFolders, new_id, now

PROFILE: Final = "profile.npz"


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who is enrolled."""

    id: str
    name: str
    created: str
    """UTC, ISO 8601."""
    clips: int
    """Recordings that the profile was made of."""
    has_face: bool
    """Whether the profile holds an embedding of the face, which is biometric data."""


class People:
    """The people of a data folder.

    Args:
        data: the data folder.
        limit: how many there may be.

    Raises:
        OSError: the folder cannot be made.
    """

    def __init__(self, data: Path, limit: int) -> None:
        self._folders = KeptFolders(data / "people", "person.json")
        self._limit = limit

    def list(self) -> Sequence[Person]:
        """Everybody, in the order of enrollment."""
        found = map(self.get, self._folders.ids())
        return sorted((one for one in found if one is not None), key=lambda one: (one.created, one.id))

    def get(self, person_id: str) -> Person | None:
        """One person; None: nobody has that id."""
        about = self._folders.read(person_id)
        return None if about is None else Person(**about)

    def profile(self, person_id: str) -> Path:
        """The file with a person's profile.

        Raises:
            ProfileError: there is no such person, or not any more.
        """
        if self.get(person_id) is None:
            raise ProfileError("nobody is enrolled under that id, or not any more")
        return self._folders.root / person_id / PROFILE

    def room(self) -> bool:
        """Whether one more may be enrolled."""
        return sum(1 for _ in self._folders.root.iterdir()) < self._limit

    def add(self, name: str, profile: Path, *, clips: int, has_face: bool) -> Person:
        """Keep a profile, which is moved.

        Raises:
            OSError: it cannot be kept.
        """
        person = Person(new_id(), name, now(), clips, has_face)
        self._folders.add(asdict(person), lambda folder: profile.rename(folder / PROFILE))
        return person

    def erase(self, person_id: str) -> bool:
        """Forget a person; whether there was one.

        Raises:
            OSError: the files cannot be deleted.
        """
        if self.get(person_id) is None:
            return False
        gone = self._folders.hide(person_id)
        if gone is None:
            return False  # somebody else was faster
        shutil.rmtree(gone)
        return True

    def sweep(self) -> None:
        """Delete what a killed service left half made or half erased."""
        self._folders.delete_remains()
