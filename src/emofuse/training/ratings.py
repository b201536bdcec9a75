"""From networks' outputs to ratings: each modality's scale, late fusion, and intervals.

All of it is fitted on outputs for training speakers that the networks had not seen. The loss is that of
concordance, 1 - CCC: of all numbers ``scale · output + offset`` the CCC is highest where mean and spread are
those of the ratings, and a fusion is the linear combination of highest correlation, brought to that scale.

Intervals are conformal, by speaker (Dunn, Wasserman & Ramdas 2022, arXiv:1809.07441): every training
speaker's errors, those of a combination that was fitted on the other speakers, weigh the same, and one more
speaker of unknown errors stands for the one who is predicted. K speakers can tell no share above K / (K + 1):
with too few for the level, the interval is the whole range.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from emofuse.core.dimensions import LEVEL, Combination, Dimension
from emofuse.core.errors import ExperimentError
from emofuse.training.dataset import Inputs, ModalityName
from emofuse.training.own_ratings import fit_shift
from emofuse.training.plan import Plan
from emofuse.training.rating_jobs import load_rating_outputs

Floats = NDArray[np.float64]


def fit_ratings(plan: Plan, inputs: Inputs, work: Path, level: float = LEVEL) -> tuple[Dimension, ...]:
    """How each dimension is predicted, fitted on the plan's training speakers; none without dimensions.

    Raises:
        ExperimentError: too few takes were rated, or all the same.
    """
    if not inputs.dimensions:
        return ()
    outputs = _out_of_fold(plan, inputs, work)
    return tuple(
        _fit_dimension(name, inputs.ratings[:, index], index, outputs, plan, inputs, level)
        for index, name in enumerate(inputs.dimensions)
    )


def _out_of_fold(plan: Plan, inputs: Inputs, work: Path) -> dict[ModalityName, dict[int, Floats]]:
    """By modality: row → (n_dimensions,) what the network that had not seen its speaker outputs."""
    found: dict[ModalityName, dict[int, Floats]] = {}
    for modality in inputs.modalities:
        found[modality] = {}
        for member in plan.members:
            rows = inputs.having(modality, member.fusion_rows)
            values = load_rating_outputs(plan, modality, rows, [member.index], work)
            found[modality] |= dict(zip(rows.tolist(), values, strict=True))
    return found


def _fit_dimension(
    name: str,
    ratings: Floats,
    index: int,
    outputs: dict[ModalityName, dict[int, Floats]],
    plan: Plan,
    inputs: Inputs,
    level: float,
) -> Dimension:
    known = ratings[plan.train][~np.isnan(ratings[plan.train])]
    if len(np.unique(known)) < 2:
        raise ExperimentError(f"{plan.name}: {name} has no two different ratings among the training takes")
    low, high = float(known.min()), float(known.max())
    systems: dict[str, Sequence[ModalityName]] = {modality: (modality,) for modality in inputs.modalities}
    systems["fused"] = inputs.modalities
    combinations = {}
    for system, modalities in systems.items():
        shared = set.intersection(*(set(outputs[modality]) for modality in modalities))
        rows = np.array(sorted(row for row in shared if not np.isnan(ratings[row])), dtype=np.int64)
        if len(rows) < 2:
            raise ExperimentError(
                f"{plan.name}: too few takes with {' and '.join(modalities)} are rated on {name}"
            )
        X = np.array([[outputs[modality][row][index] for modality in modalities] for row in rows])
        y, speakers = ratings[rows], inputs.speakers[rows]
        weights, offset = fit_concordance(X, y)
        predicted = _of_others(X, y, speakers)
        errors = np.abs(y - np.clip(predicted, low, high))
        combinations[system] = Combination(
            dict(zip(modalities, weights.tolist(), strict=True)),
            offset,
            radius_by_speaker(errors, speakers, level),
            fit_shift(y, predicted, speakers),
        )
    return Dimension(name, low, high, combinations, level)


def fit_concordance(X: Floats, y: Floats) -> tuple[Floats, float]:
    """The linear combination of columns that agrees best with ``y``: weights (n_columns,), and an offset.

    No weight is below zero: outputs that run against the ratings are noise, and left out. Where nothing
    agrees, the combination is the mean of ``y``.
    """
    from scipy.optimize import nnls

    centered = X - X.mean(axis=0)
    weights: Floats = nnls(centered, y - y.mean())[0]
    combined = centered @ weights
    spread = float(combined.std())
    if spread <= 1e-9 * max(1.0, float(np.abs(X).max())):
        return np.zeros(X.shape[1]), float(y.mean())
    weights = weights * (float(y.std()) / spread)
    return weights, float(y.mean() - X.mean(axis=0) @ weights)


def _of_others(X: Floats, y: Floats, speakers: NDArray[np.str_]) -> Floats:
    """(n,) what combinations that were fitted without each row's speaker say; of one speaker, with them."""
    names = np.unique(speakers)
    out = np.empty(len(y))
    for name in names:
        own = speakers == name
        weights, offset = fit_concordance(X[~own], y[~own]) if len(names) > 1 else fit_concordance(X, y)
        out[own] = X[own] @ weights + offset
    return out


def radius_by_speaker(errors: Floats, speakers: NDArray[np.str_], level: float) -> float | None:
    """The error that a new speaker's clips stay within with probability ``level``; None: it cannot be told.

    Args:
        errors: (n,) absolute errors of clips of speakers that nothing was fitted on.
        speakers: (n,) speaker ids.
        level: above 0 and below 1.
    """
    names, counts = np.unique(speakers, return_counts=True)
    weight = dict(zip(names.tolist(), 1 / (counts * (len(names) + 1)), strict=True))
    order = np.argsort(errors, kind="stable")
    reached = np.cumsum([weight[speakers[i]] for i in order])
    enough = np.flatnonzero(reached >= level - 1e-12)
    return float(errors[order[enough[0]]]) if len(enough) else None
