"""What every system says of the ratings of test takes, and its figures.

Those are concordance, correlation, absolute error and coverage, over all folds, with intervals over speakers.
A take that lacks a modality is rated by the other.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypedDict

import numpy as np
from numpy.typing import NDArray

from emofuse.core import metrics
from emofuse.core.csv_tables import cell_text, write_csv
from emofuse.core.dimensions import LEVEL, Dimension, Rated
from emofuse.core.errors import ExperimentError
from emofuse.core.rating_metrics import (
    RatingMetric,
    concordance,
    mean_absolute_error,
    pearson,
    rating_interval,
)
from emofuse.evaluation.entry_types import Interval
from emofuse.evaluation.rating_enrollment import Enrolled, RatingEnrollmentPoint, rating_enrollment
from emofuse.system.atomic_write import write_atomically
from emofuse.system.csv_files import bounded_lines
from emofuse.training.dataset import Dataset, Inputs
from emofuse.training.plan import Plan
from emofuse.training.rating_jobs import load_rating_outputs
from emofuse.training.ratings import fit_ratings

RATINGS_FILE: Final = "ratings.csv"
SYSTEMS: Final = ("voice", "face", "fused")
METRICS: Final[dict[str, RatingMetric]] = {
    "ccc": concordance, "pearson": pearson, "mae": mean_absolute_error,
}  # fmt: skip
_COLUMNS: Final = (
    "take", "clip", "actor", "fold", "system", "dimension", "rating", "predicted", "low", "high",
)  # fmt: skip

Floats = NDArray[np.float64]


class FoldRating(TypedDict):
    """One system's figures of a dimension on the test part of one fold; None where undefined."""

    fold: str
    n: int
    ccc: float | None


class RatingFigures(TypedDict, total=False):
    """One system's figures of a dimension over all folds; None where undefined.

    ``coverage``: the share of test takes whose rating is inside the interval; ``width``: the intervals' mean
    width, in the unit of the ratings. Intervals are 95 %, over speakers.
    """

    n: int
    ccc: float | None
    ccc_ci95: Interval | None
    pearson: float | None
    pearson_ci95: Interval | None
    mae: float | None
    mae_ci95: Interval | None
    coverage: float | None
    coverage_ci95: Interval | None
    width: float | None
    folds: list[FoldRating]


class DimensionFigures(TypedDict, total=False):
    """One dimension: the range of its ratings, how many takes were rated, what intervals promise.

    ``enrolment``: the fusion after some clips of a speaker are known; left out where speakers have too few.
    """

    name: str
    range: Interval
    n: int
    n_actors: int
    level: float
    systems: dict[str, RatingFigures]
    enrolment: list[RatingEnrollmentPoint]


@dataclass(frozen=True, slots=True)
class RatingRow:
    """One line of ratings.csv: what one system says of a take on one dimension.

    ``rating``: what raters gave; NaN where the take was not rated.
    """

    take: str
    clip: str
    actor: str
    fold: str
    system: str
    dimension: str
    rating: float
    predicted: Rated


@dataclass(frozen=True, slots=True)
class Ratings:
    """All out-of-fold ratings of one system on one dimension, (n,) each; ``truth`` is NaN where not rated."""

    takes: NDArray[np.str_]
    actors: NDArray[np.str_]
    folds: NDArray[np.str_]
    truth: Floats
    predicted: Floats
    low: Floats
    high: Floats

    @classmethod
    def of(cls, rows: Sequence[RatingRow]) -> Ratings:
        """The columns of some rows."""
        return cls(
            np.array([row.take for row in rows]),
            np.array([row.actor for row in rows]),
            np.array([row.fold for row in rows]),
            np.array([row.rating for row in rows], dtype=np.float64),
            np.array([row.predicted.value for row in rows], dtype=np.float64),
            np.array([row.predicted.low for row in rows], dtype=np.float64),
            np.array([row.predicted.high for row in rows], dtype=np.float64),
        )

    def chosen(self, rows: NDArray[np.intp]) -> Ratings:
        """Those of some rows, in their order."""
        return Ratings(
            self.takes[rows], self.actors[rows], self.folds[rows], self.truth[rows],
            self.predicted[rows], self.low[rows], self.high[rows],
        )  # fmt: skip


ByDimension = Mapping[str, Mapping[str, Ratings]]
"""By dimension, then by system."""


RatedFold = tuple[tuple[Dimension, ...], dict[str, dict[int, Floats]]]
"""How each dimension is predicted; and by modality, row → (n_dimensions,) outputs."""


def rate_fold(plan: Plan, inputs: Inputs, work: Path) -> RatedFold:
    """Fit a fold's dimensions on its training speakers, and read the outputs for its test takes."""
    fitted = fit_ratings(plan, inputs, work)
    outputs = {}
    for modality in inputs.modalities:
        rows = inputs.having(modality, plan.test)
        values = load_rating_outputs(plan, modality, rows, plan.scoring, work)
        outputs[str(modality)] = dict(zip(rows.tolist(), values, strict=True))
    return fitted, outputs


def fold_ratings(
    fold: str,
    fitted: Sequence[Dimension],
    outputs: Mapping[str, Mapping[int, Floats]],
    dataset: Dataset,
) -> list[RatingRow]:
    """What every system says of the test takes of a fold, dimension by dimension, system by system."""
    rows = []
    for index, dimension in enumerate(fitted):
        for system in SYSTEMS:
            if system not in dimension.systems:
                continue
            for row in sorted({row for by_row in outputs.values() for row in by_row}):
                known = {name: float(by_row[row][index]) for name, by_row in outputs.items() if row in by_row}
                found = dimension.rated(known, system)
                if found is None:
                    continue
                take = dataset.takes[row]
                rows.append(
                    RatingRow(
                        take.take, take.clip_id, take.speaker, fold, system, dimension.name,
                        float(dataset.inputs.ratings[row, index]), found,
                    )
                )  # fmt: skip
    return rows


