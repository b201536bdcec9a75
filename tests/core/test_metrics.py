"""The metrics against scikit-learn, the closed formula and general properties."""

from __future__ import annotations

import doctest
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import sklearn.metrics as oracle

from emofuse.core import metrics

EIGHT = 8


def _decisions(seed: int, n: int = 400, k: int = EIGHT, skill: float = 0.6) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    truth = rng.choice(k, size=n, p=rng.dirichlet(np.ones(k)))
    predicted = np.where(rng.random(n) < skill, truth, rng.integers(k, size=n))
    return truth, predicted


def _probabilities(seed: int, n: int = 400, k: int = EIGHT) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    probabilities = rng.dirichlet(np.full(k, 0.4), size=n)
    return np.array([rng.choice(k, p=row) for row in probabilities]), probabilities


def test_the_examples_in_the_docstrings_run() -> None:
    result = doctest.testmod(metrics)
    assert result.attempted >= 8
    assert result.failed == 0


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("skill", [0.0, 0.6, 1.0])
def test_metrics_of_decisions_agree_with_scikit_learn(seed: int, skill: float) -> None:
    truth, predicted = _decisions(seed, skill=skill)
    assert metrics.accuracy(truth, predicted) == pytest.approx(oracle.accuracy_score(truth, predicted))
    assert metrics.uar(truth, predicted) == pytest.approx(
        oracle.recall_score(truth, predicted, average="macro", labels=np.unique(truth))
    )
    assert metrics.f1_macro(truth, predicted) == pytest.approx(
        oracle.f1_score(truth, predicted, average="macro")
    )
    expected = oracle.confusion_matrix(truth, predicted, labels=range(EIGHT))
    np.testing.assert_array_equal(metrics.confusion_matrix(truth, predicted, EIGHT), expected)


@pytest.mark.parametrize("seed", range(3))
def test_log_loss_agrees_with_scikit_learn(seed: int) -> None:
    truth, probabilities = _probabilities(seed)
    expected = oracle.log_loss(truth, probabilities, labels=range(EIGHT))
    assert metrics.log_loss(truth, probabilities) == pytest.approx(expected)


def test_the_loss_of_an_impossible_truth_is_finite() -> None:
    truth, probabilities = np.array([0, 1]), np.array([[1.0, 0.0], [1.0, 0.0]])
    assert metrics.log_loss(truth, probabilities) == pytest.approx(oracle.log_loss(truth, probabilities))


def test_classes_that_are_never_acted_or_never_predicted() -> None:
    truth, predicted = np.array([0, 0, 2, 2]), np.array([0, 5, 2, 2])
    # Recall is over what was acted (0 and 2), F1 over what was acted or predicted (0, 2 and 5).
    assert metrics.uar(truth, predicted) == pytest.approx((0.5 + 1) / 2)
    assert metrics.f1_macro(truth, predicted) == pytest.approx((2 / 3 + 1 + 0) / 3)
    assert metrics.f1_macro(truth, predicted) == pytest.approx(
        oracle.f1_score(truth, predicted, average="macro")
    )
    recall = metrics.recall_per_class(truth, predicted, EIGHT)
    assert np.isnan(recall[[1, 3, 4, 5, 6, 7]]).all()
    np.testing.assert_allclose(recall[[0, 2]], [0.5, 1])


def test_perfect_and_chance() -> None:
    truth = np.repeat(np.arange(EIGHT), 10)
    sure = np.eye(EIGHT)[truth]
    even = np.full((len(truth), EIGHT), 1 / EIGHT)
    for metric in (metrics.accuracy, metrics.uar, metrics.f1_macro):
        assert metric(truth, truth) == 1
        assert metric(truth, (truth + 1) % EIGHT) == 0
    assert metrics.uar(truth, np.zeros_like(truth)) == pytest.approx(1 / EIGHT)
    assert metrics.log_loss(truth, sure) == pytest.approx(0, abs=1e-12)
    assert metrics.log_loss(truth, even) == pytest.approx(np.log(EIGHT))
    assert metrics.expected_calibration_error(truth, sure) == 0
    assert metrics.expected_calibration_error(truth, even) == pytest.approx(0, abs=1e-12)


def test_the_order_of_clips_does_not_matter() -> None:
    truth, probabilities = _probabilities(7)
    predicted = probabilities.argmax(axis=1)
    order = np.random.default_rng(1).permutation(len(truth))
    for metric in (metrics.accuracy, metrics.uar, metrics.f1_macro):
        assert metric(truth, predicted) == pytest.approx(metric(truth[order], predicted[order]))
    assert metrics.expected_calibration_error(truth, probabilities) == pytest.approx(
        metrics.expected_calibration_error(truth[order], probabilities[order])
    )


