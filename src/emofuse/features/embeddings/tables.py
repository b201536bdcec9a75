"""Tables of embeddings of one's own: rows of numbers, per recording, per span of one, or per time in one.

Two forms are read. A Parquet table has the column ``file``, in tables of times ``time`` (in seconds), in
tables of spans ``start`` and ``end``, and the values: columns of numbers in their order, or one column
``embedding`` whose cells are lists of numbers. Or the values are an ``.npy`` file, (n_rows, size), and the
other columns a CSV table of the same name beside it. A recording is found by the end of its path:
``anna/01.wav``, or ``01.wav`` where no folder is named; its suffix may be left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from emofuse.core.errors import FeatureError, MissingExtraError
from emofuse.core.recipes.embedding import Embedding
from emofuse.core.times import parse_seconds
from emofuse.features.embeddings.pooled import pooled
from emofuse.features.store import ModalityFeatures
from emofuse.system.array_files import map_array
from emofuse.system.checksums import file_digest
from emofuse.system.csv_files import read_csv_table
from emofuse.system.parquet_files import parquet_problem

FILE: Final = "file"
TIME: Final = "time"
SPAN: Final = ("start", "end")
VALUES: Final = "embedding"
"""The column of lists."""
LARGEST_BYTES: Final = 2**31
"""Of all values of a table."""
MOST_ROWS: Final = 20_000_000
_MOST_COLUMNS: Final = 65_540
_BATCH_ROWS: Final = 20_000
_LONGEST_NAME: Final = 4096
NOT_GIVEN: Final = (
    "this recognizer reads the {0} from a table of embeddings, and none was given: --embeddings {0}=TABLE"
)

Float64 = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class EmbeddingTable:
    """A table of embeddings.

    ``values``: (n_rows, size); ``rows``: the numbers of the rows of a recording, in order of time;
    ``times_s``: (n_rows,) of a table of times, else None; ``spans``: (n_rows, 2) of one of spans, else None.
    """

    path: Path
    values: NDArray[Any]
    rows: Mapping[str, NDArray[np.int64]]
    times_s: Float64 | None
    spans: Float64 | None

    def key(self, file: str | Path) -> str | None:
        """What the table calls a recording; None: it has none of it."""
        parts = PureWindowsPath(file).parts if "\\" in str(file) else PurePosixPath(str(file)).parts
        for first in range(len(parts)):
            name = "/".join(parts[first:])
            stem = name.removesuffix(PurePosixPath(name).suffix)
            found = next((one for one in (name, stem) if one in self.rows), None)
            if found is not None:
                return found
        return None

    def of(self, file: str | Path, start_s: float | None, end_s: float | None) -> NDArray[Any] | str:
        """(n_times, size) of a recording or of a span of it, or the reason why there are none.

        One row, too, is (1, size).
        """
        key = self.key(file)
        if key is None:
            return f"no row for {Path(file).name} in {self.path.name}"
        rows = self.rows[key]
        whole = start_s is None and end_s is None
        low, high = start_s or 0.0, np.inf if end_s is None else end_s
        if self.times_s is not None:
            times = self.times_s[rows]
            rows = rows[(times >= low) & (times < high)]
            missing = f"no row of {key} from {low:g} to {high:g} s in {self.path.name}"
        elif self.spans is not None:
            if not whole:
                rows = rows[np.abs(self.spans[rows] - (low, high)).max(1) < _SAME_S]
            missing = f"no row of {key} with start {low:g} and end {high:g} in {self.path.name}"
            if whole and len(rows) > 1:
                return f"{self.path.name} has {len(rows)} spans of {key}, and no row of the whole recording"
        else:
            missing = (
                f"{self.path.name} has one row of {key}, and a span of it is read: the table needs the "
                f"column {TIME}, or {' and '.join(SPAN)}"
            )
            rows = rows if whole else rows[:0]
        return np.asarray(self.values[rows]) if len(rows) else missing


_SAME_S: Final = 0.002


def table_part(
    embedding: Embedding,
    modality: str,
    file: str | Path | None,
    span_s: tuple[float | None, float | None],
    n_parts: int = 0,
) -> ModalityFeatures:
    """What a network reads of a recording, from a table.

    Args:
        embedding: the recipe's.
        modality: voice or face.
        file: the recording; None: it has no name.
        span_s: start and end of what is read of it; None: its start, its end.
        n_parts: equal parts, whose means follow.

    Raises:
        FeatureError: the table cannot be read, or is not the one that the recipe names.
    """
    if embedding.file is None:
        return ModalityFeatures(None, NOT_GIVEN.format(modality))
    table = embedding_table(embedding)
    if file is None:
        return ModalityFeatures(None, f"a recording without a name has no row in {table.path.name}")
    found = table.of(file, *span_s)
    if isinstance(found, str):
        return ModalityFeatures(None, found)
    values = found if embedding.over_time or len(found) != 1 else found[0]
    return ModalityFeatures(
        pooled(values, embedding, table.path.name, n_parts), None, (), {f"{modality}_rows": len(found)}
    )


def embedding_table(embedding: Embedding) -> EmbeddingTable:
    """The table of a recipe, read once per process.

    Raises:
        FeatureError: it cannot be read, or is not the one that the recipe names.
    """
    path = Path(str(embedding.file))
    try:
        facts = path.stat()
    except OSError as error:
        raise FeatureError(f"{path}: the table of embeddings: {error.strerror or error}") from None
    wanted = None if embedding.other_table else embedding.sha256
    return _read(path, facts.st_mtime_ns, facts.st_size, wanted, embedding.over_time)


@lru_cache(maxsize=4)
def _read(path: Path, _changed: int, _size: int, sha256: str | None, over_time: bool) -> EmbeddingTable:
    if sha256 is not None:
        try:
            found = file_digest(path)
        except OSError as error:
            raise FeatureError(f"{path}: the table of embeddings: {error.strerror or error}") from None
        if found != sha256:
            raise FeatureError(f"{path}: wrong sha256: the recipe says {sha256}, the table has {found}")
    table = read_embedding_table(path)
    if table.times_s is not None and not over_time:
        raise FeatureError(f"{path}: the table has times, and the recipe pools nothing: set a pooling")
    return table


def read_embedding_table(path: str | Path) -> EmbeddingTable:
    """Read a table of embeddings.

    Args:
        path: a ``.parquet`` file; or an ``.npy`` file with a ``.csv`` of the same name beside it.

    Raises:
        FeatureError: it cannot be read, is too large, or a row is invalid: the message says which.
        MissingExtraError: a Parquet table, and pyarrow is not installed.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix == ".parquet":
        names, columns, values = _parquet(path)
    elif suffix == ".npy":
        names, columns, values = _npy(path)
    else:
        raise FeatureError(f"{path}: a table of embeddings is a .parquet, or an .npy with a .csv beside it")
    if not len(names):
        raise FeatureError(f"{path}: the table of embeddings has no rows")
    times = _numbers(path, TIME, columns[TIME]) if TIME in columns else None
    spans = None
    if all(name in columns for name in SPAN):
        if times is not None:
            raise FeatureError(f"{path}: a table has {TIME}, or {' and '.join(SPAN)}, not all of them")
        spans = np.stack([_numbers(path, name, columns[name]) for name in SPAN], axis=1)
    return EmbeddingTable(path, values, _by_file(path, names, times, spans), times, spans)


