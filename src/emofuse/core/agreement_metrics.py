"""Agreement of coders about the same units: pure functions.

``confusion``: (..., k, k) how many units one coder gave label i and another label j. ``ratings``: (n_coders,
n_units) integers, the label of each unit, or :data:`MISSING` where a coder gave none. Sums of confusions and
of coincidences over parts are those of the whole, so a resample of parts is a weighted sum of small matrices.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

MISSING: Final = -1
"""In place of a label: the coder said nothing about the unit."""


def pair_confusion(first: ArrayLike, second: ArrayLike, n_labels: int) -> NDArray[np.int64]:
    """How often each pair of labels was given: (n_labels, n_labels), rows of the first coder.

    Units that one of the two did not code do not count.

    >>> pair_confusion([0, 0, 1, -1], [0, 1, 1, 1], 2).tolist()
    [[1, 1], [0, 1]]
    """
    a, b = np.asarray(first), np.asarray(second)
    both = (a != MISSING) & (b != MISSING)
    pairs = a[both].astype(np.int64) * n_labels + b[both]
    return np.bincount(pairs, minlength=n_labels**2).reshape(n_labels, n_labels)


def observed_agreement(confusion: ArrayLike) -> Floats:
    """The share of units with the same label: ``Σ_i n_ii / n``, from 0 to 1; NaN without units.

    >>> float(observed_agreement([[2, 1], [0, 1]]))
    0.75
    """
    counts = np.asarray(confusion, dtype=np.float64)
    total = counts.sum(axis=(-2, -1))
    return _divided(np.trace(counts, axis1=-2, axis2=-1), total)


def cohen_kappa(confusion: ArrayLike) -> Floats:
    """Cohen's kappa: ``(p_o - p_e) / (1 - p_e)``, agreement beyond that of two coders who guess.

    1: they always agree; 0: as often as by chance, ``p_e = Σ_i n_i. n_.i / n²``. NaN without units, or where
    both gave one and the same label throughout, so that nothing could have disagreed. (Cohen 1960.)

    >>> round(float(cohen_kappa([[20, 5], [10, 15]])), 4)
    0.4
    """
    counts = np.asarray(confusion, dtype=np.float64)
    total = counts.sum(axis=(-2, -1))
    by_chance = (counts.sum(axis=-1) * counts.sum(axis=-2)).sum(axis=-1)
    agreed = np.trace(counts, axis1=-2, axis2=-1)
    return _divided(agreed * total - by_chance, total**2 - by_chance)


def coincidences(ratings: ArrayLike, n_labels: int) -> Floats:
    """The coincidence matrix of Krippendorff: (n_labels, n_labels), symmetric.

    Each unit that ``m ≥ 2`` coders coded adds ``1 / (m - 1)`` for each ordered pair of its labels; others add
    nothing. (Krippendorff 2011, Computing Krippendorff's Alpha-Reliability.)

    >>> coincidences([[0, 0, 1], [0, 1, -1]], 2).tolist()
    [[2.0, 1.0], [1.0, 0.0]]
    """
    values = np.asarray(ratings)
    counts = np.stack([(values == label).sum(axis=0) for label in range(n_labels)], axis=1).astype(np.float64)
    coders = counts.sum(axis=1)
    counts, coders = counts[coders >= 2], coders[coders >= 2]
    weighted = counts / (coders - 1)[:, None]
    return np.asarray(counts.T @ weighted - np.diag(weighted.sum(axis=0)), dtype=np.float64)


def krippendorff_alpha(coincidence: ArrayLike) -> Floats:
    """Krippendorff's alpha of nominal labels: ``1 - D_o / D_e``, of any number of coders with gaps.

    ``1 - (n - 1) (n - Σ_c o_cc) / (n² - Σ_c n_c²)`` over a matrix of :func:`coincidences`, or several at
    once. NaN where nothing was coded twice, or one label only was given. (Krippendorff 2011.)

    >>> round(float(krippendorff_alpha(coincidences([[0, 0, 1, 1], [0, 1, 1, 1]], 2))), 4)
    0.5333
    """
    o = np.asarray(coincidence, dtype=np.float64)
    of_label = o.sum(axis=-1)
    n = of_label.sum(axis=-1)
    observed = n - np.trace(o, axis1=-2, axis2=-1)
    expected = n**2 - (of_label**2).sum(axis=-1)
    # of a single label the difference is zero but for rounding
    expected = np.where(expected > 1e-9 * np.maximum(n, 1) ** 2, expected, 0)
    return np.asarray(1 - _divided((n - 1) * observed, expected), dtype=np.float64)


def _divided(above: ArrayLike, below: ArrayLike) -> Floats:
    """NaN where the divisor is zero."""
    numerator, divisor = np.asarray(above, dtype=np.float64), np.asarray(below, dtype=np.float64)
    out = np.full(np.broadcast_shapes(numerator.shape, divisor.shape), np.nan)
    np.divide(numerator, divisor, out=out, where=divisor != 0)
    return out
