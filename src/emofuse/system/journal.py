"""The journal of a long run, written line by line so that a killed run loses next to nothing.

The first line identifies the run; a journal of another run is not resumed. Each further line is one result,
or says that a run starts or resumes. A last line that was cut off by a kill or a power failure is dropped.
While one process writes it, others may read how far it is: :func:`read_progress`.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from emofuse.core.errors import JournalError
from emofuse.system.file_lock import is_locked, lease_beside, open_locked, remove_locked
from emofuse.system.json_files import parse_json

SCHEMA: Final = 1
_HEAD: Final = b'{"journal"'
_LONGEST_LINE: Final = 16 * 2**20
"""Bytes; what is longer is no result of a run."""
_RUN: Final = "run"
"""The key of a line that says that a run starts or resumes."""
_AT_S: Final = "at_s"
"""The key of the time of a result since then, on the clock of its run."""
_SPEED_S: Final = 600.0
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
            try:
                self._lease = lease_beside(self._file, path)
            except BaseException:
                self._file.close()
                raise
        except BlockingIOError:
            raise JournalError(f"{path}: another run is writing this file: wait for it or end it") from None
        try:
            self._end = self._read_head(dict(about))
        except BaseException:
            self._close()
            raise
        self._idle_end = self._end
        self._begun_s: float | None = None
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
        known = _about(line)
        if known is None:
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

    def begin(self, total: int, done: int, failed: int) -> None:
        """Note for others how many results there will be, and how many there are; those to come are timed."""
        before = self._file.seek(0, os.SEEK_END)
        self._begun_s = time.monotonic()
        self._file.write(
            json.dumps({_RUN: {"total": total, "done": done, "failed": failed}}).encode() + b"\n"
        )
        self._file.flush()
        if before == self._idle_end:
            self._idle_end = self._file.tell()

    def append(self, entry: Mapping[str, Any]) -> int:
        """Write one result; return its offset.

        Raises:
            JournalError: another run has taken the journal over, since this one stood still for too long.
        """
        if self._lease is not None and not self._lease.held():
            raise JournalError(
                f"{self.path}: another run has taken this file over, since this one stood still for a minute"
            )
        offset = self._file.seek(0, os.SEEK_END)
        if self._begun_s is not None:
            entry = {**entry, _AT_S: round(time.monotonic() - self._begun_s, 3)}
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
        self._close()

    def _close(self) -> None:
        self._file.close()
        if self._lease is not None:
            self._lease.release()
            self._lease = None

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file.closed:  # it was removed
            return
        with contextlib.suppress(OSError):  # what could not be written was reported before
            self._sync()
            if self._file.seek(0, os.SEEK_END) == self._idle_end:  # nothing was done
                self.remove()
        with contextlib.suppress(OSError):
            self._close()


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the run of a journal is, or was when it ended before its end."""

    running: bool
    total: int
    """Results that there will be; 0 if it has not come so far that it knows."""
    done: int
    failed: int
    left_s: float | None
    """Seconds until the end at the speed of the last ten minutes; None if it is not running, or unknown."""
    about: Mapping[str, Any]
    """What identifies the run."""


def read_progress(path: Path, is_failure: Callable[[Mapping[str, Any]], bool]) -> Progress:
    """How far a run is, from its journal, which another process may be writing.

    Args:
        path: of the journal.
        is_failure: whether a result is one.

    Raises:
        JournalError: it is not a journal.
        OSError: it cannot be read.
    """
    total = done = failed = 0
    times: list[float] = []
    with path.open("rb") as file:
        about = _about(file.readline(_LONGEST_LINE))
        if about is None:
            raise JournalError(f"{path} is not a journal that this version of emofuse can read")
        while (line := file.readline(_LONGEST_LINE)).endswith(b"\n"):
            try:
                entry = parse_json(line)
                if _RUN in entry:
                    total, done, failed = (int(entry[_RUN][name]) for name in ("total", "done", "failed"))
                    times = []
                    continue
                times.append(float(entry.get(_AT_S, 0.0)))
            except (ValueError, KeyError, TypeError, OverflowError):
                break
            done += 1
            failed += is_failure(entry)
    running = is_locked(path)
    speed = _speed(times) if running else None
    left_s = (total - done) / speed if speed and total else None
    return Progress(running, total, done, failed, left_s, about)


def _speed(times: Sequence[float]) -> float | None:
    """Results per second in the last ten minutes of the run's own clock."""
    if not times or times[-1] <= 0:
        return None
    if times[-1] <= _SPEED_S:
        return len(times) / times[-1]
    return sum(one > times[-1] - _SPEED_S for one in times) / _SPEED_S


def _about(line: bytes) -> dict[str, Any] | None:
    """What the first line says of the run; None if it is not that of a journal."""
    try:
        first = parse_json(line)
        known = first["about"] if first["journal"] == SCHEMA else None
    except (ValueError, KeyError, TypeError):
        return None
    return known if isinstance(known, dict) else None