def _by_file(
    path: Path, names: Sequence[Any], times: Float64 | None, spans: Float64 | None
) -> dict[str, NDArray[np.int64]]:
    """The rows of each recording."""
    numbers: dict[str, int] = {}
    codes = np.fromiter((numbers.setdefault(key, len(numbers)) for key in _keys(path, names)), np.int64)
    order = np.argsort(codes, kind="stable")
    ends = np.cumsum(np.bincount(codes))
    rows = dict(zip(numbers, np.split(order, ends[:-1]), strict=True))
    for key, own in rows.items():
        if times is not None:
            steps = np.diff(times[own])
            if (steps <= 0).any():
                at = own[1:][steps <= 0][0] + 1
                raise FeatureError(f"{path}: row {at}: the times of {key:.200} do not increase")
        elif spans is None and len(own) > 1:
            raise FeatureError(
                f"{path}: rows {own[0] + 1} and {own[1] + 1} are both of {key:.200}: a table with several "
                f"has the column {TIME}, or {' and '.join(SPAN)}"
            )
    return rows


def _keys(path: Path, names: Sequence[Any]) -> Iterator[str]:
    """What each row calls its recording."""
    for number, name in enumerate(names):
        if not isinstance(name, str) or not name.strip() or len(name) > _LONGEST_NAME:
            raise FeatureError(f"{path}: row {number + 1}: {FILE} is no name of a recording")
        yield name.strip().replace("\\", "/").removeprefix("./")


