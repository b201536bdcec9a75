"""Thousands of files into one table: several processes, resumable, one row per file.

>>> from emofuse import predict_table                                      # doctest: +SKIP
>>> result = predict_table(["interviews"], None, "interviews.csv", jobs=4) # doctest: +SKIP
>>> result.rows, result.failed                                             # doctest: +SKIP
(1000, 50)

Every file is read in a worker process, which may crash or hang without harm to the others. Each result is
written to a journal beside the table at once; the same call resumes after an interrupt or a kill. When all
are there, the table is written, in the order of the files, and the journal is removed.
"""

from __future__ import annotations

import contextlib
import os
from array import array
from collections.abc import Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from emofuse.core.devices import DeviceChoice
from emofuse.core.errors import BatchError
from emofuse.core.records import Prediction, StreamChoice
from emofuse.recognition.batch_inputs import Listing, OnFile, find_recordings
from emofuse.recognition.file_list import FileList, size_bytes
from emofuse.recognition.shard_record import SUFFIX as RECORD_SUFFIX
from emofuse.recognition.shard_record import ShardRecord
from emofuse.recognition.shards import Shard
from emofuse.recognition.tables import Row, check_table, failure, is_row, table_row, write_table
from emofuse.recognition.worker_settings import ThisMachine, Workers, WorkerSettings
from emofuse.system.checksums import file_digest
from emofuse.system.isolated_workers import Lost, Task
from emofuse.system.journal import Journal

if TYPE_CHECKING:
    from emofuse.features.profile import Profile
    from emofuse.recognition.bundle import Bundle
    from emofuse.recognition.recognizer import Recognizer

READER: Final = "emofuse.recognition.batch_worker:load_reader"
"""What reads files in a worker process."""
JOURNAL_SUFFIX: Final = ".partial.jsonl"
"""After the name of a table: where its results lie until all are there."""
MAX_ERRORS: Final = 20
"""How many failed files a result names; the table names all."""
_LIMIT_S: Final = 600.0
_LIMIT_BYTES_PER_S: Final = 100_000.0


@dataclass(frozen=True, slots=True)
class BatchResult:
    """The outcome of a batch."""

    out: Path
    rows: int
    failed: int
    """Files without probabilities; their rows say why."""
    resumed: int
    """Files that an earlier, interrupted run had read."""
    errors: tuple[str, ...]
    """Of the first failed files, in the order of the table."""


def default_limit_s(size_bytes: int) -> float:
    """Seconds that a file may take: ten minutes, and one second more for each 100 kB.

    The size is known without opening the file; the duration that a damaged file declares cannot be trusted.
    """
    return _LIMIT_S + size_bytes / _LIMIT_BYTES_PER_S