def test_calibration_error_by_the_plain_formula() -> None:
    truth, probabilities = _probabilities(3)
    sharpened = probabilities**3 / (probabilities**3).sum(axis=1, keepdims=True)
    confidence, right = sharpened.max(axis=1), sharpened.argmax(axis=1) == truth
    expected = 0.0
    for b in range(15):
        inside = (confidence > b / 15) & (confidence <= (b + 1) / 15)
        if inside.any():
            expected += inside.mean() * abs(right[inside].mean() - confidence[inside].mean())
    assert metrics.expected_calibration_error(truth, sharpened) == pytest.approx(expected)
    assert expected > 2 * metrics.expected_calibration_error(truth, probabilities)


def test_a_bound_of_a_bin_belongs_to_the_bin_below() -> None:
    bins = metrics.reliability([0, 0], [[0.5, 0.5], [1.0, 0.0]], n_bins=2)
    assert bins.count.tolist() == [1, 1]


@pytest.mark.parametrize("metric", [metrics.accuracy, metrics.uar, metrics.f1_macro])
def test_interval_agrees_with_resampling_actors_one_by_one(metric: metrics.Metric) -> None:
    truth, predicted = _decisions(11, n=300, k=4)
    actors = np.random.default_rng(2).integers(6, size=300).astype(str)
    low, high = metrics.bootstrap_interval(metric, truth, predicted, actors, seed=5, n_resamples=300)
    drawn = np.random.default_rng(5).multinomial(6, np.full(6, 1 / 6), size=300)
    clips = [np.flatnonzero(actors == a) for a in np.unique(actors)]
    values = []
    for times in drawn:
        chosen = np.concatenate([np.tile(c, t) for c, t in zip(clips, times, strict=True)])
        values.append(metric(truth[chosen], predicted[chosen]))
    np.testing.assert_allclose([low, high], np.quantile(values, [0.025, 0.975]))


def test_interval_is_wider_when_actors_differ_than_when_clips_do() -> None:
    rng = np.random.default_rng(0)
    actors = np.repeat(np.arange(20), 60)
    truth = rng.integers(EIGHT, size=1200)
    right = rng.random(1200) < np.linspace(0.4, 0.9, 20)[actors]
    predicted = np.where(right, truth, (truth + 1) % EIGHT)
    by_actor = metrics.bootstrap_interval(metrics.accuracy, truth, predicted, actors, seed=0)
    by_clip = metrics.bootstrap_interval(metrics.accuracy, truth, predicted, np.arange(1200), seed=0)
    assert by_actor[0] < metrics.accuracy(truth, predicted) < by_actor[1]
    assert by_actor[1] - by_actor[0] > 2 * (by_clip[1] - by_clip[0])


def test_interval_is_seeded_grows_with_the_level_and_is_fast() -> None:
    """The 2,000 draws count decisions once: they cost less than 1,000 figures of all takes."""
    truth, predicted = _decisions(1, n=1200)
    actors = np.arange(1200) % 20
    start = time.process_time()
    first = metrics.bootstrap_interval(metrics.f1_macro, truth, predicted, actors, seed=3)
    assert time.process_time() - start < 1000 * _cpu_s(lambda: metrics.f1_macro(truth, predicted))
    assert first == metrics.bootstrap_interval(metrics.f1_macro, truth, predicted, actors, seed=3)
    assert first != metrics.bootstrap_interval(metrics.f1_macro, truth, predicted, actors, seed=4)
    narrow = metrics.bootstrap_interval(metrics.f1_macro, truth, predicted, actors, seed=3, level=0.5)
    assert first[0] < narrow[0] < narrow[1] < first[1]


@pytest.mark.parametrize(
    "metric",
    [
        metrics.log_loss,
        metrics.expected_calibration_error,
        partial(metrics.accuracy_at_coverage, coverage=0.8),
    ],
)
def test_interval_of_scores_agrees_with_resampling_actors_one_by_one(metric: metrics.Metric) -> None:
    truth, probabilities = _probabilities(11, n=200, k=4)
    actors = np.random.default_rng(2).integers(6, size=200).astype(str)
    interval = metrics.bootstrap_interval(metric, truth, probabilities, actors, seed=5, n_resamples=200)
    drawn = np.random.default_rng(5).multinomial(6, np.full(6, 1 / 6), size=200)
    clips = [np.flatnonzero(actors == a) for a in np.unique(actors)]
    values = []
    for times in drawn:
        chosen = np.concatenate([np.tile(c, t) for c, t in zip(clips, times, strict=True)])
        values.append(metric(truth[chosen], probabilities[chosen]))
    np.testing.assert_allclose(interval, np.quantile(values, [0.025, 0.975]))
    value = metric(truth, probabilities)
    alone = metrics.bootstrap_interval(metric, truth, probabilities, ["1"] * 200, seed=0, n_resamples=5)
    assert alone == pytest.approx((value, value))


