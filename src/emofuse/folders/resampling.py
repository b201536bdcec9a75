"""Intervals of means by resampling: how much a mean would change with other recordings, people or markers."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

Float64 = NDArray[np.float64]

LEAST: Final = 5
"""With fewer units there is no interval: resampling four things says little about a fifth."""
LEVEL: Final = 0.95
N_RESAMPLES: Final = 2000
_SEED: Final = 0


def mean_interval(sums: Float64, counts: Float64) -> Float64 | None:
    """Percentile bootstrap interval (95 %) of means, whole units drawn with replacement.

    (Efron & Tibshirani 1993, chapter 13; Field & Welsh 2007 for units of several values.)

    Args:
        sums: (n_units, n_means) the sum of what each unit adds to each mean.
        counts: (n_units, n_means) of how many values; 0 where a unit adds nothing.

    Returns:
        (2, n_means) lower and upper bounds, the same for the same input, NaN where fewer than :data:`LEAST`
        units add something; None: there are fewer units at all.
    """
    if len(sums) < LEAST:
        return None
    rng = np.random.default_rng(_SEED)
    n = len(sums)
    drawn = rng.multinomial(n, np.full(n, 1 / n), N_RESAMPLES).astype(np.float64)
    totals = drawn @ counts
    means = np.divide(drawn @ sums, totals, out=np.full_like(totals, np.nan), where=totals > 0)
    bounds = np.full((2, sums.shape[1]), np.nan)
    known = (counts > 0).sum(0) >= LEAST
    if known.any():
        tail = 100 * (1 - LEVEL) / 2
        bounds[:, known] = np.nanpercentile(means[:, known], (tail, 100 - tail), axis=0)
    return bounds
