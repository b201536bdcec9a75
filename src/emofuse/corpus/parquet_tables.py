"""Rows of Parquet tables, with care for files that hold more than they should."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from emofuse.core.errors import CorpusError, MissingExtraError
from emofuse.system.csv_files import LARGEST_BYTES
from emofuse.system.parquet_files import parquet_problem

_MOST_ROWS: Final = 5_000_000
_BATCH_ROWS: Final = 10_000
_PER_SECOND: Final = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}


def parquet_rows(
    table: Path, choose: Callable[[Sequence[str]], Sequence[str]]
) -> Iterator[tuple[str, Mapping[str, object]]]:
    """The rows of a table: where each stands (``row 7``), and its cells by column; durations in seconds.

    Args:
        table: the file.
        choose: told the columns that there are, which of them are read; may raise CorpusError.

    Raises:
        CorpusError: it cannot be read, is too large, or a column holds lists.
        MissingExtraError: pyarrow is not installed.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise MissingExtraError("train", f"{table}: reading a Parquet table") from None
    number = 0
    try:
        with pyarrow.parquet.ParquetFile(table) as file:
            wanted = list(choose(file.schema_arrow.names))
            _check_size(table, file, wanted)
            texts = [name for name in wanted if _is_text(file.schema_arrow.field(name).type)]
        # a text that is repeated stays one text: a small file can hold a long one a million times
        with pyarrow.parquet.ParquetFile(table, read_dictionary=texts) as file:
            for batch in file.iter_batches(_BATCH_ROWS, columns=wanted, use_threads=False):
                columns = [_values(column) for column in batch.columns]
                for values in zip(*columns, strict=True):
                    number += 1
                    yield f"row {number}", dict(zip(batch.schema.names, values, strict=True))
    except (OSError, pyarrow.ArrowException) as error:
        raise CorpusError(f"{table}: cannot be read as a Parquet table: {parquet_problem(error)}") from None


def _is_text(kind: Any) -> bool:
    from pyarrow import types

    return bool(types.is_string(kind) or types.is_binary(kind))


def _check_size(table: Path, file: Any, wanted: Sequence[str]) -> None:
    """Fail before a table is read that would take much more memory than disk."""
    from pyarrow import types

    nested = [name for name in wanted if types.is_nested(file.schema_arrow.field(name).type)]
    if nested:
        raise CorpusError(f"{table}: column {nested[0]} holds lists or structures, not values")
    n_rows, groups = file.metadata.num_rows, range(file.metadata.num_row_groups)
    n_bytes = 0
    for group in map(file.metadata.row_group, groups):
        parts = [group.column(i) for i in range(group.num_columns)]
        n_bytes += sum(part.total_uncompressed_size for part in parts if part.path_in_schema in wanted)
    if n_rows > _MOST_ROWS or n_bytes > LARGEST_BYTES:
        raise CorpusError(
            f"{table}: too large for a table of clips: {n_rows} rows, {n_bytes / 2**20:.0f} MiB; at most "
            f"{_MOST_ROWS} rows, {LARGEST_BYTES / 2**20:.0f} MiB"
        )


def _values(column: Any) -> list[Any]:
    from pyarrow import int64, types

    if types.is_duration(column.type):
        whole = _PER_SECOND[column.type.unit]
        return [None if value is None else value / whole for value in column.cast(int64()).to_pylist()]
    if not hasattr(column, "dictionary"):
        values: list[Any] = column.to_pylist()
        return values
    texts = column.dictionary.to_pylist()
    return [None if index is None else texts[index] for index in column.indices.to_pylist()]
