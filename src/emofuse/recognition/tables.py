"""The table of a batch: one row a file, as CSV, JSON lines or Parquet, with the same numbers in each."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import IO, Any, Final

from emofuse.core.errors import BatchError, MissingExtraError
from emofuse.core.records import Prediction
from emofuse.core.text import printable
from emofuse.system.atomic_write import write_atomically

Row = dict[str, str | float | None]

TEXT_COLUMNS: Final = ("used", "voice_missing", "face_missing", "notes", "error")
_DECIMALS: Final = 6
_GROUP: Final = 10_000
"""Rows that Parquet holds in memory at once."""


def row_of(prediction: Prediction) -> Row:
    """The row of a file: text, probabilities to six decimals, None where there is nothing."""
    said = prediction.probabilities
    values = (
        [None] * len(prediction.emotions) if said is None else [round(p, _DECIMALS) for p in said.tolist()]
    )
    return {
        "file": printable(prediction.source),
        "emotion": prediction.emotion,
        **dict(zip(prediction.emotions, values, strict=True)),
        "used": "+".join(prediction.used) or None,
        "voice_missing": prediction.voice_missing,
        "face_missing": prediction.face_missing,
        "notes": printable("; ".join(prediction.notes)) or None,
        "error": None if prediction.error is None else printable(prediction.error),
    }


def failure(source: str, error: str) -> str:
    """One line about a failed file; media errors name their file themselves."""
    return error if error.startswith(source) else f"{source}: {error}"


def unread(name: str, reason: str, emotions: tuple[str, ...]) -> Prediction:
    """What is said of a file that nothing can be said of."""
    return Prediction(source=name, emotions=emotions, probabilities=None, used=(), error=f"{name}: {reason}")


def columns(emotions: Sequence[str]) -> tuple[str, ...]:
    """The columns of a table, in order."""
    return ("file", "emotion", *emotions, *TEXT_COLUMNS)


def check_table(out: Path) -> None:
    """See before hours of work that a table can be written.

    Raises:
        BatchError: its suffix is not known, or a folder is in its place.
        MissingExtraError: it needs pyarrow.
    """
    if out.suffix.lower() not in _WRITERS:
        raise BatchError(f"{out}: a table ends in {', '.join(_WRITERS)}")
    if out.is_dir():
        raise BatchError(f"{out} is a folder: name a file")
    if out.suffix.lower() == ".parquet":
        _pyarrow()


def write_table(out: Path, rows: Iterable[Row], emotions: Sequence[str]) -> None:
    """Write a table row by row, whole or not at all.

    Raises:
        OSError: it cannot be written.
    """
    with write_atomically(out) as file:
        _WRITERS[out.suffix.lower()](file, rows, columns(emotions))


def write_csv(text: IO[str], rows: Iterable[Row], names: Sequence[str]) -> None:
    """Write columns of rows as CSV (RFC 4180, but lines end in LF)."""
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names)
    for row in rows:
        writer.writerow([_shown(row[name]) for name in names])


def _shown(value: str | float | None) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else f"{value:.{_DECIMALS}f}"


def _csv(file: IO[bytes], rows: Iterable[Row], names: Sequence[str]) -> None:
    text = io.TextIOWrapper(file, encoding="utf-8", newline="")
    write_csv(text, rows, names)
    text.detach()  # flushes, and leaves the file open


def _json_lines(file: IO[bytes], rows: Iterable[Row], names: Sequence[str]) -> None:
    for row in rows:
        file.write(json.dumps({name: row[name] for name in names}, ensure_ascii=False).encode() + b"\n")


def _parquet(file: IO[bytes], rows: Iterable[Row], names: Sequence[str]) -> None:
    pa, parquet = _pyarrow()
    text = {"file", "emotion", *TEXT_COLUMNS}
    schema = pa.schema([(name, pa.string() if name in text else pa.float64()) for name in names])
    with parquet.ParquetWriter(file, schema) as writer:
        for group in _groups(iter(rows)):
            writer.write_table(pa.Table.from_pylist(group, schema=schema))


def _groups(rows: Iterator[Row]) -> Iterator[list[Row]]:
    while group := list(islice(rows, _GROUP)):
        yield group


def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise MissingExtraError("tables", "a table as Parquet") from None
    return pyarrow, parquet


_WRITERS: Final = {".csv": _csv, ".jsonl": _json_lines, ".parquet": _parquet}
