"""Studies: many recordings with a condition each, in the data folder, until they are erased.

::

    DATA/studies/ID/study.json          its name, its recordings, and how often they were changed
    DATA/studies/ID/results/KEY-RESULT  tables and pictures, made when they are asked for

Several services may share the folder. A recording that is erased leaves its studies, and what was made of
them is deleted.
"""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final

from emofuse.server.kept_folders import KeptFolders, new_id, now
from emofuse.system.file_lock import open_locked

_RESULTS: Final = "results"
_LOCK: Final = ".lock"
_LOCK_S: Final = 30.0
"""How long a change waits for those of others, which take milliseconds."""
_LOOK_S: Final = 0.01
_KEPT_RESULTS: Final = 4
"""Of one table or picture; older ones are deleted, the others may just be read."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A recording of a study."""

    job: str
    condition: str | None = None
    participant: str | None = None
    """Whose voice it is, where nobody is in view."""


@dataclass(frozen=True, slots=True)
class Study:
    """Many recordings."""

    id: str
    name: str
    created: str
    """UTC, ISO 8601."""
    version: int = 0
    """How often it was changed."""
    recordings: tuple[Entry, ...] = ()


class Studies:
    """The studies of a data folder.

    Every change is made while no other service, and no other thread, makes one.

    Args:
        data: the data folder.
        limit: how many there may be.

    Raises:
        OSError: the folder cannot be made.
    """

    def __init__(self, data: Path, limit: int) -> None:
        self._folders = KeptFolders(data / "studies", "study.json")
        self._limit = limit

    def list(self) -> Sequence[Study]:
        """All of them, in the order in which they were made."""
        found = map(self.get, self._folders.ids())
        return sorted((one for one in found if one is not None), key=lambda one: (one.created, one.id))

    def get(self, study_id: str) -> Study | None:
        """One study; None: there is none of that id."""
        about = self._folders.read(study_id)
        if about is None:
            return None
        return Study(**about | {"recordings": tuple(Entry(**one) for one in about["recordings"])})

    def room(self) -> bool:
        """Whether there may be one more."""
        return len(self.list()) < self._limit

    def add(self, name: str, recordings: Sequence[Entry]) -> Study:
        """Make a study.

        Raises:
            OSError: it cannot be kept.
        """
        study = Study(new_id(), name, now(), 0, tuple(recordings))
        self._folders.add(asdict(study))
        return study

    def change(self, study_id: str, make: Callable[[Study], Study]) -> Study | None:
        """Change a study; None: there is none of that id.

        Args:
            study_id: the study.
            make: of the study as it is, the study as it shall be. What it raises changes nothing.

        Raises:
            OSError: it cannot be kept.
        """
        with self._locked():
            study = self.get(study_id)
            if study is None:
                return None
            changed = make(study)
            if changed == study:
                return study
            changed = replace(changed, id=study.id, created=study.created, version=study.version + 1)
            self._folders.write(study_id, asdict(changed))
            return changed

    def erase(self, study_id: str) -> bool:
        """Forget a study, not its recordings; whether there was one.

        Raises:
            OSError: the files cannot be deleted.
        """
        with self._locked():
            if self.get(study_id) is None:
                return False
            gone = self._folders.hide(study_id)
        if gone is not None:
            shutil.rmtree(gone)
        return True

    def leave(self, jobs: Collection[str]) -> None:
        """Take recordings out of all studies, and delete what was made of these studies.

        Raises:
            OSError: something cannot be changed or deleted.
        """
        for study in self.list():
            if any(one.job in jobs for one in study.recordings):
                self.change(study.id, lambda study: _without(study, jobs))
                shutil.rmtree(self._folders.root / study.id / _RESULTS, ignore_errors=True)

    def sweep(self, existing: Callable[[Sequence[str]], Collection[str]]) -> None:
        """Take recordings out of studies that do not exist any more.

        Args:
            existing: which of some jobs there are.
        """
        wanted = {one.job for study in self.list() for one in study.recordings}
        if gone := wanted - set(existing(sorted(wanted))):
            self.leave(gone)

    def delete_remains(self) -> None:
        """Delete what a killed service left half made or half erased; no other may be at it."""
        self._folders.delete_remains(keep=[_LOCK])

    # --- what is made of them

    def result(self, study: Study, key: str, name: str) -> Path:
        """Where a result of a study lies that was made of what ``key`` stands for, or will."""
        return self._folders.root / study.id / _RESULTS / f"{key}-{name}"

    def make_room(self, path: Path) -> None:
        """Make the folder of a result, and delete older ones of its kind.

        Raises:
            FileNotFoundError: the study was erased.
        """
        path.parent.mkdir(mode=0o700, exist_ok=True)
        kind = path.name.partition("-")[2]
        found = []
        for old in path.parent.glob(f"*-{kind}"):
            with contextlib.suppress(FileNotFoundError):
                found.append((old.stat().st_mtime_ns, old))
        for _, old in sorted(found, reverse=True)[_KEPT_RESULTS - 1 :]:
            old.unlink(missing_ok=True)

    def discard(self, path: Path, study_id: str) -> None:
        """Delete a result that nobody wants any more; of an erased study, also the folder around it."""
        path.unlink(missing_ok=True)
        if self.get(study_id) is None:
            shutil.rmtree(self._folders.root / study_id, ignore_errors=True)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """Nobody else changes studies meanwhile."""
        deadline = time.monotonic() + _LOCK_S
        while True:
            try:
                file = open_locked(self._folders.root / _LOCK)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise
            time.sleep(_LOOK_S)
        with file:
            yield


def _without(study: Study, jobs: Collection[str]) -> Study:
    return replace(study, recordings=tuple(one for one in study.recordings if one.job not in jobs))
