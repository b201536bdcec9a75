"""How far ratings of a person are shifted for what is known of them, fitted on training speakers.

The variance components are those of a one-way random effects model with unequal groups (Searle, Casella &
McCulloch 1992, Variance Components, chapter 3), by the method of moments.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from emofuse.core.own_ratings import PersonalShift, Spread

Floats = NDArray[np.float64]

_FEWEST_SPEAKERS: Final = 4
"""Fewer cannot tell whether a slope is more than chance."""


def fit_shift(truth: Floats, predicted: Floats, speakers: NDArray[np.str_]) -> PersonalShift:
    """Fit on predictions for clips of speakers that nothing was fitted on.

    Args:
        truth: (n,) ratings.
        predicted: (n,) predictions of them.
        speakers: (n,) speaker ids.
    """
    errors = truth - predicted
    names = np.unique(speakers)
    mean_predictions = np.array([predicted[speakers == name].mean() for name in names])
    mean_errors = np.array([errors[speakers == name].mean() for name in names])
    return PersonalShift(
        variance_components(errors, speakers),
        variance_components(predicted, speakers),
        float(mean_predictions.mean()),
        _slope(mean_predictions, mean_errors),
    )


def variance_components(values: Floats, groups: NDArray[np.str_]) -> Spread:
    """The variance between groups, and within them; of a single group, there is none between.

    Args:
        values: (n,).
        groups: (n,) the group of each.
    """
    _, group_of, counts = np.unique(groups, return_inverse=True, return_counts=True)
    n, k = len(values), len(counts)
    means = np.bincount(group_of, values) / counts
    square_within = float(((values - means[group_of]) ** 2).sum())
    if n == k:  # a clip each: nobody's clips differ
        return Spread(0.0, float(values.var()))
    within = square_within / (n - k)
    if k < 2:
        return Spread(0.0, within)
    square_between = float((counts * (means - values.mean()) ** 2).sum())
    size = (n - float((counts**2).sum()) / n) / (k - 1)
    return Spread(max(0.0, (square_between / (k - 1) - within) / size), within)


def _slope(predictions: Floats, errors: Floats) -> float:
    """How much of a speaker's distance from the mean prediction is error: 0 where it may be chance.

    Least squares, shrunk as the positive part of James and Stein does: the slope times 1 - (its standard
    error / the slope)².
    """
    n = len(predictions)
    apart = predictions - predictions.mean()
    square = float(apart @ apart)
    if n < _FEWEST_SPEAKERS or square <= 1e-12 * max(1.0, float(predictions @ predictions)):
        return 0.0
    slope = -float(apart @ errors) / square
    left = errors - errors.mean() + slope * apart
    variance = float(left @ left) / (n - 2) / square
    if slope <= 0:
        return 0.0
    return min(max(slope * (1 - variance / slope**2), 0.0), 1.0)