def _numbers(path: Path, name: str, column: Sequence[Any] | NDArray[Any]) -> Float64:
    """Seconds."""
    out = np.empty(len(column))
    if isinstance(column, np.ndarray) and column.dtype.kind in "fiu":
        out[:] = column
    else:
        for number, value in enumerate(column):
            try:
                out[number] = parse_seconds(value) if isinstance(value, str) else float(value)
            except (TypeError, ValueError, OverflowError):
                out[number] = np.nan
    wrong = np.flatnonzero(~((out >= 0) & (out < np.inf)))
    if len(wrong):
        value = str(column[wrong[0]])[:40]
        raise FeatureError(f"{path}: row {wrong[0] + 1}: {name} {value!r} is not a time in seconds")
    return out


def _npy(path: Path) -> tuple[Sequence[Any], dict[str, Sequence[Any]], NDArray[Any]]:
    """The column of names, the other columns, the values."""
    try:
        values = map_array(path, limit_bytes=LARGEST_BYTES)
    except (OSError, ValueError) as error:
        problem = getattr(error, "strerror", None) or error
        raise FeatureError(f"{path}: cannot be read as an array of embeddings: {problem}") from None
    if values.ndim != 2 or values.dtype.kind not in "fiu" or not values.shape[1]:
        raise FeatureError(f"{path}: holds {values.dtype} {values.shape}, not (n_rows, size) numbers")
    index = path.with_suffix(".csv")
    try:
        table = read_csv_table(index, (FILE, TIME, *SPAN))
        if FILE not in table.columns:
            raise ValueError(f"there is no column {FILE}")
        columns: dict[str, list[Any]] = {name: [] for name in (FILE, TIME, *SPAN) if name in table.columns}
        for _, row in table.rows():
            for name, column in columns.items():
                column.append(row.get(name))
            if len(columns[FILE]) > len(values):
                break
    except (OSError, ValueError) as error:
        problem = getattr(error, "strerror", None) or error
        raise FeatureError(f"{index}: says whose the rows of {path.name} are, and: {problem}") from None
    if len(columns[FILE]) != len(values):
        many = "more" if len(columns[FILE]) > len(values) else len(columns[FILE])
        raise FeatureError(f"{index} has {many} rows, and {path.name} {len(values)}")
    return columns.pop(FILE), dict(columns), values


