"""Timelines of all recordings of a folder: several processes, resumable, and one summary of all.

Every recording is read in a worker process, which may crash or hang without harm to the others, and which
writes its files. What was read is noted in a journal; the same call resumes after an interrupt or a kill. At
the end, two tables are written: ``summary.csv``, one row per person and recording, and ``files.csv``, one row
per recording; where recordings have conditions, also ``conditions.csv`` and ``conditions.svg``, the means of
each condition. A shard, which reads a part of the folder, leaves a record instead of tables:
:func:`~emofuse.folders.merged.merge_timelines` writes those of all shards.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
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
from emofuse.recognition.batch import stamp
from emofuse.recognition.batch_inputs import Listing, OnFile, find_recordings
from emofuse.recognition.file_list import FileList, size_bytes
from emofuse.recognition.shard_record import SUFFIX as RECORD_SUFFIX
from emofuse.recognition.shard_record import ShardRecord
from emofuse.recognition.shards import Shard
from emofuse.recognition.tables import failure
from emofuse.recognition.worker_settings import ThisMachine, Workers, WorkerSettings
from emofuse.system.atomic_write import write_atomically
from emofuse.system.isolated_workers import Lost, Task
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
JOURNALS: Final = "timelines*.partial.jsonl"
"""In the folder of the results: those of runs that have not ended."""
RECORDS: Final = f"timelines.*{RECORD_SUFFIX}"
"""In the folder of the results: those of finished shards."""
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
    workers: Workers | None = None,
    shard: Shard | str | None = None,
    file_list: FileList | None = None,
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
        workers: what reads the recordings in place of processes of this machine: the nodes of a cluster.
        shard: read only this part of the recordings, such as ``"3/40"``, and leave a record in place of
            tables. Shards may share ``out_dir``, or have one each.
        file_list: the recordings, with names relative to the folder; None: those that are found now.
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
        ShardError: there is no such shard, or the list names files outside of the folder.
        ExportError: there is no such suffix.
        JournalError: the journal belongs to other settings, another recognizer or version, or is in use.
        BundleError: there is no such recognizer.
        IsolationError: a worker cannot load it.
        ClusterError: no node of the cluster can do the work.
        OSError: a table or the journal cannot be written.
    """
    options, out = options or TimelineOptions(), Path(out_dir)
    _check_suffixes(suffixes)
    settings = WorkerSettings.of(recognizer, profile, options.streams)
    part = Shard.parse(shard) if isinstance(shard, str) else shard
    chosen = _Recordings.of(Path(recordings), file_list, part)
    known = {} if conditions is None else read_conditions(Path(conditions), chosen.all_names)
    run = _Run(chosen, out, known, tuple(suffixes), on_progress or (lambda *_: None))
    how = {
        "rules": asdict(options.rules), "segment_rules": asdict(options.segment_rules),
        "start_s": options.start_s, "end_s": options.end_s, "suffixes": list(suffixes),
        "own_baseline": options.own_baseline,
        "identity": identity_installed() if options.identity is None else options.identity,
        **({} if purpose is None else {"purpose": purpose}),
    }  # fmt: skip
    about = settings.identity() | {"set of options": how, "table of conditions": run.conditions}
    with Journal(out / f"{_stem(part)}.partial.jsonl", about | chosen.about()) as journal:
        run.recall(journal)
        tasks = run.tasks(timeout_s, journal, largest_first=workers is not None)
        workers = workers or ThisMachine(jobs)
        with contextlib.closing(workers(WRITER, settings, how, tasks, out_dir=out)) as replies:
            for index, reply in replies:
                run.record(index, {"error": reply.reason} if isinstance(reply, Lost) else reply, journal)
        if part is None:
            write_tables(out, run.outcomes(purpose), settings.emotions, conditions=run.conditions)
        else:
            record = run.shard_record(part, about, settings.emotions, purpose)
            record.save(out / f"{_stem(part)}{RECORD_SUFFIX}")
        journal.remove()
    return FolderResult(
        out, len(chosen.files), run.n_failed, run.n_resumed, tuple(run.errors()), chosen.left_out
    )


def write_tables(
    folder: Path, outcomes: Sequence[Outcome], emotions: Sequence[str], *, conditions: Mapping[str, str]
) -> None:
    """Write the summary of all recordings, and what became of each; of an experiment, its conditions.

    Args:
        folder: of the results.
        outcomes: of all recordings, in their order.
        emotions: of the recognizer.
        conditions: of an experiment, by the names of recordings, in the order of their table.

    Raises:
        OSError: a table cannot be written.
    """
    write_summary(folder / SUMMARY, outcomes, emotions)
    write_files(folder / FILES, outcomes)
    if conditions:
        means = condition_means(outcomes, emotions, tuple(conditions.values()))
        write_condition_means(folder / CONDITIONS, means, emotions, purposes(outcomes))
        picture = draw_conditions(means, emotions, purposes(outcomes))
        write_atomically(folder / CONDITIONS_PICTURE, picture.encode())


