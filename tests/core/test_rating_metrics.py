"""The metrics of ratings against audmetric, the closed formula and general properties."""

from __future__ import annotations

import doctest
import math
from collections.abc import Callable
from typing import Any

import audmetric
import numpy as np
import pytest

from emofuse.core import rating_metrics
from emofuse.core.rating_metrics import (
    concordance,
    mean_absolute_error,
    pearson,
    rating_difference,
    rating_interval,
)

METRICS = (concordance, pearson, mean_absolute_error)
ORACLES: dict[Callable[..., float], Callable[..., Any]] = {
    concordance: audmetric.concordance_cc,
    pearson: audmetric.pearson_cc,
    mean_absolute_error: audmetric.mean_absolute_error,
}


def _ratings(seed: int, n: int = 300, skill: float = 0.7) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    speakers = rng.integers(8, size=n)
    truth = rng.uniform(1, 7, n) + 0.3 * speakers
    predicted = skill * truth + rng.normal(0, 1, n) + rng.normal(0, 0.5, 8)[speakers] + 0.4
    return truth, predicted, speakers.astype(str)


def test_the_examples_in_the_docstrings_run() -> None:
    result = doctest.testmod(rating_metrics)
    assert result.attempted >= 6
    assert result.failed == 0


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("skill", [-0.5, 0.0, 0.7, 1.0])
def test_every_metric_equals_audmetrics(metric: Callable[..., float], seed: int, skill: float) -> None:
    truth, predicted, _ = _ratings(seed, skill=skill)
    assert metric(truth, predicted) == pytest.approx(ORACLES[metric](truth, predicted), abs=1e-9)


@pytest.mark.parametrize("metric", METRICS)
def test_intervals_equal_audmetrics_metric_on_the_resampled_speakers(metric: Callable[..., float]) -> None:
    truth, predicted, speakers = _ratings(5)
    found = rating_interval(metric, truth, predicted, speakers, seed=3, n_resamples=200, level=0.9)
    names = np.unique(speakers)
    drawn = np.random.default_rng(3).multinomial(len(names), np.full(len(names), 1 / len(names)), size=200)
    values = []
    for times in drawn:
        clips = [np.tile(np.flatnonzero(speakers == s), k) for s, k in zip(names, times, strict=True)]
        rows = np.concatenate(clips)
        values.append(ORACLES[metric](truth[rows], predicted[rows]))
    assert found == pytest.approx(np.quantile(values, [0.05, 0.95]), abs=1e-9)


@pytest.mark.parametrize("offset", [0.0, 1e4, -1e6])
def test_values_far_from_zero_lose_no_digits(offset: float) -> None:
    truth, predicted, _ = _ratings(6)
    moved = concordance(truth + offset, predicted + offset), pearson(truth + offset, predicted)
    assert moved == pytest.approx((concordance(truth, predicted), pearson(truth, predicted)), abs=1e-7)


def test_constant_predictions_have_no_concordance_and_no_correlation() -> None:
    truth = np.array([1.0, 2.0, 3.1])
    for constant in (2.0, 2.0333, 1e5):
        assert concordance(truth, np.full(3, constant)) == 0
        assert math.isnan(pearson(truth, np.full(3, constant)))
        assert concordance(np.full(3, constant), truth) == 0
    assert math.isnan(concordance([2.1, 2.1, 2.1], [2.1, 2.1, 2.1]))
    assert concordance([2.1, 2.1], [3.1, 3.1]) == 0


def test_a_missing_rating_counts_nowhere() -> None:
    truth, predicted, speakers = _ratings(7)
    holes = truth.copy()
    holes[::3] = np.nan
    rated = ~np.isnan(holes)
    strange = np.where(rated, predicted, np.nan)
    for metric in METRICS:
        assert metric(holes, strange) == metric(truth[rated], predicted[rated])
        bounds = rating_interval(metric, holes, strange, speakers, seed=0, n_resamples=50)
        known = rating_interval(
            metric, truth[rated], predicted[rated], speakers[rated], seed=0, n_resamples=50
        )
        assert bounds == pytest.approx(known, abs=1e-12)
        assert math.isnan(metric([np.nan], [1.0]))
        assert all(map(math.isnan, rating_interval(metric, [np.nan], [1.0], ["a"], seed=0)))


def test_one_speaker_leaves_nothing_to_resample() -> None:
    truth, predicted, _ = _ratings(8, n=40)
    for metric in METRICS:
        bounds = rating_interval(metric, truth, predicted, np.full(40, "a"), seed=0)
        assert bounds == pytest.approx((metric(truth, predicted),) * 2, abs=1e-12)


def test_resamples_without_a_defined_value_do_not_count() -> None:
    # whoever draws speaker a alone has constant ratings
    truth, predicted, speakers = [1.0, 1.0, 1.0, 2.0, 3.0], [1.5, 1.0, 2.0, 2.0, 2.5], list("aaabb")
    low, high = rating_interval(pearson, truth, predicted, speakers, seed=1)
    assert 0.5 < low < high <= 1


def test_weights_are_repeated_rows() -> None:
    truth, predicted, _ = _ratings(9, n=60)
    times = np.random.default_rng(1).integers(0, 4, 60)
    rows = np.repeat(np.arange(60), times)
    for metric in METRICS:
        assert metric(truth, predicted, times) == pytest.approx(metric(truth[rows], predicted[rows]))


def test_a_difference_is_of_the_same_resamples() -> None:
    truth, predicted, speakers = _ratings(10)
    assert rating_difference(concordance, truth, predicted, predicted, speakers, seed=2) == (0, 0)
    low, high = rating_difference(concordance, truth, predicted, predicted - 1, speakers, seed=2)
    gain = concordance(truth, predicted) - concordance(truth, predicted - 1)
    assert 0 < low < gain < high
    own = rating_interval(concordance, truth, predicted, speakers, seed=2)
    assert high - low < own[1] - own[0], "speakers who are hard for both cancel out"


def test_what_is_not_ratings_is_refused() -> None:
    for truth, predicted, says in (
        ([1.0], [1.0, 2.0], "equal length"),
        ([], [], "at least 1"),
        ([1.0, math.inf], [1.0, 2.0], "truth must be finite"),
        ([1.0, 2.0], [1.0, math.nan], "predicted must be finite"),
    ):
        with pytest.raises(ValueError, match=says):
            concordance(truth, predicted)
    with pytest.raises(ValueError, match="weights must be"):
        concordance([1.0, 2.0], [1.0, 2.0], [1.0, -1.0])
    with pytest.raises(ValueError, match="groups must be"):
        rating_interval(pearson, [1.0, 2.0], [1.0, 2.0], ["a"], seed=0)
    with pytest.raises(ValueError, match="metric must be one of concordance"):
        rating_interval(np.dot, [1.0, 2.0], [1.0, 2.0], ["a", "b"], seed=0)
    with pytest.raises(ValueError, match="level"):
        rating_interval(pearson, [1.0, 2.0], [1.0, 2.0], ["a", "b"], seed=0, level=1.0)
    with pytest.raises(ValueError, match="n_resamples"):
        rating_interval(pearson, [1.0, 2.0], [1.0, 2.0], ["a", "b"], seed=0, n_resamples=0)
