"""Metrics of predictions for clips that several raters judged, who need not agree.

One vocabulary throughout. ``shares``: (n, n_classes) floats whose rows sum to 1, of the raters of each clip,
by the class that they chose. ``predicted`` and ``probabilities`` as in :mod:`emofuse.core.metrics`. Every
function returns a value per clip, (n,): the metric is their mean, and :func:`mean_interval` its interval.

Where raters disagree, no prediction agrees with all of them. Each metric of predictions has a bound that only
depends on the raters: :func:`largest_shares` for :func:`chosen_shares`, and :func:`share_entropies` for
:func:`cross_entropies`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from emofuse.core.metrics import drawn_groups, percentile_interval, probability_rows

Floats = NDArray[np.float64]


def chosen_shares(shares: ArrayLike, predicted: ArrayLike) -> Floats:
    """The share of each clip's raters who chose what is predicted, from 0 to 1.

    Its mean is the accuracy to expect against the label of one rater, drawn at random for each clip.

    >>> chosen_shares([[0.75, 0.25], [0.5, 0.5]], [1, 0]).tolist()
    [0.25, 0.5]
    """
    s, p = probability_rows(shares, "shares"), np.asarray(predicted)
    if p.shape != (len(s),) or p.dtype.kind not in "iu" or p.min() < 0 or p.max() >= s.shape[1]:
        raise ValueError(f"predicted must be ({len(s)},) integers from 0 to {s.shape[1] - 1}")
    return np.asarray(s[np.arange(len(s)), p])


def largest_shares(shares: ArrayLike) -> Floats:
    """The share of each clip's raters who chose its most common class: the most that is possible.

    >>> largest_shares([[0.75, 0.25], [0.5, 0.5]]).tolist()
    [0.75, 0.5]
    """
    return np.asarray(probability_rows(shares, "shares").max(axis=1))


def pair_agreement(shares: ArrayLike) -> Floats:
    """How likely two raters of a clip agree who are drawn at random, with replacement: ``Σ share²``.

    Its mean is about the accuracy of one rater against another: what people reach on the task. Of k raters it
    is up to 1/k too high, because a rater is also drawn twice.

    >>> pair_agreement([[0.75, 0.25], [1.0, 0.0]]).tolist()
    [0.625, 1.0]
    """
    return np.asarray(np.square(probability_rows(shares, "shares")).sum(axis=1))


def cross_entropies(shares: ArrayLike, probabilities: ArrayLike) -> Floats:
    """``-Σ share · ln p`` of each clip, in nats: the log loss to expect against one rater drawn at random.

    With a single rater it is the surprisal of that rater's label. Probabilities are raised to 2.2e-16, as in
    :func:`emofuse.core.metrics.log_loss`. (Peterson et al. 2019, Human uncertainty makes classification more
    robust, on training and judging by it.)

    >>> cross_entropies([[1.0, 0.0], [0.5, 0.5]], [[0.5, 0.5], [0.5, 0.5]]).round(4).tolist()
    [0.6931, 0.6931]
    """
    s, p = probability_rows(shares, "shares"), probability_rows(probabilities)
    if s.shape != p.shape:
        raise ValueError(f"probabilities must be {s.shape}, as the shares are, got {p.shape}")
    return np.asarray((s * -np.log(np.maximum(p, np.finfo(np.float64).eps))).sum(axis=1))


def share_entropies(shares: ArrayLike) -> Floats:
    """``-Σ share · ln share`` of each clip, in nats: how much raters disagree; the least possible loss.

    0 where they agree; ln n_classes where each class was chosen equally often.

    >>> share_entropies([[1.0, 0.0], [0.5, 0.5]]).round(4).tolist()
    [0.0, 0.6931]
    """
    return cross_entropies(shares, shares)


def mean_interval(
    values: ArrayLike, groups: ArrayLike, *, seed: int, n_resamples: int = 2000, level: float = 0.95
) -> tuple[float, float]:
    """Percentile bootstrap interval of the mean of values of clips, resampling whole groups.

    Args:
        values: (n,) floats, one per clip.
        groups: (n,) the group of each, here its speaker, of any type.
        seed: the same seed gives the same interval.
        n_resamples: number of resamples.
        level: share of resamples between the bounds, above 0 and below 1.

    Raises:
        ValueError: arrays of different length, or an invalid level.

    >>> mean_interval([0.0, 1.0, 1.0], ["a", "b", "b"], seed=0)
    (0.0, 1.0)
    """
    v, named = np.asarray(values, dtype=np.float64), np.asarray(groups)
    if v.ndim != 1 or v.shape != named.shape or not len(v):
        raise ValueError(f"values and groups must be (n,), n at least 1; got {v.shape} and {named.shape}")
    drawn, group_of = drawn_groups(named, n_resamples, seed)
    sums, counts = np.bincount(group_of, v), np.bincount(group_of)
    return percentile_interval((drawn @ sums) / (drawn @ counts), level)
