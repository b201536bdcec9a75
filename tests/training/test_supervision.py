"""Losses of clips whose corpora do not distinguish all emotions, against plain formulas and scikit-learn."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss as sklearn_log_loss

from emofuse.training.supervision import (
    Supervision,
    fit_logistic,
    log_softmax,
    of_rows,
    supervised_log_loss,
)


def clips(n: int = 160, k: int = 4, seed: int = 0) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    y = np.arange(n) % k
    centers = np.random.default_rng(9).standard_normal((k, 5))
    return centers[y] + rng.standard_normal((n, 5)), y


def test_nothing_to_say_is_none() -> None:
    every = np.ones((3, 8), dtype=bool)
    assert Supervision.of(every, np.ones(3)) is None
    assert Supervision.of(every, np.full(3, 7.0)) is None
    without_calm = every.copy()
    without_calm[:, 1] = False
    assert Supervision.of(without_calm, np.ones(3)) is None  # nobody distinguishes it: as ever
    assert of_rows(None, np.arange(2)) is None


def test_rows_keep_their_emotions_and_their_ratio() -> None:
    known = np.ones((4, 8), dtype=bool)
    known[2:, 1] = False
    found = Supervision.of(known, np.array([1.0, 1.0, 3.0, 3.0]))
    assert found is not None
    assert found.weights.tolist() == [0.5, 0.5, 1.5, 1.5]
    mixed = found.of_rows(np.array([1, 3]))
    assert mixed is not None
    assert mixed.weights.tolist() == [0.5, 1.5]
    assert mixed.known[:, 1].tolist() == [True, False]
    assert found.of_rows(np.array([2, 3])) is None
    assert found.of_rows(found.known[:, 1]) is None


def test_smoothing_stays_within_a_clips_own_emotions() -> None:
    known = np.array([[True, True, True, True], [True, False, True, True]])
    soft = Supervision(known, np.ones(2)).soft_targets(np.array([0, 2]), 0.12)
    np.testing.assert_allclose(soft, [[0.91, 0.03, 0.03, 0.03], [0.04, 0, 0.92, 0.04]])


def test_log_loss_is_over_a_clips_own_emotions() -> None:
    p = np.array([[0.5, 0.25, 0.25], [0.2, 0.4, 0.4]])
    known = np.array([[True, True, True], [True, False, True]])
    found = supervised_log_loss(np.array([0, 2]), p, Supervision(known, np.array([0.5, 1.5])))
    assert found == pytest.approx((0.5 * -np.log(0.5) + 1.5 * -np.log(0.4 / 0.6)) / 2)
    assert supervised_log_loss(np.array([0, 2]), p, None) == pytest.approx(
        sklearn_log_loss([0, 2], p, labels=[0, 1, 2])
    )


def test_log_softmax_gives_no_probability_to_what_is_left_out() -> None:
    scores = np.array([[1.0, 50.0, 2.0]])
    logs = log_softmax(scores, np.array([[True, False, True]]))
    np.testing.assert_allclose(np.exp(logs[0, [0, 2]]), np.exp([1, 2]) / np.exp([1, 2]).sum())


@pytest.mark.parametrize("strength", [0.01, 0.3, 10.0])
def test_logistic_regression_is_scikit_learns_where_nothing_is_left_out(strength: float) -> None:
    X, y = clips()
    weights = np.random.default_rng(1).uniform(0.5, 2, len(y))
    weights /= weights.mean()
    supervision = Supervision(np.ones((len(y), 4), dtype=bool), weights)
    classes, coefficients, intercepts = fit_logistic(X, y, supervision, strength)
    expected = LogisticRegression(C=strength, max_iter=5000, tol=1e-9).fit(X, y, sample_weight=weights)
    assert classes.tolist() == [0, 1, 2, 3]
    np.testing.assert_allclose(coefficients, expected.coef_, atol=2e-3)
    scores = X @ coefficients.T + intercepts
    found = np.exp(scores - np.logaddexp.reduce(scores, axis=1, keepdims=True))
    np.testing.assert_allclose(found, expected.predict_proba(X), atol=2e-3)


def test_logistic_regression_ignores_what_a_corpus_cannot_tell() -> None:
    """A second corpus without class 1 that lies just where class 1 does: unmasked it hides class 1."""
    X, y = clips(240, seed=3)
    rng = np.random.default_rng(4)
    center = X[y == 1].mean(0)
    other = np.concatenate([center + rng.standard_normal((60, 5)), X[y == 0][:30]])
    other_y = np.array([0] * 60 + [0] * 30)
    all_x, all_y = np.concatenate([X, other]), np.concatenate([y, other_y])
    known = np.ones((len(all_y), 4), dtype=bool)
    known[len(y) :, 1] = False
    recalls = []
    for mask in (known, np.ones_like(known)):
        _, coefficients, intercepts = fit_logistic(all_x, all_y, Supervision(mask, np.ones(len(all_y))), 1.0)
        predicted = (X @ coefficients.T + intercepts).argmax(1)
        recalls.append(float((predicted[y == 1] == 1).mean()))
    assert recalls[0] > recalls[1] + 0.1


def test_the_shares_of_raters_are_the_targets() -> None:
    shares = np.array([[0.5, 0.25, 0.25], [np.nan] * 3])
    every = np.ones((2, 3), dtype=bool)
    found = Supervision.of(every, np.ones(2), shares)
    assert found is not None
    labels = np.array([0, 2])
    np.testing.assert_array_equal(found.targets(labels), [[0.5, 0.25, 0.25], [0, 0, 1]])
    np.testing.assert_allclose(found.soft_targets(labels, 0.3), [[0.45, 0.275, 0.275], [0.1, 0.1, 0.8]])
    p = np.array([[0.5, 0.3, 0.2], [0.2, 0.2, 0.6]])
    expected = -(0.5 * np.log(0.5) + 0.25 * np.log(0.3) + 0.25 * np.log(0.2) + np.log(0.6)) / 2
    assert supervised_log_loss(labels, p, found) == pytest.approx(expected)
    assert Supervision.of(every, np.ones(2), np.full((2, 3), np.nan)) is None
    assert found.of_rows(np.array([1])) is None
    of_two = found.of_emotions(np.array([0, 2]))
    np.testing.assert_allclose(of_two.targets(np.array([0, 1])), [[2 / 3, 1 / 3], [0.0, 1.0]])
    assert found.mark() != Supervision(every, np.ones(2)).mark()


def test_logistic_regression_on_shares_is_that_on_clips_copied_per_rater() -> None:
    """Three raters of one clip are the clip three times, each with a third of its weight."""
    X, y = clips()
    rng = np.random.default_rng(4)
    votes = np.stack([y, y, rng.integers(0, 4, len(y))], axis=1)
    shares = np.stack([(votes == k).mean(axis=1) for k in range(4)], axis=1)
    every = np.ones((len(y), 4), dtype=bool)
    classes, coefficients, intercepts = fit_logistic(X, y, Supervision(every, np.ones(len(y)), shares), 0.7)
    copied = LogisticRegression(C=0.7, max_iter=5000, tol=1e-10).fit(
        np.repeat(X, 3, axis=0), votes.ravel(), np.full(3 * len(y), 1 / 3)
    )
    assert classes.tolist() == [0, 1, 2, 3]
    np.testing.assert_allclose(coefficients, copied.coef_, atol=2e-4)
    centered = copied.intercept_ - copied.intercept_.mean()
    np.testing.assert_allclose(intercepts - intercepts.mean(), centered, atol=2e-4)
