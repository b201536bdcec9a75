"""Tables for statistics programs: means of each person in each condition, long and wide, and SPSS' syntax.

Long tables have a row per person, condition and label, as mixed models in R want them; wide tables have a row
per person and a column per condition and label, as repeated measures in SPSS want them. The means are those
of :mod:`emofuse.folders.condition_means`.
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from emofuse.core.csv_tables import cell_text
from emofuse.core.errors import BatchError
from emofuse.folders.condition_means import ConditionMean, condition_means
from emofuse.folders.participants import in_order
from emofuse.folders.tables import Outcome, write_table
from emofuse.system.atomic_write import write_atomically
from emofuse.timeline.plain_rows import Row

SUMMARY: Final = "summary.csv"
LONG, WIDE, SYNTAX = "long.csv", "wide.csv", "spss.sps"
_SHARE: Final = "share_"
_PROBABILITY: Final = "mean_probability_"
_ABSTAINED: Final = "abstained"
_NO_CONDITION: Final = "all"
_MOST_BYTES: Final = 256 * 2**20
_TEXT_WIDTH: Final = 255
_ROUNDED: Final = 1e-5
"""By how much a share in a table may be above 1."""
_SHOWN: Final = 40
_NOT_IN_NAMES: Final = re.compile(r"[^A-Za-z0-9]+")
_LONGEST_NAME: Final = 20


@dataclass(frozen=True, slots=True)
class Variable:
    """A column of a table, as SPSS knows it."""

    name: str
    label: str
    format: str
    """``A255`` for texts, ``F`` formats for numbers."""

    @property
    def level(self) -> str:
        """Of measurement."""
        return "NOMINAL" if self.format.startswith("A") else "SCALE"


def write_statistics(results: Path, out: Path) -> tuple[Path, ...]:
    """Write the tables of a folder of results.

    Args:
        results: a folder that ``emofuse timeline DIR --out-dir`` wrote, with its ``summary.csv``.
        out: the folder for the tables, which is created.

    Returns:
        The files: long and wide tables, and the syntax for SPSS.

    Raises:
        BatchError: there is no summary, or it has nobody in it.
        OSError: a file cannot be read or written.
    """
    outcomes, labels = read_summary(results / SUMMARY)
    people = [one for one in condition_means(outcomes, labels) if one.person is not None]
    if not people:
        raise BatchError(f"{results / SUMMARY}: nobody in it was read")
    out.mkdir(parents=True, exist_ok=True)
    long_variables, long_rows = _long(people, labels)
    wide_variables, wide_rows = _wide(people, labels)
    write_table(out / LONG, [one.name for one in long_variables], long_rows)
    write_table(out / WIDE, [one.name for one in wide_variables], wide_rows)
    syntax = spss_syntax({LONG: long_variables, WIDE: wide_variables})
    write_atomically(out / SYNTAX, syntax.encode())
    return out / LONG, out / WIDE, out / SYNTAX


def read_summary(path: Path) -> tuple[list[Outcome], tuple[str, ...]]:
    """The recordings of a ``summary.csv``, and the labels of its columns.

    Raises:
        BatchError: it is missing, or no such table.
        OSError: it cannot be read.
    """
    if not path.is_file():
        raise BatchError(f"there is no {path}: emofuse timeline DIR --out-dir {path.parent} writes it")
    if path.stat().st_size > _MOST_BYTES:
        raise BatchError(f"{path} is larger than {_MOST_BYTES} bytes")
    with path.open(encoding="utf-8-sig", newline="") as file:
        try:
            reader = csv.DictReader(file, strict=True)
            columns = [cell_text(name) for name in reader.fieldnames or ()]
            reader.fieldnames = columns
            labels = tuple(
                name.removeprefix(_PROBABILITY) for name in columns if name.startswith(_PROBABILITY)
            )
            if not labels or not {"file", "person", "condition", "read_s", "share_abstained"} <= set(columns):
                raise BatchError(f"{path} is not the summary of a folder of recordings")
            rows = [_row(row, labels) for row in reader]
        except (csv.Error, ValueError, KeyError, TypeError) as error:
            raise BatchError(f"{path} cannot be read: {error}") from None
    names = dict.fromkeys(row["file"] for row in rows)
    return [_outcome(name, [row for row in rows if row["file"] == name]) for name in names], labels


def _row(cells: dict[str, str], labels: Sequence[str]) -> Row:
    numbers = ("read_s", "share_abstained", *(f"{_SHARE}{one}" for one in labels))
    row: Row = {name: cell_text(cells[name]) or None for name in ("file", "person", "condition")}
    for name in (*numbers, *(f"{_PROBABILITY}{one}" for one in labels)):
        row[name] = float(cells[name]) if cells[name] else None
        most = math.inf if name == "read_s" else 1 + _ROUNDED
        if row[name] is not None and not (0 <= row[name] <= most and math.isfinite(row[name])):
            raise ValueError(f"{name} of {row['file']} cannot be {cells[name][:_SHOWN]}")
    return row


def _outcome(name: str, rows: Sequence[Row]) -> Outcome:
    return Outcome(name, rows[0]["condition"], summary=rows)


def _long(people: Sequence[ConditionMean], labels: Sequence[str]) -> tuple[list[Variable], list[Row]]:
    variables = [
        Variable("participant", "Person", f"A{_TEXT_WIDTH}"),
        Variable("condition", "Condition", f"A{_TEXT_WIDTH}"),
        Variable("label", "Expressed emotion", f"A{_TEXT_WIDTH}"),
        Variable("n_recordings", "Recordings that the means are of", "F8.0"),
        Variable("read_s", "Seconds that were read", "F12.3"),
        Variable("share", "Share of the time that was read", "F9.6"),
        Variable("mean_probability", "Mean probability; none of abstained", "F9.6"),
    ]
    rows: list[Row] = [
        {
            "participant": one.person,
            "condition": one.condition or _NO_CONDITION,
            "label": label,
            "n_recordings": str(one.n_recordings),
            "read_s": one.read_s,
            "share": one.values[f"{_SHARE}{label}"],
            "mean_probability": one.values.get(f"{_PROBABILITY}{label}"),
        }
        for one in people
        for label in (*labels, _ABSTAINED)
    ]
    return variables, rows


def _wide(people: Sequence[ConditionMean], labels: Sequence[str]) -> tuple[list[Variable], list[Row]]:
    conditions = list(dict.fromkeys(one.condition or _NO_CONDITION for one in people))
    kinds = [(_SHARE, label, f"Share of {label}") for label in (*labels, _ABSTAINED)]
    kinds += [(_PROBABILITY, label, f"Mean probability of {label}") for label in labels]
    short = _names(conditions), _names((*labels, _ABSTAINED))
    variables = [Variable("participant", "Person", f"A{_TEXT_WIDTH}")]
    columns: dict[tuple[str, str], str] = {}
    for condition in conditions:
        for prefix, label, meaning in kinds:
            kind = "share" if prefix == _SHARE else "prob"
            name = f"{kind}_{short[1][label]}.{short[0][condition]}"
            columns[condition, prefix + label] = name
            variables.append(Variable(name, f"{meaning}, condition {condition}", "F9.6"))
    rows: dict[str, Row] = {
        str(name): {"participant": name} | dict.fromkeys(columns.values())
        for name in in_order(one.person for one in people)
    }
    for one in people:
        for column, value in one.values.items():
            rows[str(one.person)][columns[one.condition or _NO_CONDITION, column]] = value
    return variables, list(rows.values())


def _names(texts: Iterable[str]) -> dict[str, str]:
    """A part of a variable's name for each text: ASCII letters and digits, and different from all others."""
    names: dict[str, str] = {}
    for number, text in enumerate(texts, 1):
        plain = _NOT_IN_NAMES.sub("_", text).strip("_")[:_LONGEST_NAME]
        # SPSS does not tell capital letters from small ones
        taken = {name.lower() for name in names.values()}
        names[text] = plain if plain and plain.lower() not in taken else f"{plain}_{number}".strip("_")
        while names[text].lower() in taken:
            names[text] += "_"
    return names


def spss_syntax(tables: dict[str, Sequence[Variable]]) -> str:
    """The syntax by which SPSS (and PSPP) read tables that lie beside it, each as a data set of its own."""
    lines = [
        "* Encoding: UTF-8.",
        "* Written by emofuse. Set the folder of the tables, without the star, if it is not the current one.",
        "* CD 'FOLDER'.",
        "SET DECIMAL=DOT.",
    ]
    for file, variables in tables.items():
        lines += [
            "",
            f"GET DATA /TYPE=TXT /FILE={_quoted(file)} /ENCODING='UTF8' /ARRANGEMENT=DELIMITED",
            "  /FIRSTCASE=2 /DELIMITERS=',' /QUALIFIER='\"' /VARIABLES=",
            *(f"  {one.name} {one.format}" for one in variables),
            "  .",
            "VARIABLE LABELS",
            *(f"  {one.name} {_quoted(one.label)}" for one in variables),
            "  .",
            *(f"VARIABLE LEVEL {one.name} ({one.level})." for one in variables),
            f"DATASET NAME {Path(file).stem}.",
            "EXECUTE.",
        ]
    return "\n".join([*lines, ""])


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
