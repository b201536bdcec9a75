"""Metrics: pure functions of ground truth and predictions.

One vocabulary throughout. ``truth``: (n,) integers, the class that was acted. ``predicted``: (n,) integers,
the predicted class. ``probabilities`` or ``scores``: (n, n_classes) floats whose rows sum to 1. ``groups``:
(n,) labels of the units that are resampled, here actors. Metrics are fractions, not percentages.

Metrics of hard decisions are derived from confusion matrices, so a resample of actors is a weighted sum of
one small matrix per actor, and two thousand resamples take milliseconds.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]
Metric = Callable[[ArrayLike, ArrayLike], float]
"""Of truth and decisions (:func:`accuracy`), or of truth and scores (:func:`log_loss`)."""


@dataclass(frozen=True, slots=True)
class Reliability:
    """Confidence and accuracy of a recognizer, in bins of its confidence.

    ``edges``: (n_bins + 1,) bounds of the bins; ``confidence`` and ``accuracy``: (n_bins,) means, NaN in
    an empty bin; ``count``: (n_bins,) decisions per bin.
    """

    edges: Floats
    confidence: Floats
    accuracy: Floats
    count: Counts


def accuracy(truth: ArrayLike, predicted: ArrayLike) -> float:
    """Share of decisions that are right: ``Σ [predicted = truth] / n``, from 0 to 1.

    With eight balanced classes, guessing reaches 1/8.

    >>> accuracy([0, 0, 1, 2], [0, 1, 1, 2])
    0.75
    """
    t, p = _decisions(truth, predicted)
    return float(np.mean(t == p))


def uar(truth: ArrayLike, predicted: ArrayLike) -> float:
    """Unweighted average recall: the mean of the recall of each class, from 0 to 1.

    ``1/K Σ_k TP_k / (TP_k + FN_k)`` over the K classes present in ``truth``. Rare classes weigh as much
    as common ones, and always predicting the same class reaches 1/K. (Schuller, Steidl & Batliner 2009, The
    INTERSPEECH 2009 Emotion Challenge.)

    >>> uar([0, 0, 0, 1], [0, 0, 0, 0])
    0.5
    """
    return float(_uar_of(_counts(truth, predicted)))


def f1_macro(truth: ArrayLike, predicted: ArrayLike) -> float:
    """Mean over classes of F1, the harmonic mean of precision and recall, from 0 to 1.

    ``1/K Σ_k 2 TP_k / (2 TP_k + FP_k + FN_k)`` over the K classes present in ``truth`` or ``predicted``;
    a class that is never right counts 0. Equals ``sklearn.metrics.f1_score(average="macro")``. (Opitz & Burst
    2019, arXiv:1911.03347, on this mean of F1 against the F1 of means.)

    >>> round(f1_macro([0, 0, 1, 1], [0, 1, 1, 1]), 4)
    0.7333
    """
    return float(_f1_of(_counts(truth, predicted)))


def confusion_matrix(truth: ArrayLike, predicted: ArrayLike, n_classes: int) -> Counts:
    """Count each pair of truth and decision: (n_classes, n_classes) int64, one row per true class.

    Raises:
        ValueError: a class is below 0 or not below ``n_classes``.

    >>> confusion_matrix([0, 0, 1], [0, 1, 1], 2).tolist()
    [[1, 1], [0, 1]]
    """
    t, p = _decisions(truth, predicted)
    if max(int(t.max()), int(p.max())) >= n_classes:
        raise ValueError(
            f"classes must be below n_classes {n_classes}, got {max(int(t.max()), int(p.max()))}"
        )
    return (
        np.bincount(t * n_classes + p, minlength=n_classes**2).reshape(n_classes, n_classes).astype(np.int64)
    )


def recall_per_class(truth: ArrayLike, predicted: ArrayLike, n_classes: int) -> Floats:
    """Recall of each class: (n_classes,) from 0 to 1, NaN for a class that ``truth`` lacks.

    >>> recall_per_class([0, 0, 1], [0, 1, 1], 3).tolist()
    [0.5, 1.0, nan]
    """
    counts = confusion_matrix(truth, predicted, n_classes)
    return _ratio(np.diagonal(counts), counts.sum(axis=1), empty=np.nan)


def log_loss(truth: ArrayLike, probabilities: ArrayLike) -> float:
    """Mean surprisal of the truth, ``-1/n Σ ln p(truth)``, in nats, from 0 (certain and right) upwards.

    A uniform prediction costs ``ln K``: 2.079 for eight classes. Probabilities are clipped to 2.2e-16 from 0
    and 1, as in scikit-learn, so one impossible truth costs 36 and not infinity. (Good
    1952, Rational Decisions.)

    >>> round(log_loss([0, 1], [[0.5, 0.5], [0.25, 0.75]]), 4)
    0.4904
    """
    t, p = _scores(truth, probabilities)
    tiny = np.finfo(np.float64).eps
    return float(-np.mean(np.log(np.clip(p[np.arange(len(t)), t], tiny, 1 - tiny))))


def reliability(truth: ArrayLike, probabilities: ArrayLike, n_bins: int = 15) -> Reliability:
    """Bin decisions by their highest probability into bins ``(a, b]`` of equal width (Guo et al. 2017).

    >>> reliability([0, 1], [[0.9, 0.1], [0.8, 0.2]], n_bins=2).accuracy.tolist()
    [nan, 0.5]
    """
    t, p = _scores(truth, probabilities)
    if n_bins < 1:
        raise ValueError(f"n_bins must be at least 1, got {n_bins}")
    confidence = p.max(axis=1)
    right = (p.argmax(axis=1) == t).astype(np.float64)
    index = np.clip(np.ceil(confidence * n_bins).astype(np.int64) - 1, 0, n_bins - 1)
    count = np.bincount(index, minlength=n_bins).astype(np.int64)
    return Reliability(
        edges=np.linspace(0, 1, n_bins + 1),
        confidence=_ratio(np.bincount(index, confidence, n_bins), count, empty=np.nan),
        accuracy=_ratio(np.bincount(index, right, n_bins), count, empty=np.nan),
        count=count,
    )


def expected_calibration_error(truth: ArrayLike, probabilities: ArrayLike, n_bins: int = 15) -> float:
    """Distance of confidence from accuracy: ``Σ_b n_b/n |accuracy_b - confidence_b|``, from 0 (best) to 1.

    Over bins of equal width of the highest probability; empty bins do not count. (Naeini, Cooper &
    Hauskrecht 2015; 15 bins as Guo et al. 2017, On Calibration of Modern Neural Networks.)

    >>> round(expected_calibration_error([0, 1], [[0.9, 0.1], [0.9, 0.1]]), 4)
    0.4
    """
    bins = reliability(truth, probabilities, n_bins)
    gaps = np.abs(np.nan_to_num(bins.accuracy - bins.confidence))
    return float((gaps * bins.count).sum() / bins.count.sum())


def coverage_curve(truth: ArrayLike, scores: ArrayLike) -> tuple[Floats, Floats, Floats]:
    """Accuracy on the retained decisions when the least confident ones are abstained from.

    At threshold ``t`` the decisions whose highest probability is at least ``t`` are retained, n_t of n:
    ``coverage = n_t / n``, ``accuracy = Σ_retained [predicted = truth] / n_t``, both from 0 to 1. Equal
    confidences are retained or abstained from together. (El-Yaniv & Wiener 2010, On the Foundations of
    Noise-free Selective Classification; Geifman & El-Yaniv 2017, arXiv:1705.08500.)

    Returns:
        Coverage, which rises to 1; the accuracy there; the threshold, which falls. Each (m,), one entry per
        distinct confidence; at coverage 1 the accuracy is :func:`accuracy`.

    >>> [a.tolist() for a in coverage_curve([0, 0, 1], [[0.9, 0.1], [0.75, 0.25], [0.75, 0.25]])]
    [[0.3333333333333333, 1.0], [1.0, 0.6666666666666666], [0.9, 0.75]]
    """
    t, p = _scores(truth, scores)
    confidence = p.max(axis=1)
    order = np.argsort(-confidence, kind="stable")
    ranked = confidence[order]
    right = np.cumsum(p.argmax(axis=1)[order] == t[order])
    last = np.flatnonzero(np.append(np.diff(ranked) != 0, True))
    retained = last + 1
    return retained / len(t), right[last] / retained, ranked[last]


def accuracy_at_coverage(truth: ArrayLike, scores: ArrayLike, coverage: float) -> float:
    """Accuracy on the most confident share of decisions, from 0 to 1.

    ``Σ_retained [predicted = truth] / n_retained`` over the decisions at or above
    :func:`threshold_for_coverage`: at least a share ``coverage``, more where confidences are equal. The
    threshold is set on these same scores, without their truth.

    >>> accuracy_at_coverage([0, 0, 1], [[0.9, 0.1], [0.8, 0.2], [0.6, 0.4]], 0.6)
    1.0
    """
    t, p = _scores(truth, scores)
    retained = p.max(axis=1) >= threshold_for_coverage(p, coverage)
    return float(np.mean(p.argmax(axis=1)[retained] == t[retained]))


def threshold_for_coverage(scores: ArrayLike, coverage: float) -> float:
    """The highest confidence threshold that retains at least a share ``coverage`` of the decisions.

    ``max {t : Σ [max_k p_k ≥ t] / n ≥ coverage}``, one of the confidences that occur. It needs no
    truth, so it may be set on any recordings.

    Raises:
        ValueError: ``coverage`` is not above 0 and at most 1.

    >>> threshold_for_coverage([[0.9, 0.1], [0.8, 0.2], [0.6, 0.4]], 0.6)
    0.8
    """
    p = probability_rows(scores)
    if not 0 < coverage <= 1:
        raise ValueError(f"coverage must be above 0 and at most 1, got {coverage}")
    # 0.8 of 1200 is 960, not 961, whatever the last bit of the product
    retained = max(1, math.ceil(coverage * len(p) - 1e-9))
    return float(np.sort(p.max(axis=1))[-retained])


def bootstrap_interval(
    metric: Metric,
    truth: ArrayLike,
    predicted: ArrayLike,
    groups: ArrayLike,
    *,
    seed: int,
    n_resamples: int = 2000,
    level: float = 0.95,
) -> tuple[float, float]:
    """Percentile bootstrap interval of a metric, resampling whole groups.

    Clips of one actor are alike, so clips must not be resampled one by one: the interval says how much the
    metric would change with other actors. (Efron & Tibshirani 1993, chapter 13; Field & Welsh 2007 for
    whole clusters.) With one group there is nothing to resample, and both bounds are the metric itself.

    Metrics of scores are recomputed on each resample. Drawing with replacement biases a calibration error
    upwards, as fewer clips would: its interval extends further up than down, and a small error itself may
    lie at the lower bound or below it.

    Args:
        metric: for decisions :func:`accuracy`, :func:`uar` or :func:`f1_macro`; for scores any metric of
            truth and scores, such as ``partial(accuracy_at_coverage, coverage=0.8)``.
        truth: (n,) integers.
        predicted: (n,) integers, the decisions; or (n, n_classes) floats, the scores.
        groups: (n,) the group of each, of any type.
        seed: the same seed gives the same interval.
        n_resamples: number of resamples.
        level: share of resamples between the bounds, above 0 and below 1.

    Raises:
        ValueError: another metric of decisions, arrays of different length, or an invalid level.

    >>> bootstrap_interval(accuracy, [0, 0, 1, 1], [0, 0, 1, 0], ["a", "a", "b", "b"], seed=0)
    (0.5, 1.0)
    >>> bootstrap_interval(log_loss, [0, 1], [[0.5, 0.5], [0.0, 1.0]], ["a", "b"], seed=0)[0] < 1e-12
    True
    """
    return percentile_interval(
        _resampled(metric, truth, predicted, np.asarray(groups), n_resamples, seed), level
    )


def bootstrap_difference(
    metric: Metric,
    truth: ArrayLike,
    predicted: ArrayLike,
    other: ArrayLike,
    groups: ArrayLike,
    *,
    seed: int,
    n_resamples: int = 2000,
    level: float = 0.95,
) -> tuple[float, float]:
    """Bootstrap interval of how much better ``predicted`` scores than ``other``, resampling whole groups.

    Both are scored on the same resamples, so that an actor who is easy for both cancels out: two systems
    whose own intervals overlap may still differ clearly. Arguments as in :func:`bootstrap_interval`.

    >>> bootstrap_difference(accuracy, [0, 1, 1], [0, 1, 1], [1, 1, 1], ["a", "a", "b"], seed=0)
    (0.0, 0.5)
    """
    # the same seed draws the same groups twice: the resamples are paired
    first, second = (
        _resampled(metric, truth, outputs, np.asarray(groups), n_resamples, seed)
        for outputs in (predicted, other)
    )
    return percentile_interval(first - second, level)


def _derived(metric: Metric) -> Callable[[Counts], Floats]:
    if metric not in _OF_COUNTS:
        names = ", ".join(getattr(m, "__name__", "?") for m in _OF_COUNTS)
        raise ValueError(f"metric must be one of {names}, got {metric!r}")
    return _OF_COUNTS[metric]


def _resampled(
    metric: Metric, truth: ArrayLike, outputs: ArrayLike, groups: NDArray[Any], n_resamples: int, seed: int
) -> Floats:
    """The metric on each resample of whole groups: (n_resamples,). ``outputs``: decisions or scores."""
    if n_resamples < 1:
        raise ValueError(f"n_resamples must be at least 1, got {n_resamples}")
    of_scores = np.ndim(outputs) == 2
    t, s = _scores(truth, outputs) if of_scores else _decisions(truth, outputs)
    if groups.shape != t.shape:
        raise ValueError(f"groups must be {t.shape}, got {groups.shape}")
    drawn, group_of = drawn_groups(groups, n_resamples, seed)
    if of_scores:
        rows = (np.repeat(np.arange(len(t)), times[group_of]) for times in drawn)
        return np.array([metric(t[chosen], s[chosen]) for chosen in rows])
    of_counts = _derived(metric)
    n = drawn.shape[1]
    counts = _counts_per_group(t, np.asarray(s, dtype=np.int64), group_of, n)
    k = counts.shape[-1]
    return of_counts((drawn @ counts.reshape(n, -1)).reshape(-1, k, k))


def drawn_groups(groups: NDArray[Any], n_resamples: int, seed: int) -> tuple[Counts, NDArray[np.intp]]:
    """How often each resample draws each group, (n_resamples, n_groups), and the group of each row, (n,)."""
    names, group_of = np.unique(groups, return_inverse=True)
    n = len(names)
    return np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=n_resamples), group_of


def percentile_interval(values: Floats, level: float) -> tuple[float, float]:
    """The bounds between which a share ``level`` of resampled values lies; NaN without values.

    Raises:
        ValueError: the level does not lie between 0 and 1.
    """
    if not 0 < level < 1:
        raise ValueError(f"level must lie between 0 and 1, got {level}")
    if not len(values):
        return float("nan"), float("nan")
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _decisions(truth: ArrayLike, predicted: ArrayLike) -> tuple[Counts, Counts]:
    t, p = np.asarray(truth), np.asarray(predicted)
    if t.ndim != 1 or t.shape != p.shape or not len(t):
        raise ValueError(
            f"truth and predicted must be (n,) and of equal length, n at least 1; got {t.shape} and {p.shape}"
        )
    for name, array in (("truth", t), ("predicted", p)):
        if array.dtype.kind not in "iu":
            raise ValueError(f"{name} must be integers, got {array.dtype}")
        if array.min() < 0:
            raise ValueError(f"{name} must not be below 0, got {array.min()}")
    return t.astype(np.int64), p.astype(np.int64)


def _scores(truth: ArrayLike, probabilities: ArrayLike) -> tuple[Counts, Floats]:
    p = probability_rows(probabilities)
    t, _ = _decisions(truth, p.argmax(axis=1))
    if t.max() >= p.shape[1]:
        raise ValueError(f"truth has class {t.max()}, but probabilities have {p.shape[1]} columns")
    return t, p


def probability_rows(rows: ArrayLike, name: str = "probabilities") -> Floats:
    """(n, n_classes) float64 whose rows sum to 1, checked; ``name``: what the message calls them.

    Raises:
        ValueError: they are not.
    """
    p = np.asarray(rows, dtype=np.float64)
    if p.ndim != 2 or not p.size:
        raise ValueError(f"{name} must be (n, n_classes), got {p.shape}")
    if not np.isfinite(p).all() or p.min() < 0 or np.abs(p.sum(axis=1) - 1).max() > 1e-3:
        raise ValueError(f"{name} must be finite, not below 0, and sum to 1 in each row")
    return p


def _counts(truth: ArrayLike, predicted: ArrayLike) -> Counts:
    t, p = _decisions(truth, predicted)
    return confusion_matrix(t, p, max(int(t.max()), int(p.max())) + 1)


def _counts_per_group(truth: Counts, predicted: Counts, group_of: NDArray[np.intp], n_groups: int) -> Counts:
    """One confusion matrix per group: (n_groups, n_classes, n_classes)."""
    k = max(int(truth.max()), int(predicted.max())) + 1
    flat = np.bincount((group_of * k + truth) * k + predicted, minlength=n_groups * k * k)
    return flat.reshape(n_groups, k, k).astype(np.int64)


def _ratio(above: NDArray[Any], below: NDArray[Any], *, empty: float) -> Floats:
    out = np.full(np.broadcast_shapes(above.shape, below.shape), empty, dtype=np.float64)
    np.divide(above, below, out=out, where=below > 0)
    return out


# metrics of one confusion matrix or of many at once: (..., n_classes, n_classes) → (...)


def _accuracy_of(counts: Counts) -> Floats:
    return np.asarray(np.trace(counts, axis1=-2, axis2=-1) / counts.sum(axis=(-2, -1)), dtype=np.float64)


def _uar_of(counts: Counts) -> Floats:
    acted = counts.sum(axis=-1)
    recall = _ratio(np.diagonal(counts, axis1=-2, axis2=-1), acted, empty=0)
    return np.asarray(recall.sum(axis=-1) / (acted > 0).sum(axis=-1), dtype=np.float64)


def _f1_of(counts: Counts) -> Floats:
    seen = counts.sum(axis=-1) + counts.sum(axis=-2)
    f1 = _ratio(2 * np.diagonal(counts, axis1=-2, axis2=-1), seen, empty=0)
    return np.asarray(f1.sum(axis=-1) / (seen > 0).sum(axis=-1), dtype=np.float64)


_OF_COUNTS: Final[dict[Metric, Callable[[Counts], Floats]]] = {
    accuracy: _accuracy_of,
    uar: _uar_of,
    f1_macro: _f1_of,
}
