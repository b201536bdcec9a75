"""Tables of coded spans: CSV, TSV and Parquet, with the columns of this project, of BORIS or of audformat.

A table has a column for the start of each span, one for its end (or its length), and one for its label;
others may say the tier, the person, the coder and the media file. Columns are named as programs name them:

- emofuse's own tables (``start_s``, ``end_s``, ``person``, ``emotion``), and plain ones (``start``, ``end``,
  ``label``), with a header in capital or small letters.
- BORIS, *Export aggregated events* (``Start (s)``, ``Stop (s)``, ``Behavior``, ``Subject``), and *Export
  events* (``Time``, ``Behavior type``), where a state begins with ``START`` and ends with ``STOP``.
- audformat, segmented tables (``file``, ``start``, ``end``): each of the other columns is a tier.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final

from emofuse.coding.spans import MOST_SPANS, CodedFile, CodedSpan
from emofuse.core.csv_tables import cell_text
from emofuse.core.errors import MissingExtraError
from emofuse.core.times import parse_seconds
from emofuse.system.csv_files import LARGEST_BYTES, read_csv_table

_START: Final = ("start_s", "start", "start (s)", "onset", "begin", "begin time - ss.msec", "start time")
_END: Final = ("end_s", "end", "stop (s)", "stop", "offset", "end time - ss.msec", "end time")
_LENGTH: Final = ("duration_s", "duration (s)", "duration", "duration - ss.msec")
_LABEL: Final = ("label", "emotion", "behavior", "behaviour", "annotation", "code", "value")
_TIER: Final = ("tier", "behavioral category")
_PERSON: Final = ("person", "subject", "participant", "speaker")
_CODER: Final = ("coder", "rater", "annotator")
_RECORDING: Final = ("file", "media file name", "media file path", "recording", "media")
_TIME: Final = ("time",)
_KIND: Final = ("behavior type", "status")
_ALL: Final = (*_START, *_END, *_LENGTH, *_LABEL, *_TIER, *_PERSON, *_CODER, *_RECORDING, *_TIME, *_KIND)
_SPELLED: Final = frozenset(
    spelled for name in _ALL for spelled in (name, name.capitalize(), name.title(), name.upper())
)
"""By these the separator of a table is known."""
_NOBODY: Final = ("no focal subject", "na")
"""What BORIS writes where there is no subject, or no file."""
_DAYS: Final = re.compile(r"(\d+) days?,? *(.*)")
_NO_PARQUET: Final = "it is damaged, or cannot be read as a Parquet table"
_LONGEST_TEXT: Final = 10_000
_MAX_LISTED: Final = 5
_BATCH_ROWS: Final = 10_000

Row = Mapping[str, object]


def read_span_table(path: Path) -> CodedFile:
    """Read a table of spans: Parquet by its suffix, and anything else as CSV with commas, semicolons or tabs.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is not a table, lacks columns, or has invalid rows; the text gives their lines.
        MissingExtraError: a Parquet table, and pyarrow is not installed.
    """
    if path.suffix.lower() == ".parquet":
        names, rows = _parquet(path)
    else:
        table = read_csv_table(path, _SPELLED)
        names, rows = table.columns, ((f"line {line}", row) for line, row in table.rows())
    columns = _Columns.of(names)
    spans: list[CodedSpan] = []
    problems: list[str] = []
    notes: list[str] = []
    found = _paired(rows, columns, notes) if columns.time is not None else _spans(rows, columns)
    for one in found:
        if isinstance(one, str):
            problems.append(one)
        else:
            spans.append(one)
        if len(spans) > MOST_SPANS or len(problems) > MOST_SPANS:
            raise ValueError(f"it has more than {MOST_SPANS} rows")
    if problems:
        rest = len(problems) - _MAX_LISTED
        raise ValueError("; ".join(problems[:_MAX_LISTED]) + (f"; and {rest} more" if rest > 0 else ""))
    return CodedFile(path, tuple(spans), tuple(notes))


@dataclass(frozen=True, slots=True)
class _Columns:
    """Which column says what."""

    start: str | None
    end: str | None
    length: str | None
    labels: tuple[str, ...]
    tier: str | None
    person: str | None
    coder: str | None
    recording: str | None
    time: str | None
    """Of a table of events, where spans have two rows."""
    kind: str | None

    @classmethod
    def of(cls, names: Sequence[str]) -> _Columns:
        by_name = {str(name).strip().casefold(): name for name in reversed(names) if name}

        def first(known: Iterable[str]) -> str | None:
            return next((by_name[name] for name in known if name in by_name), None)

        label, time, kind = first(_LABEL), first(_TIME), first(_KIND)
        start, end, length = first(_START), first(_END), first(_LENGTH)
        if start is None and time is not None and kind is not None and label is not None:
            end = length = None
        else:
            time = None
            if start is None or (end is None and length is None):
                raise ValueError(_lacking("a start and an end", (_START[:3], _END[:3]), names))
        labels: tuple[str, ...] = () if label is None else (label,)
        if {"file", "start", "end"} <= set(by_name):  # audformat: each other column is a scheme
            index = ("file", "start", "end", *_PERSON, *_CODER)
            labels = tuple(name for name in names if name and name.strip().casefold() not in index)
        if not labels:
            raise ValueError(_lacking("a label", (_LABEL,), names))
        return cls(
            start, end, length, labels, first(_TIER), first(_PERSON), first(_CODER), first(_RECORDING),
            time, kind,
        )  # fmt: skip


def _lacking(what: str, known: Iterable[Sequence[str]], names: Sequence[str]) -> str:
    wanted = " and ".join("/".join(some) for some in known)
    shown = ", ".join(str(name)[:40] for name in names[:20])
    return (
        f"it has no columns for {what} ({wanted}); the first line names the columns, found {shown or 'none'}"
    )


def _spans(rows: Iterable[tuple[str, Row]], columns: _Columns) -> Iterator[CodedSpan | str]:
    """A span for each label of each row; a text says what is wrong with a row."""
    assert columns.start is not None
    many = len(columns.labels) > 1
    for where, row in rows:
        try:
            labels = {name: text for name in columns.labels if (text := _text(row, name))}
            if not labels:
                continue
            start_s, end_s = _seconds(row, columns.start), _end(row, columns)
            who = _who(row, columns)
            for name, label in labels.items():
                tier = name if many else _optional(row, columns.tier) or name
                coder = who["coder"] or (name if many else None)
                yield CodedSpan(tier, start_s, end_s, label, **{**who, "coder": coder})
        except ValueError as error:
            yield f"{where}: {error}"


def _end(row: Row, columns: _Columns) -> float:
    if columns.end is not None and _text(row, columns.end):
        return _seconds(row, columns.end)
    if columns.length is not None and columns.start is not None:
        return _seconds(row, columns.start) + _seconds(row, columns.length)
    raise ValueError("it has no end: of a whole file, write its length there")


def _paired(
    rows: Iterable[tuple[str, Row]], columns: _Columns, notes: list[str]
) -> Iterator[CodedSpan | str]:
    """The states of a table of events: from each START to the STOP of the same behavior and subject."""
    assert columns.time is not None and columns.kind is not None
    open_states: dict[tuple[object, ...], float] = {}
    points = 0
    for where, row in rows:
        try:
            label, kind = _text(row, columns.labels[0]), _text(row, columns.kind).upper()
            if not label:
                continue
            if kind == "POINT":
                points += 1
                continue
            time_s, who = _seconds(row, columns.time), _who(row, columns)
            modifiers = tuple(
                _text(row, name) for name in row if name and name.lower().startswith("modifier")
            )
            key = (*who.values(), label, *modifiers)
            if kind == "START" and key not in open_states:
                open_states[key] = time_s
            elif kind == "STOP" and key in open_states:
                tier = _optional(row, columns.tier) or columns.labels[0]
                yield CodedSpan(tier, open_states.pop(key), time_s, label, **who)
            else:
                yield f"{where}: {kind[:40] or 'nothing'!r} of {label[:40]!r} where another kind was due"
        except ValueError as error:
            yield f"{where}: {error}"
    if points:
        notes.append(f"{points} point events have no length, and are left out")
    if open_states:
        notes.append(f"{len(open_states)} states never stop, and are left out")


def _who(row: Row, columns: _Columns) -> dict[str, str | None]:
    recording = _optional(row, columns.recording)
    return {
        "person": _optional(row, columns.person),
        "coder": _optional(row, columns.coder),
        "recording": None if recording is None else PurePosixPath(recording.replace("\\", "/")).name or None,
    }


def _optional(row: Row, column: str | None) -> str | None:
    text = "" if column is None else _text(row, column)
    return None if not text or text.casefold() in _NOBODY else text


def _text(row: Row, column: str) -> str:
    value = row.get(column)
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    text = cell_text(str(value)).strip()
    if len(text) > _LONGEST_TEXT:
        raise ValueError(f"{column} has {len(text)} characters, too many")
    return text


def _seconds(row: Row, column: str) -> float:
    """Seconds, a clock time, or a length of time as pandas writes it: ``0 days 00:00:01.500000``."""
    text = _text(row, column)
    days = _DAYS.fullmatch(text)
    try:
        value = parse_seconds(days[2] or "0") + 86400 * int(days[1][:9]) if days else parse_seconds(text)
    except ValueError as error:
        raise ValueError(f"{column} {error}") from None
    if not math.isfinite(value):
        raise ValueError(f"{column} is {text[:40]!r}, which is not a time")
    return value


def _parquet(path: Path) -> tuple[tuple[str, ...], Iterator[tuple[str, Row]]]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise MissingExtraError("tables", f"{path}: reading a Parquet table") from None
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            groups = map(file.metadata.row_group, range(file.metadata.num_row_groups))
            n_bytes = sum(group.total_byte_size for group in groups)
            if file.metadata.num_rows > MOST_SPANS or n_bytes > LARGEST_BYTES:
                raise ValueError(f"it is too large: {file.metadata.num_rows} rows, {n_bytes / 2**20:.0f} MiB")
            names = tuple(file.schema_arrow.names)
    except (OSError, pyarrow.ArrowException):
        raise ValueError(_NO_PARQUET) from None
    return names, _parquet_rows(path)


def _parquet_rows(path: Path) -> Iterator[tuple[str, Row]]:
    import pyarrow
    import pyarrow.parquet

    number = 0
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            for batch in file.iter_batches(_BATCH_ROWS, use_threads=False):
                values = [_values(column) for column in batch.columns]
                for row in zip(*values, strict=True):
                    number += 1
                    yield f"row {number}", dict(zip(batch.schema.names, row, strict=True))
    except (OSError, pyarrow.ArrowException):
        raise ValueError(_NO_PARQUET) from None


def _values(column: Any) -> list[Any]:
    """The values of a column; lengths of time in seconds, whatever their unit."""
    import pyarrow
    from pyarrow import types

    if not types.is_duration(column.type):
        values: list[Any] = column.to_pylist()
        return values
    units = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}
    per_second = units[column.type.unit]
    return [None if one is None else one / per_second for one in column.cast(pyarrow.int64()).to_pylist()]