def _stem(shard: Shard | None) -> str:
    """What the journal and the record of a run are called; those of a batch's shards are sorted by name."""
    if shard is None:
        return "timelines"
    return f"timelines.{shard.number:0{len(str(shard.of))}}-of-{shard.of}"


def _check_suffixes(suffixes: Sequence[str]) -> None:
    unknown = [suffix for suffix in suffixes if suffix not in FORMATS.values()]
    if unknown or not suffixes:
        raise ExportError(f"no such format: {', '.join(unknown)}: use {', '.join(FORMATS.values())}")


@dataclass(frozen=True)
class _Recordings:
    """The recordings of one call, which may be a shard of more."""

    files: tuple[str, ...]
    names: tuple[str, ...]
    """Of each file, relative to the folder, with ``/``."""
    refused: Mapping[str, str]
    left_out: tuple[str, ...]
    all_names: tuple[str, ...]
    """Those of the other shards too."""
    shard: Shard | None = None
    list_digest: str = ""
    positions: tuple[int, ...] = ()
    """In the list, of the files of a shard."""

    @classmethod
    def of(cls, recordings: Path, file_list: FileList | None, shard: Shard | None) -> _Recordings:
        root = recordings if recordings.is_dir() else recordings.parent
        if file_list is None:
            found = find_recordings(recordings)
        else:
            file_list.check_relative()
            found = file_list.listing(root=root)
        files = tuple(file for file in found.files if file != str(root))
        if not files:
            raise BatchError("; ".join((f"{recordings}: there is no recording to read", *found.left_out)))
        names = tuple(Path(file).relative_to(root).as_posix() for file in files)
        if shard is None:
            return cls(files, names, found.refused, found.left_out, names)
        listed = file_list or FileList.of(Listing(files, found.refused), root)
        positions = listed.positions(shard)
        return cls(
            tuple(files[i] for i in positions), tuple(names[i] for i in positions), found.refused,
            found.left_out, names, shard, listed.digest, positions,
        )  # fmt: skip

    def about(self) -> dict[str, str]:
        """What an interrupted run must have been of, to be resumed."""
        return {} if self.shard is None else {"shard": str(self.shard), "list of files": self.list_digest}


@dataclass
class _Run:
    """The state of one call: the reply about each recording so far."""

    recordings: _Recordings
    out: Path
    conditions: dict[str, str]
    suffixes: tuple[str, ...]
    on_progress: OnFile
    replies: dict[int, Mapping[str, Any]] = field(default_factory=dict)
    n_resumed: int = 0

    @property
    def files(self) -> tuple[str, ...]:
        return self.recordings.files

    @property
    def names(self) -> tuple[str, ...]:
        return self.recordings.names

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
        journal.begin(len(self.files), self.n_resumed, self.n_failed)
        self._report()

    def tasks(self, timeout_s: float | None, journal: Journal, *, largest_first: bool) -> Iterator[Task]:
        """The recordings that are still to be read; those that cannot be recordings are failures at once."""
        pending: Iterable[int] = (index for index in range(len(self.files)) if index not in self.replies)
        if largest_first:
            pending = sorted(pending, key=lambda index: -size_bytes(self.files[index]))
        for index in pending:
            file = self.files[index]
            if file in self.recordings.refused:
                self.record(index, {"error": self.recordings.refused[file]}, journal)
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

    def outcomes(self, purpose: str | None) -> list[Outcome]:
        """What became of each recording."""
        return [self._outcome(index, purpose) for index in range(len(self.files))]

    def shard_record(
        self, shard: Shard, about: Mapping[str, Any], emotions: tuple[str, ...], purpose: str | None
    ) -> ShardRecord:
        """What a finished shard leaves: all that the tables of the whole batch need."""
        positions, outcomes = self.recordings.positions, self.outcomes(purpose)
        failures = tuple(
            (position, failure(file, one.error))
            for position, file, one in zip(positions, self.files, outcomes, strict=True)
            if one.error is not None
        )
        return ShardRecord(
            "timelines", shard, self.recordings.list_digest, len(self.recordings.all_names), positions, about,
            emotions, len(failures), failures, {"outcomes": [asdict(one) for one in outcomes]},
        )  # fmt: skip

    def _outcome(self, index: int, purpose: str | None) -> Outcome:
        reply, name = self.replies[index], self.names[index]
        return Outcome(
            name, self.conditions.get(name), reply["error"], reply.get("duration_s"), reply.get("n_people"),
            tuple(reply.get("notes", ())), tuple(reply.get("summary", ())), purpose,
        )  # fmt: skip
