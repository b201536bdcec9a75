"""From out-of-fold predictions to figures: every system's, by group, over coverage and over enrollment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from emofuse.core import metrics
from emofuse.core.recipes.recipe import Recipe
from emofuse.corpus.folds import Fold
from emofuse.evaluation.enrollment_curve import EnrolledOutputs, curve_over_clips
from emofuse.evaluation.fold_outputs import COVERAGES, Thresholds, fold_name
from emofuse.evaluation.group_metrics import group_figures
from emofuse.evaluation.rater_figures import RaterFigures, rater_figures
from emofuse.evaluation.results import (
    MAIN_SYSTEMS,
    AnsweredPoint,
    CoverageFigures,
    CoveragePoint,
    Figures,
    FoldFigures,
    GroupEntry,
    System,
    SystemFigures,
)
from emofuse.evaluation.run_files import PredictionRow
from emofuse.features.extraction import MODALITIES
from emofuse.training.corpus_figures import figures_by_corpus
from emofuse.training.dataset import Dataset

_MOST_CURVE_POINTS = 200

FoldThresholds = Mapping[str, Mapping[str, Thresholds]]
"""By the name of the fold, then by system."""


def figures_of(
    table: Sequence[PredictionRow],
    folds: Sequence[Fold],
    dataset: Dataset,
    recipe: Recipe,
    enrolled: Sequence[EnrolledOutputs],
    thresholds: FoldThresholds,
) -> Figures:
    """Every system's figures; by group; by corpus and against raters if there are several; enrollment."""
    inputs = dataset.inputs
    measured = [name for name in MAIN_SYSTEMS if _rows_of(table, name)]
    out: Figures = {
        "systems": system_figures(table, folds, recipe, thresholds),
        "groups": {name: _groups(_rows_of(table, name), dataset, recipe.seed) for name in measured},
    }
    if inputs.distinguished:
        out["corpora"] = {
            name: figures_by_corpus(
                *_arrays(_rows_of(table, name)),
                inputs.corpora,
                inputs.distinguished,
                recipe.seed,
                inputs.emotions,
            )
            for name in measured
        }
    if inputs.supervision is not None and inputs.supervision.shares is not None:
        shares = inputs.supervision.shares
        found = {name: _rater_figures(_rows_of(table, name), shares, recipe.seed) for name in measured}
        out["raters"] = {name: figures for name, figures in found.items() if figures is not None}
    if enrolled:
        unenrolled: dict[System, dict[int, NDArray[np.float64]]] = {
            name: {
                row.row: row.probabilities
                for row in _rows_of(table, name)
                if all(inputs.has[modality][row.row] for modality in inputs.modalities)
            }
            for name in measured
        }
        out["enrolment"] = curve_over_clips(enrolled, unenrolled, inputs, recipe.seed)
    return out


def system_figures(
    table: Sequence[PredictionRow], folds: Sequence[Fold], recipe: Recipe, thresholds: FoldThresholds
) -> dict[str, SystemFigures]:
    """Every system's figures with their intervals, over all folds and for each.

    Args:
        table: out-of-fold predictions.
        folds: whose test takes these are.
        recipe: its classifiers and its seed.
        thresholds: the confidences from which to answer; empty if none were chosen.
    """
    names = [*MODALITIES, *(f"fused:{name}" for name in recipe.fusion.classifiers), "fused"]
    out: dict[str, SystemFigures] = {}
    for name in names:
        rows = _rows_of(table, name)
        if not rows:
            continue  # no take has the modality
        figures = _figures(rows, recipe.seed, with_scores=name in MAIN_SYSTEMS)
        chosen = [thresholds[fold].get(name, {}) for fold in sorted(thresholds)]
        if name in MAIN_SYSTEMS and chosen and all(chosen):
            figures["coverage"]["beforehand"] = {
                share: _answered(
                    rows, {fold: of[name][share] for fold, of in thresholds.items()}, recipe.seed
                )
                for share in chosen[0]
            }
        out[name] = {**figures, "folds": [_fold_figures(fold, rows) for fold in folds]}
    return out


def _rows_of(table: Sequence[PredictionRow], system: str) -> list[PredictionRow]:
    return [row for row in table if row.system == system]


def _fold_figures(fold: Fold, rows: Sequence[PredictionRow]) -> FoldFigures:
    rows = [row for row in rows if row.fold == fold_name(fold)]
    figures = _point_figures(rows)
    return {
        "fold": fold_name(fold),
        "test_actors": list(fold.test_actors),
        "n": len(rows),
        "accuracy": figures["accuracy"],
        "uar": figures["uar"],
    }


