"""Metrics of ratings: pure functions of what raters gave and what was predicted, on one scale.

One vocabulary throughout. ``truth`` and ``predicted``: (n,) floats. A rating that is missing is NaN in
``truth``; such a row counts nowhere. A prediction must be finite wherever there is a rating. ``weights``:
(n,) floats, not negative, how much each row counts; None: all the same. ``groups``: (n,) labels of the units
that are resampled, here speakers.

Every metric is a function of a few sums over rows, so a resample of speakers is a weighted sum of one short
row of sums per speaker, and two thousand resamples take milliseconds.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from emofuse.core.metrics import drawn_groups, percentile_interval

Floats = NDArray[np.float64]
RatingMetric = Callable[[ArrayLike, ArrayLike], float]
"""Of truth and predictions: :func:`concordance`, :func:`pearson` or :func:`mean_absolute_error`."""


def concordance(truth: ArrayLike, predicted: ArrayLike, weights: ArrayLike | None = None) -> float:
    """Concordance correlation coefficient (CCC), from -1 to 1.

    ``2 cov(t, p) / (var t + var p + (mean t - mean p)²)``, with variances over n. It is Pearson's correlation
    times how well mean and spread agree: 1 only where every prediction is right. Always predicting the same
    value scores 0. NaN where it is undefined: truth and predictions are one and the same constant, or no row
    is rated. (Lin 1989, A Concordance Correlation Coefficient to Evaluate Reproducibility.)

    >>> round(concordance([1, 2, 3], [2, 3, 4]), 9)
    0.571428571
    >>> concordance([1, 2, 3], [2, 2, 2])
    0.0
    """
    return float(_concordance_of(_sums(truth, predicted, weights)))


def pearson(truth: ArrayLike, predicted: ArrayLike, weights: ArrayLike | None = None) -> float:
    """Pearson's correlation coefficient, from -1 to 1: blind to mean and spread.

    ``cov(t, p) / sqrt(var t · var p)``. NaN where it is undefined: truth or predictions are constant.

    >>> round(pearson([1, 2, 3], [2, 3, 4]), 9)
    1.0
    """
    return float(_pearson_of(_sums(truth, predicted, weights)))


def mean_absolute_error(truth: ArrayLike, predicted: ArrayLike, weights: ArrayLike | None = None) -> float:
    """Mean absolute error ``Σ |t - p| / n``, in the unit of the ratings, from 0 (best) upwards.

    NaN where no row is rated.

    >>> round(mean_absolute_error([1, 2, 3], [2, 3, 3]), 9)
    0.666666667
    """
    return float(_error_of(_sums(truth, predicted, weights)))


def rating_interval(
    metric: RatingMetric,
    truth: ArrayLike,
    predicted: ArrayLike,
    groups: ArrayLike,
    *,
    seed: int,
    n_resamples: int = 2000,
    level: float = 0.95,
) -> tuple[float, float]:
    """Percentile bootstrap interval of a metric of ratings, resampling whole groups.

    As :func:`emofuse.core.metrics.bootstrap_interval`. Resamples in which the metric is undefined do not
    count; both bounds are NaN where it is undefined in all of them. With one group there is nothing to
    resample, and both bounds are the metric itself.

    Args:
        metric: :func:`concordance`, :func:`pearson` or :func:`mean_absolute_error`.
        truth: (n,) floats; NaN where a rating is missing.
        predicted: (n,) floats.
        groups: (n,) the group of each, of any type.
        seed: the same seed gives the same interval.
        n_resamples: number of resamples.
        level: share of resamples between the bounds, above 0 and below 1.

    Raises:
        ValueError: another metric, arrays of different length, or an invalid level.

    >>> rating_interval(mean_absolute_error, [1, 1, 2, 2], [1, 1, 3, 3], ["a", "a", "b", "b"], seed=0)
    (0.0, 1.0)
    """
    return _bounds(_resampled(metric, truth, predicted, groups, n_resamples, seed), level)


def rating_difference(
    metric: RatingMetric,
    truth: ArrayLike,
    predicted: ArrayLike,
    other: ArrayLike,
    groups: ArrayLike,
    *,
    seed: int,
    n_resamples: int = 2000,
    level: float = 0.95,
) -> tuple[float, float]:
    """Bootstrap interval of the metric of ``predicted`` minus that of ``other``, on the same resamples.

    Arguments as in :func:`rating_interval`.

    >>> rating_difference(mean_absolute_error, [1, 2], [1, 2], [2, 3], ["a", "b"], seed=0)
    (-1.0, -1.0)
    """
    first, second = (
        _resampled(metric, truth, outputs, groups, n_resamples, seed) for outputs in (predicted, other)
    )
    return _bounds(first - second, level)


def _resampled(
    metric: RatingMetric,
    truth: ArrayLike,
    predicted: ArrayLike,
    groups: ArrayLike,
    n_resamples: int,
    seed: int,
) -> Floats:
    """The metric on each resample of whole groups: (n_resamples,)."""
    if metric not in _OF_SUMS:
        names = ", ".join(getattr(m, "__name__", "?") for m in _OF_SUMS)
        raise ValueError(f"metric must be one of {names}, got {metric!r}")
    if n_resamples < 1:
        raise ValueError(f"n_resamples must be at least 1, got {n_resamples}")
    t, p, _ = _checked(truth, predicted, None)
    whose = np.asarray(groups)
    if whose.shape != t.shape:
        raise ValueError(f"groups must be {t.shape}, got {whose.shape}")
    rated = ~np.isnan(t)
    if not rated.any():
        return np.full(n_resamples, np.nan)
    drawn, group_of = drawn_groups(whose[rated], n_resamples, seed)
    rows = _row_sums(t[rated], p[rated], np.ones(int(rated.sum())))
    sums = np.zeros((drawn.shape[1], rows.shape[1]))
    np.add.at(sums, group_of, rows)
    return _OF_SUMS[metric](drawn @ sums)


def _bounds(values: Floats, level: float) -> tuple[float, float]:
    return percentile_interval(values[~np.isnan(values)], level)


def _checked(
    truth: ArrayLike, predicted: ArrayLike, weights: ArrayLike | None
) -> tuple[Floats, Floats, Floats]:
    t, p = np.asarray(truth, dtype=np.float64), np.asarray(predicted, dtype=np.float64)
    if t.ndim != 1 or t.shape != p.shape or not len(t):
        raise ValueError(
            f"truth and predicted must be (n,) and of equal length, n at least 1; got {t.shape} and {p.shape}"
        )
    if np.isinf(t).any():
        raise ValueError("truth must be finite, or NaN where a rating is missing")
    if not np.isfinite(p[~np.isnan(t)]).all():
        raise ValueError("predicted must be finite wherever there is a rating")
    w = np.ones(len(t)) if weights is None else np.asarray(weights, dtype=np.float64)
    if w.shape != t.shape or not np.isfinite(w).all() or w.min() < 0:
        raise ValueError(f"weights must be {t.shape}, finite and not negative")
    return t, p, w


def _sums(truth: ArrayLike, predicted: ArrayLike, weights: ArrayLike | None) -> Floats:
    t, p, w = _checked(truth, predicted, weights)
    rated = ~np.isnan(t)
    if not rated.any():
        return np.zeros(_N_SUMS)
    return np.asarray(_row_sums(t[rated], p[rated], w[rated]).sum(axis=0), dtype=np.float64)


def _row_sums(t: Floats, p: Floats, w: Floats) -> Floats:
    """What each row adds: its weight, then t, p, t², p², t·p about their means, t - p, and |t - p|."""
    # about the means: squares of 1e6 ± 1 would have no digits left for the variance
    a, b, apart = t - t.mean(), p - p.mean(), t - p
    return np.stack([w, w * a, w * b, w * a * a, w * b * b, w * a * b, w * apart, w * np.abs(apart)], axis=1)


# metrics of one row of sums or of many at once: (..., _N_SUMS) → (...)


def _moments(sums: Floats) -> tuple[Any, ...]:
    """Means' difference, variances and covariance; NaN where no row counts."""
    n = sums[..., 0]
    mean_t, mean_p, square_t, square_p, product, apart = (_over(sums[..., i], n) for i in range(1, 7))
    # rounding can leave a constant a variance of -1e-17
    var_t, var_p = (
        _settled(square - mean**2, square) for square, mean in ((square_t, mean_t), (square_p, mean_p))
    )
    return apart, var_t, var_p, product - mean_t * mean_p


