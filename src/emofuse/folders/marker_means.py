"""Mean curves around markers with the same text, of each condition, over people and recordings."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from emofuse.core.text import one_line, printable
from emofuse.folders.participants import in_given_order, in_order, participant
from emofuse.folders.resampling import LEAST, mean_interval
from emofuse.folders.tables import write_table
from emofuse.timeline.marker_curves import CurveRules, MarkerCurve
from emofuse.timeline.plain_rows import Row

Float64 = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class RecordingCurves:
    """The curves of one of many recordings."""

    name: str
    condition: str | None
    curves: Sequence[MarkerCurve]


@dataclass(frozen=True, slots=True, eq=False)
class MarkerMean:
    """The mean curve of one person, or of everybody, around the markers with one text in one condition.

    Every curve, of one person around one marker, counts the same.
    """

    marker: str
    condition: str | None
    person: str | None
    """None: everybody."""
    means: Float64
    """(n_offsets, n_emotions) mean fused probabilities; NaN where there is no curve."""
    bounds: Float64 | None
    """(2, n_offsets, n_emotions) of the 95 % interval, NaN where there are too few; None: too few at all."""
    resampled: Literal["recordings", "markers"] | None
    """What the interval is over: recordings, if there are enough, else markers; None: there is none."""
    counts: Float64
    """(3, n_offsets) how many markers, people and recordings have a value."""


@dataclass(frozen=True, slots=True, eq=False)
class _Curve:
    person: str
    marker: tuple[str, float, float]
    """Which one: the recording, and the marker's times."""
    recording: str
    values: Float64


def marker_means(recordings: Iterable[RecordingCurves], order: Sequence[str | None] = ()) -> list[MarkerMean]:
    """Of each text and condition everybody's mean curve, then that of each person.

    Args:
        recordings: all of them.
        order: of the conditions; others come after them.
    """
    found: dict[tuple[str, str | None], list[_Curve]] = {}
    for one in recordings:
        for curve in one.curves:
            start_s, end_s, text = curve.marker.order
            own = _Curve(
                participant(curve.person, printable(one.name)), (one.name, start_s, end_s), one.name,
                curve.values,
            )  # fmt: skip
            found.setdefault((one_line(text), one.condition), []).append(own)
    means = []
    for marker in in_order(text for text, _ in found):
        assert marker is not None
        conditions = (condition for text, condition in found if text == marker)
        for condition in in_given_order(conditions, order):
            curves = found[marker, condition]
            means.append(_mean(marker, condition, None, curves))
            for person in in_order(curve.person for curve in curves):
                by_person = [one for one in curves if one.person == person]
                means.append(_mean(marker, condition, person, by_person))
    return means


def _mean(text: str, condition: str | None, person: str | None, curves: Sequence[_Curve]) -> MarkerMean:
    table = np.stack([one.values for one in curves])
    known = ~np.isnan(table)
    sums, counts = np.where(known, table, 0.0), known.astype(np.float64)
    total = counts.sum(0)
    means = np.divide(sums.sum(0), total, out=np.full_like(total, np.nan), where=total > 0)
    present = np.asarray(known.all(2))
    units: dict[str, list[Any]] = {
        "markers": [one.marker for one in curves],
        "people": [one.person for one in curves],
        "recordings": [one.recording for one in curves],
    }
    resampled: Literal["recordings", "markers"] = "recordings"
    if len(set(units["recordings"])) < LEAST:
        resampled = "markers"
    bounds = mean_interval(*(_by_unit(part, units[resampled]) for part in (sums, counts)))
    return MarkerMean(
        text, condition, person, means,
        None if bounds is None else bounds.reshape(2, *means.shape),
        None if bounds is None else resampled,
        np.array([_n_units(present, units[kind]) for kind in ("markers", "people", "recordings")]),
    )  # fmt: skip


def _by_unit(table: Float64, units: Sequence[Any]) -> Float64:
    """(n_units, the rest in one) the sum over the curves of each unit."""
    numbers = {unit: number for number, unit in enumerate(dict.fromkeys(units))}
    summed = np.zeros((len(numbers), table[0].size))
    np.add.at(summed, [numbers[unit] for unit in units], table.reshape(len(table), -1))
    return summed


def _n_units(present: NDArray[np.bool_], units: Sequence[Any]) -> Float64:
    """(n_offsets,) how many units have a value."""
    return np.asarray((_by_unit(present.astype(np.float64), units) > 0).sum(0), dtype=np.float64)


def write_marker_means(
    path: Path,
    means: Sequence[MarkerMean],
    emotions: Sequence[str],
    purpose: str | None,
    rules: CurveRules | None = None,
) -> None:
    """One row per mean curve and offset.

    Columns: ``marker``, ``condition``, ``level`` (``everybody`` or ``person``), ``person``, ``offset_s``,
    ``n_markers``, ``n_people``, ``n_recordings``, ``resampled`` (what the interval is over), then ``mean_…``,
    ``low_…`` and ``high_…`` of each emotion, empty where there are too few; ``purpose`` if there is one.

    Raises:
        OSError: it cannot be written.
    """
    columns = ["marker", "condition", "level", "person", "offset_s"]
    columns += ["n_markers", "n_people", "n_recordings", "resampled"]
    for emotion in emotions:
        columns += [f"mean_{emotion}", f"low_{emotion}", f"high_{emotion}"]
    more = {} if purpose is None else {"purpose": purpose}
    offsets_s = (rules or CurveRules()).offsets_s.tolist()
    rows = (row | more for one in means for row in _rows(one, offsets_s, emotions))
    write_table(path, [*columns, *more], rows)


def _rows(one: MarkerMean, offsets_s: Sequence[float], emotions: Sequence[str]) -> Iterator[Row]:
    for number, offset_s in enumerate(offsets_s):
        n_markers, n_people, n_recordings = (str(int(count)) for count in one.counts[:, number])
        row: Row = {
            "marker": one.marker,
            "condition": one.condition,
            "level": "everybody" if one.person is None else "person",
            "person": one.person,
            "offset_s": offset_s,
            "n_markers": n_markers,
            "n_people": n_people,
            "n_recordings": n_recordings,
            "resampled": one.resampled,
        }
        for place, emotion in enumerate(emotions):
            row[f"mean_{emotion}"] = _known(one.means[number, place])
            low, high = (None, None) if one.bounds is None else one.bounds[:, number, place]
            row |= {f"low_{emotion}": _known(low), f"high_{emotion}": _known(high)}
        yield row


def _known(value: float | None) -> float | None:
    return None if value is None or np.isnan(value) else float(value)