def _groups(rows: Sequence[PredictionRow], dataset: Dataset, seed: int) -> list[GroupEntry]:
    truth, scores, actors = _arrays(rows)
    takes = [dataset.takes[row.row] for row in rows]
    return [
        figures.as_dict()
        for figures in group_figures(takes, truth, scores, actors, seed, dataset.inputs.emotions)
    ]


def _rater_figures(
    rows: Sequence[PredictionRow], shares: NDArray[np.float64], seed: int
) -> RaterFigures | None:
    _, scores, actors = _arrays(rows)
    return rater_figures(shares[[row.row for row in rows]], scores, actors, seed)


def _arrays(
    rows: Sequence[PredictionRow],
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.str_]]:
    """Ground truth (n,), probabilities (n, n_emotions) and actors (n,)."""
    return (
        np.array([row.emotion for row in rows]),
        np.array([row.probabilities for row in rows]),
        np.array([row.actor for row in rows]),
    )


def _point_figures(rows: Sequence[PredictionRow]) -> SystemFigures:
    """A system's figures without their intervals."""
    truth, scores, _ = _arrays(rows)
    predicted = scores.argmax(1)
    return {
        "accuracy": metrics.accuracy(truth, predicted),
        "uar": metrics.uar(truth, predicted),
        "f1_macro": metrics.f1_macro(truth, predicted),
        "log_loss": metrics.log_loss(truth, scores),
        "ece": metrics.expected_calibration_error(truth, scores),
    }


def _figures(rows: Sequence[PredictionRow], seed: int, *, with_scores: bool) -> SystemFigures:
    """A system's figures and intervals; ``with_scores`` also those of calibration and coverage."""
    truth, scores, actors = _arrays(rows)
    predicted = scores.argmax(1)
    figures: SystemFigures = {
        **_point_figures(rows),
        "accuracy_ci95": list(
            metrics.bootstrap_interval(metrics.accuracy, truth, predicted, actors, seed=seed)
        ),
        "uar_ci95": list(metrics.bootstrap_interval(metrics.uar, truth, predicted, actors, seed=seed)),
        "n": len(rows),
    }
    if with_scores:
        figures["ece_ci95"] = list(
            metrics.bootstrap_interval(metrics.expected_calibration_error, truth, scores, actors, seed=seed)
        )
        figures["coverage"] = _coverage(truth, scores, actors, seed)
    return figures


def _coverage(
    truth: NDArray[np.int64], scores: NDArray[np.float64], actors: NDArray[np.str_], seed: int
) -> CoverageFigures:
    """The coverage–accuracy curve, thinned, and its figures at a few coverages."""
    coverage, accuracy, _ = metrics.coverage_curve(truth, scores)
    n_points = min(_MOST_CURVE_POINTS, len(coverage))
    retained = np.unique(np.linspace(0, len(coverage) - 1, n_points).round().astype(int))
    at: dict[str, CoveragePoint] = {}
    for share in COVERAGES:
        metric = partial(metrics.accuracy_at_coverage, coverage=share)
        at[f"{share:g}"] = {
            "accuracy": metric(truth, scores),
            "ci95": list(metrics.bootstrap_interval(metric, truth, scores, actors, seed=seed)),
            "threshold": metrics.threshold_for_coverage(scores, share),
        }
    return {"coverage": coverage[retained].tolist(), "accuracy": accuracy[retained].tolist(), "at": at}


def _answered(rows: Sequence[PredictionRow], thresholds: Mapping[str, float], seed: int) -> AnsweredPoint:
    """The takes that are answered with each fold's threshold: how many, and how many of them correctly."""
    truth, scores, actors = _arrays(rows)
    answered = scores.max(axis=1) >= np.array([thresholds[row.fold] for row in rows])
    predicted = scores.argmax(axis=1)
    interval = partial(metrics.bootstrap_interval, metrics.accuracy, seed=seed)
    accuracy = bounds = None
    if answered.any():
        accuracy = metrics.accuracy(truth[answered], predicted[answered])
        bounds = list(interval(truth[answered], predicted[answered], actors[answered]))
    return {
        "answered": float(answered.mean()),
        "answered_ci95": list(
            interval(np.ones(len(rows), dtype=np.int64), answered.astype(np.int64), actors)
        ),
        "accuracy": accuracy,
        "ci95": bounds,
        "threshold": float(np.mean(list(thresholds.values()))),
    }
