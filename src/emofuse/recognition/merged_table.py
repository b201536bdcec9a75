"""The tables of all shards of a batch become one, the same as if one run had read all files.

>>> from emofuse.recognition.merged_table import merge_tables              # doctest: +SKIP
>>> merge_tables(sorted(Path("parts").glob("*.csv")), "interviews.csv")    # doctest: +SKIP

Rows are copied as they are, in constant memory: nothing is parsed that could be written differently.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import IO, Any, Final

from emofuse.core.errors import ShardError
from emofuse.recognition.batch import JOURNAL_SUFFIX, MAX_ERRORS, BatchResult, journal_path, record_path
from emofuse.recognition.shard_record import SUFFIX as RECORD_SUFFIX
from emofuse.recognition.shard_record import ShardRecord, complete
from emofuse.recognition.tables import check_table, write_table
from emofuse.system.atomic_write import write_atomically
from emofuse.system.checksums import file_digest

_ROWS_IN_MEMORY: Final = 50_000
"""Of all text tables together. No file stays open: there may be more shards than files that a process may
have."""


def merge_tables(tables: Iterable[str | Path], out: str | Path) -> BatchResult:
    """Merge the tables of all shards into one, equal to that of a single run to the byte.

    Args:
        tables: as ``--shard`` wrote them, in any order, each with its record beside it; a folder stands for
            all of them in it.
        out: the merged table, of the same kind; an existing one is replaced.

    Returns:
        Counts, and the errors of the first failed files.

    Raises:
        ShardError: a shard is missing, given twice, unfinished or changed, or of another batch.
        BatchError: the merged table is of an unknown kind.
        MissingExtraError: the tables are Parquet, and pyarrow is not installed.
        OSError: a table cannot be read, or the merged one cannot be written.
    """
    out = Path(out)
    check_table(out)
    given = [table for path in tables for table in _tables_at(Path(path))]
    for table in given:
        if table.suffix.lower() != out.suffix.lower():
            raise ShardError(f"{table} becomes part of {out}: give both the same suffix")
    ordered = complete(read_records(given))
    for table, record in ordered:
        if table.absolute() == out.absolute():
            raise ShardError(f"{out} is one of the shards: give the merged table another name")
        if record.kind != "table":
            raise ShardError(f"{table} is not the table of a shard: give the folders of its results")
        if file_digest(table) != record.content.get("sha256"):
            raise ShardError(f"{table} has changed since shard {record.shard} wrote it: run that shard again")
    paths, records = zip(*ordered, strict=True)
    if out.suffix.lower() == ".parquet":
        rows = _in_order(records, [_parquet_rows(path) for path in paths])
        write_table(out, rows, records[0].emotions, records[0].content.get("dimensions", ()))
    else:
        _write_lines(out, paths, records)
    return BatchResult(
        out, records[0].n_listed, sum(one.failed for one in records), 0, first_failures(records)
    )


def _tables_at(path: Path) -> list[Path]:
    """A table, or in a folder those of all shards, finished or not."""
    if not path.is_dir():
        return [path]
    left = (one for suffix in (RECORD_SUFFIX, JOURNAL_SUFFIX) for one in path.glob(f"*{suffix}"))
    tables = {
        one.with_name(one.name.removesuffix(RECORD_SUFFIX).removesuffix(JOURNAL_SUFFIX)) for one in left
    }
    if not tables:
        raise ShardError(f"{path} holds no table of a shard: only what --shard wrote can be merged")
    return sorted(tables)


def read_records(tables: Sequence[Path]) -> dict[Path, ShardRecord]:
    """The record beside each table.

    Raises:
        ShardError: there is none, or it cannot be read; or a table is named twice.
    """
    records: dict[Path, ShardRecord] = {}
    for table in tables:
        if table in records:
            raise ShardError(f"{table} is given twice")
        if journal_path(table).exists():
            raise ShardError(f"{table} is not finished: repeat its command to resume it")
        if not table.exists():
            raise ShardError(f"{table}: there is no such table")
        if not record_path(table).exists():
            raise ShardError(
                f"{table} has no {record_path(table).name} beside it: only what --shard wrote can be merged"
            )
        records[table] = ShardRecord.load(record_path(table))
    return records


def first_failures(records: Iterable[ShardRecord]) -> tuple[str, ...]:
    """A line about each of the first failed files of all shards, in their order."""
    ordered = heapq.nsmallest(MAX_ERRORS, (failure for one in records for failure in one.failures))
    return tuple(line for _, line in ordered)


def _in_order(records: Sequence[ShardRecord], rows: Sequence[Iterator[Any]]) -> Iterator[Any]:
    """The rows of all shards in the order of their list."""
    placed = [
        zip(record.positions, content, strict=True) for record, content in zip(records, rows, strict=True)
    ]
    for _, row in heapq.merge(*placed, key=lambda item: item[0]):
        yield row


def _write_lines(out: Path, tables: Sequence[Path], records: Sequence[ShardRecord]) -> None:
    """Copy the rows of text tables; the first line of a CSV table names its columns, of all the same."""
    block = max(1, _ROWS_IN_MEMORY // len(tables))
    contents = [_records_of(table, block) for table in tables]
    heads = {next(content) for content in contents} if out.suffix.lower() == ".csv" else set()
    if len(heads) > 1:
        raise ShardError("the tables have different columns: run all shards again with one version")
    with write_atomically(out) as file:
        file.writelines(heads)
        file.writelines(_in_order(records, contents))


def _records_of(table: Path, n_rows: int) -> Iterator[bytes]:
    """The rows of a text table as they are, block by block."""
    offset, quoted = 0, table.suffix.lower() == ".csv"
    while True:
        with table.open("rb") as file:
            file.seek(offset)
            block = list(islice(_rows(file, quoted=quoted), n_rows))
            offset = file.tell()
        if not block:
            return
        yield from block


def _rows(file: IO[bytes], *, quoted: bool) -> Iterator[bytes]:
    """Lines; in CSV a cell in quotes may go on over several (names of files may)."""
    row = b""
    while line := file.readline():
        row += line
        if not quoted or row.count(b'"') % 2 == 0:
            yield row
            row = b""
    if row:
        yield row


def _parquet_rows(table: Path) -> Iterator[dict[str, Any]]:
    """The rows of a Parquet table, one row group at a time."""
    from pyarrow import parquet

    for group in range(_n_groups(table)):
        with parquet.ParquetFile(table) as file:
            rows = file.read_row_group(group).to_pylist()
        yield from rows


def _n_groups(table: Path) -> int:
    from pyarrow import parquet

    with parquet.ParquetFile(table) as file:
        return int(file.num_row_groups)
