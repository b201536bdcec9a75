"""Enrolled people: a profile each, in the data folder, until it is erased.

::

    DATA/people/ID/person.json   what the client calls the person, and what the profile was made of
    DATA/people/ID/profile.npz   the profile

A profile is personal data, and with a face biometric data. Both files of a person appear and disappear at
once.
"""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import uuid
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from emofuse.core.errors import ProfileError
from emofuse.system.atomic_write import write_atomically
from emofuse.system.json_files import read_json

_ID: Final = re.compile(r"[0-9a-f]{32}")
_ABOUT: Final = "person.json"
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
        self._root = data / "people"
        self._limit = limit
        self._root.mkdir(parents=True, exist_ok=True, mode=0o700)

    def list(self) -> Sequence[Person]:
        """Everybody, in the order of enrollment."""
        found = (self.get(path.name) for path in self._root.iterdir())
        return sorted((one for one in found if one is not None), key=lambda one: (one.created, one.id))

    def get(self, person_id: str) -> Person | None:
        """One person; None: nobody has that id."""
        if not _ID.fullmatch(person_id):
            return None
        try:
            about = read_json(self._root / person_id / _ABOUT)
        except FileNotFoundError:
            return None
        return Person(**about)

    def profile(self, person_id: str) -> Path:
        """The file with a person's profile.

        Raises:
            ProfileError: there is no such person, or not any more.
        """
        if self.get(person_id) is None:
            raise ProfileError("nobody is enrolled under that id, or not any more")
        return self._root / person_id / PROFILE

    def room(self) -> bool:
        """Whether one more may be enrolled."""
        return sum(1 for _ in self._root.iterdir()) < self._limit

    def add(self, name: str, profile: Path, *, clips: int, has_face: bool) -> Person:
        """Keep a profile, which is moved.

        Raises:
            OSError: it cannot be kept.
        """
        created = datetime.now(UTC).isoformat(timespec="milliseconds")
        person = Person(uuid.uuid4().hex, name, created, clips, has_face)
        work = self._root / f".{person.id}"
        try:
            work.mkdir(mode=0o700)
            profile.rename(work / PROFILE)
            write_atomically(work / _ABOUT, json.dumps(asdict(person)).encode())
            work.rename(self._root / person.id)
        except BaseException:
            shutil.rmtree(work, ignore_errors=True)
            raise
        return person

    def erase(self, person_id: str) -> bool:
        """Forget a person; whether there was one.

        Raises:
            OSError: the files cannot be deleted.
        """
        if self.get(person_id) is None:
            return False
        gone = self._root / f".{uuid.uuid4().hex}"
        try:
            (self._root / person_id).rename(gone)
        except FileNotFoundError:
            return False  # somebody else was faster
        shutil.rmtree(gone)
        return True

    def sweep(self) -> None:
        """Delete what a killed service left half made or half erased."""
        for path in self._root.glob(".*"):
            with contextlib.suppress(OSError):
                shutil.rmtree(path)