def predict_table(
    files: FileList | Listing | str | Path | Iterable[str | Path],
    recognizer: Recognizer | Bundle | str | Path | None,
    out: str | Path,
    *,
    jobs: int = 1,
    workers: Workers | None = None,
    shard: Shard | str | None = None,
    profile: Profile | None = None,
    timeout_s: float | None = None,
    streams: StreamChoice | None = None,
    device: DeviceChoice | None = None,
    on_progress: OnFile | None = None,
) -> BatchResult:
    """Read many files into a table. The same call resumes after an interrupt or a kill.

    Args:
        files: what to read, in the order of the table; folders are searched for recordings.
        recognizer: a recognizer, a bundle or its folder, or None: the recognizer that comes with emofuse.
        out: the table, ``.csv``, ``.jsonl`` or ``.parquet``; an existing one is replaced at the end. Its
            journal lies beside it, with ``.partial.jsonl`` added to its name.
        jobs: worker processes; each uses one core.
        workers: what reads the files in place of processes of this machine: the nodes of a cluster.
        shard: read only this part of the files, such as ``"3/40"``, which leaves a record beside the table;
            :func:`~emofuse.recognition.merged_table.merge_tables` joins the tables of all parts.
        profile: of the person who is seen and heard in all the files.
        timeout_s: seconds a file may take; None: :func:`default_limit_s`; 0: no limit.
        streams: which streams are read in all the files, where there are several.
        device: of the networks: ``cpu``; ``cuda``, a GPU that ONNX Runtime can use; ``auto``, if any. None:
            the recognizer's.
        on_progress: called after each file.

    Returns:
        Counts, and the errors of the first failed files.

    Raises:
        BatchError: there is no file to read, or the table is of an unknown kind.
        ShardError: there is no such shard.
        JournalError: the journal belongs to another recognizer, profile, version or shard, or is in use.
        BundleError: there is no such recognizer.
        DeviceError: ``device`` is ``cuda``, and there is no GPU that can be used.
        IsolationError: a worker cannot load it.
        ClusterError: no node of the cluster can do the work.
        MissingExtraError: a Parquet table is requested and pyarrow is not installed.
        OSError: the table or its journal cannot be written.
    """
    out = Path(out)
    check_table(out)
    settings = WorkerSettings.of(recognizer, profile, streams, device)
    part, listing = _part(files, Shard.parse(shard) if isinstance(shard, str) else shard)
    if not listing.files and part is None:
        raise BatchError("there is no recording to read")
    if out.exists() and any(Path(file).exists() and out.samefile(file) for file in listing.files):
        raise BatchError(f"{out}: that is one of the recordings: choose another name for the table")
    about = settings.identity()
    with Journal(journal_path(out), about | ({} if part is None else part.about())) as journal:
        run = _Run(listing, settings.emotions, settings.dimensions, journal, on_progress or _no_progress)
        run.recall()
        pending = run.pending(largest_first=workers is not None)
        workers = workers or ThisMachine(jobs)
        with contextlib.closing(_predictions(listing, settings, pending, workers, timeout_s)) as results:
            for index, prediction in results:
                run.record(index, prediction)
        write_table(out, run.rows(), settings.emotions, settings.dimensions)
        errors = tuple(run.errors())
        if part is not None:
            failures = tuple((part.positions[index], line) for index, line in errors)
            part.record(out, about, settings, run.failed, failures)
        journal.remove()
    return BatchResult(out, len(listing.files), run.failed, run.resumed, tuple(line for _, line in errors))


def journal_path(out: Path) -> Path:
    """Where the results of a table lie until all are there."""
    return out.with_name(f"{out.name}{JOURNAL_SUFFIX}")


def record_path(out: Path) -> Path:
    """Where the record of a shard lies whose table is ``out``."""
    return out.with_name(f"{out.name}{RECORD_SUFFIX}")


@dataclass(frozen=True)
class _Part:
    """The part of a batch that one shard reads."""

    shard: Shard
    list: FileList
    positions: tuple[int, ...]

    def about(self) -> dict[str, str]:
        """What an interrupted run must have been of, to be resumed."""
        return {"shard": str(self.shard), "list of files": self.list.digest}

    def record(
        self,
        out: Path,
        about: Mapping[str, Any],
        settings: WorkerSettings,
        failed: int,
        failures: tuple[tuple[int, str], ...],
    ) -> None:
        """Write the record of the finished shard beside its table."""
        content: dict[str, Any] = {"table": out.name, "sha256": file_digest(out)}
        if settings.dimensions:
            content["dimensions"] = list(settings.dimensions)
        ShardRecord(
            "table", self.shard, self.list.digest, len(self.list.names), self.positions, about,
            settings.emotions, failed, failures, content,
        ).save(record_path(out))  # fmt: skip


def _part(
    files: FileList | Listing | str | Path | Iterable[str | Path], shard: Shard | None
) -> tuple[_Part | None, Listing]:
    """What is read: one part of the files, or all."""
    if shard is None:
        if isinstance(files, FileList):
            return None, files.listing()
        return None, files if isinstance(files, Listing) else find_recordings(files)
    if not isinstance(files, FileList):
        files = FileList.of(files if isinstance(files, Listing) else find_recordings(files))
    if not files.names:
        raise BatchError("there is no recording to read")
    positions = files.positions(shard)
    return _Part(shard, files, positions), files.listing(positions)


