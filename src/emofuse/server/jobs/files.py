"""The files of jobs: the recording, what a worker writes, and the result that counts.

::

    DATA/jobs/ID/upload        the recording, if it was uploaded
    DATA/jobs/ID/attempt-N/    what a worker writes while it works on the job for the Nth time
    DATA/jobs/ID/result/       an attempt that was finished, renamed once
    DATA/jobs/ID/exports/      exports of the result, made when they are asked for
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_ID: Final = re.compile(r"[0-9a-f]{32}")
_ATTEMPT: Final = "attempt-"


class JobFiles:
    """The folders of all jobs. Several servers may share them.

    Every method but :meth:`ids` raises ``ValueError`` for what is not the key of a job: no text from outside
    becomes part of a path.

    Args:
        data: the data folder of the service.

    Raises:
        OSError: it cannot be made.
    """

    def __init__(self, data: Path) -> None:
        self.root: Final = data / "jobs"
        self.root.mkdir(parents=True, exist_ok=True, mode=0o700)

    def create(self, job_id: str) -> Path:
        """Make the folder of a new job.

        Raises:
            FileExistsError: there is one of that name. OSError: it cannot be made.
        """
        folder = self.folder(job_id)
        folder.mkdir(mode=0o700)
        return folder

    def folder(self, job_id: str) -> Path:
        """Everything of a job."""
        if not _ID.fullmatch(job_id):
            raise ValueError(f"{job_id!r} is not the key of a job")
        return self.root / job_id

    def upload(self, job_id: str) -> Path:
        """Its recording, which may not be there."""
        return self.folder(job_id) / "upload"

    def result(self, job_id: str) -> Path:
        """The folder with what a worker made of it; complete once the job is done."""
        return self.folder(job_id) / "result"

    def begin(self, job_id: str, attempt: int) -> Path:
        """An empty folder for what the worker of an attempt writes; what earlier attempts left is deleted.

        Raises:
            OSError: the job has no folder, or the disk is full.
        """
        for path in self.folder(job_id).glob(f"{_ATTEMPT}*"):
            number = path.name.removeprefix(_ATTEMPT)
            if number.isdecimal() and int(number) <= attempt:
                shutil.rmtree(path, ignore_errors=True)
        folder = self._attempt(job_id, attempt)
        folder.mkdir(mode=0o700)
        return folder

    def publish(self, job_id: str, attempt: int) -> None:
        """Make an attempt the result; a second time, nothing happens.

        What an earlier attempt left, whose server died before the job was done, is replaced.

        Raises:
            FileNotFoundError: there is neither that attempt nor a result. OSError: nothing could be renamed.
        """
        made, result = self._attempt(job_id, attempt), self.result(job_id)
        if not made.exists():
            os.stat(result)  # noqa: PTH116 - raises if it is not there either
            return
        if result.exists():
            shutil.rmtree(result)
        made.rename(result)

    def discard(self, job_id: str, attempt: int) -> None:
        """Delete what an attempt wrote; what cannot be deleted now goes with the next one, or the job."""
        shutil.rmtree(self._attempt(job_id, attempt), ignore_errors=True)

    def erase(self, job_id: str) -> None:
        """Delete everything of a job; what is not there is no error.

        Raises:
            OSError: something cannot be deleted.
        """
        folder = self.folder(job_id)
        for _ in range(3):  # a worker that is being ended may still make a file
            with contextlib.suppress(FileNotFoundError):
                shutil.rmtree(folder, ignore_errors=True)
            if not folder.exists():
                return
        shutil.rmtree(folder)

    def ids(self) -> Iterator[str]:
        """The jobs that have a folder, in no order."""
        for path in self.root.iterdir():
            if _ID.fullmatch(path.name) and path.is_dir() and not path.is_symlink():
                yield path.name

    def size_bytes(self, job_id: str) -> int:
        """How much the files of a job hold, as far as they can be read."""
        total = 0
        for path in self.folder(job_id).rglob("*"):
            with contextlib.suppress(OSError):
                found = path.lstat()
                total += found.st_size if stat.S_ISREG(found.st_mode) else 0
        return total

    def _attempt(self, job_id: str, attempt: int) -> Path:
        return self.folder(job_id) / f"{_ATTEMPT}{attempt}"
