"""From what was predicted to figures: every system's, by group, over coverage and over enrolment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emofuse.core import metrics
from emofuse.core.recipes.recipe import Recipe
from emofuse.corpus.folds import Fold
from emofuse.evaluation.enrollment_curve import SYSTEMS, EnrolledOutputs, System, curve_over_clips
from emofuse.evaluation.group_metrics import group_figures
from emofuse.training.dataset import MODALITIES, Dataset

COVERAGES = (0.9, 0.8, 0.7, 0.5)
_CURVE_PLACES = 200
_RESAMPLES = 1000
"""For figures of scores, which are computed anew on every draw."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of predictions.csv: what one system says of one take."""

    row: int
    take: str
    clip: str
    actor: str
    emotion: int
    fold: str
    system: str
    probabilities: NDArray[np.float64]


def fold_name(fold: Fold) -> str:
    """What a fold is called in results: 1, 2, …"""
    return str(fold.index + 1)


def system_figures(table: Sequence[Row], folds: Sequence[Fold], recipe: Recipe) -> dict[str, Any]:
    """Every system's figures with their intervals, over all folds and for each."""
    names = [*MODALITIES, *(f"fused:{name}" for name in recipe.fusion.classifiers), "fused"]
    out = {}
    for name in names:
        rows = [row for row in table if row.system == name]
        parts = {fold_name(fold): [row for row in rows if row.fold == fold_name(fold)] for fold in folds}
        out[name] = {
            **_figures(rows, recipe.seed, whole=name in SYSTEMS),
            "folds": [
                {
                    "fold": fold_name(fold),
                    "test_actors": list(fold.test_actors),
                    "n": len(parts[fold_name(fold)]),
                    **{key: _figures_of(parts[fold_name(fold)])[key] for key in ("accuracy", "uar")},
                }
                for fold in folds
            ],
        }
    return out


def more_figures(
    table: Sequence[Row], dataset: Dataset, recipe: Recipe, enrolled: Sequence[EnrolledOutputs]
) -> dict[str, Any]:
    """Figures by group, and the enrolment curve where the recipe has one."""
    groups = {}
    for name in (*MODALITIES, "fused"):
        rows = [row for row in table if row.system == name]
        groups[name] = [
            figures.as_dict()
            for figures in group_figures(
                [dataset.takes[row.row] for row in rows],
                np.array([row.emotion for row in rows]),
                np.array([row.probabilities for row in rows]),
                np.array([row.actor for row in rows]),
                recipe.seed,
            )
        ]
    out: dict[str, Any] = {"groups": groups}
    if enrolled:
        strangers: dict[System, dict[int, NDArray[np.float64]]] = {
            name: {
                row.row: row.probabilities
                for row in table
                if row.system == name and all(dataset.inputs.has[m][row.row] for m in MODALITIES)
            }
            for name in SYSTEMS
        }
        out["enrolment"] = curve_over_clips(enrolled, strangers, dataset.inputs, recipe.seed)
    return out


def _coverage(
    truth: NDArray[np.int64], scores: NDArray[np.float64], actors: NDArray[np.str_], seed: int
) -> dict[str, Any]:
    """The coverage–accuracy curve, thinned, and its figures at a few places."""
    coverage, accuracy, _ = metrics.coverage_curve(truth, scores)
    kept = np.unique(np.linspace(0, len(coverage) - 1, min(_CURVE_PLACES, len(coverage))).round().astype(int))
    at = {}
    for place in COVERAGES:
        metric = partial(metrics.accuracy_at_coverage, coverage=place)
        at[f"{place:g}"] = {
            "accuracy": metric(truth, scores),
            "ci95": list(
                metrics.bootstrap_interval(metric, truth, scores, actors, seed=seed, n_resamples=_RESAMPLES)
            ),
            "threshold": metrics.threshold_for_coverage(scores, place),
        }
    return {"coverage": coverage[kept].tolist(), "accuracy": accuracy[kept].tolist(), "at": at}


def _figures_of(rows: Sequence[Row]) -> dict[str, float]:
    truth = np.array([row.emotion for row in rows])
    scores = np.array([row.probabilities for row in rows])
    predicted = scores.argmax(1)
    return {
        "accuracy": metrics.accuracy(truth, predicted),
        "uar": metrics.uar(truth, predicted),
        "f1_macro": metrics.f1_macro(truth, predicted),
        "log_loss": metrics.log_loss(truth, scores),
        "ece": metrics.expected_calibration_error(truth, scores),
    }


def _figures(rows: Sequence[Row], seed: int, *, whole: bool) -> dict[str, Any]:
    """A system's figures; the ``whole`` of them has calibration and coverage with their intervals as well."""
    truth = np.array([row.emotion for row in rows])
    predicted = np.array([row.probabilities.argmax() for row in rows])
    actors = np.array([row.actor for row in rows])
    intervals = {
        f"{name}_ci95": list(metrics.bootstrap_interval(metric, truth, predicted, actors, seed=seed))
        for name, metric in (("accuracy", metrics.accuracy), ("uar", metrics.uar))
    }
    figures = {**_figures_of(rows), **intervals, "n": len(rows)}
    if whole:
        scores = np.array([row.probabilities for row in rows])
        figures["ece_ci95"] = list(
            metrics.bootstrap_interval(
                metrics.expected_calibration_error, truth, scores, actors, seed=seed, n_resamples=_RESAMPLES
            )
        )
        figures["coverage"] = _coverage(truth, scores, actors, seed)
    return figures
