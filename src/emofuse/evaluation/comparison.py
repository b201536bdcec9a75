"""Two runs on the same takes: by how much their figures differ, with intervals over speakers.

Both runs are scored on the same resamples of speakers, so that a speaker who is hard for both cancels out:
runs whose own intervals overlap may still differ clearly.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from emofuse.core import metrics
from emofuse.core.errors import ExperimentError
from emofuse.core.labels import EMOTIONS
from emofuse.core.rating_metrics import RatingMetric, concordance, mean_absolute_error, rating_difference
from emofuse.evaluation.rating_outputs import Ratings
from emofuse.evaluation.results import MAIN_SYSTEMS
from emofuse.evaluation.run_files import Run, Scores

SEED: Final = 0
"""Of the resamples: the same for all comparisons, so that swapping the runs swaps the signs and no more."""
FIGURES: Final[dict[str, tuple[metrics.Metric, bool]]] = {
    "accuracy": (metrics.accuracy, True),
    "uar": (metrics.uar, True),
    "f1_macro": (metrics.f1_macro, True),
    "log_loss": (metrics.log_loss, False),
    "ece": (metrics.expected_calibration_error, False),
}
"""What is compared, and whether more of it is better."""
_OF_SCORES: Final = ("log_loss", "ece")
RATING_FIGURES: Final[dict[str, tuple[RatingMetric, bool]]] = {
    "ccc": (concordance, True),
    "mae": (mean_absolute_error, False),
}
"""The same for each dimension; a difference of one is called ``ccc valence``."""
_MOST_NAMED: Final = 3
"""Takes that a message names."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One figure of one system in both runs, on the takes that both scored with it."""

    system: str
    figure: str
    first: float
    second: float
    difference: float
    """``first - second``."""
    ci95: tuple[float, float]
    """Of the difference, over speakers; a single point where there is one speaker."""
    better: Literal["first", "second"] | None
    """Which run is better, where the interval leaves zero out."""
    n: int
    n_actors: int


@dataclass(frozen=True, slots=True)
class Comparison:
    """What two runs differ in."""

    first: str
    second: str
    """What the runs are called: their folders."""
    recipes: tuple[str, str]
    n_takes: int
    """Takes that both runs scored."""
    n_actors: int
    only_first: int
    only_second: int
    """Takes that one run alone scored; they are left out."""
    differences: tuple[Difference, ...]
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {"schema": 1, **asdict(self)}


def compare_runs(first: Run, second: Run, *, common: bool = False) -> Comparison:
    """Compare two runs of ``emofuse evaluate`` take by take.

    Args:
        first: one run.
        second: the other, on the same takes.
        common: compare on the takes that both scored, where some are of one run alone.

    Raises:
        ExperimentError: the runs scored different takes, and ``common`` is False; they share none; they
            disagree on the label or the speaker of a take; or their labels differ.
    """
    labels, others = _emotions(first), _emotions(second)
    if labels != others:
        raise ExperimentError(
            f"{first.path} and {second.path} have different labels ({', '.join(labels)}; "
            f"{', '.join(others)}): runs are compared on one set of labels"
        )
    takes, of_second = _scored(first), _scored(second)
    only_first, only_second = sorted(takes - of_second), sorted(of_second - takes)
    shared = takes & of_second
    if not shared:
        raise ExperimentError(f"{first.path} and {second.path} share no take: there is nothing to compare")
    if (only_first or only_second) and not common:
        raise ExperimentError(
            f"{first.path} and {second.path} scored different takes: {_alone(only_first, first.path)}"
            f"{' and ' if only_first and only_second else ''}{_alone(only_second, second.path)}; "
            f"add --common to compare on the {len(shared)} takes of both"
        )
    differences = []
    fuse = _fuses(first) or _fuses(second)
    for system in MAIN_SYSTEMS:
        if system in first.scores and system in second.scores and (system != "fused" or fuse):
            pair = _aligned(first.scores[system], second.scores[system], first.path, second.path)
            if pair is not None:
                differences += [_difference(system, figure, *pair) for figure in FIGURES]
    for dimension in (name for name in first.ratings if name in second.ratings):
        for system in MAIN_SYSTEMS:
            rated = [run.ratings[dimension].get(system) for run in (first, second)]
            if rated[0] is not None and rated[1] is not None:
                differences += _rating_differences(
                    dimension, system, rated[0], rated[1], first.path, second.path
                )
    actors = {str(actor) for one in _parts(first) for actor in one.actors[np.isin(one.takes, list(shared))]}
    return Comparison(
        str(first.path),
        str(second.path),
        (_recipe(first), _recipe(second)),
        len(shared),
        len(actors),
        len(only_first),
        len(only_second),
        tuple(differences),
        tuple(_notes(first, second, len(actors))),
    )


def _fuses(run: Run) -> bool:
    """Whether its fusion says something else than the one modality that was read."""
    read = [run.scores[system] for system in ("voice", "face") if system in run.scores]
    fused = run.scores.get("fused")
    return fused is None or len(read) != 1 or not np.array_equal(fused.probabilities, read[0].probabilities)