def _parquet(path: Path) -> tuple[Sequence[Any], dict[str, Sequence[Any]], NDArray[Any]]:
    """The column of names, the other columns, the values as float32."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise MissingExtraError("tables", f"{path}: reading a Parquet table") from None
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            wanted = _wanted(path, file)
        # a name that is repeated stays one text
        with pyarrow.parquet.ParquetFile(path, read_dictionary=[FILE]) as file:
            values = np.empty((file.metadata.num_rows, _width(path, file, wanted)), np.float32)
            others: dict[str, Any] = {
                name: [] for name in (FILE, TIME, *SPAN) if name in file.schema_arrow.names
            }
            done = 0
            for part, numbers in _batches(path, file, [*others, *wanted], wanted):
                for name, column in others.items():
                    column.extend(_cells(part.column(name)))
                if numbers.shape[1] != values.shape[1] or done + len(numbers) > len(values):
                    raise FeatureError(f"{path}: the lists of {VALUES} are not of one length")
                values[done : done + len(numbers)] = numbers
                done += len(numbers)
    except FeatureError:
        raise
    except (OSError, ValueError, IndexError, pyarrow.ArrowException) as error:
        raise FeatureError(f"{path}: cannot be read as a Parquet table: {parquet_problem(error)}") from None
    if done != len(values):
        raise FeatureError(f"{path}: declares {len(values)} rows and holds {done}")
    return others.pop(FILE), dict(others), values


def _cells(column: Any) -> list[Any]:
    """The cells of a column, of which equal texts are one."""
    if not hasattr(column, "dictionary"):
        cells: list[Any] = column.to_pylist()
        return cells
    texts = column.dictionary.to_pylist()
    return [None if index is None else texts[index] for index in column.indices.to_pylist()]


def _wanted(path: Path, file: Any) -> list[str]:
    """The columns of values, once the table is known to be of a size that can be read."""
    from pyarrow import types

    schema, facts = file.schema_arrow, file.metadata
    names = schema.names
    if FILE not in names or len(set(names)) != len(names):
        raise FeatureError(f"{path}: there is no column {FILE}, or a column twice")
    if len(names) > _MOST_COLUMNS or facts.num_rows > MOST_ROWS:
        raise FeatureError(f"{path}: {facts.num_rows} rows and {len(names)} columns are too many")
    n_bytes = sum(facts.row_group(group).total_byte_size for group in range(facts.num_row_groups))
    if n_bytes > LARGEST_BYTES:
        raise FeatureError(f"{path}: holds {n_bytes >> 20} MiB, and at most {LARGEST_BYTES >> 20} are read")
    if VALUES in names:
        kind = schema.field(VALUES).type
        lists = types.is_list(kind) or types.is_fixed_size_list(kind) or types.is_large_list(kind)
        if not lists or not (types.is_floating(kind.value_type) or types.is_integer(kind.value_type)):
            raise FeatureError(f"{path}: the cells of {VALUES} are {kind}, not lists of numbers")
        return [VALUES]
    wanted = [name for name in names if name not in (FILE, TIME, *SPAN)]
    for name in wanted:
        kind = schema.field(name).type
        if not (types.is_floating(kind) or types.is_integer(kind)):
            raise FeatureError(f"{path}: column {name[:60]!r} holds {kind}, not numbers")
    if not wanted:
        raise FeatureError(f"{path}: there is no column of values beside {FILE}")
    return wanted


def _width(path: Path, file: Any, wanted: Sequence[str]) -> int:
    """How many values a row has; of lists, as many as the first one."""
    width = len(wanted)
    if list(wanted) == [VALUES] and file.metadata.num_rows:
        first = next(file.iter_batches(1, columns=[VALUES])).column(0).to_pylist()[0]
        width = len(first or ())
    if not width or width * file.metadata.num_rows * 4 > LARGEST_BYTES:
        raise FeatureError(f"{path}: {file.metadata.num_rows} rows of {width} values cannot be read")
    return width


def _batches(
    path: Path, file: Any, columns: Sequence[str], wanted: Sequence[str]
) -> Iterator[tuple[Any, NDArray[Any]]]:
    """Batches of rows, and their values, (n, size)."""
    done = 0
    for batch in file.iter_batches(_BATCH_ROWS, columns=list(columns), use_threads=False):
        chosen = [batch.column(name) for name in wanted]
        if any(column.null_count for column in chosen):
            raise FeatureError(f"{path}: between rows {done + 1} and {done + len(batch)} a value is missing")
        if list(wanted) == [VALUES]:
            flat = chosen[0].flatten()
            if flat.null_count or (len(batch) and len(flat) % len(batch)):
                raise FeatureError(f"{path}: the lists of {VALUES} are not of one length, or hold no number")
            lengths = {len(one) for one in chosen[0].to_pylist()} if len(batch) else {0}
            if len(lengths) != 1:
                raise FeatureError(f"{path}: the lists of {VALUES} are not of one length")
            numbers = flat.to_numpy(zero_copy_only=False).reshape(len(batch), -1)
        else:
            numbers = np.stack([column.to_numpy(zero_copy_only=False) for column in chosen], axis=1)
        yield batch, numbers
        done += len(batch)
