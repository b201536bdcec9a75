"""How long jobs are kept, and their erasure afterwards."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable
from typing import Final

from emofuse.server.jobs.files import JobFiles
from emofuse.server.jobs.store import JobStore

logger = logging.getLogger(__name__)

_UNITS_S: Final = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0, "w": 7 * 86_400.0}
_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?)\s*([smhdw])")
_FOREVER: Final = "forever"
ORPHAN_S: Final = 3600.0
"""Files without a job that have not changed for so long belong to none: an upload would change them."""


def parse_keep(text: str) -> float | None:
    """Seconds from a number and a unit, ``90s``, ``30m``, ``12h``, ``7d``, ``2w``; None from ``forever``.

    Raises:
        ValueError: the text is neither, or no time at all.
    """
    plain = text.strip().lower()
    if plain == _FOREVER:
        return None
    found = _DURATION.fullmatch(plain)
    seconds = float(found[1]) * _UNITS_S[found[2]] if found else 0.0
    if not seconds:
        raise ValueError(
            f"{text!r} is not how long to keep a job: use a number of days (7d), or of weeks (w), hours (h), "
            f"minutes (m) or seconds (s), or {_FOREVER}"
        )
    return seconds


class Retention:
    """Erases jobs that have been kept long enough, and files that belong to no job.

    Args:
        store: the jobs.
        files: their files.
        clock: seconds, of a clock that nobody sets.
    """

    def __init__(
        self, store: JobStore, files: JobFiles, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._store, self._files, self._clock = store, files, clock
        self._orphans: dict[str, tuple[int, float]] = {}
        """Of files without a job: how much there is, and since when."""

    def sweep(self) -> None:
        """Erase what it is time to erase.

        Raises:
            JobStoreError: the database cannot be used. OSError: a file cannot be deleted.
        """
        for job in self._store.expired():
            # first the job: of one whose files are gone, nobody must read anything any more
            self._store.erase(job.id)
            self._files.erase(job.id)
            logger.info("job %s was kept until %s, and is erased", job.id, job.keep_until)
        self.erase_orphans()

    def erase_orphans(self, *, at_once: bool = False) -> None:
        """Erase files without a job: a server died while it received or erased one.

        Args:
            at_once: whether nobody can be receiving any; else only those that have not changed for an hour.

        Raises:
            JobStoreError: the database cannot be used. OSError: a file cannot be deleted.
        """
        now = self._clock()
        found = set(self._files.ids())
        orphans = found - set(self._store.states(sorted(found)))
        seen = {}
        for job_id in orphans:
            size = self._files.size_bytes(job_id)
            before = self._orphans.get(job_id)
            since = before[1] if before is not None and before[0] == size else now
            if at_once or now - since >= ORPHAN_S:
                self._files.erase(job_id)
                logger.info("files %s belong to no job, and are erased", job_id)
            else:
                seen[job_id] = (size, since)
        self._orphans = seen
