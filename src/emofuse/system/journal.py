"""The journal of a long run, written line by line so that a killed run loses next to nothing.

The first line identifies the run; a journal of another run is not resumed. Each further line is one result. A
last line that was cut off by a kill or a power failure is dropped.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from emofuse.core.errors import JournalError
from emofuse.system.file_lock import open_locked, remove_locked
from emofuse.system.json_files import parse_json

SCHEMA: Final = 1
_HEAD: Final = b'{"journal"'
_LONGEST_LINE: Final = 16 * 2**20
"""Bytes; what is longer is no result of a run."""
_SYNC_EVERY_S: Final = 1.0
"""A power failure loses the results of this long; a killed process loses none."""


class Journal:
    """An append-only file of JSON lines; a context manager.

    Args:
        path: the file; created if it does not exist.
        about: identifies the run, as JSON data: one entry per thing that the results depend on.

    Raises:
        JournalError: the file belongs to another run, is not a journal, or is being written by another
        process. OSError: it cannot be opened or created.
    """

    def __init__(self, path: Path, about: Mapping[str, Any]) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._file = open_locked(path)
        except BlockingIOError:
            raise JournalError(f"{path}: another run is writing this file: wait for it or end it") from None
        try:
            self._end = self._read_head(dict(about))
        except BaseException:
            self._file.close()
            raise
        self._synced = time.monotonic()

    def _read_head(self, about: dict[str, Any]) -> int:
        """Read or write the first line; return the offset of its end."""
        self._file.seek(0)
        line = self._file.readline(_LONGEST_LINE)
        if not line.endswith(b"\n") and len(line) < _LONGEST_LINE:  # new, or cut off in its first line
            if line[: len(_HEAD)] != _HEAD[: len(line)]:
                raise JournalError(
                    f"{self.path} is not a journal of emofuse: remove it, or give another --out"
                )
            self._file.truncate(0)
            line = json.dumps({"journal": SCHEMA, "about": about}).encode() + b"\n"
            self._file.write(line)
            self._sync()
            return len(line)
        try:
            first = parse_json(line)
            known = first["about"] if first["journal"] == SCHEMA else None
        except (ValueError, KeyError, TypeError):
            known = None
        if not isinstance(known, dict):
            raise JournalError(
                f"{self.path} is not a journal that this version of emofuse can read: remove it"
            )
        changed = [name for name in {**about, **known} if about.get(name) != known.get(name)]
        if changed:
            raise JournalError(
                f"{self.path} holds the progress of a run with another {' and another '.join(changed)}, "
                "which cannot be resumed: finish that run, remove the file to start again, or "
                "give another --out"
            )
        return len(line)

    def entries(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """The results so far, each with its offset; whatever follows the last complete line is cut off."""
        offset = self._end
        self._file.seek(offset)
        while line := self._file.readline(_LONGEST_LINE):
            try:
                entry = parse_json(line) if line.endswith(b"\n") else None
            except ValueError:
                entry = None
            if not isinstance(entry, dict):
                break
            yield offset, entry
            offset += len(line)
        self._file.truncate(offset)
        self._file.seek(0, os.SEEK_END)

    def append(self, entry: Mapping[str, Any]) -> int:
        """Write one result; return its offset."""
        offset = self._file.seek(0, os.SEEK_END)
        self._file.write(json.dumps(entry).encode() + b"\n")
        self._file.flush()
        if time.monotonic() - self._synced > _SYNC_EVERY_S:
            self._sync()
        return offset

    def at(self, offset: int) -> dict[str, Any]:
        """The result at an offset."""
        self._file.seek(offset)
        entry: dict[str, Any] = json.loads(self._file.readline())
        return entry

    def _sync(self) -> None:
        self._file.flush()
        os.fsync(self._file.fileno())
        self._synced = time.monotonic()

    def remove(self) -> None:
        """Delete the file and close it: the run is finished."""
        remove_locked(self._file, self.path)

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file.closed:  # it was removed
            return
        with contextlib.suppress(OSError):  # what could not be written was reported before
            self._sync()
            if self._file.seek(0, os.SEEK_END) == self._end:  # nothing was done
                self.remove()
        with contextlib.suppress(OSError):
            self._file.close()
