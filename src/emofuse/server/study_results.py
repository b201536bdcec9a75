"""The tables and pictures of studies: made by a worker when they are asked for, of how everything is then."""

from __future__ import annotations

import asyncio
import hashlib
import json
import math
import os
import re
import weakref
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from emofuse.folders.study import RESULTS
from emofuse.server.jobs.files import JobFiles
from emofuse.server.jobs.records import Job
from emofuse.server.studies import Studies, Study
from emofuse.server.uploads import shown_name

_TRIES: Final = 3
"""How often a result is made again that changed while it was made."""
_NOT_READ: Final = {
    "queued": "it was not read yet: it waits",
    "running": "it was not read yet: it is being read",
    "cancelled": "it was not read: it was cancelled",
    "failed": "it was not read",
}
_DIGITS: Final = 16
_DIGEST: Final = "digest-"
_SEPARATORS: Final = re.compile(r"[/\\]+")


def result_name(study: Study, result: str) -> str:
    """The file name of a result: ``interviews-summary.csv``; never hidden, never a path."""
    stem = shown_name(_SEPARATORS.sub("-", study.name).strip(". ") or "study")
    return f"{stem}-{result.removesuffix('.svg')}{RESULTS[result]}"


def result_type(result: str) -> str:
    """The media type of a result."""
    return "image/svg+xml" if RESULTS[result] == ".svg" else "text/csv; charset=utf-8"


def file_names(study: Study, jobs: Mapping[str, Job]) -> list[str]:
    """What tables call the recordings of a study: by the names of their files, no two the same.

    >>> file_names(Study("0", "s", ""), {})
    []
    """
    names: list[str] = []
    for entry in study.recordings:
        job = jobs.get(entry.job)
        wanted = "" if job is None else job.name
        name, number = wanted, 1
        while name in names:
            number += 1
            stem = Path(wanted)
            name = f"{stem.stem} ({number}){stem.suffix}"
        names.append(name)
    return names


class StudyResults:
    """The results of the studies of one service.

    Args:
        studies: the studies.
        files: the folders of jobs.
        jobs_of: the jobs of some ids, as they are now.
    """

    def __init__(
        self, studies: Studies, files: JobFiles, jobs_of: Callable[[Sequence[str]], Mapping[str, Job]]
    ) -> None:
        self._studies, self._files, self._jobs_of = studies, files, jobs_of
        self._locks: weakref.WeakValueDictionary[Path, asyncio.Lock] = weakref.WeakValueDictionary()

    async def made(
        self,
        study_id: str,
        result: str,
        make: Callable[[Mapping[str, Any]], Awaitable[object]],
        *,
        dark: bool = False,
    ) -> tuple[Path, str]:
        """A result of a study as everything is now, made if it is not there; and what its version is called.

        Several that ask for it at once wait for one.

        Args:
            study_id: the study.
            result: one of :data:`~emofuse.folders.study.RESULTS`.
            make: has a worker do what it is asked.
            dark: whether a picture is for a dark page.

        Raises:
            FileNotFoundError: the study was erased. OSError: its folder cannot be written.
        """
        for left in reversed(range(_TRIES)):
            study, question = await asyncio.to_thread(self._question, study_id, result, dark=dark)
            key = _key(question)
            path = self._studies.result(study, key, f"{'dark-' if dark else ''}{result}{RESULTS[result]}")
            lock = self._locks.setdefault(path, asyncio.Lock())
            async with lock:
                if not await asyncio.to_thread(path.is_file):
                    await asyncio.to_thread(self._make_room, path, question)
                    try:
                        await make(question | {"out": os.fspath(path)})
                    finally:
                        await asyncio.to_thread(self._delete_remains, question)
                        changed = await asyncio.to_thread(self._changed, study_id, result, key, dark=dark)
                        if changed:  # maybe because a recording was erased: nothing of it stays
                            await asyncio.to_thread(self._studies.discard, path, study_id)
                    if changed and left:
                        continue
            return path, key
        raise AssertionError

    def _question(self, study_id: str, result: str, *, dark: bool) -> tuple[Study, dict[str, Any]]:
        study = self._studies.get(study_id)
        if study is None:
            raise FileNotFoundError
        jobs = self._jobs_of([one.job for one in study.recordings])
        recordings = [
            self._recording(name, jobs[entry.job], entry.participant) | {"condition": entry.condition}
            for entry, name in zip(study.recordings, file_names(study, jobs), strict=True)
            if entry.job in jobs
        ]
        recordings.sort(key=lambda one: str(one["name"]))
        question = {
            "do": "study", "name": study.name, "result": result, "dark": dark, "recordings": recordings,
            "conditions": list(dict.fromkeys(entry.condition for entry in study.recordings)),
        }  # fmt: skip
        return study, question

    def _recording(self, name: str, job: Job, participant: str | None) -> dict[str, Any]:
        done = job.state == "done"
        return {
            "job": job.id,
            "name": name,
            "participant": participant,
            "digest": os.fspath(self._digest(job, participant)) if done else None,
            "timeline": os.fspath(self._files.result(job.id).absolute()) if done else None,
            "annotations": dict(job.annotations),
            "purpose": job.purpose,
            "consent": job.consent,
            "error": None if done else job.error or _NOT_READ[job.state],
        }

    def _digest(self, job: Job, participant: str | None) -> Path:
        """Where what means need of a recording is kept, beside its exports, and as long."""
        whose = hashlib.sha256((participant or "").encode("utf-8", "surrogatepass")).hexdigest()[:_DIGITS]
        folder = self._files.folder(job.id).absolute() / "exports"
        return folder / f"{job.annotations_version}-{_DIGEST}{whose}.json"

    def _make_room(self, path: Path, question: Mapping[str, Any]) -> None:
        """Delete what nobody asks for any more."""
        self._studies.make_room(path)
        for one in question["recordings"]:
            if one["digest"] is not None:
                wanted = Path(one["digest"])
                for other in wanted.parent.glob(f"*-{_DIGEST}*"):
                    if _version(other) < _version(wanted):
                        other.unlink(missing_ok=True)

    def _delete_remains(self, question: Mapping[str, Any]) -> None:
        """Delete what a worker has written for jobs that were erased meanwhile."""
        ids = [one["job"] for one in question["recordings"]]
        for gone in set(ids).difference(self._jobs_of(ids)):
            self._files.erase(gone)

    def _changed(self, study_id: str, result: str, key: str, *, dark: bool) -> bool:
        try:
            return _key(self._question(study_id, result, dark=dark)[1]) != key
        except FileNotFoundError:
            return True


def _version(digest: Path) -> float:
    """Of the annotations that a digest shows; what a worker just writes is none, and newer than all."""
    version = digest.name.partition("-")[0]
    return int(version) if version.isdecimal() else math.inf


def _key(question: Mapping[str, Any]) -> str:
    """What a question is called: the same for the same state of everything."""
    text = json.dumps(question, sort_keys=True)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGITS]
