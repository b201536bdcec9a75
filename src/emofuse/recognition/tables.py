"""Predictions as tables, one row per recording: CSV, JSON lines, Parquet and pandas."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from emofuse.core import csv_tables
from emofuse.core.dimensions import PARTS, rating_column
from emofuse.core.errors import BatchError, MissingExtraError
from emofuse.core.labels import EMOTIONS
from emofuse.core.records import Prediction
from emofuse.core.text import printable, printable_data
from emofuse.system.atomic_write import write_atomically

if TYPE_CHECKING:
    import pandas as pd

Row = dict[str, str | float | None]

TEXT_COLUMNS: Final = ("used", "voice_missing", "face_missing", "notes", "error")
_DECIMALS: Final = 6
_ROW_GROUP: Final = 10_000
"""Rows of a Parquet row group, which are in memory at once."""


def prediction_row(prediction: Prediction) -> Row:
    """All that a table may hold of a prediction; None where there is nothing."""
    emotions = prediction.emotions
    return {
        "file": printable(prediction.source),
        "emotion": prediction.emotion,
        "confidence": prediction.confidence,
        **_by_emotion("", emotions, prediction.probabilities),
        **_by_emotion("voice_", emotions, prediction.voice),
        **_by_emotion("face_", emotions, prediction.face),
        **{
            rating_column(name, part): None if one is None else getattr(one, part)
            for name, one in prediction.dimensions.items()
            for part in PARTS
        },
        "used": "+".join(prediction.used) or None,
        "voice_missing": _printable(prediction.voice_missing),
        "face_missing": _printable(prediction.face_missing),
        "notes": printable("; ".join(prediction.notes)) or None,
        "error": _printable(prediction.error),
    }


def _printable(text: str | None) -> str | None:
    return None if text is None else printable(text)


def _by_emotion(
    prefix: str, emotions: Sequence[str], probabilities: NDArray[np.float64] | None
) -> dict[str, float | None]:
    values = [None] * len(emotions) if probabilities is None else probabilities.tolist()
    return {f"{prefix}{name}": value for name, value in zip(emotions, values, strict=True)}


def table_row(prediction: Prediction) -> Row:
    """The row of a file in a table: probabilities to six decimals."""
    row = prediction_row(prediction)
    values = ((name, row[name]) for name in columns(prediction.emotions, (*prediction.dimensions,)))
    return {name: round(v, _DECIMALS) if isinstance(v, float) else v for name, v in values}


def is_row(row: object, emotions: Sequence[str], dimensions: Sequence[str] = ()) -> bool:
    """Whether data that was read from a file is a row as :func:`table_row` makes them."""
    if not isinstance(row, dict) or tuple(row) != columns(emotions, dimensions):
        return False
    texts = {"file", "emotion", *TEXT_COLUMNS}
    return all(
        value is None or isinstance(value, str if name in texts else int | float)
        for name, value in row.items()
    )


def to_pandas(predictions: Prediction | Iterable[Prediction]) -> pd.DataFrame:
    """One row per recording, also for those that could not be read.

    >>> to_pandas(recognizer.predict_files(paths)).groupby("emotion")["confidence"].mean()  # doctest: +SKIP

    Returns:
        Columns ``file``, ``emotion``, ``confidence``; the probability of each emotion under its name, and
        those of voice and face alone as ``voice_happy``, ``face_happy``; ``used`` ("voice+face"),
        ``voice_missing``, ``face_missing``, ``notes`` (joined by "; ") and ``error``. Where the recognizer
        rates on numeric scales, ``rated_valence`` and the bounds of its interval, ``rated_valence_low`` and
        ``rated_valence_high``. What is not there is missing in the sense of pandas. No predictions: the same
        columns, no rows.

    Raises:
        MissingExtraError: pandas is not installed.
    """
    try:
        import pandas as pd
    except ImportError:
        raise MissingExtraError("tables", "predictions as a pandas table") from None
    given = [predictions] if isinstance(predictions, Prediction) else list(predictions)
    emotions = given[0].emotions if given else EMOTIONS
    numbers = ["confidence", *(f"{prefix}{name}" for prefix in ("", "voice_", "face_") for name in emotions)]
    if given:
        numbers += rating_names((*given[0].dimensions,))
    names = ["file", "emotion", *numbers, *TEXT_COLUMNS]
    table = pd.DataFrame([prediction_row(one) for one in given], columns=names)
    return table.astype(dict.fromkeys(numbers, "float64"))


def failure(source: str, error: str) -> str:
    """One line about a failed file; media errors name their file themselves."""
    return error if error.startswith(source) else f"{source}: {error}"


def columns(emotions: Sequence[str], dimensions: Sequence[str] = ()) -> tuple[str, ...]:
    """The columns of a table, in order."""
    return ("file", "emotion", *emotions, *rating_names(dimensions), *TEXT_COLUMNS)


def rating_names(dimensions: Sequence[str]) -> tuple[str, ...]:
    """The columns of ratings: of each dimension, the value and the bounds of its interval."""
    return tuple(rating_column(name, part) for name in dimensions for part in PARTS)


def check_table(out: Path) -> None:
    """Fail early if a table cannot be written.

    Raises:
        BatchError: its suffix is unknown, or it is a folder.
        MissingExtraError: it needs pyarrow, which is not installed.
    """
    if out.suffix.lower() not in _WRITERS:
        raise BatchError(f"{out}: a table ends in {', '.join(_WRITERS)}")
    if out.is_dir():
        raise BatchError(f"{out} is a folder: name a file")
    if out.suffix.lower() == ".parquet":
        _pyarrow()


def write_table(
    out: Path, rows: Iterable[Row], emotions: Sequence[str], dimensions: Sequence[str] = ()
) -> None:
    """Write a table row by row, whole or not at all.

    Raises:
        OSError: it cannot be written.
    """
    with write_atomically(out) as file:
        _WRITERS[out.suffix.lower()](file, rows, columns(emotions, dimensions))


def write_csv(text: IO[str], rows: Iterable[Row], names: Sequence[str]) -> None:
    """Write columns of rows as CSV: see :mod:`emofuse.core.csv_tables`."""
    csv_tables.write_csv(text, names, ([_shown(row[name]) for name in names] for row in rows))


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
        data = printable_data({name: row[name] for name in names})
        file.write(json.dumps(data, ensure_ascii=False).encode() + b"\n")


def _parquet(file: IO[bytes], rows: Iterable[Row], names: Sequence[str]) -> None:
    pa, parquet = _pyarrow()
    text = {"file", "emotion", *TEXT_COLUMNS}
    schema = pa.schema([(name, pa.string() if name in text else pa.float64()) for name in names])
    with parquet.ParquetWriter(file, schema) as writer:
        for group in _groups(iter(rows)):
            writer.write_table(pa.Table.from_pylist(group, schema=schema))


def _groups(rows: Iterator[Row]) -> Iterator[list[Row]]:
    while group := list(islice(rows, _ROW_GROUP)):
        yield group


def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise MissingExtraError("tables", "a table as Parquet") from None
    return pyarrow, parquet


_WRITERS: Final = {".csv": _csv, ".jsonl": _json_lines, ".parquet": _parquet}
TABLES: Final = tuple(_WRITERS)
"""The suffixes of tables."""
