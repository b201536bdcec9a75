"""Timelines of all recordings of a folder: several processes, resumable, and one summary of all.

Every recording is read in a worker process, which may crash or hang without harm to the others, and which
writes its files. What was read is noted in a journal; the same call resumes after an interrupt or a kill. At
the end, two tables are written: ``summary.csv``, one row per person and recording, and ``files.csv``, one row
per recording; where recordings have conditions, also ``conditions.csv`` and ``conditions.svg``, the means of
each condition.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from emofuse.core.errors import BatchError, ExportError
from emofuse.core.records import StreamChoice
from emofuse.exports.write import FORMATS
from emofuse.features.face.identity import identity_installed
from emofuse.folders.condition_means import condition_means, write_condition_means
from emofuse.folders.condition_picture import draw_conditions
from emofuse.folders.conditions import read_conditions
from emofuse.folders.tables import Outcome, purposes, write_files, write_summary
from emofuse.recognition.batch import WorkerSettings, stamp
from emofuse.recognition.batch_inputs import OnFile, find_recordings
from emofuse.recognition.tables import failure
from emofuse.system.atomic_write import write_atomically
from emofuse.system.isolated_workers import Lost, Task, isolated
from emofuse.system.journal import Journal
from emofuse.timeline.segments import SegmentRules
from emofuse.timeline.windows import WindowRules

if TYPE_CHECKING:
    from emofuse.features.profile import Profile
    from emofuse.recognition.bundle import Bundle
    from emofuse.recognition.recognizer import Recognizer

WRITER: Final = "emofuse.folders.worker:load_writer"
"""What reads recordings and writes their files in a worker process."""
SUFFIXES: Final = (".html", ".csv", ".json")
"""The files of each recording, unless others are asked for."""
SUMMARY: Final = "summary.csv"
FILES: Final = "files.csv"
CONDITIONS: Final = "conditions.csv"
CONDITIONS_PICTURE: Final = "conditions.svg"
_JOURNAL: Final = "timelines.partial.jsonl"
_LIMIT_S: Final = 1800.0
_LIMIT_BYTES_PER_S: Final = 25_000.0
"""A recording may take half an hour, and a second more for each 25 kB: nobody knows its duration before."""


@dataclass(frozen=True, slots=True)
class TimelineOptions:
    """How each recording is read: see :meth:`Recognizer.timeline`."""

    rules: WindowRules = field(default_factory=WindowRules)
    segment_rules: SegmentRules = field(default_factory=SegmentRules)
    start_s: float | None = None
    end_s: float | None = None
    streams: StreamChoice = field(default_factory=StreamChoice)
    own_baseline: bool = True
    identity: bool | None = None


@dataclass(frozen=True, slots=True)
class FolderResult:
    """The outcome of a folder."""

    folder: Path
    files: int
    failed: int
    """Recordings without a timeline; ``files.csv`` says why."""
    resumed: int
    """Recordings that an earlier, interrupted run had read."""
    errors: tuple[str, ...]
    """Of the failed recordings, in their order."""
    left_out: tuple[str, ...] = ()
    """What the folder holds in formats that are not read: a line for each suffix."""


def write_timelines(
    recordings: str | os.PathLike[str],
    out_dir: str | os.PathLike[str],
    recognizer: Recognizer | Bundle | str | Path | None = None,
    *,
    suffixes: Sequence[str] = SUFFIXES,
    jobs: int = 1,
    conditions: str | os.PathLike[str] | None = None,
    options: TimelineOptions | None = None,
    profile: Profile | None = None,
    timeout_s: float | None = None,
    purpose: str | None = None,
    on_progress: OnFile | None = None,
) -> FolderResult:
    """Read all recordings below a folder. The same call resumes after an interrupt or a kill.

    ``talks/a.mp4`` below the folder becomes ``talks/a.mp4.html``, ``talks/a.mp4.csv`` … below ``out_dir``.

    Args:
        recordings: the folder, or one recording.
        out_dir: the folder of the results; created if it does not exist.
        recognizer: a recognizer, a bundle or its folder, or None: the recognizer that comes with emofuse.
        suffixes: of :data:`~emofuse.exports.FORMATS`; the files of each recording.
        jobs: worker processes; each uses one core.
        conditions: a table with the columns ``file`` and ``condition``, for the summary and
            the means of each condition.
        options: how each recording is read.
        profile: of the one person who is seen and heard in all of them, if enrolled.
        timeout_s: seconds a recording may take; None: half an hour, and one more for each 25 kB; 0: no limit.
        purpose: for what the recordings are read; every file says it.
        on_progress: called after each recording.

    Returns:
        Counts, and the errors of the failed recordings.

    Raises:
        BatchError: there is no recording, or the table of conditions does not fit.
        ExportError: there is no such suffix.
        JournalError: the journal belongs to other settings, another recognizer or version, or is in use.
        BundleError: there is no such recognizer.
        IsolationError: a worker cannot load it.
        OSError: a table or the journal cannot be written.
    """
    options, out = options or TimelineOptions(), Path(out_dir)
    _check_suffixes(suffixes)
    settings = WorkerSettings.of(recognizer, profile, options.streams)
    run = _Run.of(Path(recordings), out, conditions, tuple(suffixes), on_progress or (lambda *_: None))
    how = {
        "rules": asdict(options.rules), "segment_rules": asdict(options.segment_rules),
        "start_s": options.start_s, "end_s": options.end_s, "suffixes": list(suffixes),
        "own_baseline": options.own_baseline,
        "identity": identity_installed() if options.identity is None else options.identity,
        **({} if purpose is None else {"purpose": purpose}),
    }  # fmt: skip
    about = settings.identity() | {"set of options": how, "table of conditions": run.conditions}
    with Journal(out / _JOURNAL, about) as journal:
        run.recall(journal)
        with (
            settings.setup() as setup,
            contextlib.closing(isolated(WRITER, setup | how, run.tasks(timeout_s), jobs)) as replies,
        ):
            for index, reply in replies:
                run.record(index, {"error": reply.reason} if isinstance(reply, Lost) else reply, journal)
        run.write_tables(settings.emotions, purpose)
        journal.remove()
    return FolderResult(out, len(run.files), run.n_failed, run.n_resumed, tuple(run.errors()), run.left_out)


def _check_suffixes(suffixes: Sequence[str]) -> None:
    unknown = [suffix for suffix in suffixes if suffix not in FORMATS.values()]
    if unknown or not suffixes:
        raise ExportError(f"no such format: {', '.join(unknown)}: use {', '.join(FORMATS.values())}")


@dataclass
class _Run:
    """The state of one call: the reply about each recording so far."""

    files: tuple[str, ...]
    names: tuple[str, ...]
    """Of each file, relative to the folder, with ``/``."""
    refused: Mapping[str, str]
    out: Path
    conditions: dict[str, str]
    suffixes: tuple[str, ...]
    on_progress: OnFile
    replies: dict[int, Mapping[str, Any]] = field(default_factory=dict)
    n_resumed: int = 0
    left_out: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        recordings: Path,
        out: Path,
        table: str | os.PathLike[str] | None,
        suffixes: tuple[str, ...],
        on_progress: OnFile,
    ) -> _Run:
        listing = find_recordings(recordings)
        root = recordings if recordings.is_dir() else recordings.parent
        files = tuple(file for file in listing.files if file != str(root))
        if not files:
            raise BatchError("; ".join((f"{recordings}: there is no recording to read", *listing.left_out)))
        names = tuple(Path(file).relative_to(root).as_posix() for file in files)
        conditions = {} if table is None else read_conditions(Path(table), names)
        return cls(
            files, names, listing.refused, out, conditions, suffixes, on_progress, left_out=listing.left_out
        )

    @property
    def n_failed(self) -> int:
        return sum(reply["error"] is not None for reply in self.replies.values())

    def recall(self, journal: Journal) -> None:
        """Find what an earlier run has read, if the recording has not changed and its files exist."""
        indices = {name: index for index, name in enumerate(self.names)}
        for _, entry in journal.entries():
            index = indices.get(str(entry.get("file", "")))
            if index is None or entry.get("stamp") != stamp(self.files[index]):
                continue
            if not isinstance(entry.get("reply"), dict) or "error" not in entry["reply"]:
                continue
            written = [Path(f"{self._out(index)}{suffix}").exists() for suffix in self.suffixes]
            if entry["reply"]["error"] is not None or all(written):
                self.replies[index] = entry["reply"]
        self.n_resumed = len(self.replies)
        self._report()

    def tasks(self, timeout_s: float | None) -> Iterator[Task]:
        """The recordings that are still to be read; those that cannot be recordings are failures at once."""
        for index, file in enumerate(self.files):
            if index in self.replies:
                continue
            if file in self.refused:
                self.replies[index] = {"error": self.refused[file]}
                continue
            size = (stamp(file) or [0])[0]
            limit_s = _LIMIT_S + size / _LIMIT_BYTES_PER_S if timeout_s is None else timeout_s
            request = {
                "file": file,
                "out": self._out(index),
                "condition": self.conditions.get(self.names[index]),
            }
            yield Task(index, request, limit_s or None)

    def record(self, index: int, reply: Mapping[str, Any], journal: Journal) -> None:
        """Note one more reply."""
        self.replies[index] = reply
        journal.append({"file": self.names[index], "stamp": stamp(self.files[index]), "reply": reply})
        self._report()

    def _report(self) -> None:
        self.on_progress(len(self.replies), self.n_failed, len(self.files))

    def _out(self, index: int) -> str:
        return str(self.out / self.names[index])

    def errors(self) -> Iterator[str]:
        """What failed, in the order of the recordings."""
        for index, file in enumerate(self.files):
            if (error := self.replies[index]["error"]) is not None:
                yield failure(file, str(error))

    def write_tables(self, emotions: Sequence[str], purpose: str | None) -> None:
        """Write the summary of all recordings, and what became of each; of an experiment, its conditions."""
        outcomes = [self._outcome(index, purpose) for index in range(len(self.files))]
        write_summary(self.out / SUMMARY, outcomes, emotions)
        write_files(self.out / FILES, outcomes)
        if self.conditions:
            means = condition_means(outcomes, emotions)
            write_condition_means(self.out / CONDITIONS, means, emotions, purposes(outcomes))
            picture = draw_conditions(means, emotions, purposes(outcomes))
            write_atomically(self.out / CONDITIONS_PICTURE, picture.encode())

    def _outcome(self, index: int, purpose: str | None) -> Outcome:
        reply, name = self.replies[index], self.names[index]
        return Outcome(
            name, self.conditions.get(name), reply["error"], reply.get("duration_s"), reply.get("n_people"),
            tuple(reply.get("notes", ())), tuple(reply.get("summary", ())), purpose,
        )  # fmt: skip