def _rating_differences(
    dimension: str, system: str, first: Ratings, second: Ratings, first_path: Path, second_path: Path
) -> list[Difference]:
    """The figures of a dimension on the takes that both runs rated with one system."""
    takes, i, j = np.intersect1d(first.takes, second.takes, return_indices=True)
    one, other = first.chosen(i), second.chosen(j)
    same = (one.truth == other.truth) | (np.isnan(one.truth) & np.isnan(other.truth))
    if not same.all():
        raise ExperimentError(
            f"{first_path} and {second_path} disagree on the {dimension} of {int((~same).sum())} takes, "
            f"such as {takes[~same][0]}: they are not of one corpus"
        )
    rated = np.flatnonzero(~np.isnan(one.truth))
    if not len(rated):
        return []
    one, other = one.chosen(rated), other.chosen(rated)
    n_actors = len(np.unique(one.actors))
    found = []
    for figure, (metric, more_is_better) in RATING_FIGURES.items():
        values = metric(one.truth, one.predicted), metric(one.truth, other.predicted)
        bounds = rating_difference(metric, one.truth, one.predicted, other.predicted, one.actors, seed=SEED)
        found.append(
            Difference(
                system, f"{figure} {dimension}", *values, values[0] - values[1], bounds,
                better_run(bounds, more_is_better=more_is_better, n_actors=n_actors), len(rated), n_actors,
            )
        )  # fmt: skip
    return found


def _emotions(run: Run) -> tuple[str, ...]:
    labels: Any = run.results.get("emotions")
    return EMOTIONS if labels is None else tuple(labels)


def _recipe(run: Run) -> str:
    return str(run.results.get("recipe", {}).get("name", "?"))


def _scored(run: Run) -> set[str]:
    """The takes that any system scored."""
    return {str(take) for one in _parts(run) for take in one.takes}


def _parts(run: Run) -> list[Scores | Ratings]:
    """What each system said, of labels and of each dimension."""
    rated = (one for systems in run.ratings.values() for one in systems.values())
    return [*run.scores.values(), *rated]


def _alone(takes: Sequence[str], path: Path) -> str:
    if not takes:
        return ""
    more = ", …" if len(takes) > _MOST_NAMED else ""
    return f"{len(takes)} only in {path} ({', '.join(takes[:_MOST_NAMED])}{more})"


def _aligned(
    first: Scores, second: Scores, first_path: Path, second_path: Path
) -> tuple[Scores, Scores] | None:
    """The takes that both runs scored with one system, in the same order; None if there are none."""
    takes, i, j = np.intersect1d(first.takes, second.takes, return_indices=True)
    if not len(takes):
        return None
    one, other = first.chosen(i), second.chosen(j)
    for what, differ in (("label", one.truth != other.truth), ("speaker", one.actors != other.actors)):
        if differ.any():
            raise ExperimentError(
                f"{first_path} and {second_path} disagree on the {what} of {int(differ.sum())} takes, "
                f"such as {takes[differ][0]}: they are not of one corpus"
            )
    return one, other


def _difference(system: str, figure: str, first: Scores, second: Scores) -> Difference:
    metric, more_is_better = FIGURES[figure]
    one, other = (_outputs(figure, scores) for scores in (first, second))
    values = metric(first.truth, one), metric(first.truth, other)
    bounds = metrics.bootstrap_difference(metric, first.truth, one, other, first.actors, seed=SEED)
    n_actors = len(np.unique(first.actors))
    return Difference(
        system, figure, *values, values[0] - values[1], bounds,
        better_run(bounds, more_is_better=more_is_better, n_actors=n_actors), len(first.takes), n_actors,
    )  # fmt: skip


def _outputs(figure: str, scores: Scores) -> NDArray[Any]:
    return scores.probabilities if figure in _OF_SCORES else scores.predicted


def better_run(
    bounds: tuple[float, float], *, more_is_better: bool, n_actors: int
) -> Literal["first", "second"] | None:
    """Which run an interval of a difference calls better; None where it has zero in it, or one speaker."""
    if n_actors < 2 or not (bounds[0] > 0 or bounds[1] < 0):
        return None
    return "first" if (bounds[0] > 0) == more_is_better else "second"


def _notes(first: Run, second: Run, n_actors: int) -> list[str]:
    """What a reader of the differences must know."""
    notes = []
    for run in (first, second):
        if run.results.get("flattered") or run.results.get("speaker_independent") is False:
            notes.append(
                f"{run.path}: its test speakers are in its training data, which flatters its figures"
            )
    folds = [run.results.get("protocol_hash") for run in (first, second)]
    if folds[0] != folds[1]:
        protocols = (run.results.get("protocol", "?") for run in (first, second))
        notes.append(
            f"the folds differ ({', '.join(protocols)}): a part of the difference may come from how many "
            "speakers each network was trained on"
        )
    if n_actors < 2:
        notes.append("with one speaker there is nothing to resample: the intervals are single points")
    return notes
