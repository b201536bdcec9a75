"""The results of all shards of a folder become one folder, the same as if one run had read all recordings."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

from emofuse.core.errors import ShardError
from emofuse.folders.tables import Outcome
from emofuse.folders.timelines import JOURNALS, RECORDS, FolderResult, write_tables
from emofuse.recognition.shard_record import ShardRecord, complete
from emofuse.system.atomic_write import write_atomically


def merge_timelines(folders: Iterable[str | Path], out: str | Path) -> FolderResult:
    """Merge the results of all shards, and write the tables of all recordings.

    Args:
        folders: the results of ``timeline DIR --out-dir R --shard K/N``: one that all shards shared, or
            several.
        out: the folder of the merged results; may be one of them, whose files are left where they are.

    Returns:
        Counts, and the errors of the failed recordings.

    Raises:
        ShardError: a shard is missing, given twice or unfinished, or of another batch; or a file of its
            results is missing.
        OSError: a file cannot be read or written.
    """
    out = Path(out)
    ordered = complete(_read_records([Path(folder) for folder in folders]))
    placed: list[tuple[int, Outcome]] = []
    to_copy: list[tuple[Path, Path]] = []
    for path, record in ordered:
        if record.kind != "timelines":
            raise ShardError(f"{path} is the record of a table: give the table itself")
        outcomes = _outcomes(path, record)
        placed += zip(record.positions, outcomes, strict=True)
        suffixes = record.about["set of options"]["suffixes"]
        for name in (f"{one.name}{suffix}" for one in outcomes if one.error is None for suffix in suffixes):
            if not (path.parent / name).is_file():
                raise ShardError(f"{path.parent / name} is missing: run shard {record.shard} again")
            to_copy.append((path.parent / name, out / name))
    for source, target in to_copy:
        _copy(source, target)
    first = ordered[0][1]
    by_position = [one for _, one in sorted(placed, key=lambda item: item[0])]
    write_tables(out, by_position, first.emotions, conditions=first.about["table of conditions"])
    failures = sorted(failure for _, record in ordered for failure in record.failures)
    return FolderResult(out, first.n_listed, len(failures), 0, tuple(line for _, line in failures))


def _read_records(folders: list[Path]) -> dict[Path, ShardRecord]:
    records: dict[Path, ShardRecord] = {}
    for folder in dict.fromkeys(folders):
        if not folder.is_dir():
            raise ShardError(f"{folder}: there is no such folder")
        for journal in sorted(folder.glob(JOURNALS)):
            raise ShardError(f"{journal} is of a shard that is not finished: repeat its command to resume it")
        found = sorted(folder.glob(RECORDS))
        if not found:
            raise ShardError(f"{folder} holds no record of a shard: only what --shard wrote can be merged")
        records |= {path: ShardRecord.load(path) for path in found}
    return records


def _outcomes(path: Path, record: ShardRecord) -> list[Outcome]:
    """What became of the recordings of a shard."""
    try:
        found = [Outcome(**one) for one in record.content["outcomes"]]
    except (KeyError, TypeError):
        found = []
    if len(found) != len(record.positions):
        raise ShardError(f"{path} is damaged: run shard {record.shard} again")
    return found


def _copy(source: Path, target: Path) -> None:
    """Copy a file, whole or not at all; one that is there already stays as it is."""
    if target.exists() and target.samefile(source):
        return
    with source.open("rb") as content, write_atomically(target) as copy:
        shutil.copyfileobj(content, copy)
