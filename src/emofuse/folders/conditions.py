"""The conditions of an experiment, from a table with the columns ``file`` and ``condition``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final

from emofuse.core.csv_tables import cell_text
from emofuse.core.errors import BatchError
from emofuse.system.csv_files import read_csv_table

_COLUMNS: Final = ("file", "condition")
_MAX_LISTED: Final = 3
"""An error lists this many names and counts the rest."""


def read_conditions(table: Path, names: Iterable[str]) -> dict[str, str]:
    """The condition of each recording that has one.

    A row names a recording by its path in the folder, by its file name, or by its file name without the
    suffix, as far as that is unambiguous.

    Args:
        table: CSV as spreadsheets write it, with the columns ``file`` and ``condition``; others are ignored.
        names: paths of all recordings, relative to the folder, with ``/``.

    Raises:
        BatchError: the table cannot be read or lacks a column; a row names no recording, or several; or two
            rows give one recording different conditions.
    """
    found = _by_name(names)
    conditions: dict[str, str] = {}
    unknown: list[str] = []
    for given, condition in _rows(table):
        matches = found.get(given.replace("\\", "/").removeprefix("./"), ())
        if not matches:
            unknown.append(given)
        elif len(matches) > 1:
            raise BatchError(f"{table}: {given!r} is several recordings: {', '.join(matches[:_MAX_LISTED])}")
        elif conditions.setdefault(matches[0], condition) != condition:
            raise BatchError(f"{table}: {matches[0]} has two conditions")
    if unknown:
        more = f" and {len(unknown) - _MAX_LISTED} more" if len(unknown) > _MAX_LISTED else ""
        listed = ", ".join(map(repr, unknown[:_MAX_LISTED]))
        raise BatchError(f"{table}: there is no recording {listed}{more}")
    return conditions


def _rows(table: Path) -> Iterator[tuple[str, str]]:
    try:
        read = read_csv_table(table, _COLUMNS)
        missing = [column for column in _COLUMNS if column not in read.columns]
        if missing:
            raise BatchError(f"{table} has no column {' and no column '.join(missing)}: it needs both")
        for _, row in read.rows():
            if file := (row["file"] or "").strip():
                yield cell_text(file), cell_text((row["condition"] or "").strip())
    except FileNotFoundError:
        raise BatchError(f"{table}: there is no such file") from None
    except (OSError, ValueError) as error:
        raise BatchError(f"{table}: cannot be read as a CSV table ({error})") from None


def _by_name(names: Iterable[str]) -> Mapping[str, tuple[str, ...]]:
    """The recordings that a path, a file name or its stem may mean; a longer name goes before a shorter."""
    found: list[dict[str, tuple[str, ...]]] = [{}, {}, {}]
    for name in names:
        last = name.rpartition("/")[2]
        for kind, key in enumerate((name, last, last.rpartition(".")[0])):
            found[kind][key] = (*found[kind].get(key, ()), name)
    paths, files, stems = found
    return stems | files | paths
