"""How far batches, shards and folders of timelines are, from what they write while they run.

Nothing is asked of the run itself: its journal is read, on whichever machine sees the file, while the run
appends to it.
"""

from __future__ import annotations

import contextlib
import csv
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from emofuse.core.errors import BatchError, ShardError
from emofuse.folders.timelines import FILES, JOURNALS, RECORDS
from emofuse.recognition.batch import JOURNAL_SUFFIX, journal_path, record_path
from emofuse.recognition.shard_record import SUFFIX as RECORD_SUFFIX
from emofuse.recognition.shard_record import ShardRecord
from emofuse.recognition.shards import Shard
from emofuse.recognition.tables import TABLES
from emofuse.system.journal import Progress, read_progress

_ATTEMPTS: Final = 5

State = Literal["running", "interrupted", "finished"]


@dataclass(frozen=True, slots=True)
class RunStatus:
    """One batch, shard, or folder of timelines."""

    path: Path
    """Of its table, of its record, or of its folder."""
    state: State
    total: int
    """Files that it reads; 0 if it has just started and does not know yet."""
    done: int
    """Files that it has read, failed ones included."""
    failed: int
    left_s: float | None = None
    """Seconds until it ends, at the speed of its last ten minutes; None unless it runs and has read some."""
    shard: Shard | None = None

    @property
    def left(self) -> int:
        """Files that are still to be read."""
        return max(self.total - self.done, 0)


def statuses(paths: Iterable[str | Path]) -> list[RunStatus]:
    """How far runs are.

    Args:
        paths: tables (``--out``), folders of timelines (``--out-dir``), or folders with any of these.

    Raises:
        BatchError: nothing of a run is at a path.
        JournalError: a journal is none, or of another version.
        OSError: a file cannot be read.
    """
    found: dict[Path, RunStatus] = {}
    for path in map(Path, paths):
        runs = _runs_at(path)
        if not runs:
            raise BatchError(
                f"{path}: there is no run, neither begun nor finished: give its --out or --out-dir"
            )
        found |= {one.path: one for one in runs}
    return list(found.values())


def _runs_at(path: Path) -> list[RunStatus]:
    for _ in range(_ATTEMPTS):
        # a run that ends meanwhile removes its journal
        with contextlib.suppress(FileNotFoundError):
            return list(_in_folder(path) if path.is_dir() else _of_table(path))
    raise BatchError(f"{path}: its files come and go: ask again")


def missing_shards(runs: Sequence[RunStatus]) -> dict[int, list[int]]:
    """Of each number of shards, the numbers of those that have not begun."""
    begun: dict[int, set[int]] = {}
    for one in runs:
        if one.shard is not None:
            begun.setdefault(one.shard.of, set()).add(one.shard.number)
    return {of: [n for n in range(1, of + 1) if n not in known] for of, known in begun.items()}


def _of_table(table: Path) -> Iterator[RunStatus]:
    """The run that writes a table; the path may be that of its journal or its record, too."""
    for suffix in (JOURNAL_SUFFIX, RECORD_SUFFIX):
        table = table.with_name(table.name.removesuffix(suffix))
    if journal_path(table).exists():
        yield _running(table, journal_path(table), _is_failed_row)
    elif table.is_file():
        if record_path(table).exists():
            yield _finished_shard(table, ShardRecord.load(record_path(table)))
        else:
            errors = list(_errors(table))
            yield RunStatus(table, "finished", len(errors), len(errors), sum(errors))


def _in_folder(folder: Path) -> Iterator[RunStatus]:
    journals, records = set(folder.glob(JOURNALS)), set(folder.glob(RECORDS))
    for path in sorted(journals):
        name = path.name.removesuffix(JOURNAL_SUFFIX)
        run = folder if name == "timelines" else path.with_name(f"{name}{RECORD_SUFFIX}")
        yield _running(run, path, _is_failed_reply)
    for path in sorted(records):
        if path.with_name(path.name.removesuffix(RECORD_SUFFIX) + JOURNAL_SUFFIX) not in journals:
            yield _finished_shard(path, ShardRecord.load(path))
    if not journals and not records and (folder / FILES).is_file():
        errors = list(_errors(folder / FILES))
        yield RunStatus(folder, "finished", len(errors), len(errors), sum(errors))
    tables = {
        path.name.removesuffix(JOURNAL_SUFFIX) for path in set(folder.glob(f"*{JOURNAL_SUFFIX}")) - journals
    }
    tables |= {
        path.name.removesuffix(RECORD_SUFFIX) for path in set(folder.glob(f"*{RECORD_SUFFIX}")) - records
    }
    for name in sorted(tables):
        yield from _of_table(folder / name)


def _running(path: Path, journal: Path, is_failure: Callable[[Mapping[str, Any]], bool]) -> RunStatus:
    progress: Progress = read_progress(journal, is_failure)
    state: State = "running" if progress.running else "interrupted"
    return RunStatus(
        path, state, progress.total, progress.done, progress.failed, progress.left_s, _shard(progress.about)
    )


def _shard(about: Mapping[str, Any]) -> Shard | None:
    try:
        return Shard.parse(str(about["shard"]))
    except (KeyError, ShardError):
        return None


def _finished_shard(path: Path, record: ShardRecord) -> RunStatus:
    n = len(record.positions)
    return RunStatus(path, "finished", n, n, record.failed, shard=record.shard)


def _is_failed_row(entry: Mapping[str, Any]) -> bool:
    return _has_error(entry.get("row"))


def _is_failed_reply(entry: Mapping[str, Any]) -> bool:
    return _has_error(entry.get("reply"))


def _has_error(result: object) -> bool:
    return isinstance(result, Mapping) and result.get("error") is not None


def _errors(table: Path) -> Iterator[bool]:
    """Of each row of a finished table, whether it is that of a failed file."""
    suffix = table.suffix.lower()
    if suffix not in TABLES:
        raise BatchError(f"{table}: a table ends in {', '.join(TABLES)}")
    if suffix == ".parquet":
        from pyarrow import parquet

        yield from (
            error is not None for error in parquet.read_table(table, columns=["error"])[0].to_pylist()
        )
        return
    with table.open(encoding="utf-8", newline="") as file:
        try:
            if suffix == ".csv":
                yield from (bool(row["error"]) for row in csv.DictReader(file))
            else:
                yield from (json.loads(line)["error"] is not None for line in file)
        except (csv.Error, ValueError, KeyError, TypeError):
            raise BatchError(f"{table} is not a table of predictions or recordings") from None