@dataclass
class _Run:
    """The state of one call: where in the journal each file's result is. Grows by eight bytes per file."""

    listing: Listing
    emotions: tuple[str, ...]
    dimensions: tuple[str, ...]
    journal: Journal
    on_progress: OnFile
    offsets: array[int] = field(init=False)
    """Of each file's entry in the journal; -1: there is none yet."""
    done: int = 0
    failed: int = 0
    resumed: int = 0

    def __post_init__(self) -> None:
        self.offsets = array("q", [-1]) * len(self.listing.files)
        self._stamps: dict[int, list[int] | None] = {}

    def recall(self) -> None:
        """Find what an earlier run has read, of files that have not changed since."""
        indices = {name: index for index, name in enumerate(self.listing.files)}
        for offset, entry in self.journal.entries():
            index = indices.get(str(entry.get("file", "")))
            if index is None or self.offsets[index] >= 0:
                continue
            if not is_row(entry.get("row"), self.emotions, self.dimensions):
                continue
            if entry.get("stamp") == stamp(self.listing.files[index]):
                self.offsets[index] = offset
                self.resumed += 1
                self._count(entry["row"])
        self.journal.begin(len(self.listing.files), self.done, self.failed)
        self._report()

    def pending(self, *, largest_first: bool) -> Iterator[int]:
        """The files that are still to be read, each stamped just before.

        The largest first is better where many machines would wait for the last.
        """
        files = self.listing.files
        order: Iterable[int] = range(len(files))
        if largest_first:
            order = sorted(order, key=lambda index: -size_bytes(files[index]))
        for index in order:
            if self.offsets[index] < 0:
                self._stamps[index] = stamp(files[index])
                yield index

    def record(self, index: int, prediction: Prediction) -> None:
        """Write one more result to the journal."""
        row = table_row(prediction)
        entry = {"file": self.listing.files[index], "stamp": self._stamps.pop(index), "row": row}
        self.offsets[index] = self.journal.append(entry)
        self._count(row)
        self._report()

    def _count(self, row: Mapping[str, Any]) -> None:
        self.done += 1
        self.failed += row["error"] is not None

    def _report(self) -> None:
        self.on_progress(self.done, self.failed, len(self.listing.files))

    def rows(self) -> Iterator[Row]:
        """The results in the order of the files."""
        for offset in self.offsets:
            yield self.journal.at(offset)["row"]

    def errors(self) -> Iterator[tuple[int, str]]:
        """Of the first failed files: which, and a line."""
        if not self.failed:
            return
        failed = ((index, row) for index, row in enumerate(self.rows()) if row["error"] is not None)
        for index, row in islice(failed, min(MAX_ERRORS, self.failed)):
            yield index, failure(str(row["file"]), str(row["error"]))


def predict_in_processes(
    listing: Listing,
    settings: WorkerSettings,
    *,
    jobs: int,
    timeout_s: float | None = None,
    on_progress: OnFile | None = None,
) -> list[Prediction]:
    """Predictions of some files, in their order, for printing; nothing is stored on disk.

    Raises:
        IsolationError: a worker cannot load the recognizer.
    """
    n, n_failed = len(listing.files), 0
    found: dict[int, Prediction] = {}
    with contextlib.closing(
        _predictions(listing, settings, range(n), ThisMachine(jobs), timeout_s)
    ) as results:
        for index, prediction in results:
            found[index] = prediction
            n_failed += prediction.error is not None
            if on_progress is not None:
                on_progress(len(found), n_failed, n)
    return [found[index] for index in range(n)]


def _predictions(
    listing: Listing,
    settings: WorkerSettings,
    indices: Iterable[int],
    workers: Workers,
    timeout_s: float | None,
) -> Generator[tuple[int, Prediction], None, None]:
    """Read files of a listing; yield them as they are ready, refused ones last.

    ``indices`` is consumed as workers become free.
    """
    refused: list[int] = []

    def tasks() -> Iterator[Task]:
        for index in indices:
            name = listing.files[index]
            if name in listing.refused:
                refused.append(index)
                continue
            size = (stamp(name) or [0])[0]
            limit_s = default_limit_s(size) if timeout_s is None else timeout_s
            yield Task(index, {"file": name}, limit_s or None)

    def failed(index: int, reason: str) -> Prediction:
        name = listing.files[index]
        return Prediction.failed(name, settings.emotions, f"{name}: {reason}", settings.dimensions)

    with contextlib.closing(workers(READER, settings, {}, tasks())) as replies:
        for index, reply in replies:
            if isinstance(reply, Lost):
                yield index, failed(index, reply.reason)
            else:
                yield index, Prediction.from_dict(reply, settings.emotions)
    for index in refused:
        yield index, failed(index, listing.refused[listing.files[index]])


def stamp(name: str) -> list[int] | None:
    """Size in bytes and modification time in ns, which tell a changed file. None: no such file."""
    try:
        facts = os.stat(name)  # noqa: PTH116 - a million names are not made Paths for this
    except (OSError, ValueError):
        return None
    return [facts.st_size, facts.st_mtime_ns]


def _no_progress(done: int, failed: int, total: int) -> None:
    """Report nothing."""
