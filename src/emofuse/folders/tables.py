"""The tables of many recordings: one row per person and recording, and one row per recording."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from emofuse.core.text import printable
from emofuse.exports.tables import write_rows
from emofuse.system.atomic_write import write_atomically
from emofuse.timeline.plain_rows import Row
from emofuse.timeline.summary import summary_columns

_FILE_COLUMNS: Final = ("file", "condition", "duration_s", "n_people", "notes", "error")
_EXCLUDED: Final = "excluded_s"
_CONSENT: Final = "consent"
_PURPOSE: Final = "purpose"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one of many recordings."""

    name: str
    """As the tables call it."""
    condition: str | None = None
    """Of an experiment, in which it was made."""
    error: str | None = None
    """Why it was not read; None: it was."""
    duration_s: float | None = None
    n_people: int | None = None
    notes: Sequence[str] = ()
    summary: Sequence[Row] = ()
    """Its rows of :func:`emofuse.timeline.summary.summary_rows`, maybe with ``excluded_s``."""
    purpose: str | None = None
    """For what it was read."""
    consent: str | None = None
    """What the people in it have agreed to."""


def purposes(outcomes: Iterable[Outcome]) -> str | None:
    """For what recordings were read, each purpose once; None: nobody has said so."""
    return "; ".join(dict.fromkeys(one.purpose for one in outcomes if one.purpose is not None)) or None


def write_table(path: Path, columns: Iterable[str], rows: Iterable[Row]) -> None:
    """Write rows as CSV: the whole file, or nothing.

    Raises:
        OSError: it cannot be written.
    """
    with write_atomically(path) as file:
        write_rows(file, columns, rows)


def write_summary(path: Path, outcomes: Sequence[Outcome], emotions: Sequence[str]) -> None:
    """One row per person and recording.

    Columns ``excluded_s`` and ``purpose`` are there if a recording has excluded spans or a purpose.

    Raises:
        OSError: it cannot be written.
    """
    columns = ("file", *summary_columns(emotions))
    known = {*columns, _EXCLUDED}
    # of recognizers that rate on numeric scales
    rated = (name for one in outcomes for row in one.summary for name in row if name not in known)
    columns = (*columns, *dict.fromkeys(rated))
    if any(_EXCLUDED in row for one in outcomes for row in one.summary):
        columns = (*columns, _EXCLUDED)
    if any(one.purpose is not None for one in outcomes):
        columns = (*columns, _PURPOSE)
    write_table(path, columns, _summary_rows(outcomes, columns))


def _summary_rows(outcomes: Iterable[Outcome], columns: Sequence[str]) -> Iterator[Row]:
    for one in outcomes:
        for row in one.summary:
            known: dict[str, Any] = {"file": printable(one.name)} | row | {_PURPOSE: one.purpose}
            yield {column: known.get(column) for column in columns}


def write_files(path: Path, outcomes: Sequence[Outcome]) -> None:
    """One row per recording; a column ``consent`` is there if a recording has one.

    Raises:
        OSError: it cannot be written.
    """
    columns: tuple[str, ...] = _FILE_COLUMNS
    if any(one.consent is not None for one in outcomes):
        columns = (*columns, _CONSENT)
    write_table(path, columns, ({name: _file_row(one)[name] for name in columns} for one in outcomes))


def _file_row(one: Outcome) -> Row:
    return {
        "file": printable(one.name),
        "condition": one.condition,
        "duration_s": one.duration_s,
        "n_people": None if one.n_people is None else str(one.n_people),
        "notes": "; ".join(one.notes) or None,
        "error": one.error,
        _CONSENT: one.consent,
    }