def _settled(variance: Any, square: Any) -> Any:
    """A variance that is nothing but rounding is none."""
    return np.where(variance <= _ROUNDING * square, 0.0 * variance, variance)


def _over(above: Any, below: Any) -> Any:
    out = np.full(np.shape(below), np.nan)
    np.divide(above, below, out=out, where=below > 0)
    return out


def _concordance_of(sums: Floats) -> Floats:
    apart, var_t, var_p, covariance = _moments(sums)
    covariance = np.where((var_t == 0) | (var_p == 0), 0.0 * covariance, covariance)
    return np.asarray(_over(2 * covariance, var_t + var_p + apart**2), dtype=np.float64)


def _pearson_of(sums: Floats) -> Floats:
    _, var_t, var_p, covariance = _moments(sums)
    # rounding must not make it more than 1
    return np.asarray(np.clip(_over(covariance, np.sqrt(var_t * var_p)), -1, 1), dtype=np.float64)


def _error_of(sums: Floats) -> Floats:
    return np.asarray(_over(sums[..., 7], sums[..., 0]), dtype=np.float64)


_N_SUMS: Final = 8
_ROUNDING: Final = 1e-13
"""Of the mean square: a variance below this is rounding."""
_OF_SUMS: Final[dict[RatingMetric, Callable[[Floats], Floats]]] = {
    concordance: _concordance_of,
    pearson: _pearson_of,
    mean_absolute_error: _error_of,
}