def test_an_interval_of_scores_is_fast_enough() -> None:
    truth, probabilities = _probabilities(1, n=1200)
    start = time.process_time()
    low, high = metrics.bootstrap_interval(
        metrics.expected_calibration_error, truth, probabilities, np.arange(1200) % 20, seed=3
    )
    once = _cpu_s(lambda: metrics.expected_calibration_error(truth, probabilities))
    assert time.process_time() - start < 3 * 2000 * once
    assert 0 < low < high < 0.2


def _cpu_s(call: Callable[[], object]) -> float:
    """Seconds of processor time of one call, the mean of 50."""
    start = time.process_time()
    for _ in range(50):
        call()
    return (time.process_time() - start) / 50


def test_a_difference_of_scores_is_paired() -> None:
    truth, probabilities = _probabilities(1, n=300)
    blunt = 0.5 * probabilities + 0.5 / EIGHT
    actors = np.arange(300) % 10
    low, high = metrics.bootstrap_difference(
        metrics.log_loss, truth, blunt, probabilities, actors, seed=0, n_resamples=300
    )
    assert low < oracle.log_loss(truth, blunt) - oracle.log_loss(truth, probabilities) < high
    same = metrics.bootstrap_difference(metrics.log_loss, truth, blunt, blunt, actors, seed=0, n_resamples=9)
    assert same == (0, 0)


def test_coverage_worked_by_hand() -> None:
    # sure and right, then two that tie of which one is wrong, then one unsure and wrong
    scores = [[0.625, 0.375], [0.75, 0.25], [1.0, 0.0], [0.25, 0.75]]
    coverage, right, threshold = metrics.coverage_curve([1, 0, 0, 0], scores)
    assert coverage.tolist() == [0.25, 0.75, 1]
    assert right.tolist() == [1, pytest.approx(2 / 3), 0.5]
    assert threshold.tolist() == [1, 0.75, 0.625]
    # half of four is two, and the third has the second's confidence
    assert metrics.threshold_for_coverage(scores, 0.5) == 0.75
    assert metrics.accuracy_at_coverage([1, 0, 0, 0], scores, 0.5) == pytest.approx(2 / 3)
    assert metrics.accuracy_at_coverage([1, 0, 0, 0], scores, 0.25) == 1
    assert metrics.accuracy_at_coverage([1, 0, 0, 0], scores, 1e-6) == 1


@pytest.mark.parametrize("seed", range(4))
def test_the_coverage_curve_agrees_with_scikit_learn_on_retained_decisions(seed: int) -> None:
    truth, probabilities = _probabilities(seed)
    # one decimal: many ties
    probabilities = np.round(probabilities, 1)
    probabilities[:, 0] += 1 - probabilities.sum(axis=1)
    probabilities = np.abs(probabilities) / np.abs(probabilities).sum(axis=1, keepdims=True)
    confidence, predicted = probabilities.max(axis=1), probabilities.argmax(axis=1)
    coverage, right, threshold = metrics.coverage_curve(truth, probabilities)
    assert threshold.tolist() == sorted(set(confidence.tolist()), reverse=True)
    for c, a, t in zip(coverage, right, threshold, strict=True):
        retained = confidence >= t
        assert c == pytest.approx(retained.mean())
        assert a == pytest.approx(oracle.accuracy_score(truth[retained], predicted[retained]))
        assert metrics.threshold_for_coverage(probabilities, c) == t
        assert metrics.accuracy_at_coverage(truth, probabilities, c) == pytest.approx(a)
    order = np.random.default_rng(1).permutation(len(truth))
    for curve, mixed in zip(
        (coverage, right, threshold), metrics.coverage_curve(truth[order], probabilities[order]), strict=True
    ):
        np.testing.assert_array_equal(curve, mixed)


