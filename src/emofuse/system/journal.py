"""The progress of a long run, kept line by line so that a run that is killed loses next to nothing.

The first line says what the run is; a journal of another run is not gone on with. Each further line is one
result. A last line that was cut off by a kill or a power failure is dropped.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from emofuse.core.errors import JournalError

if sys.platform != "win32":  # there nobody sees to it that two runs do not write one journal
    import fcntl

SCHEMA: Final = 1
_HEAD: Final = b'{"journal"'
_SYNC_EVERY_S: Final = 1.0
"""A power failure costs the results of this time; a killed process costs none."""


class Journal:
    """An append-only file of JSON lines; a context manager.

    Args:
        path: the file; made where there is none.
        about: what the run is, as JSON data, one entry a thing that the results depend on.

    Raises:
        JournalError: the file is of another run, is no journal, or another process is writing it.
        OSError: it cannot be opened or made.
    """

    def __init__(self, path: Path, about: Mapping[str, Any]) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("a+b")
        try:
            self._lock()
            self._end = self._begin(dict(about))
        except BaseException:
            self._file.close()
            raise
        self._synced = time.monotonic()

    def _lock(self) -> None:
        if sys.platform == "win32":
            return
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise JournalError(f"{self.path}: another run is writing this; wait for it or end it") from None
        except OSError:  # a file system without locks
            return

    def _begin(self, about: dict[str, Any]) -> int:
        """Read or write the first line; returns where it ends."""
        self._file.seek(0)
        line = self._file.readline()
        if not line.endswith(b"\n"):  # new, or cut off in its first line
            if line[: len(_HEAD)] != _HEAD[: len(line)]:
                raise JournalError(f"{self.path} is no journal of emofuse: remove it, or give another --out")
            self._file.truncate(0)
            line = json.dumps({"journal": SCHEMA, "about": about}).encode() + b"\n"
            self._file.write(line)
            self._sync()
            return len(line)
        try:
            first = json.loads(line)
            known = first["about"] if first["journal"] == SCHEMA else None
        except (ValueError, KeyError, TypeError):
            known = None
        if not isinstance(known, dict):
            raise JournalError(f"{self.path} is no journal that this version of emofuse reads: remove it")
        other = [name for name in {**about, **known} if about.get(name) != known.get(name)]
        if other:
            raise JournalError(
                f"{self.path} holds the progress of a run with another {' and another '.join(other)}, which "
                "is not gone on with: finish that run, remove the file to start anew, or give another --out"
            )
        return len(line)

    def entries(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """What is there already, each with its place; what follows the last whole line is cut off."""
        place = self._end
        self._file.seek(place)
        for line in self._file:
            try:
                entry = json.loads(line) if line.endswith(b"\n") else None
            except ValueError:
                entry = None
            if not isinstance(entry, dict):
                break
            yield place, entry
            place += len(line)
        self._file.truncate(place)
        self._file.seek(0, os.SEEK_END)

    def append(self, entry: Mapping[str, Any]) -> int:
        """Write one result; returns its place."""
        place = self._file.seek(0, os.SEEK_END)
        self._file.write(json.dumps(entry).encode() + b"\n")
        self._file.flush()
        if time.monotonic() - self._synced > _SYNC_EVERY_S:
            self._sync()
        return place

    def at(self, place: int) -> dict[str, Any]:
        """The result at a place."""
        self._file.seek(place)
        entry: dict[str, Any] = json.loads(self._file.readline())
        return entry

    def _sync(self) -> None:
        self._file.flush()
        os.fsync(self._file.fileno())
        self._synced = time.monotonic()

    def remove(self) -> None:
        """The run is finished."""
        self.path.unlink(missing_ok=True)

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(OSError):  # what could not be written has been said
            self._sync()
            if self._file.seek(0, os.SEEK_END) == self._end:  # nothing was done
                self.remove()
        with contextlib.suppress(OSError):
            self._file.close()
