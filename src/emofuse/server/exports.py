"""The exports of jobs: made by a worker when they are first asked for, and kept until the annotations change.

So is the view, which is what the page draws of a timeline.

::

    DATA/jobs/ID/exports/VERSION-FORMAT.SUFFIX
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from emofuse.exports.viewer import reader_digest
from emofuse.exports.write import FORMATS
from emofuse.server.jobs.files import JobFiles
from emofuse.server.jobs.records import Job
from emofuse.server.uploads import shown_name

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

MEDIA_TYPES: Final[Mapping[str, str]] = {
    "json": "application/json",
    "parquet": "application/vnd.apache.parquet",
    "vtt": "text/vtt; charset=utf-8",
    "eaf": "application/xml",
    "textgrid": "text/plain; charset=utf-8",
    "bids-events": "text/tab-separated-values; charset=utf-8",
    "bids-sidecar": "application/json",
    "label-studio": "application/json",
    "label-config": "application/xml",
    "html": "text/html; charset=utf-8",
    "svg": "image/svg+xml",
    "png": "image/png",
}
"""Of each format; tables are ``text/csv``."""
VIEW: Final = "view"
_SUFFIXES: Final = {**FORMATS, VIEW: ".json.gz"}
_KEPT_VERSIONS: Final = 2
"""Exports of older versions of the annotations are deleted; that of the one before may just be read."""


def media_type(kind: str) -> str:
    """The media type of an export format."""
    return MEDIA_TYPES.get(kind, "text/csv; charset=utf-8")


def export_name(name: str, kind: str) -> str:
    """The file name of an export: ``interview.mp4`` → ``interview.csv``; never hidden, never a path."""
    stem = Path(shown_name(name)).stem.strip(". ") or "recording"
    return f"{stem}{FORMATS[kind]}"


class Exports:
    """The exports of all jobs of one service.

    Args:
        files: the folders of jobs.
    """

    def __init__(self, files: JobFiles) -> None:
        self._files = files
        self._locks: weakref.WeakValueDictionary[Path, asyncio.Lock] = weakref.WeakValueDictionary()

    def path(self, job: Job, kind: str) -> Path:
        """Where the export of a job lies, or will."""
        folder = self._files.folder(job.id) / "exports"
        # a viewer of another version may not read what was made for this one
        made_for = f"-{reader_digest()}" if kind == VIEW else ""
        return folder / f"{job.annotations_version}-{kind}{made_for}{_SUFFIXES[kind]}"

    async def made(self, job: Job, kind: str, make: Callable[[Mapping[str, Any]], Awaitable[object]]) -> Path:
        """The export of a job in a format, which is made if it is not there.

        Several that ask for it at once wait for one.

        Args:
            job: that is done.
            kind: one of :data:`~emofuse.exports.write.FORMATS`, or :data:`VIEW`.
            make: has a worker do what it is asked.

        Raises:
            FileNotFoundError: the job has been erased.
            OSError: its folder cannot be written.
        """
        path = self.path(job, kind)
        lock = self._locks.setdefault(path, asyncio.Lock())
        async with lock:
            if await asyncio.to_thread(path.is_file):
                return path
            await asyncio.to_thread(self._make_room, path, job)
            await make(self._request(job, kind, path))
        return path

    def _request(self, job: Job, kind: str, path: Path) -> dict[str, Any]:
        return {
            **(
                {"do": "view", "version": job.annotations_version}
                if kind == VIEW
                else {"do": "export", "format": kind}
            ),
            "name": job.name,
            "timeline": os.fspath(self._files.result(job.id)),
            "annotations": dict(job.annotations),
            "out": os.fspath(path),
            "purpose": job.purpose,
        }

    def _make_room(self, path: Path, job: Job) -> None:
        """Make the folder, and delete the exports of versions that nobody asks for any more."""
        path.parent.mkdir(mode=0o700, exist_ok=True)
        for old in path.parent.iterdir():
            version = old.name.partition("-")[0]
            if version.isdecimal() and int(version) <= job.annotations_version - _KEPT_VERSIONS:
                with contextlib.suppress(OSError):
                    old.unlink()