def test_a_share_that_floats_cannot_represent_is_not_rounded_up() -> None:
    # 0.07 · 100 is 7.000000000000001: seven decisions, not eight
    confidence = np.linspace(0.51, 0.99, 100)
    scores = np.stack([confidence, 1 - confidence], axis=1)
    assert metrics.threshold_for_coverage(scores, 0.07) == confidence[-7]
    assert metrics.threshold_for_coverage(scores, 0.071) == confidence[-8]
    assert metrics.threshold_for_coverage(scores, 1) == confidence[0]


@pytest.mark.parametrize("coverage", [0, -0.1, 1.01, 80, np.nan])
def test_an_invalid_coverage_is_refused(coverage: float) -> None:
    with pytest.raises(ValueError, match="coverage must be above 0"):
        metrics.accuracy_at_coverage([0], [[0.5, 0.5]], coverage)
    with pytest.raises(ValueError, match="coverage must be above 0"):
        metrics.threshold_for_coverage([[0.5, 0.5]], coverage)


def test_difference_is_paired() -> None:
    rng = np.random.default_rng(0)
    actors = np.repeat(np.arange(20), 60)
    truth = rng.integers(EIGHT, size=1200)
    easy = rng.random(1200)
    wrong = (truth + 1) % EIGHT
    ease = np.linspace(0.3, 0.8, 20)[actors]
    better, worse = np.where(easy < ease + 0.05, truth, wrong), np.where(easy < ease, truth, wrong)
    low, high = metrics.bootstrap_difference(metrics.accuracy, truth, better, worse, actors, seed=0)
    assert 0 < low < metrics.accuracy(truth, better) - metrics.accuracy(truth, worse) < high
    # Each system's own interval is far wider than that of the difference.
    own = metrics.bootstrap_interval(metrics.accuracy, truth, better, actors, seed=0)
    assert own[1] - own[0] > 4 * (high - low)
    assert metrics.bootstrap_difference(metrics.uar, truth, worse, worse, actors, seed=0) == (0, 0)


def test_the_interval_of_one_actor_is_the_value_itself() -> None:
    truth, predicted = _decisions(1, n=40)
    value = metrics.accuracy(truth, predicted)
    interval = metrics.bootstrap_interval(metrics.accuracy, truth, predicted, ["1"] * 40, seed=0)
    assert interval == pytest.approx((value, value))


@pytest.mark.parametrize(
    ("truth", "predicted", "message"),
    [
        ([], [], "at least 1"),
        ([0, 1], [0], "of equal length"),
        ([0.0, 1.0], [0, 1], "integers"),
        ([0, -1], [0, 1], "below 0"),
    ],
)
def test_bad_decisions_are_refused(truth: list[float], predicted: list[int], message: str) -> None:
    for metric in (metrics.accuracy, metrics.uar, metrics.f1_macro):
        with pytest.raises(ValueError, match=message):
            metric(truth, predicted)


def test_bad_scores_and_bad_requests_are_refused() -> None:
    with pytest.raises(ValueError, match="sum to 1"):
        metrics.log_loss([0], [[0.5, 0.6]])
    with pytest.raises(ValueError, match="finite"):
        metrics.expected_calibration_error([0], [[np.nan, 1.0]])
    with pytest.raises(ValueError, match="2 columns"):
        metrics.log_loss([2], [[0.5, 0.5]])
    with pytest.raises(ValueError, match="n_classes 2"):
        metrics.confusion_matrix([2], [0], 2)
    with pytest.raises(ValueError, match="groups"):
        metrics.bootstrap_interval(metrics.accuracy, [0, 1], [0, 1], ["a"], seed=0)
    with pytest.raises(ValueError, match="accuracy, uar, f1_macro"):
        metrics.bootstrap_interval(oracle.accuracy_score, [0, 1], [0, 1], ["a", "b"], seed=0)
    with pytest.raises(ValueError, match="groups"):
        metrics.bootstrap_interval(metrics.log_loss, [0, 1], [[1.0, 0.0]] * 2, ["a"], seed=0)
    with pytest.raises(ValueError, match="must be"):
        metrics.bootstrap_interval(metrics.accuracy, [0, 1], [[1.0, 0.0]] * 2, ["a", "b"], seed=0)
    with pytest.raises(ValueError, match="level"):
        metrics.bootstrap_interval(metrics.accuracy, [0, 1], [0, 1], ["a", "b"], seed=0, level=95)


def test_neither_torch_nor_scikit_learn_is_imported() -> None:
    code = "import sys, emofuse.core.metrics; sys.exit(bool({'torch', 'sklearn', 'scipy'} & {*sys.modules}))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