def rating_figures(
    rows: Sequence[RatingRow],
    folds: Sequence[str],
    inputs: Inputs,
    seed: int,
    enrolled: Sequence[Enrolled] = (),
) -> list[DimensionFigures]:
    """Every dimension's figures.

    Args:
        rows: out-of-fold ratings.
        folds: their names, in order.
        inputs: the ratings.
        seed: of the resamples.
        enrolled: of each fold, ratings of speakers of whom some clips are known.
    """
    by_dimension = by_system(rows)
    out: list[DimensionFigures] = []
    for index, name in enumerate(inputs.dimensions):
        enrollment = rating_enrollment(enrolled, name, seed)
        rated = ~np.isnan(inputs.ratings[:, index])
        own = inputs.ratings[rated, index]
        out.append(
            {
                "name": name,
                "range": [float(own.min()), float(own.max())],
                "n": len(own),
                "n_actors": len(set(inputs.speakers[rated].tolist())),
                "level": LEVEL,
                "systems": {
                    system: _figures(found, folds, seed) for system, found in by_dimension[name].items()
                },
                **({"enrolment": enrollment} if enrollment else {}),
            }
        )
    return out


def by_system(rows: Iterable[RatingRow]) -> dict[str, dict[str, Ratings]]:
    """The rows by dimension and system, both in the order in which they come."""
    found: dict[str, dict[str, list[RatingRow]]] = {}
    for row in rows:
        found.setdefault(row.dimension, {}).setdefault(row.system, []).append(row)
    return {
        dimension: {system: Ratings.of(own) for system, own in systems.items()}
        for dimension, systems in found.items()
    }


def _figures(found: Ratings, folds: Sequence[str], seed: int) -> RatingFigures:
    rated = np.flatnonzero(~np.isnan(found.truth))
    if not len(rated):
        return {"n": 0, "folds": []}
    own = found.chosen(rated)
    values: dict[str, float | None] = {}
    bounds: dict[str, list[float] | None] = {}
    for name, metric in METRICS.items():
        values[name] = _or_none(metric(own.truth, own.predicted))
        bounds[name] = _bounds(rating_interval(metric, own.truth, own.predicted, own.actors, seed=seed))
    inside = is_inside(own).astype(np.int64)
    # the share that is right, of which being inside is right
    everything = np.ones(len(inside), dtype=np.int64)
    return {
        "n": len(rated),
        "ccc": values["ccc"],
        "ccc_ci95": bounds["ccc"],
        "pearson": values["pearson"],
        "pearson_ci95": bounds["pearson"],
        "mae": values["mae"],
        "mae_ci95": bounds["mae"],
        "coverage": float(inside.mean()),
        "coverage_ci95": list(
            metrics.bootstrap_interval(metrics.accuracy, everything, inside, own.actors, seed=seed)
        ),
        "width": float((own.high - own.low).mean()),
        "folds": [_of_fold(fold, own) for fold in folds],
    }


def is_inside(found: Ratings) -> NDArray[np.bool_]:
    """(n,) whether each rating is inside its interval; bounds belong to it."""
    slack = 1e-9 * np.maximum(1.0, np.abs(found.truth))
    inside: NDArray[np.bool_] = (found.truth >= found.low - slack) & (found.truth <= found.high + slack)
    return inside


def _of_fold(fold: str, found: Ratings) -> FoldRating:
    rows = np.flatnonzero(found.folds == fold)
    own = found.chosen(rows)
    return {
        "fold": fold,
        "n": len(rows),
        "ccc": _or_none(concordance(own.truth, own.predicted)) if len(rows) else None,
    }


def _or_none(value: float) -> float | None:
    return None if math.isnan(value) else value


def _bounds(bounds: tuple[float, float]) -> list[float] | None:
    return None if math.isnan(bounds[0]) else list(bounds)


def write_ratings(run: Path, rows: Iterable[RatingRow]) -> None:
    """Write ratings.csv: one line per take, system and dimension, in full precision."""
    text = io.StringIO()
    write_csv(
        text,
        _COLUMNS,
        (
            [row.take, row.clip, row.actor, row.fold, row.system, row.dimension,
             "" if math.isnan(row.rating) else repr(row.rating),
             *(repr(value) for value in (row.predicted.value, row.predicted.low, row.predicted.high))]
            for row in rows
        ),
    )  # fmt: skip
    write_atomically(run / RATINGS_FILE, text.getvalue().encode())


def read_ratings(path: Path) -> ByDimension:
    """Read a ratings.csv.

    Raises:
        ExperimentError: it is missing, or not what ``emofuse evaluate`` writes.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return by_system(_row(cells) for cells in csv.DictReader(bounded_lines(file)))
    except FileNotFoundError:
        raise ExperimentError(f"{path} is missing: evaluate again") from None
    except KeyError as error:
        raise ExperimentError(f"{path} has no column {error}: evaluate again") from None
    except (OSError, ValueError, TypeError, csv.Error) as error:
        raise ExperimentError(f"{path} cannot be read ({error}): evaluate again") from None


def _row(cells: Mapping[str, str]) -> RatingRow:
    row = {name: cell_text(cell) for name, cell in cells.items()}
    rating = math.nan if row["rating"] == "" else float(row["rating"])
    if math.isinf(rating):
        raise ValueError(f"a rating is {row['rating']}")
    return RatingRow(
        row["take"], row["clip"], row["actor"], row["fold"], row["system"], row["dimension"], rating,
        Rated(float(row["predicted"]), float(row["low"]), float(row["high"])),
    )  # fmt: skip
