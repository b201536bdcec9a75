"""What people express in each condition of an experiment: means over recordings, and over people.

A person's mean in a condition is that over their recordings, each of which counts the same; everybody's is
that over these people, each of whom counts the same. Only what was read counts: voices of nobody in view do
where nobody is in view at all.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from emofuse.core.text import printable
from emofuse.folders.participants import in_given_order, in_order, participant
from emofuse.folders.resampling import mean_interval
from emofuse.folders.tables import Outcome, write_table
from emofuse.timeline.plain_rows import Row

Float64 = NDArray[np.float64]

_ABSTAINED: Final = "share_abstained"


@dataclass(frozen=True, slots=True, eq=False)
class ConditionMean:
    """What one person, or everybody, expresses in a condition."""

    condition: str | None
    """None: of recordings without one."""
    person: str | None
    """None: everybody."""
    n_people: int
    n_recordings: int
    read_s: float
    """Seconds that were read, in all of them."""
    values: dict[str, float | None]
    """By the column of the summary: ``share_…`` of each emotion and of abstaining, ``mean_probability_…``."""
    intervals: dict[str, tuple[float, float]]
    """Of those that have one: 95 %, over people if it is everybody's, else over recordings."""


def condition_means(
    outcomes: Iterable[Outcome], emotions: Sequence[str], order: Sequence[str | None] = ()
) -> list[ConditionMean]:
    """Of each condition everybody's mean, then that of each person.

    Args:
        outcomes: all recordings.
        emotions: of their summaries.
        order: of the conditions; others come after them.
    """
    columns = _value_columns(emotions)
    found: dict[str | None, dict[str, list[Row]]] = {}
    recordings: dict[str | None, set[str]] = {}
    for one in outcomes:
        alone = all(row["person"] is None for row in one.summary)
        for row in one.summary:
            if row[_ABSTAINED] is None or (row["person"] is None and not alone):
                continue
            people = found.setdefault(one.condition, {})
            recordings.setdefault(one.condition, set()).add(one.name)
            people.setdefault(participant(row["person"], printable(one.name)), []).append(row)
    means = []
    for condition in in_given_order(found, order):
        own = [
            _mean(condition, name, found[condition][name], columns)
            for name in in_order(found[condition])
            if name is not None
        ]
        means += [_everybody(condition, own, len(recordings[condition]), columns), *own]
    return means


def _value_columns(emotions: Sequence[str]) -> tuple[str, ...]:
    shares = (f"share_{emotion}" for emotion in emotions)
    return (*shares, _ABSTAINED, *(f"mean_probability_{emotion}" for emotion in emotions))


def _mean(condition: str | None, person: str, rows: Sequence[Row], columns: Sequence[str]) -> ConditionMean:
    read_s = sum(row["read_s"] for row in rows)
    values, intervals = _over_units(rows, columns)
    return ConditionMean(condition, person, 1, len(rows), read_s, values, intervals)


def _everybody(
    condition: str | None, people: Sequence[ConditionMean], n_recordings: int, columns: Sequence[str]
) -> ConditionMean:
    values, intervals = _over_units([one.values for one in people], columns)
    return ConditionMean(
        condition, None, len(people), n_recordings, sum(one.read_s for one in people), values, intervals,
    )  # fmt: skip


def _over_units(
    rows: Sequence[Row], columns: Sequence[str]
) -> tuple[dict[str, float | None], dict[str, tuple[float, float]]]:
    """The mean of each column over the rows that have it, and its interval over rows."""
    table: Float64 = np.array([[row[column] for column in columns] for row in rows], dtype=np.float64)
    known = ~np.isnan(table)
    sums, counts = np.where(known, table, 0.0), known.astype(np.float64)
    n = counts.sum(0)
    values = {
        column: float(total / count) if count else None
        for column, total, count in zip(columns, sums.sum(0), n, strict=True)
    }
    bounds = mean_interval(sums, counts)
    if bounds is None:
        return values, {}
    intervals = zip(columns, *bounds.tolist(), strict=True)
    return values, {column: (low, high) for column, low, high in intervals if not math.isnan(low)}


def write_condition_means(
    path: Path, means: Sequence[ConditionMean], emotions: Sequence[str], purpose: str | None
) -> None:
    """One row per condition, and one per condition and person.

    Columns: ``condition``, ``level`` (``everybody`` or ``person``), ``person``, ``n_people``,
    ``n_recordings``, ``read_s``, then of each share and each mean probability the mean, ``_low`` and
    ``_high``, empty where there are too few for an interval; ``purpose`` if there is one.

    Raises:
        OSError: it cannot be written.
    """
    columns = ["condition", "level", "person", "n_people", "n_recordings", "read_s"]
    for column in _value_columns(emotions):
        columns += [column, f"{column}_low", f"{column}_high"]
    more: dict[str, Any] = {} if purpose is None else {"purpose": purpose}
    write_table(path, [*columns, *more], (_row(one) | more for one in means))


def _row(one: ConditionMean) -> Row:
    row: Row = {
        "condition": one.condition,
        "level": "everybody" if one.person is None else "person",
        "person": one.person,
        "n_people": str(one.n_people),
        "n_recordings": str(one.n_recordings),
        "read_s": one.read_s,
    }
    for column, value in one.values.items():
        low, high = one.intervals.get(column, (None, None))
        row |= {column: value, f"{column}_low": low, f"{column}_high": high}
    return row
