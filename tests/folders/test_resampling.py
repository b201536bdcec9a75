from __future__ import annotations

import numpy as np

from emofuse.folders.resampling import LEAST, mean_interval


def test_the_interval_of_a_mean_is_that_of_theory() -> None:
    """For 400 draws of a normal distribution: the mean, 1.96 standard errors to each side."""
    values = np.random.default_rng(7).normal(0.4, 0.1, (400, 3))
    low, high = mean_interval(values, np.ones_like(values))  # type: ignore[misc]
    error = values.std(0, ddof=1) / np.sqrt(400)
    np.testing.assert_allclose(low, values.mean(0) - 1.96 * error, atol=0.15 * 1.96 * error.max())
    np.testing.assert_allclose(high, values.mean(0) + 1.96 * error, atol=0.15 * 1.96 * error.max())


def test_units_are_drawn_whole() -> None:
    """Ten recordings with a hundred equal values each are ten values, not a thousand."""
    means = np.random.default_rng(3).normal(0.0, 1.0, (10, 1))
    once = mean_interval(means, np.ones_like(means))
    often = mean_interval(100 * means, np.full_like(means, 100.0))
    np.testing.assert_allclose(often, once)  # type: ignore[arg-type]


def test_the_same_values_give_the_same_interval() -> None:
    values = np.random.default_rng(0).random((9, 2))
    first, second = (mean_interval(values, np.ones_like(values)) for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_too_few_have_no_interval() -> None:
    few = np.ones((LEAST - 1, 2))
    assert mean_interval(few, few) is None
    values, counts = np.ones((LEAST, 2)), np.ones((LEAST, 2))
    counts[0, 1] = values[0, 1] = 0.0
    bounds = mean_interval(values, counts)
    np.testing.assert_array_equal(bounds, [[1.0, np.nan], [1.0, np.nan]])
